"""Columns with heavy tails, and single rows of high leverage, go in passes: what they cost, and that
the fit is exact.
"""

import numpy as np
import pytest
from problems import way

from robustreg import LinearRegressor, certify

N, P = 60_000, 4


def table(draw, seed=0):
    rng = np.random.default_rng(seed)
    X = draw(rng)
    return X, X @ np.arange(1.0, P + 1.0) + 3.0 + rng.standard_t(2, N)


def cauchy(seed=0):
    return table(lambda rng: rng.standard_cauchy((N, P)), seed)


def t2(seed=0):
    return table(lambda rng: rng.standard_t(2, (N, P)), seed)


def lognormal(seed=0):
    return table(lambda rng: np.exp(2.0 * rng.standard_normal((N, P))), seed)


def one_row(seed=0):
    def draw(rng):
        X = rng.standard_normal((N, P))
        X[777] = 1e5 * rng.standard_normal(P)
        return X

    return table(draw, seed)


KINDS = [cauchy, t2, lognormal, one_row]
MOST_PASSES = {cauchy: 6, t2: 3, lognormal: 4, one_row: 9}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["mae", "huber"])
@pytest.mark.parametrize("parameters", [{}, {"alpha": 0.01}, {"fit_intercept": False}])
def test_rows_of_high_leverage_are_fitted_exactly_in_passes(kind, loss, parameters):
    for seed in range(2):
        X, y = kind(seed)
        model = LinearRegressor(loss, delta=1.0, **parameters).fit(X, y)
        assert (model.work_.way, model.work_.refused) == ("passes", "")
        assert model.work_.n_passes <= MOST_PASSES[kind]
        assert model.work_.n_kept <= 0.5 * N
        with way("direct"):
            direct = LinearRegressor(loss, delta=1.0, **parameters).fit(X, y)
        np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-9)
        np.testing.assert_allclose(model.intercept_, direct.intercept_, rtol=1e-9, atol=1e-12)
        assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)
        assert certify(model, X, y).gap <= 1e-9


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_rows_of_high_leverage_with_weights(loss):
    X, y = lognormal(5)
    w = 10.0 ** np.random.default_rng(1).uniform(-3, 0, N)
    model = LinearRegressor(loss, delta=1.0).fit(X, y, w)
    assert model.work_.way == "passes"
    assert certify(model, X, y, w).gap <= 1e-9


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_rows_of_high_leverage_beside_dependent_and_rare_columns(loss):
    """A total of other columns, all levels of a factor, and one that a sample hardly knows."""
    rng = np.random.default_rng(0)
    X, y = cauchy()
    levels = np.eye(3)[rng.integers(0, 3, N)]
    rare = np.zeros((N, 1))
    rare[[5, 700, 31_000]] = 1.0
    X = np.hstack([X, X[:, :1] + X[:, 1:2], levels, rare])
    model = LinearRegressor(loss, delta=1.0).fit(X, y)
    assert (model.work_.way, model.work_.refused) == ("passes", "")
    with way("direct"):
        direct = LinearRegressor(loss, delta=1.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-7, atol=1e-9)
    assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_several_targets_with_rows_of_high_leverage(loss):
    X, y = cauchy()
    Y = np.column_stack([y, y[::-1], 2.0 * y + X[:, 0]])
    model = LinearRegressor(loss, delta=1.0).fit(X, Y)
    for k, y in enumerate(Y.T):
        one = LinearRegressor(loss, delta=1.0).fit(X, y)
        assert one.work_.way == "passes"
        np.testing.assert_allclose(model.coef_[k], one.coef_, rtol=1e-9, atol=1e-12)
