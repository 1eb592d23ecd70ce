"""X in a file, mapped into memory: read in order, once per pass, and never copied whole."""

import tracemalloc

import numpy as np
import pytest
from problems import LOSSES
from threadpoolctl import threadpool_limits

from robustreg import LinearRegressor, certify
from robustreg.data.blocks import Blocks

N, P = 100_000, 30
WHOLE = 8 * N * P  # bytes of X in float64
KINDS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "float32": lambda A: A.astype(np.float32),
    "big-endian": lambda A: A.astype(">f8"),
    "int16": lambda A: np.round(100 * A).astype(np.int16),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with X of each kind, y, and weights of which some are 0."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    X = rng.standard_normal((N, P))
    for kind, made in KINDS.items():
        np.save(folder / f"{kind}.npy", made(X))
    np.save(folder / "y.npy", X @ np.arange(1.0, P + 1.0) + rng.standard_t(2, N))
    np.save(folder / "w.npy", rng.integers(0, 4, N).astype(float))
    return lambda name: np.load(folder / f"{name}.npy", mmap_mode="r")


def memory_of(function):
    """(what the function returns, the most bytes that it allocated at a time), with one thread: each
    has a block of its own.
    """
    tracemalloc.start()
    try:
        with threadpool_limits(1):
            return function(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_neither_a_fit_nor_a_prediction_copies_the_file(files, loss, kind):
    X, y = files(kind), files("y")
    model, most = memory_of(lambda: LinearRegressor(loss).fit(X, y))
    assert most < (0.1 if loss == "mse" else 0.6) * WHOLE  # kept rows: a part that falls as n grows
    assert model.work_.way == "passes"
    predicted, most = memory_of(lambda: model.predict(X))
    assert most < predicted.nbytes + 0.25 * WHOLE
    in_memory = LinearRegressor(loss).fit(np.array(X), y)
    np.testing.assert_array_equal(model.coef_, in_memory.coef_)
    assert model.coef_.dtype == predicted.dtype == (np.float32 if kind == "float32" else np.float64)


@pytest.mark.parametrize("kind", ["C", "int16"])
def test_a_proof_holds_some_numbers_for_each_row_but_not_the_rows(files, kind):
    X, y = files(kind), files("y")
    model = LinearRegressor("mae").fit(X, y)
    proof, most = memory_of(lambda: certify(model, X, y))
    assert proof.gap <= 1e-9
    assert most < 8 * 20 * N  # bytes; X has 8 * 30 * N


@pytest.mark.parametrize("kind", ["C", "Fortran"])
@pytest.mark.parametrize("loss", LOSSES)
def test_rows_of_weight_zero_are_skipped_without_a_copy_of_the_others(files, loss, kind):
    X, y, w = files(kind), files("y"), files("w")
    model, most = memory_of(lambda: LinearRegressor(loss).fit(X, y, w))
    assert most < (0.35 if loss == "mse" else 0.7) * WHOLE
    present = w > 0.0
    copied = LinearRegressor(loss).fit(np.array(X)[present], y[present], w[present])
    np.testing.assert_allclose(model.coef_, copied.coef_, rtol=1e-12)
    if loss == "huber":
        np.testing.assert_array_equal(model.outliers_[present], copied.outliers_)
        assert model.outliers_[~present].any()
    proof, most = memory_of(lambda: certify(model, X, y, w))
    assert proof.gap <= 1e-9
    assert most < 8 * 20 * N


def test_repeated_rows_are_merged_beside_absent_ones_too():
    rng = np.random.default_rng(1)
    X = np.repeat(rng.standard_normal((50, 30)), 1000, axis=0)
    y, w = np.repeat(rng.standard_normal(50), 1000), rng.integers(0, 3, 50_000).astype(float)
    model = LinearRegressor("mae").fit(X, y, w)
    assert model.work_.n_repeats == np.count_nonzero(w) - 50


def test_absent_rows_must_be_finite_too(files):
    X, y, w = np.array(files("C")), files("y"), files("w")
    X[np.flatnonzero(w == 0.0)[-1], 3] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        LinearRegressor("mse").fit(X, y, w)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_pass_reads_each_row_once_and_in_order(files, loss, monkeypatch):
    X, y, read, computed = files("C"), files("y"), [], Blocks._computed

    def counted(self, rows, buffer):
        if self.n_rows == N:  # and not some rows in memory
            read.append((rows.start, rows.stop))
        return computed(self, rows, buffer)

    monkeypatch.setattr(Blocks, "_computed", counted)
    model = LinearRegressor(loss).fit(X, y)
    assert sum(stop - start for start, stop in read) == model.work_.n_passes * N
    once = sorted(set(read))
    assert [stop for _, stop in once] == [
        *(start for start, _ in once[1:]),
        N,
    ]  # no gap, no overlap
    assert sorted(read) == sorted(once * model.work_.n_passes)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_not_finite_is_told_by_predict(files, value, dtype):
    model = LinearRegressor("mse").fit(files("C")[:1000], files("y")[:1000])
    X = np.array(files("C"), dtype=dtype)
    X[-1, 3] = value
    with pytest.raises(ValueError, match="Input X contains"):
        model.predict(X)


def test_predictions_of_huge_numbers_are_no_error():
    X = np.array([[1e300, 1e300], [1.7e308, 1.0]] * 10)
    model = LinearRegressor("mse", fit_intercept=False).fit([[1.0, 0.0], [0.0, 1.0]], [1.0, 2.0])
    np.testing.assert_allclose(model.predict(X)[:2], [3e300, 1.7e308])
