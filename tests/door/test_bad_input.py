"""Bad input is refused before any work, by name; limits are told; nothing that was fitted is lost."""

import warnings

import numpy as np
import pytest
from problems import LOSSES, objective
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from robustreg import LinearRegressor

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = X @ [1.0, 2.0, 3.0] + rng.standard_t(2, 40)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "l1"}, r"loss must be one of 'mse', 'mae', 'huber', .*; got 'l1'"),
        ({"loss": 1}, "loss must be one of .*; got 1"),
        ({"solver": "newton"}, "solver must be one of 'auto', 'scipy'; got 'newton'"),
        ({"delta": 0.0}, "delta must be a positive finite number; got 0.0"),
        ({"delta": -1.0}, "delta must be a positive finite number; got -1.0"),
        ({"delta": np.nan}, "delta must be a positive finite number; got nan"),
        ({"delta": np.inf}, "delta must be a positive finite number; got inf"),
        ({"delta": "1"}, "delta must be a positive finite number; got '1' of type str"),
        ({"delta": True}, "delta must be .*; got True of type bool"),
        ({"delta": None}, "delta must be .*; got None"),
        ({"alpha": -1e-9}, "alpha must be a finite number >= 0; got -1e-09"),
        ({"alpha": np.nan}, "alpha must be .*; got nan"),
        ({"alpha": [1.0]}, r"alpha must be .*; got \[1.0\] of type list"),
        ({"tol": 0}, "tol must be a positive finite number; got 0"),
        ({"max_iter": 0}, "max_iter must be an integer >= 1; got 0"),
        ({"max_iter": 10.0}, "max_iter must be an integer >= 1; got 10.0 of type float"),
        ({"fit_intercept": "yes"}, "fit_intercept must be True or False; got 'yes'"),
        ({"warm_start": 1}, "warm_start must be True or False; got 1"),
        (
            {"loss": "huber", "scale": 0.0},
            "scale must be a positive finite number or one of 'mad', .*; got 0.0",
        ),
        (
            {"loss": "huber", "scale": -2},
            "scale must be a positive finite number or one of .*; got -2",
        ),
        (
            {"loss": "huber", "scale": np.nan},
            "scale must be a positive finite number or one of .*; got nan",
        ),
        (
            {"loss": "huber", "scale": "MAD"},
            "scale must be .* or one of 'mad', 'concomitant', 'proposal2'; got 'MAD'",
        ),
        ({"loss": "huber", "scale": None}, "scale must be .*; got None of type NoneType"),
        ({"loss": "mae", "scale": "mad"}, "scale must be 1.0 with loss='mae', .*; got 'mad'"),
        ({"loss": "squared_error", "scale": 2.0}, "scale must be 1.0 with loss='mse', .*; got 2.0"),
        (
            {"loss": "huber", "scale": "concomitant", "delta": 1.0},
            "delta must be greater than 1 with .*; got 1.0",
        ),
        (
            {"loss": "quantile", "quantile": 0},
            "quantile must be a number between 0 and 1, .*; got 0",
        ),
        ({"loss": "quantile", "quantile": 1.0}, "quantile must be a number between .*; got 1.0"),
        ({"loss": "quantile", "quantile": np.nan}, "quantile must be a number .*; got nan"),
        ({"loss": "quantile", "quantile": True}, "quantile must be .*; got True of type bool"),
        ({"loss": "quantile", "quantile": "0.5"}, "quantile must be .*; got '0.5' of type str"),
        ({"loss": "quantile", "quantile": [0.1, 0.9]}, r"quantile must be .* of type list"),
        ({"loss": "mae", "quantile": 0.9}, "quantile must be 0.5 with loss='mae', .*; got 0.9"),
        ({"loss": "huber", "quantile": 2}, "quantile must be a number between 0 and 1, .*; got 2"),
        ({"loss": "quantile", "scale": "mad"}, "scale must be 1.0 with loss='quantile', .*"),
        ({"verbose": -1}, "verbose must be an integer >= 0; got -1"),
    ],
)
def test_parameters(parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LinearRegressor(**parameters).fit(X, y)


def test_a_scale_that_counts_rows_needs_more_rows_than_coefficients():
    with pytest.raises(ValueError, match="scale='proposal2' needs more rows than coefficients"):
        LinearRegressor("huber", scale="proposal2").fit(X, y, np.full(40, 0.05))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.r_[-1.0, np.ones(39)], "sample_weight must be >= 0; got"),
        (np.r_[np.nan, np.ones(39)], "sample_weight must be finite; got nan"),
        (np.r_[np.inf, np.ones(39)], "sample_weight must be finite; got inf"),
        (np.zeros(40), "sample_weight must have a positive entry"),
        (np.ones(39), "sample_weight must have one entry per row of X, 40; got 39"),
        (np.ones((40, 1)), r"Sample weights must be 1D.*sample_weight of shape \(40, 1\)"),
        (np.ones(40) * 1j, "sample_weight must hold real numbers"),
        (["a"] * 40, "sample_weight must hold real numbers"),
    ],
)
def test_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        LinearRegressor().fit(X, y, weights)


