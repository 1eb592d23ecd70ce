"""Parts of a source have every row once, in order; a pass has the same bits for any threads."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from robustreg.data.arrays import ArraySource, SparseSource, make_source
from robustreg.data.blocks import BLOCK, LONGEST
from robustreg.data.source import Sums, spread_out, sweep
from robustreg.data.threads import one_blas_thread

P = 60
STEP = BLOCK // P  # rows of one block of so many columns


def few_levels(rng, n, p):
    return rng.integers(-3, 4, (n, p))


def memory_map(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


STORED = {
    "C": lambda X, folder: np.ascontiguousarray(X, dtype=np.float64),
    "F": lambda X, folder: np.asfortranarray(X, dtype=np.float64),
    "float32": lambda X, folder: X.astype(np.float32),
    "int8 F": lambda X, folder: np.asfortranarray(X.astype(np.int8)),
    "bool": lambda X, folder: X > 0,
    "memory map": lambda X, folder: memory_map(X.astype(np.float64), folder),
    "every other row": lambda X, folder: np.repeat(X.astype(np.float64), 2, axis=0)[::2],
    "CSR": lambda X, folder: sparse.csr_array(X.astype(np.float64)),
    "CSR of integers": lambda X, folder: sparse.csr_matrix(X),
}


def dense(X):
    return np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=np.float64)


def source_of(kind, n, p, folder, weighted=True):
    """(source, X dense, y, w)."""
    rng = np.random.default_rng(n)
    X = STORED[kind](few_levels(rng, n, p), folder)
    w = rng.uniform(0.5, 2.0, n) if weighted else None
    return make_source(X, y := rng.standard_normal(n), w), dense(X), y, w


@pytest.mark.parametrize(("n", "weighted"), [(1, True), (100, False), (2 * STEP + 17, True)])
@pytest.mark.parametrize("kind", STORED)
def test_the_parts_have_every_row_once_and_in_order(kind, n, weighted, tmp_path):
    source, X, y, w = source_of(kind, n, P, tmp_path, weighted)
    assert (source.n_rows, source.n_features) == X.shape
    assert source.is_sparse == kind.startswith("CSR")
    assert 1 <= source.n_groups <= 16
    begin = 0
    for group in range(source.n_groups):
        n_parts = 0
        for part in source.parts(group):
            rows = slice(begin, begin + part.X.shape[0])
            assert part.begin == begin
            assert part.X.dtype == np.float64
            np.testing.assert_array_equal(dense(part.X), X[rows])
            np.testing.assert_array_equal(part.y, y[rows])
            if weighted:
                np.testing.assert_array_equal(part.w, w[rows])
            else:
                assert part.w is None
            begin, n_parts = rows.stop, n_parts + 1
        assert n_parts  # a sum of nothing has no record
    assert begin == n
    assert source.weight == pytest.approx(w.sum() if weighted else n)


@pytest.mark.parametrize("kind", ["C", "CSR"])
def test_large_sources_have_parts_of_a_size_that_stays_in_the_cache(kind, tmp_path):
    source, X, _, _ = source_of(kind, 3 * LONGEST, 12, tmp_path)
    sizes = [part.X.shape[0] for group in range(source.n_groups) for part in source.parts(group)]
    assert sum(sizes) == len(X)
    assert len(sizes) > 1
    assert max(sizes) * 12 <= 2 * BLOCK


@pytest.mark.parametrize("n", [100, STEP + 5])
@pytest.mark.parametrize("kind", STORED)
def test_some_rows_of_a_source(kind, n, tmp_path):
    source, X, y, w = source_of(kind, n, P, tmp_path)
    for index in (slice(None), slice(3, 50, 7), np.array([n - 1, 0, 5, 5]), np.zeros(0, dtype=int)):
        part = source.take(index)
        np.testing.assert_array_equal(dense(part.X), X[index])
        np.testing.assert_array_equal(part.y, y[index])
        np.testing.assert_array_equal(part.w, w[index])


@pytest.mark.parametrize("kind", STORED)
def test_a_source_is_only_read(kind, tmp_path):
    X = STORED[kind](few_levels(np.random.default_rng(0), 2 * STEP + 1, P), tmp_path)
    before = dense(X).copy()
    source = make_source(X, np.zeros(X.shape[0]), None)
    for group in range(source.n_groups):
        for part in source.parts(group):
            assert part.X.shape[1] == P
    np.testing.assert_array_equal(dense(X), before)


def test_the_storage_decides_the_source():
    X, y = np.eye(3), np.zeros(3)
    assert isinstance(make_source(X, y, None), ArraySource)
    assert isinstance(make_source(sparse.csr_array(X), y, None), SparseSource)


# -- passes ------------------------------------------------------------------------------------


@dataclass
class Inner(Sums):
    total: float
    none: None


@dataclass
class Record(Sums):
    """Everything that a record may be made of."""

    array: np.ndarray
    number: float
    count: int
    index: list
    threads: list
    inner: Inner


def of_part(part, power):
    """Numbers that rounding tells apart in any other order of adding them."""
    value = np.asarray(part.X.sum(axis=1)).ravel() + part.y**power
    inner, name = Inner(value.max(), None), threading.current_thread().name
    return Record(
        part.X.T @ value, float(value.sum()), len(value), [part.begin], [name], inner
    )  # fmt: skip


def many_parts(kind):
    """A source of several parts, and of more parts than groups if it is dense."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((20 * LONGEST + 5, 2)), rng.standard_normal(20 * LONGEST + 5)
    return make_source(sparse.csr_array(X) if kind == "CSR" else X, y, None)


