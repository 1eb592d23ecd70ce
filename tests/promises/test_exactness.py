"""Every fit is the minimiser: against SciPy, R, a naive certificate and constructed answers."""

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from problems import LOSSES, naive_gap, objective, random_problem, residuals, slow
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning

from robustreg import LinearRegressor

REFERENCE = Path(__file__).parents[1] / "reference"


def read(name):
    with open(REFERENCE / name) as file:
        rows = np.array([[float(x) for x in row] for row in list(csv.reader(file))[1:]])
    return rows[:, :-1], rows[:, -1]


@pytest.mark.parametrize("block", [0, *slow(*range(1, 20))])
def test_a_thousand_random_problems(block):
    for seed in range(50 * block, 50 * (block + 1)):
        X, y, w, parameters = random_problem(seed)
        ours = LinearRegressor(**parameters).fit(X, y, w)
        assert ours.converged_, seed
        assert ours.dual_gap_ <= 1e-9, seed
        value = objective(ours, X, y, w)
        rounding = 1e-13 * np.abs(y).mean()
        assert value == pytest.approx(ours.objective_, rel=1e-10, abs=rounding), seed
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # SciPy may stop early: it then is higher
            theirs = LinearRegressor(solver="scipy", **parameters).fit(X, y, w)
        assert value <= objective(theirs, X, y, w) * (1 + 1e-10) + rounding, seed
        assert naive_gap(ours, X, y, w) <= 1e-9 * value + 100 * rounding, seed


@pytest.mark.parametrize("data", ["stackloss", "engel"])
def test_mae_equals_r_quantreg(data):
    X, y = read(f"{data}.csv")
    expected = json.loads((REFERENCE / "r_reference.json").read_text())[data]["mae"]
    model = LinearRegressor("mae").fit(X, y)
    np.testing.assert_allclose([model.intercept_, *model.coef_], expected, rtol=1e-10)
    assert model.unique_
    assert np.sum(np.abs(residuals(model, X, y)) <= 1e-12 * np.abs(y).max()) >= X.shape[1] + 1


@pytest.mark.parametrize("data", ["stackloss", "engel"])
def test_huber_at_the_scale_of_mass_rlm_equals_its_coefficients(data):
    X, y = read(f"{data}.csv")
    expected = json.loads((REFERENCE / "r_reference.json").read_text())[data]["huber_1.345_mad"]
    model = LinearRegressor("huber", delta=1.345 * expected["scale"]).fit(X, y)
    np.testing.assert_allclose([model.intercept_, *model.coef_], expected["coef"], rtol=1e-8)


def test_worked_example():
    X, y = [[1], [2], [3], [4]], [0.8, 1.5, 1.8, 2.0]
    model = LinearRegressor(loss="mse").fit(X, y)
    np.testing.assert_allclose([model.coef_[0], model.intercept_], [0.39, 0.55], rtol=1e-14)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_constructed_minimiser_is_found(loss, fit_intercept, alpha):
    # Choose b and a dual u first, then a target that makes both optimal.
    rng = np.random.default_rng(3)
    n, p, delta = 60, 4, 0.7
    A = rng.standard_normal((n, p + 1))
    A[:, -1] = 1.0
    A = A if fit_intercept else A[:, :-1]
    b = rng.standard_normal(p)
    want = np.zeros(A.shape[1])
    want[:p] = n * alpha * b  # stationarity: A'u = n alpha b
    bound = {"mse": np.inf, "mae": 1.0, "huber": delta}[loss]
    at_bound = np.arange(n) < (40 if loss != "mse" else 0)
    u = np.where(at_bound, min(bound, 1.0) * np.where(np.arange(n) % 2, 1.0, -1.0), 0.0)
    F = ~at_bound
    u[F] = np.linalg.lstsq(A[F].T, want - A[at_bound].T @ u[at_bound], rcond=None)[0]
    scale = 1.0 if np.abs(u[F]).max() < 0.9 * bound else 0.5 * bound / np.abs(u[F]).max()
    if scale < 1:  # shrink the free part by giving the bound rows rarely any weight
        weights = np.where(at_bound, scale * 0.5, 1.0)
        u[F] = np.linalg.lstsq(
            A[F].T, want * scale * 0.5 - A[at_bound].T @ (weights * u)[at_bound], rcond=None
        )[0]
        alpha = alpha * scale * 0.5 * n / weights.sum()
    else:
        weights = np.ones(n)
    assert np.abs(u[F]).max() < bound
    r = np.where(at_bound, u * (1 + rng.exponential(size=n)), 0.0 if loss == "mae" else u)
    y = A[:, :p] @ b + r + (2.0 if fit_intercept else 0.0)
    model = LinearRegressor(loss, delta=delta, alpha=alpha, fit_intercept=fit_intercept)
    model.fit(A[:, :p], y, weights)
    np.testing.assert_allclose(model.coef_, b, rtol=1e-10, atol=1e-12)
    assert model.intercept_ == pytest.approx(2.0 if fit_intercept else 0.0, rel=1e-10)
    assert model.unique_
    if loss == "huber":
        np.testing.assert_array_equal(model.outliers_, at_bound)


