"""Many rows drawn from a few: nearly all lie on the fit, and those that a solver leaves open are
copies of one.
"""

import warnings

import numpy as np
import pytest
from problems import slow

from robustreg import LinearRegressor


@pytest.mark.parametrize("seed", [1, 3, *slow(4, 5, 6, 8)])
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_rows_drawn_from_seven_fit_without_a_warning_as_the_seven_with_weights(loss, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((7, 3)), rng.standard_normal(7)
    drawn = rng.integers(7, size=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LinearRegressor(loss, delta=0.1).fit(X[drawn], y[drawn])
    seven = LinearRegressor(loss, delta=0.1).fit(X, y, np.bincount(drawn, minlength=7))
    assert model.converged_
    np.testing.assert_allclose(model.coef_, seven.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.intercept_, seven.intercept_, rtol=1e-9)