def numbers(record):
    return (record.array.tobytes(), record.number, record.count, record.index, record.inner)


@pytest.mark.parametrize("kind", ["C", "CSR"])
def test_a_pass_has_the_same_bits_for_any_number_of_threads(kind):
    source = many_parts(kind)
    found = {}
    for limit in (1, 2, 16):
        with threadpool_limits(limit), one_blas_thread():
            found[limit] = sweep(source, of_part, 3)
    for limit, record in found.items():
        assert numbers(record) == numbers(found[1])
        assert len(set(record.threads)) == min(limit, source.n_groups)  # so many did take part
    assert found[1].count == source.n_rows
    assert found[1].inner.none is None


@pytest.mark.parametrize("kind", ["C", "CSR"])
def test_a_pass_adds_in_the_order_of_the_rows(kind):
    source = many_parts(kind)
    total = None
    with threadpool_limits(2), one_blas_thread():
        record = sweep(source, of_part, 3)
        for group in range(source.n_groups):
            of_group = None
            for part in source.parts(group):
                one = of_part(part, 3)
                of_group = one if of_group is None else of_group + one
            total = of_group if total is None else total + of_group
    assert record.index == sorted(record.index)
    assert numbers(record) == numbers(total)


def test_any_record_with_a_sum_will_do():
    source = many_parts("C")
    assert source.blocks.n_blocks > source.n_groups > 1
    with threadpool_limits(2), one_blas_thread():
        assert sweep(source, lambda part: len(part.y)) == source.n_rows
        begins = sweep(source, lambda part: f"{part.begin} ").split()
        np.testing.assert_allclose(
            sweep(source, lambda part: part.X.sum(axis=0)), source.X.sum(axis=0)
        )
    assert begins == sorted(begins, key=int)
    assert len(begins) == len(set(begins)) > 1


# -- samples -----------------------------------------------------------------------------------


SIZES = [(1, 1), (10, 1), (10, 3), (10, 9), (1000, 37), (10**6, 999), (2**40, 50)]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_a_sample_has_one_row_of_each_range(n, m):
    rows = spread_out(n, m)
    assert rows.dtype.kind == "i"
    assert len(rows) == m
    for k, row in enumerate(rows):
        assert k * n // m <= row < (k + 1) * n // m
    np.testing.assert_array_equal(rows, spread_out(n, m))
    assert np.all(np.diff(rows) > 0)


@pytest.mark.parametrize("m", [10, 11, 1000])
def test_a_sample_of_all_rows_is_all_rows(m):
    np.testing.assert_array_equal(spread_out(10, m), np.arange(10))


def test_a_sample_does_not_follow_a_period_of_the_rows():
    """Rows that come in turns of ten kinds: the sample has about as many of each."""
    count = np.bincount(spread_out(100_000, 10_000) % 10, minlength=10)
    assert np.all((count > 850) & (count < 1150))
