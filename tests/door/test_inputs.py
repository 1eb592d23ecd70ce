"""Every kind of X, y and weight gives the same answer, and none is written to."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from problems import LOSSES
from scipy import sparse

from robustreg import LinearRegressor

rng = np.random.default_rng(0)
X = rng.integers(-3, 4, (80, 4)).astype(float)
X[:, 0] += 100.0  # a dense column among ones with zeros
y = X @ [0.5, 1.0, -1.0, 2.0] + rng.standard_t(2, 80)
w = rng.uniform(0.5, 2.0, 80)


def readonly(A):
    A = A.copy()
    A.flags.writeable = False
    return A


def memmap(A, folder):
    out = np.memmap(folder / "X", dtype=A.dtype, mode="w+", shape=A.shape)
    out[:] = A
    out.flush()
    return np.memmap(folder / "X", dtype=A.dtype, mode="r", shape=A.shape)


KINDS = {
    "fortran": np.asfortranarray,
    "strided": lambda A: np.repeat(A, 2, axis=1)[:, ::2],
    "readonly": readonly,
    "list": lambda A: A.tolist(),
    "int64": lambda A: A.astype(np.int64),
    "int8": lambda A: A.astype(np.int8),
    "float16": lambda A: A.astype(np.float16),
    "longdouble": lambda A: A.astype(np.longdouble),
    "object": lambda A: A.astype(object),
    "pandas": lambda A: pd.DataFrame(A, columns=list("abcd")),
    "pandas mixed": lambda A: pd.DataFrame(A, columns=list("abcd")).astype({"a": "int32", "b": "Int64"}),
    "polars": lambda A: pl.DataFrame(A, schema=list("abcd")),
} | {
    f"{form} {kind}": lambda A, form=form, kind=kind: getattr(sparse, f"{form}_{kind}")(A)
    for form in ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"]
    for kind in ["array", "matrix"]
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_kinds_of_X_agree(loss, kind):
    expected = LinearRegressor(loss).fit(X, y, w)
    A = KINDS[kind](X)
    model = LinearRegressor(loss).fit(A, y, w)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-9)
    np.testing.assert_allclose(model.predict(A), expected.predict(X), rtol=1e-9)
    assert model.coef_.dtype == np.float64


@pytest.mark.parametrize("loss", LOSSES)
def test_memory_maps(loss, tmp_path):
    model = LinearRegressor(loss).fit(memmap(X, tmp_path), y)
    np.testing.assert_array_equal(model.coef_, LinearRegressor(loss).fit(X, y).coef_)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, pd.DataFrame])
@pytest.mark.parametrize("loss", LOSSES)
def test_float32_is_kept_outside_and_exact_inside(loss, kind):
    A = X.astype(np.float32) / np.float32(7)
    expected = LinearRegressor(loss).fit(A.astype(np.float64), y)
    model = LinearRegressor(loss).fit(kind(A), y)
    assert model.coef_.dtype == np.float32
    assert np.asarray(model.intercept_).dtype == np.float32
    np.testing.assert_array_equal(model.coef_, expected.coef_.astype(np.float32))
    assert model.predict(kind(A)).dtype == np.float32


def test_bool_columns():
    A = X > 0
    model = LinearRegressor("mae").fit(A, y)
    np.testing.assert_allclose(
        model.coef_, LinearRegressor("mae").fit(A.astype(float), y).coef_, rtol=1e-12
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("loss", LOSSES)
def test_no_whole_float64_copy_of_X(loss, dtype):
    import tracemalloc

    A = np.asfortranarray(np.random.default_rng(0).integers(-99, 99, (20_000, 150)).astype(dtype))
    target = A[:, 0] + np.random.default_rng(1).standard_normal(20_000)
    tracemalloc.start()
    LinearRegressor(loss, max_iter=1000).fit(A, target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.75 * 8 * A.size


@pytest.mark.parametrize(
    "kind", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csc_array]
)
@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_is_written_to(loss, kind):
    A, b, c = kind(X.copy()), y.copy(), w.copy()
    c[0] = 0.0
    LinearRegressor(loss, alpha=0.1).fit(A, b, c)
    np.testing.assert_array_equal(A.toarray() if sparse.issparse(A) else A, X)
    np.testing.assert_array_equal(b, y)
    np.testing.assert_array_equal(c[1:], w[1:])


@pytest.mark.parametrize("solver", ["auto", "scipy"])
@pytest.mark.parametrize("loss", LOSSES)
def test_several_targets_are_fitted_one_by_one(loss, solver):
    Y = np.column_stack([y, X[:, 1] - y, np.zeros(80)])
    model = LinearRegressor(loss, solver=solver).fit(X, Y, w)
    assert model.coef_.shape == (3, 4)
    assert model.intercept_.shape == model.dual_gap_.shape == model.objective_.shape == (3,)
    assert model.predict(X).shape == (80, 3)
    if loss == "huber":
        assert model.outliers_.shape == (80, 3)
    for k in range(3):
        one = LinearRegressor(loss, solver=solver).fit(X, Y[:, k], w)
        np.testing.assert_allclose(model.coef_[k], one.coef_, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(model.objective_[k], one.objective_, rtol=1e-12)
    assert LinearRegressor(loss).fit(X, Y[:, :1]).coef_.shape == (1, 4)


def test_feature_names_are_kept_and_checked():
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = LinearRegressor("mae").fit(frame, y)
    assert list(model.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("abdc")])
    assert list(
        LinearRegressor().fit(pl.DataFrame(X, schema=list("abcd")), y).feature_names_in_
    ) == list("abcd")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_wide_sparse_design_of_dummies(loss):
    # One-hot columns with an intercept: rank deficient by construction, three blocks of rows.
    codes = np.random.default_rng(0).integers(0, 40, (20_000, 2))
    A = sparse.hstack([sparse.csr_array((np.ones(20_000), (np.arange(20_000), c)), shape=(20_000, 40))
                       for c in codes.T]).tocsr()  # fmt: skip
    target = codes[:, 0] * 0.1 + np.random.default_rng(1).standard_t(2, 20_000)
    model = LinearRegressor(loss).fit(A, target)
    assert model.converged_
    assert model.rank_ == 78
    dense = LinearRegressor(loss).fit(A.toarray(), target)
    np.testing.assert_allclose(model.coef_, dense.coef_, atol=1e-9)
    np.testing.assert_allclose(model.predict(A), dense.predict(A), atol=1e-9)
    assert (
        np.abs(target - model.predict(A)).mean() < 1.05 * np.abs(target - codes[:, 0] * 0.1).mean()
    )
    np.testing.assert_allclose(
        model.coef_[:40].sum(), model.coef_[40:].sum(), atol=1e-9
    )  # least norm


@pytest.mark.parametrize("loss", LOSSES)
def test_many_more_columns_than_rows_never_form_their_gram_matrix(loss):
    import tracemalloc

    A = np.random.default_rng(0).standard_normal((30, 4000))
    target = A[:, 0] + np.random.default_rng(1).standard_normal(30)
    tracemalloc.start()
    model = LinearRegressor(loss).fit(A, target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.converged_
    assert peak < 0.25 * 8 * 4000**2
