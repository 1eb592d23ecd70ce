"""Ordinary tables in ordinary dress: no warning, and a proof."""

import warnings

import pytest
from problems import slow
from sklearn import datasets
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)

from robustreg import LinearRegressor, certify

TABLES = ["diabetes", "iris", "wine", "breast_cancer", "linnerud"]
LOSSES = [{"loss": "mse"}, {"loss": "mae"}, {"loss": "huber", "delta": 1.0}]
# Older versions of scikit-learn have one method only.
METHODS = {"quantile_method": "averaged_inverted_cdf"}
BINS = METHODS if "quantile_method" in KBinsDiscretizer().get_params() else {}
PREPARED = {
    "raw": lambda: make_pipeline("passthrough"),
    "standard": StandardScaler,
    "minmax": MinMaxScaler,
    "quantile": lambda: QuantileTransformer(n_quantiles=20),
    "power": PowerTransformer,
    "bins, sparse": lambda: KBinsDiscretizer(5, **BINS),
    "bins, dense": lambda: KBinsDiscretizer(4, encode="onehot-dense", **BINS),
    "bins but the first": lambda: make_pipeline(
        KBinsDiscretizer(5, encode="ordinal", **BINS), OneHotEncoder(drop="first")
    ),
    "squares": lambda: PolynomialFeatures(2),
    "squares, standard": lambda: make_pipeline(
        StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler()
    ),
    "splines": SplineTransformer,
}
QUICK = [
    ("diabetes", "bins, sparse"),
    ("iris", "squares"),
    ("linnerud", "splines"),
    ("wine", "raw"),
]
# 496 columns are slow.
LONG = [
    (table, prepared)
    for table in TABLES
    for prepared in PREPARED
    if (table, prepared) not in QUICK and not ("squares" in prepared and table == "breast_cancer")
]


def table(name, prepared):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    y = y if y.ndim == 1 else y[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PREPARED[prepared]().fit_transform(X), y.astype(float)


@pytest.mark.parametrize("case", [*QUICK, *slow(*LONG)])
def test_no_warning_and_a_proof(case):
    X, y = table(*case)
    for parameters in LOSSES:
        for alpha in (0.0, 1e-3, 1.0):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                model = LinearRegressor(alpha=alpha, **parameters).fit(X, y)
            proof = certify(model, X, y)
            assert model.converged_
            assert proof.gap <= 1e-9, (parameters, alpha)


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1.0, 1e-3])
@pytest.mark.parametrize("alpha", [1.0, 100.0])
def test_a_penalty_on_nearly_dependent_columns(unit, alpha):
    """Along them it is so stiff that the last digit of phi decides its gradient, not the dual."""
    X, y = table("breast_cancer", "splines")
    model = LinearRegressor("mae", alpha=alpha).fit(unit * X, y)
    assert model.dual_gap_ <= 3e-10
    assert certify(model, unit * X, y).gap <= 1e-10


@pytest.mark.slow
def test_a_proof_that_the_dual_of_nearly_dependent_columns_alone_does_not_give():
    X, y = table("breast_cancer", "splines")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LinearRegressor("mae", alpha=0.1).fit(X, y)
    assert certify(model, X, y).gap <= model.dual_gap_ <= 1e-9
