"""Problems that were once solved wrongly, each reduced to what made it hard."""

import json
import warnings
from fractions import Fraction

import numpy as np
import pytest
from fuzz import timed
from problems import LOSSES, slow, way
from sklearn.exceptions import ConvergenceWarning
from stored import DATA, read_arrays, read_problem

from robustreg import LinearRegressor, certify

X8 = np.arange(1.0, 9.0)[:, None]
Y8 = np.array([1.0, 3, 2, 5, 4, 6, 8, 30])

# What was wrong with each problem that the fuzzer found, and the names of its files.
FOUND = json.loads((DATA / "found" / "index.json").read_text())


def outcome(name):
    """(what is wrong with the fit of a stored problem, how it ended)."""
    return timed(*read_problem(DATA / "found" / f"{name}.npz"), cap=60.0)[:2]


@pytest.mark.parametrize(
    "name", [one for first, *rest in FOUND.values() for one in (first, *slow(*rest))]
)
def test_problems_that_the_fuzzer_found(name):
    message, _ = outcome(name)
    assert not message


def test_interior_points_do_not_go_in_circles():
    X, y, _, parameters, _ = read_problem(DATA / "found" / "771001.npz")
    with way("direct"):
        model = LinearRegressor(**parameters).fit(X, y)
    assert model.converged_
    assert model.n_iter_ <= 30
    with way("passes"):
        passes = LinearRegressor(**parameters).fit(X, y)
    assert np.allclose(model.coef_, passes.coef_, rtol=1e-11)


@pytest.mark.parametrize(
    ("loss", "alpha"), [("mse", 0.0), ("mae", 0.0), ("huber", 0.0), ("mse", 0.1), ("huber", 0.1)]
)
@pytest.mark.parametrize("decades", [2, 4, 8])
def test_small_coefficients_beside_large_ones_are_right(loss, alpha, decades):
    # Exact arithmetic has b = X'(X X' + n alpha I)^-1 y: the least norm, or a ridge.
    stored = read_arrays("small_beside_large")
    for k in range(10):
        X, y = stored[f"X-{decades}-{k}"], stored[f"y-{decades}-{k}"]
        n = len(y)
        rows = [[Fraction(x) for x in row] for row in X.tolist()]
        K = [[sum(a * b for a, b in zip(p, q, strict=True)) for q in rows] + [Fraction(t)]
             for p, t in zip(rows, y.tolist(), strict=True)]  # fmt: skip
        for j in range(n):
            K[j][j] += n * Fraction(alpha)
        for j in range(n):
            K[j] = [x / K[j][j] for x in K[j]]
            for i in range(n):
                if i != j:
                    K[i] = [a - K[i][j] * b for a, b in zip(K[i], K[j], strict=True)]
        exact = [float(sum(rows[i][j] * K[i][-1] for i in range(n))) for j in range(n + 4)]
        model = LinearRegressor(loss, delta=1e9, alpha=alpha, fit_intercept=False).fit(X, y)
        np.testing.assert_allclose(model.coef_, exact, rtol=1e-9 if alpha else 1e-10)


@pytest.mark.parametrize("t", [1e-8, 1e-20, 1e-30, 1e-32, 1e-100])
def test_weights_far_apart(t):
    # The first row is a constraint, the others are fitted through it.
    w = np.append(1.0, np.full(7, t))
    slope = (X8[1:, 0] - 1) @ (Y8[1:] - 1) / np.sum((X8[1:, 0] - 1) ** 2)
    model = LinearRegressor("mse").fit(X8, Y8, w)
    np.testing.assert_allclose(model.coef_, slope, rtol=1e-6 if t == 1e-8 else 1e-12)
    assert model.rank_ == 1
    mae = LinearRegressor("mae").fit(X8, Y8, w)
    np.testing.assert_allclose([mae.coef_[0], mae.intercept_], [7 / 6, -1 / 6], rtol=1e-12)


