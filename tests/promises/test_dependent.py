"""Dependent columns at every door: what a table without them has, and the least norm."""

import numpy as np
import pytest
from scipy import sparse

from robustreg import LinearRegressor, LinearRegressorCV, certify, delta_path

N = 80
RNG = np.random.default_rng(0)
NUMBERS = RNG.standard_normal((N, 2)) + np.array([50.0, 0.0])
LEVELS = np.eye(3)[RNG.integers(0, 3, N)]
Y = NUMBERS @ [1.0, 2.0] + LEVELS @ [0.0, 3.0, -1.0] + RNG.standard_t(2, N)
# Columns, and those of them that all others follow from beside an intercept.
TABLES = {
    "all levels": (np.column_stack([NUMBERS, LEVELS]), [0, 1, 2, 3]),
    "a constant": (np.column_stack([NUMBERS, np.full(N, 3.7)]), [0, 1]),
    "a copy in other units": (np.column_stack([NUMBERS, 1024.0 * NUMBERS[:, 1]]), [0, 1]),
    "a total": (np.column_stack([NUMBERS, NUMBERS.sum(axis=1)]), [0, 1]),
}
MODELS = {
    "mse": {"loss": "mse"},
    "mae": {"loss": "mae"},
    "huber": {"loss": "huber", "delta": 0.5},
    "mad": {"loss": "huber", "delta": 1.5, "scale": "mad"},
    "concomitant": {"loss": "huber", "delta": 1.5, "scale": "concomitant"},
    "scipy": {"loss": "huber", "delta": 0.5, "solver": "scipy"},
}


def least_norm(X, fitted):
    """The coefficients of least norm with such fitted values, beside an intercept."""
    centred = X - X.mean(axis=0)
    return np.linalg.lstsq(centred, fitted - fitted.mean(), rcond=1e-12)[0]


@pytest.mark.parametrize("storage", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", MODELS)
def test_a_fit_is_that_of_the_independent_columns(name, table, storage):
    X, kept = TABLES[table]
    w = np.random.default_rng(1).integers(0, 3, N).astype(float)
    given = MODELS[name]
    model = LinearRegressor(**given).fit(storage(X), Y, sample_weight=w)
    other = LinearRegressor(**given).fit(X[:, kept], Y, sample_weight=w)
    fitted = model.predict(X)
    np.testing.assert_allclose(fitted, other.predict(X[:, kept]), rtol=1e-8)
    assert model.objective_ == pytest.approx(other.objective_, rel=1e-9)
    assert (model.rank_, model.unique_) == (other.rank_, False)
    np.testing.assert_allclose(model.coef_, least_norm(X, fitted), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_path_goes_through_the_fits(table, alpha):
    X, _ = TABLES[table]
    path = delta_path(X, Y, alpha=alpha)
    for delta in [0.05, 0.5, 2.0]:
        coef, intercept = path(delta)
        model = LinearRegressor("huber", delta=delta, alpha=alpha).fit(X, Y)
        np.testing.assert_allclose(coef, model.coef_, rtol=1e-7, atol=1e-9)
        assert intercept == pytest.approx(model.intercept_, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("table", TABLES)
def test_cross_validation_chooses_the_same_delta(table):
    X, kept = TABLES[table]
    model = LinearRegressorCV(cv=4).fit(X, Y)
    other = LinearRegressorCV(cv=4).fit(X[:, kept], Y)
    assert model.delta_ == pytest.approx(other.delta_, rel=1e-9)
    np.testing.assert_allclose(model.predict(X), other.predict(X[:, kept]), rtol=1e-8)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
@pytest.mark.parametrize("alpha", [1e-8, 1e-3, 1.0])
def test_a_penalty_counts_all_columns(name, table, alpha):
    X, _ = TABLES[table]
    model = LinearRegressor(**MODELS[name], alpha=alpha).fit(X, Y)
    assert model.converged_
    assert model.unique_ or name == "mae"  # an interval of intercepts may be left
    assert certify(model, X, Y).gap < 1e-11
