"""Data on which widely used estimators return a wrong answer without a warning; here the right one."""

import numpy as np
import pytest
from problems import LOSSES
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from stored import read_nist

from robustreg import LinearRegressor, certify


def noisy(n=300, p=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1) + 0.5 + rng.standard_t(2, n)


def fitted(loss, X, y, **parameters):
    """A fit that converged and that the independent proof agrees with."""
    model = LinearRegressor(loss, **parameters).fit(X, y)
    assert model.converged_
    assert certify(model, X, y).gap <= 1e-12
    return model


@pytest.mark.parametrize("loss", LOSSES)
def test_one_column_a_million_times_the_other(loss):
    X, y = noisy(p=2)
    expected = fitted(loss, X, y).coef_
    np.testing.assert_allclose(
        fitted(loss, X * [1e6, 1.0], y).coef_ * [1e6, 1.0], expected, rtol=1e-10
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_a_year_and_a_revenue(loss):
    rng = np.random.default_rng(0)
    year = rng.integers(2000, 2025, 200).astype(float)
    revenue = 1e9 * rng.lognormal(sigma=1.0, size=200)
    y = 3.0 * (year - 2000) + 2e-8 * revenue + rng.standard_normal(200)
    model = fitted(loss, np.column_stack([year, revenue]), y)
    np.testing.assert_allclose(model.coef_, [3.0, 2e-8], rtol=0.02)
    assert model.score(np.column_stack([year, revenue]), y) > 0.998


@pytest.mark.parametrize("loss", LOSSES)
def test_columns_far_from_zero_keep_their_coefficients(loss):
    X, y = noisy()
    np.testing.assert_allclose(fitted(loss, X + 1e6, y).coef_, fitted(loss, X, y).coef_, rtol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_column_in_tiny_units(loss):
    X, y = noisy()
    expected = fitted(loss, X, y).coef_
    np.testing.assert_allclose(
        fitted(loss, X * [1e-6, 1, 1], y).coef_ * [1e-6, 1, 1], expected, rtol=1e-10
    )


@pytest.mark.parametrize("unit", [1e-9, 1e-7, 1e-5, 1e6, 1e12])
@pytest.mark.parametrize("loss", LOSSES)
def test_y_in_other_units(loss, unit):
    X, y = noisy()
    expected, model = fitted(loss, X, y), fitted(loss, X, unit * y, delta=1.35 * unit)
    np.testing.assert_allclose(model.coef_ / unit, expected.coef_, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_ / unit, expected.intercept_, rtol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_millisecond_timestamp_on_an_exact_line(loss):
    start, day = 1.7e12, 86_400_000.0
    X = (start + day * np.arange(100.0))[:, None]
    y = 5.0 + 2.0 * np.arange(100.0)
    model = fitted(loss, X, y)
    np.testing.assert_allclose(model.coef_, [2.0 / day], rtol=1e-12)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_three_rows_with_a_timestamp(loss):  # scikit-learn issue 27777 stops at a constant
    X = np.array([[1.6e12], [1.6e12 + 1e6], [1.6e12 + 2e6]])
    y = np.array([1.0, 2.0, 3.0])
    model = fitted(loss, X, y)
    np.testing.assert_allclose(model.coef_, [1e-6], rtol=1e-9)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_exact_line(loss):  # statsmodels issue 2425: never ends
    X = np.arange(10.0)[:, None]
    model = fitted(loss, X, 3.0 * X[:, 0] - 1.0)
    np.testing.assert_allclose([model.coef_[0], model.intercept_], [3.0, -1.0], rtol=1e-13)
    assert model.dual_gap_ == 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_duplicated_column_shares(loss):  # R refuses it, or returns garbage with a warning
    X, y = noisy(p=2)
    expected = fitted(loss, X, y)
    model = fitted(loss, np.column_stack([X, X[:, 1]]), y)
    half = expected.coef_[1] / 2
    np.testing.assert_allclose(model.coef_, [expected.coef_[0], half, half], rtol=1e-10)
    assert model.rank_ == 2
    assert not model.unique_


@pytest.mark.parametrize("loss", LOSSES)
def test_a_polynomial_of_degree_four_on_0_to_100(loss):
    x = np.linspace(0.0, 100.0, 201)
    rng = np.random.default_rng(0)
    true = np.array([2.0, -0.3, 5e-3, 1e-6])
    y = 1.0 + np.column_stack([x, x**2, x**3, x**4]) @ true + rng.standard_t(2, 201)
    model = make_pipeline(
        PolynomialFeatures(4, include_bias=False), LinearRegressor(loss, delta=1.0)
    )
    model.fit(x[:, None], y)
    # The same polynomial, fitted in a basis that is harmless.
    z = (x - 50.0) / 50.0
    harmless = LinearRegressor(loss, delta=1.0).fit(np.column_stack([z, z**2, z**3, z**4]), y)
    np.testing.assert_allclose(
        model.predict(x[:, None]),
        harmless.predict(np.column_stack([z, z**2, z**3, z**4])),
        rtol=1e-9,
    )
    assert model[-1].converged_


@pytest.mark.parametrize("loss", LOSSES)
def test_weight_is_repeat_where_columns_outnumber_rows(loss):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X, y, w = rng.standard_normal((15, 30)), rng.standard_normal(15), rng.integers(1, 4, 15)
        weighted = LinearRegressor(loss).fit(X, y, w)
        repeated = LinearRegressor(loss).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8, atol=1e-10)


def test_a_warm_start_without_intercept_keeps_it_out():
    X, y = noisy()
    model = LinearRegressor("huber", fit_intercept=False, warm_start=True)
    first = model.fit(X, y).coef_.copy()
    np.testing.assert_allclose(model.fit(X, y).coef_, first, rtol=1e-12)
    assert model.intercept_ == 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_float32_in_float32_out(loss):
    X, y = noisy()
    model = LinearRegressor(loss).fit(X.astype(np.float32), y.astype(np.float32))
    assert model.coef_.dtype == np.float32
    np.testing.assert_allclose(model.coef_, LinearRegressor(loss).fit(X, y).coef_, rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_longley_is_right_in_any_units(loss):
    X, y = read_nist("longley")
    expected = fitted(loss, X, y, delta=200.0).coef_
    unit = 10.0 ** np.array([6, -3, 0, 9, -6, 2])
    np.testing.assert_allclose(
        fitted(loss, X * unit, y, delta=200.0).coef_ * unit, expected, rtol=1e-8
    )
