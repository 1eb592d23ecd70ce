"""The duality gap of all rows bounds what is missing, and is refused where it proves nothing."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest

from robustreg import LinearRegressor
from robustreg.data.arrays import make_source
from robustreg.data.frame import make_frame
from robustreg.data.rows import dense_rows
from robustreg.data.source import Refused, sweep
from robustreg.passes.all_rows import AllRows, all_rows
from robustreg.passes.gap import PROVED, proved
from robustreg.passes.pilot import Pilot
from robustreg.passes.reduction import Reduced, reduced_problem
from robustreg.passes.settling import SettlingRule, settle, verify
from robustreg.problem.losses import huber
from robustreg.problem.solution import Options, Pair, Solution, Tally
from robustreg.solvers.solve import solve
from unit.constructed import CORNERS, LOSSES, SMOOTH

N, P, M = 120, 3, 4
NONE = np.zeros(0, dtype=np.int64)
BOUNDED = {name: loss for name, loss in LOSSES.items() if loss.is_bounded}
all_losses = pytest.mark.parametrize("loss", BOUNDED.values(), ids=BOUNDED.keys())
corners = pytest.mark.parametrize("loss", CORNERS.values(), ids=CORNERS.keys())
alphas = pytest.mark.parametrize("alpha", [0.0, 0.05])
ways = pytest.mark.parametrize("settled", [False, True], ids=["all open", "most settled"])


class RowsHaveLeftTheirZone(Exception):
    """Passes open such rows before they ask for a proof."""


@dataclass
class Case:
    """A problem of all rows, its minimiser by the direct way, and the rows left open."""

    problem: AllRows
    found: Solution
    left: Reduced
    start: Pilot
    Z: np.ndarray
    t: np.ndarray
    w: np.ndarray

    def value(self, phi):
        """W times the objective in the units of the frame, to the last digits."""
        r = self.t.astype(np.longdouble) - self.Z.astype(np.longdouble) @ phi
        c = np.clip(r, self.problem.loss.left, self.problem.loss.right)
        loss = self.problem.loss
        values = np.maximum(loss.lower * r, loss.upper * r) if loss.is_corner else c * (r - c / 2)
        L = self.problem.penalty_root.astype(np.longdouble)
        return self.w.astype(np.longdouble) @ values + np.sum(np.square(L @ phi)) / 2

    def excess(self, phi):
        """How much the value at phi is above the minimum, relative to the value."""
        value = self.value(phi)
        return float((value - self.value(self.found.phi)) / value)

    def proof(self, phi, u, unique=True):
        """What ``proved`` makes of phi (m,) and dual variables u (n,) of all rows."""
        problem, left = self.problem, self.left
        small = reduced_problem(problem, left)
        opened = left.opened if left.rule else left.index
        seen = sweep(
            problem.source, verify, problem.frame, problem.loss, phi, np.inf, left.rule, opened
        )
        if len(np.concatenate(seen.wrong)):
            raise RowsHaveLeftTheirZone
        with np.errstate(all="ignore"):  # as in ``reduced``
            return proved(problem, left, small, Pair(phi, u[left.index]), unique, seen, Tally())


def case_of(loss, alpha, settled, weighted=True, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P)) + np.array([0.0, 0.0, 30.0])
    y = X @ np.array([1.0, -2.0, 0.3]) + rng.standard_t(2, N)
    source = make_source(X, y, rng.uniform(0.5, 2.0, N) if weighted else None)
    problem = all_rows(source, make_frame(source, True), loss, alpha)
    Z, t, w = problem.frame.take(source, np.arange(N))
    rows = dense_rows(Z, t, w, np.diag(problem.frame.inverse_scale))
    found = solve(rows, problem.loss, problem.alpha, "auto", 1e-10, Options(100))
    if settled:
        rule = SettlingRule(found.phi + 0.01, 0.3 * problem.loss.steepest, None)
        sums = sweep(source, settle, problem.frame, problem.loss, rule, N)
        index, Cs, r, ws = (np.concatenate(getattr(sums.kept, k)) for k in ("index", "C", "r", "w"))
        Zs = problem.frame.rows(Cs)
        assert 0 < len(index) < 0.8 * N
        kept = dense_rows(Zs, r, ws)
        left = Reduced(rule, rule.phi, sums.gram, sums.h, sums.c, index, kept, NONE)
    else:
        zero = np.zeros(M)
        left = Reduced(None, zero, None, zero, 0.0, np.arange(N), rows, NONE)
    start = Pilot(left.base, 1.0, rows.gram_all, rows.factor)
    return Case(problem, found, left, start, Z, t, w)


@all_losses
@alphas
@ways
@pytest.mark.parametrize("weighted", [False, True])
def test_the_minimiser_is_proved(loss, alpha, settled, weighted):
    case = case_of(loss, alpha, settled, weighted)
    outcome = case.proof(case.found.phi, case.found.u)
    assert 0.0 <= outcome.gap <= 1e-13
    np.testing.assert_allclose(outcome.phi, case.found.phi, atol=1e-12)
    expected = float(case.value(case.found.phi)) / case.problem.source.weight * case.problem.unit
    assert outcome.objective == pytest.approx(expected, rel=1e-13)
    if loss.is_corner:
        assert outcome.outside is None
    else:
        r = case.t - case.Z @ case.found.phi
        clear = np.abs(case.problem.loss.outside(r)) > 1e-9
        np.testing.assert_array_equal(
            outcome.outside[clear], case.problem.loss.outside(r)[clear] > 0.0
        )


@all_losses
@alphas
@ways
def test_a_proof_bounds_what_is_missing(loss, alpha, settled):
    n_proved = 0
    for seed in range(2):
        case = case_of(loss, alpha, settled, seed=seed)
        rng = np.random.default_rng(seed)
        for size in 10.0 ** np.arange(-14.0, -8.0):
            phi = case.found.phi + size * rng.standard_normal(M)
            try:
                outcome = case.proof(phi, case.found.u)
            except Refused:
                assert size > 1e-13
                continue
            n_proved += 1
            assert outcome.gap <= PROVED
            assert case.excess(phi) <= outcome.gap + 1e-15
            assert case.excess(outcome.phi) <= outcome.gap + 1e-15
    assert n_proved >= 3


@all_losses
@alphas
@ways
def test_any_gap_bounds_what_is_missing(loss, alpha, settled, monkeypatch):
    """Also one that is too large to be a proof: here it is told all the same."""
    monkeypatch.setattr("robustreg.passes.gap.PROVED", np.inf)
    n_told = 0
    for seed in range(2):
        case = case_of(loss, alpha, settled, seed=seed)
        rng = np.random.default_rng(seed)
        for size in 10.0 ** np.arange(-10.0, 0.5):
            phi = case.found.phi + size * rng.standard_normal(M)
            try:
                gap = case.proof(phi, case.found.u).gap
            except (Refused, RowsHaveLeftTheirZone):
                assert size > 1e-4
                continue
            n_told += 1
            assert case.excess(phi) <= gap * (1.0 + 1e-9) + 1e-15
    assert n_told > 10


@all_losses
@alphas
@ways
@pytest.mark.parametrize("size", [1e-3, 1e-2])
def test_far_from_the_minimiser_nothing_is_proved(loss, alpha, settled, size):
    case = case_of(loss, alpha, settled)
    phi = case.found.phi + size * np.array([1.0, -1.0, 0.5, 2.0])
    with pytest.raises(Refused, match=r"The duality gap of all rows is .*, and no proof"):
        case.proof(phi, case.found.u)


@corners
@alphas
def test_a_vertex_that_is_no_minimiser_is_refused(loss, alpha):
    """The dual variables that its equations ask for are outside of their bounds."""
    case = case_of(loss, alpha, settled=False)
    L, tried = case.problem.penalty_root, 0
    nearest = np.argsort(np.abs(case.t - case.Z @ case.found.phi))[: M + 3]
    for rows in combinations(nearest, M):
        S = np.array(rows)
        phi = np.linalg.solve(case.Z[S], case.t[S])
        if case.excess(phi) < 1e-8:
            continue
        slopes = loss.slope(case.t - case.Z @ phi)
        slopes[S] = 0.0
        missing = L.T @ (L @ phi) - case.Z.T @ (case.w * slopes)
        slopes[S] = np.linalg.solve(case.Z[S].T * case.w[S], missing)
        tried += 1
        with pytest.raises(Refused):
            case.proof(phi, slopes)
    assert tried >= 30


@corners
@alphas
@ways
def test_wrong_dual_variables_prove_nothing_at_the_minimiser(loss, alpha, settled):
    case = case_of(loss, alpha, settled)
    loss = case.problem.loss
    held = loss.held(case.found.u, 1e-9)
    open_ = np.zeros(N, dtype=bool)
    open_[case.left.index] = True
    # 1. A slope of the wrong side, far from the corner.
    r = case.t - case.Z @ case.found.phi
    for side in (1.0, -1.0):
        wrong = case.found.u.copy()
        row = np.flatnonzero(open_ & ~held & (side * r > 0.01))[0]
        wrong[row] = loss.lower if side > 0.0 else loss.upper
        with pytest.raises(Refused):
            case.proof(case.found.phi, wrong)
    # 2. All rows at the corner at a bound.
    for bound in (loss.lower, loss.upper):
        with pytest.raises(Refused):
            case.proof(case.found.phi, np.where(held, bound, case.found.u))
    # 3. None of them anywhere.
    with pytest.raises(Refused):
        case.proof(case.found.phi, np.zeros(N))


@corners
def test_dual_variables_at_the_corner_are_found_again(loss):
    """The equations decide them, so that those that come along need not be right."""
    case = case_of(loss, 0.0, False)
    held = case.problem.loss.held(case.found.u, 1e-9)
    assert np.count_nonzero(held) == M
    other = np.where(held, 0.1 * case.found.u, case.found.u)
    assert case.proof(case.found.phi, other).gap <= 1e-13


@pytest.mark.parametrize("loss", SMOOTH.values(), ids=SMOOTH.keys())
def test_a_point_with_no_row_inside_the_quadratic_piece_is_refused(loss):
    """There the loss is linear, and a minimiser would not be the only one."""
    case = case_of(loss, 0.0, False)
    far = case.found.phi + np.array([0.0, 0.0, 0.0, 1e6])
    with pytest.raises(Refused, match="The minimiser is not unique, or nearly so"):
        case.proof(far, case.found.u)


def test_a_settled_row_whose_dual_leaves_its_box_is_no_proof():
    """A light row of high leverage is outside at the minimiser, by 1e-5. Coefficients 2e-9 away,
    where it is inside, have the same objective but for 1e-16, and a dual that is out of its box.
    """
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((N + 1, P)), np.ones(N + 1)
    X[N], w[N] = [1e4, 0.0, 0.0], 1e-8
    y = X @ np.array([1.0, -2.0, 0.3]) + np.append(rng.standard_t(2, N), 1e6)
    coef = LinearRegressor("huber", delta=1.0, fit_intercept=False).fit(X, y, w).coef_
    y[N] = X[N] @ coef + 1.0 + 1e-5  # outside it pulls the same, wherever it is
    source, loss, none = make_source(X, y, w), huber(1.0), np.zeros(0)
    frame = replace(make_frame(source, False), y_scale=1.0)
    problem = all_rows(source, frame, loss, 0.0)

    def proof(size):
        phi = frame.from_raw(coef + size * np.array([1.0, 0.0, 0.0]), 0.0)
        rule = SettlingRule(phi, 1e-6, None)
        sums = sweep(source, settle, frame, loss, rule, N)
        assert not sums.kept.count
        kept = dense_rows(np.zeros((0, P)), none, none, None, sums.gram)
        left = Reduced(rule, phi, sums.gram, sums.h, sums.c, NONE, kept, NONE)
        seen = sweep(source, verify, frame, loss, phi, np.inf, rule, NONE)
        small = reduced_problem(problem, left)
        return proved(problem, left, small, Pair(phi, none), True, seen, Tally())

    assert proof(0.0).gap < PROVED
    with pytest.raises(Refused, match="no proof"):
        proof(2e-9)
