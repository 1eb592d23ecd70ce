"""Numbers near the ends of float64: a right answer or a clear refusal, never a silent wrong one."""

import warnings

import numpy as np
import pytest
from problems import LOSSES, objective

from robustreg import LinearRegressor, certify


def noisy(n=60, p=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ [1.0, -2.0] + 0.5 + rng.standard_t(2, n)


def fit_or_refusal(loss, X, y, w=None, delta=1.0):
    """A converged fit, or None if the data were refused with a message that says what to do."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LinearRegressor(loss, delta=delta)
        try:
            return model.fit(X, y, w)
        except ValueError:
            with pytest.raises(ValueError, match=r"(?i)rescale"):
                model.fit(X, y, w)
            return None


@pytest.mark.parametrize("y_unit", [1e-300, 1e-150, 1.0, 1e150, 1e300])
@pytest.mark.parametrize("x_unit", [1e-300, 1e-150, 1.0, 1e150, 1e300])
@pytest.mark.parametrize("loss", LOSSES)
def test_units_at_the_ends_of_float64(loss, x_unit, y_unit):
    X, y = noisy()
    expected = LinearRegressor(loss, delta=1.0).fit(X, y)
    model = fit_or_refusal(loss, X * [x_unit, 1.0], y * y_unit, delta=y_unit)
    if model is None:
        assert y_unit / x_unit > 1e306 or max(x_unit, y_unit) == 1e300
        return
    scaled = np.longdouble(model.coef_) / np.longdouble(y_unit) * np.longdouble([x_unit, 1.0])
    proof = certify(model, X * [x_unit, 1.0], y * y_unit)
    if (
        y_unit / x_unit > 1e-290
    ):  # else the coefficient itself is below the normal numbers, and nothing can be proved
        np.testing.assert_allclose(scaled.astype(float), expected.coef_, rtol=1e-9)
        assert proof.gap <= 1e-11
    np.testing.assert_allclose(model.intercept_ / y_unit, expected.intercept_, rtol=1e-9)
    assert proof.dual <= proof.objective


@pytest.mark.parametrize("where", ["X", "y"])
@pytest.mark.parametrize("loss", LOSSES)
def test_numbers_below_the_normal_ones(loss, where):
    X, y = noisy()
    tiny = 5e-324
    if where == "X":  # a few dozen different values are left
        X = np.round(X * 10) * tiny
    else:
        y = np.round(y * 10) * tiny
    model = fit_or_refusal(loss, X, y, delta=10 * tiny if where == "y" else 1.0)
    if model is not None:
        assert certify(model, X, y).gap <= 1e-9


@pytest.mark.parametrize("loss", LOSSES)
def test_tiny_and_huge_weights(loss):
    X, y = noisy()
    expected = LinearRegressor(loss).fit(X, y)
    for unit in (5e-324, 1e-300, 1e-150, 1e150, 1e300):
        model = LinearRegressor(loss).fit(X, y, np.full(60, unit))
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
        np.testing.assert_allclose(model.objective_, expected.objective_, rtol=1e-12)
    w = np.where(
        np.arange(60) < 30, 1.0, 1e-300
    )  # below any rounding: as if those rows were absent
    half = LinearRegressor(loss).fit(X[:30], y[:30])
    np.testing.assert_allclose(LinearRegressor(loss).fit(X, y, w).coef_, half.coef_, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_a_fill_value_in_y_is_an_outlier_like_any_other(loss, weighted, alpha):
    # Beyond the knots only the side counts: 1e6 and 1e300 pull alike.
    X, y = noisy()
    w = np.random.default_rng(1).uniform(0.5, 2.0, 60) if weighted else np.ones(60)
    y[[3, 17]] = [1e6, -1e6]
    expected = LinearRegressor(loss, alpha=alpha).fit(X, y, w)
    for value in (-9999.0, 1e12, 1e14, 1e16, 1e20, 9.96921e36, 1e300):
        y[[3, 17]] = [abs(value), -1e6]
        model = LinearRegressor(loss, alpha=alpha).fit(X, y, w)
        assert model.converged_
        assert model.unique_
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-10)
        np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-10)
        proof = certify(model, X, y, w)
        assert proof.gap <= 1e-13
        with np.errstate(over="ignore"):
            assert proof.objective == pytest.approx(objective(model, X, y, w), rel=1e-12)
            assert model.objective_ == pytest.approx(objective(model, X, y, w), rel=1e-12)
        if loss == "huber":
            np.testing.assert_array_equal(model.outliers_, expected.outliers_)


@pytest.mark.parametrize("value", [1e6, 1e10, 1e14, 1e20, 1e36])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_fill_value_with_a_column_of_its_own(loss, value):
    # The column takes it up, so that it is no outlier; the others are as if that row were absent.
    X, y = noisy()
    X = np.column_stack([X, np.arange(60) == 3])
    y[3] = value
    rest = np.arange(60) != 3
    expected = LinearRegressor(loss).fit(X[rest, :2], y[rest])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = LinearRegressor(loss).fit(X, y)
    if model.converged_:
        np.testing.assert_allclose(model.coef_[:2], expected.coef_, rtol=1e-9)
    else:  # float64 is at its end, and says so
        assert value >= 1e14
        assert "dual_gap_" in str(caught[0].message)


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_a_far_target_that_the_fit_reaches_is_no_outlier(loss):
    X, y = noisy()
    X[3], y[3] = [1e9, 0.0], 1e9 + 0.25  # on the line: a leverage point
    model = LinearRegressor(loss).fit(X, y)
    assert model.predict(X[3:4])[0] == pytest.approx(1e9, rel=1e-8)
    assert certify(model, X, y).gap <= 1e-12


@pytest.mark.parametrize("loss", LOSSES)
def test_a_million_rows_and_a_column_far_larger_than_the_others(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1_000_000, 3))
    y = X @ [1.0, 2.0, 3.0] + 0.5 + rng.standard_t(3, 1_000_000)
    plain = LinearRegressor(loss).fit(X, y)
    X[:, 1] *= 1e8
    model = LinearRegressor(loss).fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.coef_ * [1.0, 1e8, 1.0], plain.coef_, rtol=1e-10)
    np.testing.assert_allclose(model.coef_ * [1.0, 1e8, 1.0], [1.0, 2.0, 3.0], atol=0.02)


@pytest.mark.parametrize("delta", [1e100, 1e160, 1e300])
def test_a_delta_whose_square_overflows_is_least_squares_on_many_rows(delta):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 3))
    y = X.sum(axis=1) + rng.standard_normal(20_000)
    model = LinearRegressor("huber", delta=delta).fit(X, y)
    np.testing.assert_allclose(model.coef_, LinearRegressor().fit(X, y).coef_, rtol=1e-13)
    assert not model.outliers_.any()
