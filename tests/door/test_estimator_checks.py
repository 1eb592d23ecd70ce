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
ESTIMATORS += [LinearRegressor("quantile", quantile=0.2)]
ESTIMATORS += [
    LinearRegressor("quantile", quantile=0.8, fit_intercept=False, alpha=alpha, solver=solver)
    for alpha, solver in itertools.product([0.0, 0.1], ["auto", "scipy"])
]
SCALES = ["mad", "concomitant", "proposal2"]
ESTIMATORS += [LinearRegressor("huber", scale=scale) for scale in [0.5, *SCALES]]
ESTIMATORS += [LinearRegressor("huber", scale=scale, solver="scipy") for scale in SCALES]
# Not with an intercept, too: one check has 11 rows for 10 columns, of which proposal2 leaves none
# to tell a scale.
ESTIMATORS += [
    LinearRegressor("huber", scale=scale, alpha=0.1, fit_intercept=False) for scale in SCALES
]
ESTIMATORS += [
    LinearRegressorCV(deltas=4),
    LinearRegressorCV("mae", alphas=(0.0, 0.1)),
    LinearRegressorCV("mse", alphas=(0.0, 0.1), cv=3),
    LinearRegressorCV("quantile", quantile=0.8, alphas=(0.0, 0.1), cv=3),
]
ESTIMATORS += [
    LinearRegressorCV(deltas=3, scale=scale) for scale in ("mad", "concomitant", "proposal2")
]


# These run always, the others where the slow tests do.
MAIN = [*(LinearRegressor(loss) for loss in ("mse", "mae", "huber")), LinearRegressorCV(deltas=4)]
MAIN += [LinearRegressor("quantile", quantile=0.2)]


def checks_of(estimators):
    """scikit-learn's checks as parameters of a test, those of estimators that are not MAIN marked
    slow.
    """
    mark, main = parametrize_with_checks(estimators), {str(estimator) for estimator in MAIN}
    names, checks = mark.args
    cases = [
        pytest.param(estimator, check, marks=[] if str(estimator) in main else [pytest.mark.slow])
        for estimator, check in checks
    ]
    return pytest.mark.parametrize(names, cases, **mark.kwargs)


@pytest.mark.filterwarnings("default", "ignore:More than three quarters")
@checks_of(ESTIMATORS)
def test_scikit_learn_check(estimator, check):
    check(estimator)
