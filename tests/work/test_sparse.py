"""Sparse X stays sparse: what a fit costs, and that its answer is that of the dense one."""

import tracemalloc

import numpy as np
import pytest
from problems import LOSSES, slow, way
from scipy import sparse

from robustreg import LinearRegressor, certify


def one_hot(n, sizes, seed=0):
    """Factors of these numbers of levels, each without its first level, as CSR."""
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, k, n) for k in sizes]
    levels = [
        sparse.csr_array((np.ones(n), (np.arange(n), c)), shape=(n, c.max() + 1)) for c in codes
    ]
    return sparse.csr_array(sparse.hstack([level[:, 1:] for level in levels]))


def with_target(X, seed=1):
    rng = np.random.default_rng(seed)
    return X, X @ rng.standard_normal(X.shape[1]) + rng.standard_t(2, X.shape[0])


def factors():
    return with_target(one_hot(4000, [30, 30]))


def thin():
    X = sparse.random_array((4000, 40), density=0.05, rng=np.random.default_rng(0), format="csr")
    return with_target(X)


def a_year_beside_factors():
    rng = np.random.default_rng(2)
    numbers = np.column_stack([rng.integers(1990, 2024, 4000), rng.standard_normal(4000)])
    return with_target(sparse.csr_array(sparse.hstack([one_hot(4000, [20, 20]), numbers])))


def counts():
    rng = np.random.default_rng(3)
    X = sparse.csr_array(
        (np.ones(40_000), (np.repeat(np.arange(4000), 10), rng.integers(0, 60, 40_000))),
        shape=(4000, 60),
    )
    return with_target(X)


KINDS = {kind.__name__: kind() for kind in (factors, thin, a_year_beside_factors, counts)}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_sparse_fit_in_passes_is_that_of_the_dense_X(kind, loss):
    X, y = KINDS[kind]
    model = LinearRegressor(loss, delta=1.0).fit(X, y)
    assert model.work_.way == "passes"
    assert model.dual_gap_ <= 1e-10
    with way("direct"):
        expected = LinearRegressor(loss, delta=1.0).fit(X.toarray(), y)
    size = np.abs(expected.coef_).max()
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-9 * size)
    np.testing.assert_allclose(model.intercept_, expected.intercept_, rtol=1e-9, atol=1e-9 * size)
    assert model.unique_ == expected.unique_


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_of_a_sparse_X_are_kept_open_by_their_entries(loss):
    X, y = with_target(one_hot(20_000, [100, 100]))
    assert np.prod(X.shape) > 2**20  # more than dense rows may have
    model = LinearRegressor(loss, delta=1.0).fit(X, y)
    assert model.work_.way == "passes"
    assert model.work_.n_kept == (0 if loss == "mse" else 20_000)


@pytest.mark.parametrize("loss", ["huber", *slow("mse", "mae")])
def test_no_dense_copy_is_made(loss):
    X, y = with_target(one_hot(50_000, [150, 150]))
    dense, of_gram = 8 * np.prod(X.shape), 8 * X.shape[1] ** 2
    model = LinearRegressor(loss, delta=1.0)
    for run in (lambda: model.fit(X, y), lambda: model.predict(X), lambda: certify(model, X, y)):
        tracemalloc.start()
        run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.5 * dense
        assert peak < 60 * of_gram + 16 * 12 * X.nnz
    assert model.work_.way == "passes"


def test_columns_too_many_for_a_gram_matrix_are_refused_before_any_work():
    n = 1_000_000
    X = sparse.csr_array((np.ones(n), (np.arange(n), np.arange(n))), shape=(n, n))
    tracemalloc.start()
    with pytest.raises(MemoryError, match=r"1,000,000 columns.* 8,000 GB each.* SelectKBest"):
        LinearRegressor("mae").fit(X, np.arange(n, dtype=float))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e8
