"""certify asks an estimator for predictions with the X that the user gave, whatever its container."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import LinearRegressor, certify

rng = np.random.default_rng(0)
X = rng.standard_normal((50, 3))
y = X @ [1.0, 2.0, 3.0] + rng.standard_normal(50)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


class FromColumns(BaseEstimator):
    """Least squares that looks its columns up by name."""

    sign = 1.0

    def fit(self, X, y):
        model = LinearRegression().fit(X, y)
        self.coef_, self.intercept_ = model.coef_, model.intercept_
        return self

    def predict(self, X):
        return self.sign * (X[["a", "b", "c"]].to_numpy() @ self.coef_ + self.intercept_)


class FromArrays(FromColumns):
    """Least squares that slices arrays."""

    def predict(self, X):
        return self.sign * (X[:, 0:3] @ self.coef_ + self.intercept_)


class WithLink(FromColumns):
    sign = -1.0


class ArraysWithLink(FromArrays):
    sign = -1.0


@pytest.mark.parametrize(
    "frame", [FRAME, pl.DataFrame(FRAME.to_dict("list"))], ids=["pandas", "polars"]
)
def test_an_estimator_that_needs_columns_is_certified(frame):
    assert certify(FromColumns().fit(FRAME, y), frame, y, loss="mse").gap <= 1e-12


def test_an_estimator_that_needs_columns_is_certified_on_an_array():
    assert certify(FromColumns().fit(FRAME, y), X, y, loss="mse").gap <= 1e-12


@pytest.mark.parametrize("given", [FRAME, X, X.tolist()], ids=["frame", "array", "list"])
def test_an_estimator_that_needs_an_array_is_certified(given):
    assert certify(FromArrays().fit(FRAME, y), given, y, loss="mse").gap <= 1e-12


@pytest.mark.parametrize(
    ("kind", "given"), [(WithLink, FRAME), (ArraysWithLink, FRAME), (ArraysWithLink, X)]
)
def test_predictions_of_something_else_are_still_noticed(kind, given):
    with pytest.raises(ValueError, match="predicts something else"):
        certify(kind().fit(FRAME, y), given, y, loss="mse")


def test_a_frame_without_the_columns_is_refused_in_the_words_of_the_estimator():
    with pytest.raises(KeyError, match="a"):
        certify(FromColumns().fit(FRAME, y), FRAME.rename(columns={"a": "z"}), y, loss="mse")


def test_the_last_step_of_a_pipeline_sees_the_frame_that_the_others_make():
    scaler = StandardScaler().set_output(transform="pandas")
    pipeline = make_pipeline(scaler, FromColumns()).fit(FRAME, y)
    assert certify(pipeline, FRAME, y, loss="mse").gap <= 1e-12


@pytest.mark.parametrize(
    "storage", [sparse.csr_array, sparse.csc_array, sparse.coo_array, sparse.coo_matrix]
)
def test_a_sparse_X_of_any_format_is_compared(storage):
    model = LinearRegressor().fit(X, y)
    assert certify(model, storage(X), y).gap <= 1e-12


def test_what_is_not_finite_is_told_by_its_name():
    Z = X.copy()
    Z[3, 1] = np.nan
    for given in (Z, pd.DataFrame(Z, columns=["a", "b", "c"])):
        with pytest.raises(ValueError, match="contains NaN"):
            certify(LinearRegression().fit(FRAME, y), given, y, loss="mse")
    with pytest.raises(ValueError, match="contains NaN"):
        certify(FromColumns().fit(FRAME, y), Z, y, loss="mse")