def test_light_rows_choose_among_the_minimisers_of_the_heavy_ones():
    model = LinearRegressor("mae").fit(X8, Y8, [1, 1e-8] * 4)
    np.testing.assert_allclose([model.coef_[0], model.intercept_], [7 / 6, -1 / 6], rtol=1e-12)
    assert model.unique_


@pytest.mark.parametrize("alpha", [1e-12, 1e-17, 1e-20, 1e-24, 1e-40, 1e-300, 5e-324])
def test_a_faint_penalty_gives_the_canonical_answer(alpha):
    X = np.column_stack([X8, X8 % 3])
    expected = LinearRegressor("mae").fit(X, Y8)
    model = LinearRegressor("mae", alpha=alpha).fit(X, Y8)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-10)
    for loss in ("mse", "huber"):
        twice = np.column_stack([X8, X8])
        model = LinearRegressor(loss, alpha=alpha).fit(twice, Y8)
        np.testing.assert_allclose(
            model.coef_, LinearRegressor(loss).fit(twice, Y8).coef_, rtol=1e-9
        )


def test_large_integers_that_float64_holds_are_no_constant():
    k = np.arange(8.0)
    model = LinearRegressor("mse").fit((2.0**52 + k)[:, None], k)
    assert model.coef_[0] == 1.0
    assert model.objective_ == 0.0


def test_the_canonical_answer_beside_a_large_column():
    X = np.array([[0.1, 0], [0.2, 2e6], [0.2, 0], [0, 2e6]])
    y = np.array([0.1, 0.1, 0.1, 0])
    for data in [(X, y), (np.vstack([X, X]), np.append(y, y)), (X, y, np.full(4, 2.0))]:
        model = LinearRegressor("mae").fit(*data)
        np.testing.assert_allclose([*model.coef_, model.intercept_], [0.5, 0.0, 0.0], atol=1e-15)
    X = np.array([[0, 1e6], [0.1, 2e6], [0.2, 2e6], [0.1, 1e6]])
    y = np.array([0.2, 0.2, 0.1, 0])
    model = LinearRegressor("mae").fit(X, y)
    assert model.converged_
    assert certify(model, X, y).gap <= 1e-13


