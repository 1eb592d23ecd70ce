"""Problems solved together have the minimisers of each alone, or are left to be solved alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.csr import CsrColumns
from robustreg.data.rows import dense_rows, plain_rows
from robustreg.numerics.precision import EPS
from robustreg.problem.losses import ABSOLUTE, corner, huber, pinball
from robustreg.problem.problem import Problem, Quadratic
from robustreg.solvers import many_corners, many_narrowed
from robustreg.solvers.many_corners import Faces, Near, optimal_pairs
from robustreg.solvers.several import Several, SeveralLosses, SeveralQuadratics, SeveralRows
from unit.constructed import constructed, tally

LOSSES = [ABSOLUTE, pinball(0.1), pinball(0.5), pinball(0.97), corner(-3.0, 0.5)]


def made(sizes=(400, 300, 900, 20, 500), m=4, **kind):
    """Problems of each size with weights, and their minimisers."""
    pairs, kind = enumerate(zip(LOSSES, sizes, strict=True)), {"penalty": False} | kind
    return [constructed(seed, loss, n=n, m=m, settled=False, **kind) for seed, (loss, n) in pairs]


def near(problems, off=0.05, rho=0.4, seed=0):
    """Each problem from a point about ``off`` from its minimiser."""
    rng = np.random.default_rng(seed)
    return [
        Near(one.problem, one.phi + off * rng.standard_normal(len(one.phi)) / 2.0, rho, tally())
        for one in problems
    ]


def assert_optimal(problem, pair):
    """The conditions of a minimiser, by naive formulas."""
    Z, y, w = problem.rows.take(slice(None)), problem.rows.y, problem.rows.w
    r, loss = y - Z @ pair.phi, problem.loss
    assert np.all((pair.u <= loss.upper) & (pair.u >= loss.lower))
    assert np.all((np.abs(r) < 1e-11) | (pair.u == np.where(r > 0.0, loss.upper, loss.lower)))
    size, L = np.abs(Z).T @ (w * loss.steepest), problem.quadratic.L
    gradient = L.T @ L @ pair.phi - problem.quadratic.h
    assert np.all(np.abs(Z.T @ (w * pair.u) - gradient) <= 1e-12 * size)


@pytest.mark.parametrize("rows", [1, 2, 4])  # that the fits go through
def test_pairs_are_the_constructed_ones_whatever_the_sizes_and_losses(rows):
    problems = made(penalty=rows < 4, interpolated=rows)
    asked = near(problems)
    for one, pair, its in zip(problems, optimal_pairs(asked), asked, strict=True):
        np.testing.assert_allclose(pair.phi, one.phi, atol=1e-12)
        np.testing.assert_allclose(pair.u, one.u, atol=1e-9)
        assert_optimal(one.problem, pair)
        assert 5 < its.work.n_iter <= many_corners.IN_COMMON


@pytest.mark.parametrize("unit", [1e-12, 1e8])
def test_the_unit_of_weights_changes_no_step(unit):
    problems = made()
    asked, other = near(problems), []
    for one in problems:
        problem, h = one.problem, unit * one.problem.quadratic.h
        rows = replace(problem.rows, w=unit * problem.rows.w)
        problem = replace(problem, rows=rows, quadratic=Quadratic(np.zeros((0, 4)), h))
        other.append(replace(one, problem=problem))
    scaled = near(other)
    found = zip(optimal_pairs(asked), optimal_pairs(scaled), strict=True)
    for (pair, same), mine, its in zip(found, asked, scaled, strict=True):
        np.testing.assert_allclose(same.phi, pair.phi, atol=1e-12)
        np.testing.assert_allclose(same.u, pair.u, atol=1e-9)
        assert abs(mine.work.n_iter - its.work.n_iter) <= 1


@pytest.mark.parametrize("rho", [1e-4, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize("off", [0.0, 0.3, 30.0])
def test_a_wrong_distance_leaves_problems_alone_or_costs_nothing(off, rho):
    problems, found = made(), []
    for seed in range(5):
        found += optimal_pairs(near(problems, off, rho, seed))
    for one, pair in zip(5 * problems, found, strict=True):
        if pair is not None:
            assert_optimal(one.problem, pair)
            np.testing.assert_allclose(pair.phi, one.phi, atol=1e-11)
    if off == 0.0 and rho == 1.0:
        assert all(pair is not None for pair in found)


def test_rows_settled_on_the_wrong_side_are_seen(monkeypatch):
    """As where a point is much further off than it says."""
    monkeypatch.setattr(
        many_narrowed, "near_minimisers", lambda rows, phi, rho: (phi, 0.01 * rho, 0)
    )
    problems, found = made((300,) * 5), []
    for seed in range(5):
        found += optimal_pairs(near(problems, 0.2, seed=seed))
    assert {pair is None for pair in found} == {True, False}
    for one, pair in zip(5 * problems, found, strict=True):
        if pair is not None:
            assert_optimal(one.problem, pair)


def test_what_is_no_usual_problem_is_left_alone():
    usual = made((300,) * 5)
    L, m = np.eye(4), 4
    one = usual[0].problem
    ridge = replace(one, quadratic=Quadratic(L, one.quadratic.h))
    settled = replace(one, quadratic=Quadratic(np.zeros((0, m)), one.quadratic.h, S=np.eye(m)))
    few = constructed(7, ABSOLUTE, n=m, m=m, settled=False, penalty=False).problem
    smooth = constructed(8, huber(1.0), n=300, settled=False, penalty=False).problem
    Z = sparse.random_array((300, m), density=0.3, rng=np.random.default_rng(0), format="csr")
    rows = replace(plain_rows(CsrColumns(Z), np.ones(300), False), y=np.ones(300), rank=m)
    of_sparse = Problem(rows, ABSOLUTE, Quadratic(np.zeros((0, m)), np.zeros(m)))
    others = (settled, few, smooth, of_sparse, ridge)
    unusual = [Near(p, np.zeros(m), 0.1, tally()) for p in others]
    unusual.append(replace(near(usual)[0], rho=0.0))
    found = optimal_pairs(unusual + near(usual))
    assert [pair is None for pair in found] == [True] * 6 + [False] * 5
    for own, pair in zip(usual, found[6:], strict=True):
        np.testing.assert_allclose(pair.phi, own.phi, atol=1e-12)


def test_two_problems_gain_nothing():
    assert optimal_pairs(near(made()[:2])) == [None, None]


def test_a_problem_without_columns_is_left_alone():
    none = Quadratic(np.zeros((0, 0)), np.zeros(0))
    rows = dense_rows(np.zeros((9, 0)), np.ones(9), np.ones(9))
    asked = [Near(Problem(rows, ABSOLUTE, none), np.zeros(0), 1.0, tally())] * 3
    assert optimal_pairs(asked) == [None] * 3


def test_large_problems_are_left_alone(monkeypatch):
    asked = near(made())
    monkeypatch.setattr(many_corners, "MOST_ENTRIES", 4 * 500)
    assert [pair is None for pair in optimal_pairs(asked)] == [False, False, True, False, False]
    monkeypatch.setattr(many_corners, "MOST_OF_CORE", 6 * 4 * 4 - 1)
    assert optimal_pairs(asked) == [None] * 5


def hard():
    """A value that is not finite, dependent columns, a repeated row that is fitted, and many rows
    that one phi goes through.
    """
    rng, none = np.random.default_rng(0), Quadratic(np.zeros((0, 4)), np.zeros(4))
    nan, dependent, twice, tied = (one.problem for one in made((300,) * 5)[:4])
    nan = replace(nan, rows=replace(nan.rows, y=np.full(300, np.nan)))
    Z = dependent.rows.take(slice(None)).copy()
    Z[:, 3] = Z[:, 2]
    dependent = Problem(dense_rows(Z, dependent.rows.y, dependent.rows.w), ABSOLUTE, none)
    two = np.append(np.arange(300), np.flatnonzero(made((300,) * 5)[2].r == 0.0)[:2])
    twice = replace(twice, rows=twice.rows.subset(two))
    y = tied.rows.fitted(np.ones(4)) + np.where(rng.uniform(size=300) < 0.5, 0.0, 1.0)
    tied = Problem(replace(tied.rows, y=y), ABSOLUTE, none)
    return [Near(p, np.ones(4), 0.1, tally()) for p in (nan, dependent, twice, tied)]


def test_what_cannot_be_solved_leaves_the_others():
    usual, others = made((300,) * 5), hard()
    alone, beside = near(usual), near(usual)
    optimal_pairs(alone)
    found = optimal_pairs(others + beside)
    assert found[:2] == [None, None]
    assert others[0].work.n_iter <= 2 * many_narrowed.STEPS + 2  # its path has ended at once
    for its, pair in zip(others, found, strict=False):
        if pair is not None:
            assert_optimal(its.problem, pair)
    for own, pair, mine, its in zip(usual, found[4:], beside, alone, strict=True):
        np.testing.assert_allclose(pair.phi, own.phi, atol=1e-12)
        assert mine.work.n_iter <= its.work.n_iter + many_narrowed.STEPS * 2


def test_paths_go_on_without_those_that_have_ended(monkeypatch):
    problems, sizes = made((300,) * 5), []
    inverses = many_corners.barrier_inverses

    def counted(several, q):
        sizes.append(len(q))
        return inverses(several, q)

    monkeypatch.setattr(many_corners, "barrier_inverses", counted)
    found = optimal_pairs(near(problems))
    assert all(pair is not None for pair in found)
    assert sizes[0] == 5
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 2


def face(seed=0, n=40, m=4, light=None):
    """(a face of one problem, its phi (1, m) and u (1, n)); the row ``light`` weighs 1e-9."""
    one = constructed(seed, ABSOLUTE, n=n, m=m, settled=False, penalty=False)
    rows, F = one.problem.rows, (one.r == 0.0)[None]
    Z, w = rows.take(slice(None)), rows.w.copy()
    if light is not None:
        w[light] = 1e-9
    h = -(w * one.u) @ Z
    several = Several(
        SeveralRows(Z[None], rows.y[None], w[None]),
        SeveralLosses.of([ABSOLUTE]),
        SeveralQuadratics(h[None], np.zeros((1, 0, m))),
    )
    side = np.where(one.r > 0.0, 1.0, -1.0)[None]
    return Faces(several, F, side, np.zeros((1, n))), one.phi[None], one.u[None]


def test_a_face_tells_its_pair():
    of, true_phi, true_u = face()
    phi, u, right = of.solved(true_phi + 0.01)
    assert right.all()
    np.testing.assert_allclose(phi, true_phi, atol=1e-13)
    np.testing.assert_allclose(u, true_u, atol=1e-12)


def test_rows_on_the_wrong_side_are_not_right():
    """The dual hardly tells, as the row weighs nothing."""
    of, phi, _ = face()
    other = int(np.flatnonzero(~of.F[0])[0])
    of, phi, _ = face(light=other)
    assert of.solved(phi)[2].all()
    side = of.side.copy()
    side[0, other] *= -1.0
    assert not replace(of, side=side).solved(phi)[2].any()


def test_a_row_as_near_as_its_targets_rounding_may_be_on_either_side():
    of, phi, _ = face()
    other = int(np.flatnonzero(~of.F[0])[0])
    of, phi, _ = face(light=other)
    rows = of.several.rows
    y, terms = rows.y.copy(), np.zeros_like(rows.y)
    y[0, other] = rows.fitted(phi)[0, other] - 1e-9 * of.side[0, other]
    terms[0, other] = 1e-9 / EPS
    near = replace(of, several=replace(of.several, rows=replace(rows, y=y)))
    assert not near.solved(phi)[2].any()
    assert replace(near, terms=terms).solved(phi)[2].all()


def test_a_dual_out_of_bounds_is_not_right():
    """Other rows are interpolated, with the sides that their own phi gives."""
    of, _, _ = face()
    rows, F = of.several.rows, np.zeros_like(of.F)
    F[0, np.flatnonzero(~of.F[0])[:4]] = True
    other = np.linalg.solve(rows.Z[0][F[0]], rows.y[0][F[0]])[None]
    side = np.where(rows.residual(other) > 0.0, 1.0, -1.0)
    _, u, right = replace(of, F=F, side=side).solved(other)
    assert np.abs(u).max() == 1.0
    assert not right.any()


def test_a_dual_that_misses_is_not_right():
    of, phi, u = face()
    assert of.dual_is_right(phi, u).all()
    for row in (0, int(np.flatnonzero(of.F[0])[0])):
        other = u.copy()
        other[0, row] *= 1.0 - 1e-9
        assert not of.dual_is_right(phi, other).any()
