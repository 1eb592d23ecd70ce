"""Tables of sums by interval beside naive sums, and Huber fits at many knots from them."""

from dataclasses import fields

import numpy as np
import pytest

from robustreg.data.arrays import make_source
from robustreg.data.frame import make_frame
from robustreg.data.source import Part, Refused, sweep
from robustreg.passes.all_rows import all_rows
from robustreg.passes.many_knots import neighbourhood, solutions, tabulate
from robustreg.problem.losses import huber

N, P = 300, 3
KNOTS = np.array([0.1, 0.5, 0.5000001, 2.0, 1e9])  # some intervals have no row


class Case:
    def __init__(self, weighted=True, knots=KNOTS):
        rng = np.random.default_rng(0)
        X, self.knots = rng.standard_normal((N, P)), knots
        y = X @ np.ones(P) + rng.standard_t(2, N)
        w = rng.uniform(0.5, 2.0, N) if weighted else None
        self.source = make_source(X, y, w)
        self.frame = make_frame(self.source, True)
        self.base = self.frame.from_raw(np.ones(P), 0.0)
        self.Z, self.r, self.w = self.frame.take(self.source, np.arange(N), self.base)
        gram = (self.Z.T * self.w) @ self.Z
        self.gram, self.root = gram, np.linalg.inv(np.linalg.cholesky(gram))

    def table(self, source=None):
        return sweep(source or self.source, tabulate, self.frame, self.base, self.knots, self.root)

    def by_hand(self, belongs, w=None):
        """square (m, m), linear (m, 2) and constant (3,) of the rows that belong."""
        square, linear, constant = np.zeros((P + 1, P + 1)), np.zeros((P + 1, 2)), np.zeros(3)
        w = self.w if w is None else w
        for z, r, weight, counts in zip(self.Z, self.r, w, belongs, strict=True):
            if counts:
                square += weight * np.outer(z, z)
                linear += weight * np.outer(z, [r, np.sign(r)])
                constant += weight * np.array([r * r, abs(r), 1.0])
        return square, linear, constant


