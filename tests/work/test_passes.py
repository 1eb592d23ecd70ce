"""Passes over the data: the same bits for any number of threads, any storage, little memory,
nothing left behind.
"""

import os
import pickle
import signal
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from functools import reduce
from multiprocessing import get_context
from operator import add

import numpy as np
import pandas as pd
import pytest
from problems import LOSSES, slow
from scipy import sparse
from threadpoolctl import ThreadpoolController, threadpool_limits

from robustreg import LinearRegressor
from robustreg.data.arrays import make_source
from robustreg.data.blocks import BLOCK, Blocks
from robustreg.data.frame import make_frame
from robustreg.data.source import Part, Sums, sweep
from robustreg.data.threads import _BLAS, in_parallel, one_blas_thread
from robustreg.passes.least_squares import gradient, normal_equations
from robustreg.passes.many_knots import tabulate
from robustreg.passes.settling import SettlingRule, residuals, settle, verify
from robustreg.problem.losses import ABSOLUTE, Loss, huber


def data(n=60_000, p=12):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1) + rng.standard_t(2, n)


def threads():
    return [
        library.num_threads
        for library in ThreadpoolController().select(user_api="blas").lib_controllers
    ]


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


def rows_of(kind, weighted):
    """(source, X dense, y, weights) of a few blocks of rows, stored in some way."""
    n, p = BLOCK // 12 * 3 + 17, 12
    X, y = data(n, p)
    if kind == "CSR":
        X[np.random.default_rng(2).uniform(size=X.shape) < 0.7] = 0.0
    elif kind == "shifted":
        X = X + 1e6
    elif kind == "float32":
        X = X.astype(np.float32)
    stored = {"CSR": sparse.csr_array, "F": np.asfortranarray}.get(kind, np.ascontiguousarray)(X)
    w = np.random.default_rng(1).uniform(0.5, 2.0, n) if weighted else None
    return make_source(stored, y, w), X.astype(float), y, np.ones(n) if w is None else w


STORED = ["C", "F", "float32", "shifted", "CSR"]
TWO_KNOTS = {"corner": ABSOLUTE, "huber": huber(8.0), "uneven": Loss(-4.0, 16.0, -4.0, 16.0)}