@pytest.mark.parametrize(
    ("A", "b", "message"),
    [
        (np.full((40, 3), np.nan), y, "X contains NaN"),
        (np.full((40, 3), np.inf), y, "X contains infinity"),
        (sparse.csr_array(np.full((40, 3), np.nan)), y, "X contains NaN"),
        (X, np.full(40, np.nan), "y contains NaN"),
        (X, np.full(40, np.inf), "y contains infinity"),
        (X * 1j, y, "[Cc]omplex"),
        (X, y * 1j, "[Cc]omplex"),
        (X[:0], y[:0], "0 sample"),
        (X[:, :0], y, "0 feature"),
        (X[:, 0], y, r"X must have two dimensions, .*; got shape \(40,\)"),
        (X, y[:-1], "y must have one entry per row of X, 40; got 39"),
        (np.full((40, 3), 1.7e308), y, "X has entries as large as 1.7e"),
        (X * 1e-320, y, "coefficients overflow"),
        (X, ["a"] * 40, "y must hold numbers; got the text 'a' in row 0"),
    ],
)
@pytest.mark.parametrize("loss", LOSSES)
def test_data(loss, A, b, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LinearRegressor(loss).fit(A, b)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_failed_fit_leaves_the_earlier_one(loss):
    model = LinearRegressor(loss).fit(X, y)
    before = {name: np.copy(value) for name, value in vars(model).items()}
    bad = [
        (X[:, :2], np.full(40, np.nan), None),
        (X[:, :2], y, -np.ones(40)),
        (X * 1e-320, y, None),
    ]
    for A, b, w in bad:
        with pytest.raises(ValueError, match=r"."):
            model.fit(A, b, w)
        assert vars(model).keys() == before.keys()
        for name, value in before.items():
            np.testing.assert_array_equal(vars(model)[name], value)
    model.set_params(loss="huber", delta=-1.0)
    with pytest.raises(ValueError, match="delta"):
        model.fit(X, y)
    np.testing.assert_array_equal(model.coef_, before["coef_"])


def test_predict_needs_a_fit_and_the_same_columns():
    with pytest.raises(NotFittedError):
        LinearRegressor().predict(X)
    with pytest.raises(ValueError, match="2 features"):
        LinearRegressor().fit(X, y).predict(X[:, :2])


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_a_limit_reached_is_told_and_the_gap_is_true(loss):
    best = LinearRegressor(loss, delta=0.01).fit(X, y)
    model = LinearRegressor(loss, delta=0.01, max_iter=1)
    with pytest.warns(ConvergenceWarning, match=r"max_iter.*Increase max_iter.*dual_gap_="):
        model.fit(X, y)
    assert not model.converged_
    assert np.all(np.isfinite(model.coef_))
    excess = objective(model, X, y) - objective(best, X, y)
    assert model.objective_ == pytest.approx(objective(model, X, y), rel=1e-12)
    assert excess > 0
    assert model.dual_gap_ * model.objective_ >= excess * (1 - 1e-9)


@pytest.mark.parametrize("exponent", [-300, -200, -150, 150, 200, 300])
@pytest.mark.parametrize("loss", LOSSES)
def test_values_whose_squares_overflow_are_fitted_right(loss, exponent):
    unit = 10.0**exponent
    plain = LinearRegressor(loss, delta=0.5).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LinearRegressor(loss, delta=0.5).fit(X * unit, y)
        np.testing.assert_allclose(model.coef_ * unit, plain.coef_, rtol=1e-12)
        model = LinearRegressor(loss, delta=0.5 * unit).fit(X, y * unit)
        np.testing.assert_allclose(model.coef_ / unit, plain.coef_, rtol=1e-12)
        model = LinearRegressor(loss, delta=0.5 * unit).fit(X * unit, y * unit)
        np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-12)
        model = LinearRegressor(loss, delta=0.5).fit(X, y, np.full(40, unit))
        np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-12)
    assert model.dual_gap_ <= 1e-12


def test_the_orthogonal_fallback_is_recorded():
    assert not LinearRegressor().fit(X, y).orthogonal_
    near = np.column_stack([X, X[:, 0] + 1e-8 * X[:, 1]])
    model = LinearRegressor().fit(near, y)
    assert model.rank_ == 3  # the fourth column is a combination of two others, and left out
    assert not model.orthogonal_
    near[:, 3] += 1e-8 * rng.standard_normal(40)
    model = LinearRegressor().fit(near, y)
    assert model.rank_ == 4
    assert model.orthogonal_