@pytest.mark.parametrize("noise", ["standard_normal", "standard_cauchy"])
@pytest.mark.parametrize("loss", LOSSES)
def test_larger_data_take_few_iterations(loss, noise):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 20))
    y = X @ rng.standard_normal(20) + getattr(rng, noise)(20_000)
    model = LinearRegressor(loss).fit(X, y)
    assert model.converged_
    assert model.n_iter_ <= {"mse": 1, "mae": 30, "huber": 15}[loss]


@pytest.mark.parametrize("solver", ["auto", "scipy"])
def test_a_small_delta_is_mae_and_a_large_one_mse(solver):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((50, 3)), rng.standard_t(2, 50)
    for delta, loss in [(1e-20, "mae"), (1e6, "mse"), (1e250, "mse")]:
        huber = LinearRegressor("huber", delta=delta, solver=solver).fit(X, y)
        other = LinearRegressor(loss, solver=solver).fit(X, y)
        np.testing.assert_allclose(huber.coef_, other.coef_, rtol=1e-12)
    assert LinearRegressor("huber", delta=1e-20).fit(X, y).objective_ > 0


@pytest.mark.parametrize("warm", [[1.0, 2.0, 3.0], [1e6, -1e6, 0.0]])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_warm_start_never_changes_the_answer(loss, warm):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((200, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.standard_t(2, 200)
    cold = LinearRegressor(loss, delta=0.3).fit(X, y)
    model = LinearRegressor(loss, delta=0.3, warm_start=True).fit(X, X @ warm)
    model.fit(X, y)
    np.testing.assert_allclose(model.coef_, cold.coef_, rtol=1e-12)
    model.fit(X[:, :2], y)  # other columns: started afresh
    np.testing.assert_allclose(
        model.coef_, LinearRegressor(loss, delta=0.3).fit(X[:, :2], y).coef_, rtol=1e-12
    )


def test_a_warm_start_saves_iterations():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((2000, 8))
    y = X @ np.arange(8.0) + rng.standard_cauchy(2000)
    model = LinearRegressor("huber", warm_start=True).fit(X, y)
    first = model.n_iter_
    assert model.fit(X, y).n_iter_ < first


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(3))
def test_the_solution_as_a_start_is_certified_by_one_iteration(loss, seed, alpha):
    rng = np.random.default_rng(seed)
    X = csr_array(
        rng.standard_normal((400, 6))
    )  # all rows at once; y far from 0, where coefficients are rounded
    y = X @ rng.standard_normal(6) + rng.standard_t(2, 400) + 100.0
    model = LinearRegressor(loss, delta=0.5, alpha=alpha, warm_start=True).fit(X, y)
    first = model.coef_
    model.fit(X, y)
    assert model.n_iter_ == 1
    np.testing.assert_allclose(model.coef_, first, rtol=0, atol=1e-14 * np.abs(first).max())
