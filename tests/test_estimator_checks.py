"""scikit-learn's own checks over loss, intercept, penalty and solver; nothing is expected to fail."""

import itertools

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from robustreg import LinearRegressor, LinearRegressorCV

ESTIMATORS = [
    LinearRegressor(loss, fit_intercept=fit_intercept, alpha=alpha, solver=solver)
    for loss, fit_intercept, alpha, solver in itertools.product(
        ["mse", "mae", "huber"], [True, False], [0.0, 0.1], ["auto", "scipy"]
    )
]
ESTIMATORS += [LinearRegressor("huber", scale=scale) for scale in (0.5, "mad", "concomitant", "proposal2")]
ESTIMATORS += [
    LinearRegressorCV(deltas=4),
    LinearRegressorCV("mae", alphas=(0.0, 0.1)),
    LinearRegressorCV("mse", cv=3),
]
ESTIMATORS += [LinearRegressorCV(deltas=3, scale=scale) for scale in ("mad", "concomitant", "proposal2")]


@pytest.mark.filterwarnings("default")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_check(estimator, check):
    check(estimator)