def near(table, k, expected):
    for found, wanted in zip(
        (table.square[k], table.linear[k], table.constant[k]), expected, strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_by_interval(weighted):
    case = Case(weighted)
    table, size = case.table(), np.abs(case.r)
    edges = [-1.0, *case.knots, np.inf]
    assert len(table.square) == len(table.linear) == len(table.constant) == len(case.knots) + 1
    for k in range(len(case.knots) + 1):
        near(table, k, case.by_hand((size > edges[k]) & (size <= edges[k + 1])))
    np.testing.assert_allclose(np.concatenate(table.r), case.r, atol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_up_to_a_knot_and_over_all(weighted):
    case = Case(weighted)
    sums, size = case.table().up_to(), np.abs(case.r)
    for k, knot in enumerate(case.knots):
        near(sums, k, case.by_hand(size <= knot))
    near(sums, len(case.knots), case.by_hand(np.ones(N, dtype=bool)))
    assert sums.r == sums.lever == []


@pytest.mark.parametrize("weighted", [False, True])
def test_a_table_less_that_of_some_is_that_of_the_others(weighted):
    case, some = Case(weighted), np.arange(N) % 4 == 1
    part = case.source.take(np.flatnonzero(some))
    less = case.table().less(case.table(make_source(part.X, part.y, part.w)))
    size, sums = np.abs(case.r), less.up_to()
    for k, knot in enumerate(case.knots):
        near(sums, k, case.by_hand((size <= knot) & ~some))
    near(sums, len(case.knots), case.by_hand(~some))


def test_tables_of_two_parts_are_added():
    case, table = Case(), Case().table()
    halves = [case.source.take(slice(0, 111)), case.source.take(slice(111, N))]
    first, second = (
        tabulate(half, case.frame, case.base, case.knots, case.root) for half in halves
    )
    both = first + second
    for name in ("square", "linear", "constant"):
        np.testing.assert_allclose(
            getattr(both, name), getattr(table, name), rtol=1e-12, atol=1e-12
        )
    np.testing.assert_allclose(np.concatenate(both.r), np.concatenate(table.r), atol=1e-14)
    assert [f.name for f in fields(both)] == ["square", "linear", "constant", "r", "lever"]


def test_a_residual_at_a_knot_belongs_below_it():
    case = Case()
    frame, ones = case.frame, np.ones(3)
    part = Part(np.zeros((3, P)), frame.y_shift + frame.y_scale * np.array([-0.5, 0.5, 1.0]), ones)
    table = tabulate(part, frame, np.zeros(P + 1), np.array([0.25, 0.5, 1.0]), case.root)
    np.testing.assert_array_equal(table.constant[:, 2], [0.0, 2.0, 1.0, 0.0])
    np.testing.assert_array_equal(table.linear[1, -1], [0.0, 0.0])  # -0.5 and 0.5, -1 and 1


def test_a_size_bounds_how_far_a_residual_moves():
    """abs(z'eta) <= h norm(eta), and for each row some eta reaches it."""
    case = Case()
    h = np.concatenate(case.table().lever)
    rng = np.random.default_rng(1)
    for eta in rng.standard_normal((50, P + 1)):
        assert np.all(np.abs(case.Z @ eta) <= h * np.sqrt(eta @ case.gram @ eta) * (1.0 + 1e-12))
    for z, size in zip(case.Z[:20], h, strict=False):
        eta = np.linalg.solve(case.gram, z)
        assert abs(z @ eta) == pytest.approx(size * np.sqrt(eta @ case.gram @ eta), rel=1e-10)


# -- fits --------------------------------------------------------------------------------------


def newton_by_hand(case, w, knot, alpha):
    """The minimiser of Huber's loss at a knot, with weights w (n,), by damped Newton steps."""
    scale = np.append(case.frame.inverse_scale, 0.0)
    penalty = np.diag(alpha * w.sum() * scale**2)
    phi, t = case.base.copy(), case.r + case.Z @ case.base
    for _ in range(200):
        r = t - case.Z @ phi
        inside = np.abs(r) <= knot
        G = (case.Z.T * (w * inside)) @ case.Z + penalty
        g = case.Z.T @ (w * np.clip(r, -knot, knot)) - penalty @ phi
        step, last = np.linalg.solve(G, g), np.inf
        value = w @ huber(knot).value(r) + 0.5 * phi @ penalty @ phi
        length = 1.0
        while length > 1e-9:
            new = phi + length * step
            last = w @ huber(knot).value(t - case.Z @ new) + 0.5 * new @ penalty @ new
            if last <= value:
                break
            length /= 2.0
        phi = phi + length * step
        if np.abs(step).max() < 1e-13:
            break
    return phi


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("way", ["few rows, all open", "a table"])
def test_fits_at_many_knots_are_those_of_each(alpha, way, monkeypatch):
    if way == "a table":
        monkeypatch.setattr("robustreg.passes.many_knots.OPEN_ENTRIES", 0)
    case = Case(knots=None)
    problem = all_rows(case.source, case.frame, huber(1.0), alpha)
    deltas = np.array([0.3, 0.8, 1.5, 4.0])
    w = case.source.w
    fold = np.where(np.arange(N) % 5 == 0, 0.0, w)
    near_fit = neighbourhood(problem, np.ones(P), 0.0, deltas)
    unit = near_fit.problem.frame.y_scale
    seen = []
    for k, found in solutions(near_fit, near_fit.problem.alpha, [None, fold]):
        seen.append(k)
        for weights, solved in zip((w, fold), found, strict=True):
            expected = newton_by_hand(case, weights, deltas[k] / case.frame.y_scale, alpha)
            assert solved is not None
            b, b0 = near_fit.problem.frame.raw(solved.phi)
            wanted_b, wanted_b0 = case.frame.raw(expected)
            np.testing.assert_allclose(b, wanted_b, rtol=1e-8)
            assert b0 == pytest.approx(wanted_b0, abs=1e-8)
    assert seen == [3, 2, 1, 0]
    assert unit > 0.0


def test_dependent_columns_are_refused():
    case = Case()
    X = case.source.X[:, [0, 1, 0]]
    source = make_source(X, case.source.y, None)
    problem = all_rows(source, make_frame(source, True), huber(1.0), 0.0)
    with pytest.raises(Refused, match="dependent"):
        neighbourhood(problem, np.ones(P), 0.0, np.array([1.0]))


def test_an_exact_fit_is_refused():
    case = Case()
    source = make_source(case.source.X, case.source.X @ np.ones(P), None)
    problem = all_rows(source, make_frame(source, False), huber(1.0), 0.0)
    with pytest.raises(Refused, match="fitted exactly"):
        neighbourhood(problem, np.ones(P), 0.0, np.array([1.0]))
