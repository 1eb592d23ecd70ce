"""Each row of the tables of docs/data-types.md is a test of its name."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from dask import array as da
from dask import dataframe as dd
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from scipy import sparse
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from robustreg import LinearRegressor

PAGE = Path(__file__).parents[2] / "docs" / "data-types.md"
RNG = np.random.default_rng(0)
N = 40
# Numbers that every dtype here holds: halves, and 0 and 1.
A = RNG.integers(-20, 20, N) / 2.0
B = RNG.integers(0, 2, N)
X = np.column_stack([A, B])
Y = np.round(4.0 * (A - 3.0 * B + RNG.standard_t(2, N))) / 4.0
W = RNG.integers(0, 3, N)
FRAME = pd.DataFrame({"a": A, "b": B})
WORDS = np.where(B, "yes", "no")


def memory_map(values, folder):
    np.save(folder / "X.npy", values)
    return np.load(folder / "X.npy", mmap_mode="r")


# What is given, and an array of the same numbers.
GIVEN_AS_X = {
    "NumPy array of floats or integers": [
        (X.astype(dtype), X) for dtype in ("f2", "f4", "f8", ">f8", "g")
    ]
    + [(np.asfortranarray(X), X), (X.astype(np.int16), X.astype(np.int16).astype(float))],
    "NumPy array of booleans": [(X > 0, (X > 0).astype(float))],
    "NumPy memory map": [(lambda folder: memory_map(X, folder), X)],
    "NumPy masked array without masked entries": [(np.ma.masked_array(X), X)],
    "list of lists": [(X.tolist(), X)],
    "SciPy sparse matrix or array": [
        (kind(X), X) for kind in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array)
    ],
    "pandas frame": [(FRAME, X), (FRAME.assign(b=B > 0), X)],
    "pandas nullable columns (Float64, Int64, boolean)": [
        (FRAME.astype({"a": "Float64", "b": "Int64"}), X),
        (FRAME.astype({"a": "Float32", "b": "boolean"}), X),
    ],
    "pandas columns of pyarrow": [
        (FRAME.astype({"a": "float64[pyarrow]", "b": "int64[pyarrow]"}), X),
        (FRAME.astype({"b": "bool[pyarrow]"}), X),
    ],
    "pandas sparse columns": [(FRAME.astype(pd.SparseDtype(float, 0.0)), X)],
    "pandas categorical column of numbers": [(FRAME.astype({"b": "category"}), X)],
    "pandas column of objects that are numbers": [(FRAME.astype({"b": object}), X)],
    "polars frame": [
        (pl.DataFrame({"a": A, "b": B}), X),
        (pl.DataFrame({"a": A, "b": B > 0}), X),
    ],
    "pyarrow table": [(pa.table({"a": A, "b": B}), X)],
    "Dask array": [(da.from_array(X, chunks=(13, 2)), X)],
    "Dask frame": [(dd.from_pandas(FRAME, npartitions=3), X)],
}
NAMED = {name for name in GIVEN_AS_X if re.match("pandas|polars|pyarrow|Dask frame", name)}
SERIES = pd.Series(Y, index=np.arange(N)[::-1])
GIVEN_AS_Y = {
    "vector of numbers": [(Y, Y), (Y.tolist(), Y), (B, B), (Y.astype("f4"), Y)],
    "matrix of one column": [(Y[:, None], Y[:, None]), (pd.DataFrame({"y": Y}), Y[:, None])],
    "matrix of several columns": [(np.column_stack([Y, B]), np.column_stack([Y, B]))],
    "booleans": [(B > 0, B), (pd.Series(B > 0, dtype="boolean"), B)],
    "pandas series": [(SERIES, Y)],
    "pandas nullable or pyarrow series": [
        (SERIES.astype("Float64"), Y),
        (SERIES.astype("float64[pyarrow]"), Y),
    ],
    "polars series": [(pl.Series(Y), Y)],
    "pyarrow array": [(pa.array(Y), Y)],
}
GIVEN_AS_WEIGHT = {
    "one number": [(2.0, np.full(N, 2.0))],
    "vector of numbers": [(W, W), (W.tolist(), W)],
    "vector of booleans": [(W > 0, (W > 0).astype(float))],
    "series of pandas or polars": [
        (pd.Series(W), W),
        (pd.Series(W, dtype="Int64"), W),
        (pl.Series(W), W),
    ],
}

NONE_FIRST = [None, *A[1:]]
ROWS = slice(1, None)


def encoded(words):
    return OneHotEncoder(sparse_output=False).fit_transform(np.asarray(words).reshape(-1, 1))


# (X, y, weights) that are refused, and what the advice makes of them.
REFUSED = {
    "missing values in X": [
        ((bad, Y), (SimpleImputer().fit_transform(pd.DataFrame({"a": A, "b": B})), Y))
        for bad in (
            FRAME.assign(a=NONE_FIRST),
            FRAME.assign(a=pd.array(NONE_FIRST, dtype="Float64")),
            FRAME.assign(a=pd.array(NONE_FIRST, dtype="float64[pyarrow]")),
            pl.DataFrame({"a": NONE_FIRST, "b": B}),
            np.where(np.eye(N, 2), np.nan, X),
        )
    ],
    "missing values in y": [
        ((X, bad), (X[ROWS], Y[ROWS]))
        for bad in ([None, *Y[1:]], [np.nan, *Y[1:]], pd.Series([None, *Y[1:]], dtype="Float64"))
    ],
    "masked entries": [
        ((np.ma.masked_array(X, mask=np.eye(N, 2)), Y), (X[2:], Y[2:])),
        ((X, np.ma.masked_array(Y, mask=np.arange(N) == 0)), (X[1:], Y[1:])),
    ],
    "text that holds numbers": [((X.astype(str), Y), (X, Y)), ((X, Y.astype(str)), (X, Y))],
    "infinite values": [((np.where(np.eye(N, 2), np.inf, X), Y), (X[2:], Y[2:]))],
    "column of words": [
        ((frame, Y), (encoded(WORDS), Y))
        for frame in (FRAME.assign(b=WORDS), pl.DataFrame({"a": A, "b": WORDS}))
    ],
    "pandas categorical column of words": [
        ((FRAME.assign(b=pd.Categorical(WORDS)), Y), (encoded(WORDS), Y))
    ],
    "dates beside numbers": [
        ((FRAME.assign(b=pd.Timestamp("2026-01-01") + pd.to_timedelta(B, unit="D")), Y), (X, Y))
    ],
    "complex numbers": [((X + 1j, Y), (np.hstack([X, np.ones_like(X)]), Y))],
    "one feature as a vector": [
        ((A, Y), (A.reshape(-1, 1), Y)),
        ((FRAME["a"], Y), (FRAME[["a"]], Y)),
    ],
    "array of three dimensions": [((X[:, :, None], Y), (X[:, :, None].reshape(N, -1), Y))],
    "columns named by words and by numbers": [((FRAME.rename(columns={"b": 1}), Y), (FRAME, Y))],
    "NumPy record array": [
        (
            (unstructured_to_structured(X, names=["a", "b"]), Y),
            (structured_to_unstructured(unstructured_to_structured(X, names=["a", "b"])), Y),
        )
    ],
    "polars lazy frame": [
        (
            (pl.LazyFrame({"a": A, "b": B}), Y),
            (pl.LazyFrame({"a": A, "b": B}).collect(), Y),
        )
    ],
    "iterator": [((iter(X), Y), (np.array(list(iter(X))), Y))],
    "path of a file": [((str(PAGE), Y), (X, Y)), ((PAGE, Y), (X, Y))],
    "words as y": [((X, WORDS), (X, B)), ((X, "rent"), (X, Y))],
    "negative weight": [((X, Y, W - 1.0), (X, Y, W))],
    "weights as a matrix": [((X, Y, W[:, None]), (X, Y, W[:, None].ravel()))],
}


def cases(rows):
    return [
        pytest.param(*case, id=f"{name}-{k}")
        for name, several in rows.items()
        for k, case in enumerate(several)
    ]


def test_each_row_of_the_page_is_tested_and_each_test_has_its_row():
    tables = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        if rows := re.findall(r"^\| (.+?) \|", section, re.MULTILINE):
            tables[section.split("\n")[0]] = rows[1:]
    assert tables == {
        "X": list(GIVEN_AS_X),
        "y": list(GIVEN_AS_Y),
        "sample_weight": list(GIVEN_AS_WEIGHT),
        "What is refused": list(REFUSED),
    }


@pytest.mark.parametrize("loss", ["mse", "mae"])
@pytest.mark.parametrize(("given", "numbers"), cases(GIVEN_AS_X))
def test_x(given, numbers, loss, tmp_path):
    given = given(tmp_path) if callable(given) else given
    model, expected = LinearRegressor(loss).fit(given, Y), LinearRegressor(loss).fit(numbers, Y)
    single = getattr(given, "dtype", None) == np.float32
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-6 if single else 1e-12)
    assert model.coef_.dtype == (np.float32 if single else np.float64)
    np.testing.assert_allclose(
        np.asarray(model.predict(given)), expected.predict(numbers), rtol=1e-5 if single else 1e-12
    )


@pytest.mark.parametrize("name", sorted(NAMED))
def test_names_of_columns_are_kept_and_asked_for(name):
    for given, _ in GIVEN_AS_X[name]:
        model = LinearRegressor().fit(given, Y)
        assert list(model.feature_names_in_) == ["a", "b"]
        with pytest.raises(ValueError, match="feature names"):
            model.predict(FRAME.rename(columns={"b": "c"}))


@pytest.mark.parametrize("loss", ["mse", "mae"])
@pytest.mark.parametrize(("given", "numbers"), cases(GIVEN_AS_Y))
def test_y(given, numbers, loss):
    model, expected = LinearRegressor(loss).fit(X, given), LinearRegressor(loss).fit(X, numbers)
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    assert model.predict(X).shape == numbers.shape


@pytest.mark.parametrize(("given", "numbers"), cases(GIVEN_AS_WEIGHT))
def test_sample_weight(given, numbers):
    model = LinearRegressor("mae").fit(X, Y, given)
    rows = np.repeat(np.arange(N), numbers.astype(int))
    expected = LinearRegressor("mae").fit(X[rows], Y[rows])
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)


# Older scikit-learn asks a lazy frame for its columns, of which polars warns.
@pytest.mark.filterwarnings("ignore:Determining the data types of a LazyFrame")
@pytest.mark.parametrize(("given", "mended"), cases(REFUSED))
def test_refused_with_an_advice_that_works(given, mended):
    model = LinearRegressor("mae").fit(X, Y)
    before = vars(model).copy()
    with pytest.raises((ValueError, TypeError)):
        model.fit(*given)
    assert vars(model) == before, "an earlier fit is left as it was"
    assert clone(model).fit(*mended).converged_


def test_a_pipeline_does_what_the_page_says_of_missing_values():
    pipeline = make_pipeline(SimpleImputer(), LinearRegressor("mae"))
    assert np.all(np.isfinite(pipeline.fit(FRAME.assign(a=NONE_FIRST), Y).predict(FRAME)))