def test_a_knot_that_rounding_hides_is_certified():
    for delta in (1e-14, 1e-15, 1e-16, 1e-17, 1e-100):
        model = LinearRegressor("huber", delta=delta).fit(X8, Y8)
        assert certify(model, X8, Y8).gap <= 1e-12


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_near_the_largest_number_are_certified(loss):
    w = np.full(8, 1.7e308)
    model = LinearRegressor(loss).fit(X8, Y8, w)
    proof = certify(model, X8, Y8, w)
    assert proof.gap <= 1e-13
    assert proof.objective == pytest.approx(model.objective_, rel=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_direction_that_only_the_last_place_makes_does_not_count(loss):
    stored = read_arrays("last_place")
    x, y = stored["x"], stored["y"]
    X = np.column_stack(
        [x + 1e6 / 3, x + 1e6 / 7]
    )  # the same column, but for the rounding of the offsets
    model = LinearRegressor(loss).fit(X, y)
    assert model.rank_ == 1
    assert np.abs(model.coef_).max() < 10.0


@pytest.mark.parametrize("name", FOUND["the scale of a heavy row among weights is the middle of y"])
def test_a_heavy_row_among_weights_is_the_middle_of_y(name):
    assert outcome(name) == ("", "right")


def test_penalised_coefficients_in_small_units_are_stationary():
    # In tiny units a coefficient is all penalty; the certificate's gradient is that of a
    # standardised column.
    stored = read_arrays("small_units")
    for X, y in zip(stored["X"], stored["y"], strict=True):
        model = LinearRegressor("mae", alpha=10.0, fit_intercept=False).fit(X, y)
        assert certify(model, X, y).stationarity <= 1e-10


@pytest.mark.parametrize("k", range(8))
def test_fill_values_beside_a_minimiser_that_is_not_unique(k):
    # At a scale of 1e20 any coefficients had a small relative gap.
    stored = read_arrays("fill_values")
    X, y = stored["X"][k].astype(float), stored["y"][k]
    for fit_intercept in (False, True):
        model = LinearRegressor("mae", fit_intercept=fit_intercept).fit(X, y)
        assert certify(model, X, y).gap <= 1e-9
        near = LinearRegressor("mae", fit_intercept=fit_intercept).fit(X, np.minimum(y, 1e4))
        np.testing.assert_allclose(model.coef_, near.coef_, atol=1e-9)


@pytest.mark.parametrize(
    "name", FOUND["a step of refinement took the digits of tiny penalised coefficients"]
)
def test_a_step_of_refinement_spares_penalised_coefficients(name):
    # Tiny ones, on columns in large units, that the penalty decides: a step among larger ones took
    # their digits.
    assert outcome(name) == ("", "right")


def test_a_row_from_one_side_to_the_other():
    # A full step that took a row across the knots, outside before and after, was held for one
    # within its zone.
    X, y = (
        np.array([[0.0, -1.0, -1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]]),
        np.array([-2.0, 0.0, -2.0]),
    )
    for delta in np.linspace(0.01, 0.13, 200):
        model = LinearRegressor("huber", delta=delta, alpha=0.1).fit(X, y)
        np.testing.assert_allclose(
            model.coef_, delta * np.array([4.47916667, -2.29166667, 4.375]), rtol=1e-8
        )


@pytest.mark.slow
def test_a_minimiser_that_is_not_unique_takes_few_iterations():
    # Its Hessian is shifted, and made much of a gradient that was only rounding: max_iter was
    # reached.
    stored = read_arrays("several_minimisers")
    for k in range(60):
        X, y = stored[f"X-{k}"].astype(float), stored[f"y-{k}"].astype(float)
        for delta in np.geomspace(0.01, 1.0, 10):
            assert LinearRegressor("huber", delta=delta).fit(X, y).n_iter_ <= 40


def leverage(k, size):
    """Rows of which one outweighs all others in the Gram matrix; y is 0 or 1."""
    stored = read_arrays("leverage")
    X, y = stored["X"][k].astype(float), stored["y"][k].astype(float)
    X[5] *= size
    return X, y


@pytest.mark.parametrize("size", [1.0, 1e3, 1e5])
def test_a_row_of_high_leverage_does_not_decide_the_steps_of_the_others(size):
    # Where few rows are inside a small knot, the shift of the Hessian was made of all rows alike.
    for k in range(5):
        X, y = leverage(k, size)
        for delta in (1e-6, 1e-4, 1e-2):
            model = LinearRegressor("huber", delta=delta).fit(X, y)
            assert model.n_iter_ <= 60
            assert certify(model, X, y).gap <= 1e-11


def test_rounding_of_one_row_does_not_hide_the_others():
    # The residual of a row of high leverage is rounded by a tenth of the knot, and times its
    # entries that is more than all other rows pull: the dual was taken for feasible, and the
    # coefficients for optimal.
    wrong = 0
    for k in range(5, 9):
        X, y = leverage(k, 1e6)
        for solver in ("auto", "scipy"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = LinearRegressor("huber", delta=1e-9, solver=solver).fit(X, y)
            assert not model.converged_ or certify(model, X, y).gap <= 1e-9
            wrong += not model.converged_
    assert wrong  # or this shows nothing


@pytest.mark.parametrize("seed", range(3))
def test_a_penalty_on_copies_in_units_far_apart_is_exact(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((400, 4))
    X = np.column_stack([X, 1e9 * X[:, 0], 1e-9 * X[:, 1]])
    y = X[:, 0] + rng.standard_t(2, 400)
    model = LinearRegressor("mae", alpha=0.01).fit(X, y)
    assert model.converged_
    assert certify(model, X, y).gap < 1e-12
