"""What surrounds a fit does not govern it: filters of warnings, NumPy's errstate, an interruption."""

import warnings

import numpy as np
import pytest
from problems import LOSSES, slow
from sklearn.exceptions import ConvergenceWarning

from robustreg import LinearRegressor, LinearRegressorCV, certify, delta_path

rng = np.random.default_rng(0)
X = rng.standard_normal((400, 3))
y = X @ [1.0, 2.0, 3.0] + rng.standard_t(2, 400)


def warned(make, *args):
    """The one warning of make(*args), when every warning is shown."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        make(*args)
    (one,) = [warning for warning in shown if issubclass(warning.category, UserWarning)]
    return one


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_a_warning_made_an_error_leaves_the_new_fit(loss):
    model = LinearRegressor(loss, delta=0.1).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = LinearRegressor(loss, delta=0.1, max_iter=1).fit(X, -y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            model.set_params(max_iter=1).fit(X, -y)
    np.testing.assert_array_equal(model.coef_, other.coef_)
    assert not model.converged_


def test_the_warning_of_a_scale_of_zero_leaves_the_new_fit():
    model = LinearRegressor("huber", scale="mad").fit(X, y)
    exact = X @ [1.0, 2.0, 3.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="scale"):
            model.fit(X, exact)
    np.testing.assert_allclose(model.coef_, [1.0, 2.0, 3.0])
    assert model.scale_ == 0.0


@pytest.mark.parametrize("loss", ["huber", "mae"])
def test_a_warning_made_an_error_leaves_the_new_cross_validation(loss):
    model = LinearRegressorCV(loss, alphas=[0.0, 0.1]).fit(X, y)
    model.set_params(max_iter=1, tol=1e-300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            model.fit(X, -y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = LinearRegressorCV(loss, alphas=[0.0, 0.1], max_iter=1, tol=1e-300).fit(X, -y)
    np.testing.assert_array_equal(model.coef_, other.coef_)
    assert (
        model.cv_results_["mean_test_score"].tolist()
        == other.cv_results_["mean_test_score"].tolist()
    )


def test_a_scale_of_zero_found_by_cross_validation_leaves_the_new_fit():
    model = LinearRegressorCV(scale="mad", deltas=[1.0, 2.0]).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="scale"):
            model.fit(X, X @ [1.0, 2.0, 3.0])
    np.testing.assert_allclose(model.coef_, [1.0, 2.0, 3.0])


def test_a_warning_points_at_the_line_of_the_user():
    one = warned(lambda: LinearRegressor("huber", delta=0.1, max_iter=1).fit(X, y))
    assert one.filename == __file__
    one = warned(lambda: LinearRegressor("huber", scale="mad").fit(X, X @ np.ones(3)))
    assert one.filename == __file__


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_warning_of_a_cross_validation_points_at_the_line_of_the_user():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        LinearRegressorCV(max_iter=1, tol=1e-300).fit(X, y)
        LinearRegressorCV(scale="mad", deltas=[1.0]).fit(X, X @ np.ones(3))
    assert len(shown) > 1
    assert {warning.filename for warning in shown} == {__file__}


def test_the_warning_of_a_path_points_at_the_line_of_the_user(monkeypatch):
    path = delta_path(X, y, deltas=[0.1, 1.0])
    monkeypatch.setattr("robustreg.path._found", lambda *_: (path, False))
    one = warned(lambda: delta_path(X, y, deltas=[0.1, 1.0]))
    assert one.filename == __file__


def found(loss, unit, w):
    """All numbers that fits and certificates of data in this unit have."""
    Z, v = X * unit, y * unit
    model = LinearRegressor(loss, delta=unit).fit(Z, v, w)
    numbers = [*model.coef_, model.intercept_, model.objective_, model.dual_gap_]
    proof = certify(model, Z, v, w)
    numbers += [proof.gap, proof.objective]
    several = LinearRegressor(loss, delta=unit).fit(Z, np.column_stack([v, -v]), w)
    return [*numbers, *several.coef_.ravel(), *several.objective_]


def found_of_many(unit, w):
    """The same of cross-validation, of paths and of an estimated scale."""
    Z, v = X[:60] * unit, y[:60] * unit
    w = w if w is None else w[:60]
    chosen = LinearRegressorCV(deltas=4, cv=3, scale="mad").fit(Z, v, w)
    path, grid = (
        delta_path(Z, v, sample_weight=w),
        delta_path(Z, v, sample_weight=w, deltas=[unit, 2.0 * unit]),
    )
    numbers = [*chosen.coef_, chosen.delta_, *chosen.cv_results_["mean_test_score"]]
    return [
        *numbers,
        *path.deltas,
        *path.coefs.ravel(),
        *path.objective,
        *grid.coefs.ravel(),
        *grid.dual_gap,
    ]


STATES = ["raise", "ignore"]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("unit", [1e-160, 1.0, 1e150])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_errstate_of_the_caller_does_not_change_a_bit(loss, unit, weighted):
    w = np.arange(400.0) % 3 if weighted else None
    plain = found(loss, unit, w)
    for state in STATES:
        with np.errstate(all=state):
            assert found(loss, unit, w) == plain


@pytest.mark.parametrize("unit", [1e-160, *slow(1.0, 1e150)])
def test_the_errstate_of_the_caller_does_not_change_a_choice_or_a_path(unit):
    plain = found_of_many(unit, None)
    for state in STATES:
        with np.errstate(all=state):
            np.testing.assert_array_equal(found_of_many(unit, None), plain)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_errstate_of_the_caller_does_not_reach_the_threads_of_a_fit(loss):
    Z = np.random.default_rng(1).standard_normal((60_000, 12)) * 1e-160
    v = Z @ np.ones(12)
    v += 1e-160 * np.random.default_rng(2).standard_t(2, 60_000)
    plain = LinearRegressor(loss, delta=1e-160).fit(Z, v)
    with np.errstate(all="raise"):
        model = LinearRegressor(loss, delta=1e-160).fit(Z, v)
    np.testing.assert_array_equal(model.coef_, plain.coef_)


def test_the_errstate_of_the_caller_is_his_again():
    with np.errstate(all="raise"):
        LinearRegressor().fit(X, y)
        assert set(np.geterr().values()) == {"raise"}


def test_coefficients_of_float32_may_underflow():
    Z = X.astype(np.float32) * np.float32(1e20)
    with np.errstate(all="raise"):
        model = LinearRegressor().fit(Z, 1e-20 * y)
    assert model.coef_.dtype == np.float32
    assert np.all(np.isfinite(model.coef_))
