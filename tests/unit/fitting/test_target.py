"""One target in odd units: the solution in the units of its rows is what SciPy finds."""

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from robustreg.data.make_rows import make_rows
from robustreg.fitting.specification import Specification
from robustreg.fitting.target import raw_of, solved, typical
from robustreg.problem.losses import ABSOLUTE, SQUARED, corner, huber, smooth
from robustreg.problem.solution import Status

N, P = 90, 3
X_UNITS = np.array([1e-5, 1.0, 1e7])
LOSSES = {
    "squared": SQUARED,
    "absolute": ABSOLUTE,
    "quartile": corner(-0.25, 0.75),
    "huber": huber(0.9),
    "asymmetric": smooth(-0.5, 1.5),
}
PLAIN = np.random.default_rng(0).standard_normal((N, P))
TARGET = PLAIN @ np.array([1.0, -2.0, 0.5]) + 3.0 + np.random.default_rng(1).standard_t(2, N)
WEIGHTS = np.random.default_rng(2).uniform(0.5, 2.0, N)


def specification(loss, alpha=0.0, intercept=True):
    return Specification(loss, alpha, intercept, "auto", 200, 1e-10)


def objective(X, y, w, loss, alpha, b, b0):
    return w @ loss.value(y - X @ b - b0) / w.sum() + 0.5 * alpha * b @ b


def by_scipy(X, y, w, loss, alpha):
    """(b, b0): of a linear program at a corner without penalty, else by BFGS."""
    A, share = np.column_stack([X, np.ones(len(y))]), w / w.sum()
    m = A.shape[1]
    if loss.is_corner and not alpha:
        eye, costs = (
            np.eye(len(y)),
            np.concatenate([np.zeros(m), loss.upper * share, -loss.lower * share]),
        )
        bounds = [(None, None)] * m + [(0.0, None)] * (2 * len(y))
        found = linprog(
            costs, A_eq=np.hstack([A, eye, -eye]), b_eq=y, bounds=bounds, method="highs"
        )
        return found.x[:m]
    D = np.diag([alpha] * (m - 1) + [0.0])

    def value(x):
        return share @ loss.value(y - A @ x) + 0.5 * x @ D @ x

    def gradient(x):
        return D @ x - A.T @ (share * loss.slope(y - A @ x))

    return minimize(value, np.zeros(m), jac=gradient, method="BFGS", tol=1e-10).x


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("y_unit", [1.0, 1e-9, 1e12, 1e-100, 1e100])
def test_a_target_in_odd_units_is_what_scipy_finds(loss, y_unit):
    expected = by_scipy(PLAIN, TARGET, WEIGHTS, LOSSES[loss], 0.0)
    in_units, unit = LOSSES[loss].in_units(1.0 / y_unit)
    rows = make_rows(PLAIN * X_UNITS, WEIGHTS, True)
    target = solved(rows, TARGET * y_unit, specification(in_units), None)
    b, b0 = raw_of(target)
    np.testing.assert_allclose(b * X_UNITS / y_unit, expected[:P], rtol=1e-6, atol=1e-6)
    assert b0 / y_unit == pytest.approx(expected[P], abs=1e-6)
    value = objective(PLAIN, TARGET, WEIGHTS, LOSSES[loss], 0.0, b * X_UNITS / y_unit, b0 / y_unit)
    assert target.solution.status is Status.EXACT
    assert value <= objective(
        PLAIN, TARGET, WEIGHTS, LOSSES[loss], 0.0, expected[:P], expected[P]
    ) * (1 + 1e-12)
    # The objective in the units of the data.
    assert (target.solution.objective * target.unit + target.cut) * unit == pytest.approx(
        value, rel=1e-10
    )


@pytest.mark.parametrize("loss", [k for k in LOSSES if not LOSSES[k].is_corner])
@pytest.mark.parametrize("y_unit", [1.0, 1e-9, 1e12])
@pytest.mark.parametrize("x_unit", [1.0, 1e-6, 1e4])
def test_a_penalty_in_odd_units_is_what_scipy_finds(loss, y_unit, x_unit):
    """alpha ||b||^2 in the units of the data: with X in another unit it is alpha x_unit^2."""
    expected = by_scipy(PLAIN, TARGET, WEIGHTS, LOSSES[loss], 0.2)
    in_units, _ = LOSSES[loss].in_units(1.0 / y_unit)
    rows = make_rows(PLAIN * x_unit, WEIGHTS, True)
    target = solved(rows, TARGET * y_unit, specification(in_units, 0.2 * x_unit**2), None)
    b, b0 = raw_of(target)
    np.testing.assert_allclose(b * x_unit / y_unit, expected[:P], rtol=1e-6)
    assert b0 / y_unit == pytest.approx(expected[P], rel=1e-6)


