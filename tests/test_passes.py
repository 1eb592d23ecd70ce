"""Passes over the data: the same bits for any number of threads, any storage, little memory, nothing left behind."""

import os
import signal
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from problems import LOSSES
from threadpoolctl import ThreadpoolController, threadpool_limits

from robustreg import LinearRegressor
from robustreg.data.blocks import BLOCK, Blocks
from robustreg.data.stream import make_stream
from robustreg.data.threads import _BLAS, in_parallel, one_blas_thread
from robustreg.passes.settling import settle, verify


def data(n=60_000, p=12):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1) + rng.standard_t(2, n)


def threads():
    return [library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers]


@pytest.mark.parametrize("shape", [(442, 10), (60_000, 12), (4_000, 150)])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_bits_for_any_number_of_threads(loss, shape):
    X, y = data(*shape)
    found = []
    for limit in (1, 2, 3, 16):
        with threadpool_limits(limit):
            model = LinearRegressor(loss, delta=1.0).fit(X, y)
        found.append([*model.coef_, model.intercept_, model.objective_, model.dual_gap_])
    for other in found[1:]:
        assert other == found[0]


def test_blas_has_its_threads_again():
    X, y = data(2000, 5)
    before = threads()
    LinearRegressor("huber").fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        LinearRegressor().fit(np.where(X > 3, np.nan, X), y)
    with one_blas_thread(), one_blas_thread():
        assert set(threads()) <= {1}
    assert threads() == before


def test_an_error_in_a_thread_is_raised():
    def fails(i):
        if i == 3:
            raise MemoryError(f"part {i}")
        return i

    with threadpool_limits(2), one_blas_thread():
        assert in_parallel(lambda i: i * i, 5) == [0, 1, 4, 9, 16]
        with pytest.raises(MemoryError, match="part 3"):
            in_parallel(fails, 5)


STORAGE = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "float32": lambda X: X.astype(np.float32),
    "float32 F": lambda X: np.asfortranarray(X.astype(np.float32)),
    "read-only": lambda X: np.broadcast_to(X, X.shape),
    "frame": lambda X: pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]),
}


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("loss", LOSSES)
def test_any_storage_gives_the_same_fit(loss, storage):
    X, y = data()
    X = X.astype(np.float32).astype(np.float64)
    expected = LinearRegressor(loss, delta=1.0).fit(X, y)
    model = LinearRegressor(loss, delta=1.0).fit(STORAGE[storage](X), y)
    rtol = 1e-6 if "32" in storage else 1e-11
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=rtol)
    assert model.objective_ == pytest.approx(expected.objective_, rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_sums_of_a_pass(weighted, order, shift):
    X, y = data(BLOCK // 12 * 3 + 17, 12)
    X = np.asarray(X + shift, order=order)
    w = np.random.default_rng(1).uniform(0.5, 2.0, len(y)) if weighted else None
    stream = make_stream(X, y, w, True)
    ones = np.ones(len(y)) if w is None else w
    Z = np.column_stack([(X - stream.columns.shift) * stream.columns.inverse_scale, np.ones(len(y))])
    G, g = stream.gram()
    np.testing.assert_allclose(G, (Z.T * ones) @ Z, rtol=1e-10, atol=1e-8)
    np.testing.assert_allclose(g, Z.T @ (ones * (y - stream.y_shift)), rtol=1e-10, atol=1e-8)
    phi = np.arange(13.0)
    r = y - stream.y_shift - Z @ phi
    square, adjoint = stream.residual_sums(phi)
    assert square == pytest.approx(ones @ r**2)
    np.testing.assert_allclose(adjoint, Z.T @ (ones * r), rtol=1e-9, atol=1e-7)
    for knot in (0.0, 30.0):
        settled = settle(stream, phi, knot, 5.0, None, np.zeros(0, dtype=int), len(y))
        kept = np.abs(np.abs(r) - knot) < 5.0
        np.testing.assert_array_equal(settled.index, np.flatnonzero(kept))
        np.testing.assert_allclose(settled.Z, Z[kept], rtol=1e-12, atol=1e-12)
        psi = np.clip(r, -knot, knot) if knot else np.sign(r)
        v = np.where(kept, 0.0, ones * psi)
        np.testing.assert_allclose(settled.h, Z.T @ v, rtol=1e-9, atol=1e-7)
        if knot:
            inner = ones * (np.abs(r) <= knot - 5.0)
            np.testing.assert_allclose(settled.G, (Z.T * inner) @ Z, rtol=1e-10, atol=1e-8)
        moved = phi + 0.5
        seen = verify(stream, moved, knot, settled.zone, np.inf)
        r_moved = y - stream.y_shift - Z @ moved
        loss = np.where(np.abs(r_moved) <= knot, r_moved**2 / 2, knot * np.abs(r_moved) - knot**2 / 2)
        assert seen.cost == pytest.approx(ones @ (loss if knot else np.abs(r_moved)))
        zones = (lambda r, d=knot: np.where(np.abs(r) <= d, 0.0, np.sign(r))) if knot else np.sign
        np.testing.assert_array_equal(np.sort(seen.wrong), np.flatnonzero(~kept & (zones(r_moved) != zones(r))))


def test_blocks_are_views_where_they_can_be():
    X, _ = data()
    assert all(np.shares_memory(block, X) for _, block in Blocks(X))
    F = Blocks(np.asfortranarray(X))
    assert F.n_blocks > 1
    np.testing.assert_array_equal(np.vstack([block.copy() for _, block in F]), X)


@pytest.mark.parametrize("storage", ["C", "F", "float32", "frame"])
def test_a_million_rows_take_little_memory(storage):
    X, y = data(1_000_000, 20)
    X = STORAGE[storage](X)
    size = X.memory_usage(index=False).sum() if storage == "frame" else X.nbytes
    for loss in LOSSES:
        tracemalloc.start()
        LinearRegressor(loss, delta=1.0).fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 0.35 * size, loss


@pytest.mark.parametrize("where", [0, 31_234, 59_999])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("loss", LOSSES)
def test_not_finite_data_are_refused_wherever_they_are(loss, value, where):
    X, y = data()
    model = LinearRegressor(loss).fit(X, y)
    before = model.coef_.copy()
    X[where, 3] = value
    with pytest.raises(ValueError, match="Input X contains NaN" if np.isnan(value) else "Input X contains infinity"):
        model.fit(X, y)
    np.testing.assert_array_equal(model.coef_, before)


@pytest.mark.parametrize("loss", LOSSES)
def test_not_finite_sparse_data_are_refused(loss):
    from scipy import sparse

    X, y = data(300, 4)
    X[X < 0.5] = 0.0
    X[17, 2] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        LinearRegressor(loss).fit(sparse.csr_array(X), y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("loss", LOSSES)
def test_not_finite_data_are_refused_in_a_row_of_weight_zero(loss, value):
    X, y = data(5000, 3)
    w = np.ones(5000)
    X[9, 1], w[9] = value, 0.0
    with pytest.raises(ValueError, match="Input X contains"):
        LinearRegressor(loss).fit(X, y, w)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_during_a_fit_leaves_the_child_free():
    X, y = data(200, 3)
    with one_blas_thread(), _BLAS.lock:
        child = os.fork()
        if not child:
            signal.alarm(20)
            LinearRegressor("huber").fit(X, y)
            os._exit(0 if not _BLAS.fits else 1)
    assert os.waitpid(child, 0)[1] == 0