@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_sums_of_a_pass(weighted, kind):
    source, X, y, w = rows_of(kind, weighted)
    frame = make_frame(source, True)
    shift = 0.0 if frame.shift is None else frame.shift
    Z = np.column_stack([(X - shift) * frame.inverse_scale, np.ones(len(y))])
    t = (y - frame.y_shift) / frame.y_scale
    sums = sweep(source, normal_equations, frame)
    np.testing.assert_allclose(sums.gram, (Z.T * w) @ Z, rtol=1e-10, atol=1e-8)
    np.testing.assert_allclose(sums.right, Z.T @ (w * t), rtol=1e-9, atol=1e-8)
    phi = np.linspace(-1.0, 1.0, 13)
    r = t - Z @ phi
    seen = sweep(source, gradient, frame, phi)
    assert seen.square == pytest.approx(w @ r**2)
    np.testing.assert_allclose(seen.adjoint, Z.T @ (w * r), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("loss", TWO_KNOTS)
@pytest.mark.parametrize("kind", STORED)
@pytest.mark.parametrize("weighted", [True, *slow(False)])
def test_what_two_passes_settle_and_verify(weighted, kind, loss):
    loss = TWO_KNOTS[loss]
    source, X, y, w = rows_of(kind, weighted)
    frame = replace(make_frame(source, True), y_scale=1.0)
    Z = frame.rows(frame.centred(Part(X, y, None)))
    t, phi = frame.target(Part(X, y, None)), np.arange(13.0)
    r = t - Z @ phi
    rule = SettlingRule(phi, 3.0, None)
    settled = sweep(source, settle, frame, loss, rule, len(y))
    kept = np.minimum(np.abs(r - loss.left), np.abs(r - loss.right)) < 3.0
    index = np.concatenate(settled.kept.index)
    np.testing.assert_array_equal(index, np.flatnonzero(kept))
    found = np.vstack([frame.rows(C) for C in settled.kept.C])
    np.testing.assert_allclose(found, Z[kept], rtol=1e-12, atol=1e-12)
    slope = np.where(
        r < loss.left,
        loss.lower,
        np.where(r > loss.right, loss.upper, 0.0 if loss.is_corner else r),
    )
    np.testing.assert_allclose(
        settled.h, Z.T @ np.where(kept, 0.0, w * slope), rtol=1e-9, atol=1e-7
    )
    value = loss.value(r)
    assert settled.c == pytest.approx(w @ np.where(kept, 0.0, value))
    inside = (r > loss.left) & (r < loss.right) & ~kept
    if not loss.is_corner:
        np.testing.assert_allclose(settled.gram, (Z.T * (w * inside)) @ Z, rtol=1e-10, atol=1e-8)
    # The second pass, somewhere else, with some rows opened since.
    opened = np.flatnonzero(~kept)[::1000]
    moved = phi + 0.5
    seen = sweep(source, verify, frame, loss, moved, np.inf, rule, opened)
    r_moved = t - Z @ moved
    assert seen.cost == pytest.approx(w @ loss.value(r_moved))
    assert seen.n_kept == kept.sum() + len(opened)
    zones = [(x > loss.right).astype(int) - (x < loss.left) for x in (r, r_moved)]
    wrong = ~kept & (zones[0] != zones[1])
    wrong[opened] = False
    np.testing.assert_array_equal(np.sort(np.concatenate(seen.wrong)), np.flatnonzero(wrong))


def bits(record):
    """The bytes of all numbers in a record of a pass."""
    if isinstance(record, Sums):
        return [bits(getattr(record, f.name)) for f in fields(record)]
    if isinstance(record, list):
        return [bits(one.toarray() if sparse.issparse(one) else one) for one in record]
    return None if record is None else np.asarray(record).tobytes()


def run_elsewhere(kernel, part, *arguments):
    """A kernel in a process of its own, everything pickled there and back."""
    return kernel(pickle.loads(part), *pickle.loads(arguments[0]))


@pytest.fixture(scope="module")
def elsewhere():
    """A process that shares nothing with this one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("kind", ["F", "CSR", *slow("C", "float32", "shifted")])
def test_a_pass_in_other_processes_has_the_same_bits(kind, elsewhere):
    source, _, _, _ = rows_of(kind, True)
    frame, none = make_frame(source, True), np.zeros(0, dtype=int)
    phi, knots = np.linspace(-1.0, 1.0, 13), np.array([0.5, 2.0])
    rule = SettlingRule(phi, 0.1, 0.2 * np.eye(13))
    passes = [
        (normal_equations,),
        (gradient, phi),
        (residuals, phi),
        (tabulate, phi, knots, np.eye(13)),
    ]
    for loss in TWO_KNOTS.values():
        passes += [(settle, loss, rule, source.n_rows), (verify, loss, phi + 0.1, 10.0, rule, none)]
    for kernel, *arguments in passes:
        here = sweep(source, kernel, frame, *arguments)
        sent = pickle.dumps((frame, *arguments))
        groups = [
            [
                elsewhere.submit(run_elsewhere, kernel, pickle.dumps(part), sent).result()
                for part in source.parts(group)
            ]
            for group in range(source.n_groups)
        ]
        there = reduce(add, [reduce(add, records) for records in groups])
        assert bits(there) == bits(here), kernel.__name__


@pytest.mark.parametrize("loss", LOSSES)
def test_a_memory_map_is_a_source(loss, tmp_path):
    X, y = data()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = LinearRegressor(loss, delta=1.0).fit(mapped, y)
    np.testing.assert_array_equal(model.coef_, LinearRegressor(loss, delta=1.0).fit(X, y).coef_)
    assert model.work_.way == "passes"


@pytest.mark.parametrize("loss", LOSSES)
def test_a_sparse_matrix_is_a_source(loss):
    source, X, y, _ = rows_of("CSR", False)
    model = LinearRegressor(loss, delta=1.0).fit(source.X, y)
    assert model.work_.way == "passes"
    expected = LinearRegressor(loss, delta=1.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-11)


def test_blocks_are_views_where_they_can_be():
    X, _ = data()
    assert all(np.shares_memory(block, X) for _, block in Blocks(X))
    F = Blocks(np.asfortranarray(X))
    assert F.n_blocks > 1
    np.testing.assert_array_equal(np.vstack([block.copy() for _, block in F]), X)


@pytest.mark.parametrize("storage", ["C", *slow("F", "float32", "frame")])
def test_a_million_rows_take_little_memory(storage):
    X, y = data(1_000_000, 20)
    X = STORAGE[storage](X)
    size = X.memory_usage(index=False).sum() if storage == "frame" else X.nbytes
    for loss in LOSSES:
        tracemalloc.start()
        work = LinearRegressor(loss, delta=1.0).fit(X, y).work_
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 0.35 * size, loss
        assert work.n_passes == 2, loss


@pytest.mark.parametrize("where", [31_234, *slow(0, 59_999)])
@pytest.mark.parametrize("value", [np.nan, np.inf, *slow(-np.inf)])
@pytest.mark.parametrize("loss", LOSSES)
def test_not_finite_data_are_refused_wherever_they_are(loss, value, where):
    X, y = data()
    model = LinearRegressor(loss).fit(X, y)
    before = model.coef_.copy()
    X[where, 3] = value
    with pytest.raises(
        ValueError, match="Input X contains NaN" if np.isnan(value) else "Input X contains infinity"
    ):
        model.fit(X, y)
    np.testing.assert_array_equal(model.coef_, before)


@pytest.mark.parametrize("loss", LOSSES)
def test_not_finite_sparse_data_are_refused(loss):
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