@pytest.mark.parametrize("loss", [k for k in LOSSES if LOSSES[k].is_corner])
@pytest.mark.parametrize("y_unit", [1.0, 2.0**-30, 2.0**40])
def test_a_penalty_beside_a_corner_has_the_unit_of_the_loss(loss, y_unit):
    """l is in the unit of y, ||b||^2 in its square: alpha is divided by it."""
    corner_ = LOSSES[loss]
    plain = raw_of(
        solved(make_rows(PLAIN, WEIGHTS, True), TARGET, specification(corner_, 0.2), None)
    )
    rows = make_rows(PLAIN, WEIGHTS, True)
    b, b0 = raw_of(solved(rows, TARGET * y_unit, specification(corner_, 0.2 / y_unit), None))
    np.testing.assert_allclose(b / y_unit, plain[0], rtol=1e-12)
    assert b0 / y_unit == pytest.approx(plain[1], rel=1e-12)
    here = objective(PLAIN, TARGET, WEIGHTS, corner_, 0.2, *plain)
    rng = np.random.default_rng(3)
    for _ in range(50):
        step = 1e-3 * rng.standard_normal(P + 1)
        assert (
            objective(PLAIN, TARGET, WEIGHTS, corner_, 0.2, plain[0] + step[:P], plain[1] + step[P])
            > here
        )


@pytest.mark.parametrize("loss", [k for k in LOSSES if LOSSES[k].is_bounded])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("far", [1e6, 1e12, 1e200])
def test_how_far_an_outlier_is_does_not_matter(loss, intercept, far):
    y = TARGET.copy()
    y[[3, 50, 60]] = 1e3, 2e3, -1e3
    rows = make_rows(PLAIN, WEIGHTS, intercept)
    near = solved(rows, y, specification(LOSSES[loss], 0.0, intercept), None)
    y[[3, 50, 60]] = far, 2.0 * far, -far
    target = solved(rows, y, specification(LOSSES[loss], 0.0, intercept), None)
    b, b0 = raw_of(target)
    np.testing.assert_allclose(b, raw_of(near)[0], rtol=1e-9)
    assert b0 == pytest.approx(raw_of(near)[1], rel=1e-9)
    assert target.solution.status is Status.EXACT
    assert target.cut > 0.0
    value = objective(PLAIN, y, WEIGHTS, LOSSES[loss], 0.0, b, b0)
    assert target.solution.objective * target.unit + target.cut == pytest.approx(value, rel=1e-12)


def test_the_squared_loss_sees_how_far_an_outlier_is():
    y = TARGET.copy()
    y[3] = 1e8
    rows = make_rows(PLAIN, WEIGHTS, True)
    b, b0 = raw_of(solved(rows, y, specification(SQUARED), None))
    root = np.sqrt(WEIGHTS)
    A = np.column_stack([PLAIN, np.ones(N)]) * root[:, None]
    np.testing.assert_allclose(
        np.append(b, b0), np.linalg.lstsq(A, root * y, rcond=None)[0], rtol=1e-10
    )


@pytest.mark.parametrize("far", [1e3, 1e9])
def test_the_middle_of_an_interval_is_between_the_targets_where_they_are(far):
    """Ten rows about 0 weigh as much as one far away: every intercept in between is a median."""
    y = np.append(np.linspace(-1.0, 1.0, 10), far)
    w = np.append(np.ones(10), 10.0)
    rows = make_rows(np.zeros((11, 1)), w, True)
    b, b0 = raw_of(solved(rows, y, specification(ABSOLUTE), None))
    np.testing.assert_array_equal(b, 0.0)
    assert b0 == pytest.approx(0.5 * (1.0 + far), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_from_its_own_solution_one_iteration_is_enough(loss):
    rows = make_rows(PLAIN * X_UNITS, WEIGHTS, True)
    first = solved(rows, TARGET, specification(LOSSES[loss]), None)
    again = solved(rows, TARGET, specification(LOSSES[loss]), raw_of(first))
    assert again.solution.work.n_iter == 1
    np.testing.assert_allclose(raw_of(again)[0], raw_of(first)[0], rtol=1e-10)


def test_all_rows_inside_is_least_squares():
    rows = make_rows(PLAIN, WEIGHTS, True)
    wide, narrow = (solved(rows, TARGET, specification(huber(d)), None) for d in (1e4, 0.5))
    assert wide.all_inside
    assert not narrow.all_inside
    np.testing.assert_allclose(
        raw_of(wide)[0], raw_of(solved(rows, TARGET, specification(SQUARED), None))[0], rtol=1e-12
    )


@pytest.mark.parametrize("knot", [1e-25, 1e-200, 5e-324])
def test_a_knot_below_rounding_is_a_corner(knot):
    """Huber's loss is the knot times the absolute one, as far as float64 can tell."""
    rows = make_rows(PLAIN, WEIGHTS, True)
    target = solved(rows, TARGET, specification(huber(knot)), None)
    limit = solved(rows, TARGET, specification(ABSOLUTE), None)
    np.testing.assert_allclose(raw_of(target)[0], raw_of(limit)[0], rtol=1e-12)
    absolute = limit.solution.objective * limit.unit
    assert target.solution.objective * target.unit == pytest.approx(knot * absolute, rel=1e-12)


def test_the_typical_size_is_a_median_where_there_is_one():
    assert typical(np.array([5.0, 5.0, 5.0, 6.0, 3.0])) == 1.5
    assert typical(np.full(9, 4.0)) == 0.0
    assert typical(np.array([-1.0, 0.0, 1.0, 1e300])) == pytest.approx(1.0)
