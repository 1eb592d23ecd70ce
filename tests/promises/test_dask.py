"""A fit on Dask is that in memory: the same answers from parts, on any scheduler, in few reads."""

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from robustreg import (
    LinearRegressor,
    LinearRegressorCV,
    certify,
    delta_path,
    infer,
    inference,
    quantile_process,
)
from robustreg.data import dask as on_dask
from robustreg.data import dask_source
from robustreg.fitting import beyond_memory
from robustreg.fitting.at_knot import WAY

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
Callback = pytest.importorskip("dask.callbacks").Callback
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")


@pytest.fixture(autouse=True)
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def in_passes(monkeypatch):
    """Few rows are fitted in passes, too."""
    monkeypatch.setattr(beyond_memory, "FEW_ENTRIES", 0)
    token = WAY.set("passes")
    yield
    WAY.reset(token)


def table(n=2000, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1.0) + rng.standard_t(2, n), rng


def parts_of(X, y, chunk, is_sparse=False):
    """X and y in chunks of so many rows."""
    y = da.from_array(y, chunks=(chunk, *y.shape[1:]))
    X = da.from_array(X, chunks=(chunk, X.shape[1]))
    return (X.map_blocks(sparse.csr_array) if is_sparse else X), y


def assert_same(here, there, tol=1e-10):
    """The fit ``there``, on Dask, is that ``here``, in memory."""
    assert there.coef_.shape == here.coef_.shape
    assert there.coef_.dtype == here.coef_.dtype
    np.testing.assert_allclose(there.coef_, here.coef_, rtol=0, atol=tol * abs(here.coef_).max())
    np.testing.assert_allclose(there.intercept_, here.intercept_, rtol=tol, atol=tol)
    np.testing.assert_allclose(there.objective_, here.objective_, rtol=1e-9)
    assert np.all(np.asarray(there.dual_gap_) <= 1e-9)
    for name in ("unique_", "rank_", "converged_", "n_features_in_"):
        assert getattr(there, name) == getattr(here, name), name
    assert hasattr(there, "outliers_") == hasattr(here, "outliers_")
    if hasattr(here, "outliers_"):
        np.testing.assert_array_equal(there.outliers_.compute(), here.outliers_)
        # An estimated one is a fixed point up to ``tol``, which ``dual_gap_`` counts.
        np.testing.assert_allclose(there.scale_, here.scale_, rtol=1e-9)


def random_problem(seed):
    """(X, y, w, parameters, whether X is sparse, rows of a chunk)."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.choice([60, 250, 600, 2000])), int(rng.integers(1, 6))
    X = rng.standard_normal((n, p))
    if rng.random() < 0.3:
        X = np.round(X)  # ties
    if rng.random() < 0.3:
        X = (X + rng.choice([0.0, 5.0, 1000.0], p)) * rng.choice([1.0, 1e-3, 1e4], p)
    if rng.random() < 0.3:
        X = np.column_stack([X, X[:, 0] + X[:, -1]])  # dependent
    y = X @ rng.standard_normal(X.shape[1]) + rng.standard_t(2, n)
    if rng.random() < 0.3:
        y = np.round(y)
    if rng.random() < 0.2:
        y = np.column_stack([y, np.roll(y, 1)])
    weights = [None, rng.uniform(0.5, 2.0, n), rng.integers(0, 3, n), np.exp(rng.uniform(-6, 6, n))]
    w = weights[rng.integers(4)]
    parameters = {
        "loss": str(rng.choice(["mse", "mae", "huber", "quantile"])),
        "alpha": float(rng.choice([0.0, 0.0, 0.1])),
        "fit_intercept": bool(rng.random() < 0.8),
    }
    if parameters["loss"] == "quantile":
        parameters["quantile"] = 0.3
    if parameters["loss"] == "huber":
        parameters["scale"] = [1.0, "mad", "proposal2", "concomitant"][rng.integers(4)]
    is_sparse = bool(rng.random() < 0.3)
    if is_sparse:
        X = X * (rng.random(X.shape) < 0.4)
    chunk = int([1 if n <= 60 else 50, 100, 333, n][rng.integers(4)])
    return X, y, w, parameters, is_sparse, chunk


SEEDS = [
    pytest.param(range(10 * k, 10 * k + 10), marks=[] if k < 2 else pytest.mark.slow)
    for k in range(20)
]


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_fit_on_dask_is_that_in_memory(in_passes, seeds):
    n_in_passes = 0
    for seed in seeds:
        X, y, w, parameters, is_sparse, chunk = random_problem(seed)
        here = LinearRegressor(**parameters).fit(sparse.csr_array(X) if is_sparse else X, y, w)
        there = LinearRegressor(**parameters).fit(*parts_of(X, y, chunk, is_sparse), w)
        assert_same(here, there)
        n_in_passes += not there.work_.gathered
    assert n_in_passes >= 8, "hardly any problem is brought into memory"


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_a_fit_reads_every_row_three_times(in_passes, loss, tmp_path):
    X, y, _ = table(50_000, 3)
    tasks, came = [], []  # keys of tasks, and the last result, of each compute

    def read(block, number):
        with open(tmp_path / str(number), "a") as file:
            file.write("x")
        return block

    class Told(Callback):
        def _start(self, graph):
            tasks.append([])
            came.append(0)

        def _posttask(self, key, result, *rest):
            tasks[-1].append(str(key))
            came[-1] = len(pickle.dumps(result))

    blocks = [dask.delayed(read)(X[k * 5000 : k * 5000 + 5000], k) for k in range(10)]
    lazy = da.concatenate([da.from_delayed(b, (5000, 3), dtype=float) for b in blocks])
    with Told():
        model = LinearRegressor(loss).fit(lazy, da.from_array(y, chunks=5000))
    assert [len((tmp_path / str(k)).read_text()) for k in range(10)] == [3] * 10
    assert model.work_.n_passes == 3
    assert len(tasks) == 3, "one compute per pass"
    kernels = {"mse": "normal-equations", "mae": "settle", "huber": "settle"}
    for name, keys in zip(["look", kernels[loss]], tasks[:2], strict=True):
        assert sum(key.startswith(f"robustreg-{name}-") for key in keys) == 10
        assert sum(key.startswith("robustreg-add-") for key in keys) == 3  # 8 and 2, and both
    # Less than the sample and the kept rows as float64, and their numbers; not n numbers.
    rows = max(model.work_.n_kept, 8000)
    assert max(came) < 2 * 8 * 7 * rows + 20_000
    assert came[2] < 20_000, "verified by a record of small arrays"


def test_the_same_chunks_give_the_same_bits_on_every_scheduler(in_passes):
    X, y, _ = table(4000)
    X, y = parts_of(X, y, 300)
    found = []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler, num_workers=3):
            found.append(LinearRegressor("huber", scale="mad").fit(X, y))
    first, other = found
    np.testing.assert_array_equal(first.coef_, other.coef_)
    assert first.intercept_ == other.intercept_
    assert first.objective_ == other.objective_
    assert first.scale_ == other.scale_


@pytest.mark.slow
def test_a_worker_that_dies_in_the_settle_pass_changes_no_bit(in_passes, tmp_path):
    distributed = pytest.importorskip("distributed")

    def read(number):
        """The rows of a part; the third part is read a second time in the settle pass."""
        rng = np.random.default_rng(number)
        if number == 3 and os.environ.get("ROBUSTREG_DIES"):
            with open(tmp_path / "reads", "a") as file:
                file.write("x")
            if len((tmp_path / "reads").read_text()) == 2:
                os._exit(1)
        X = rng.standard_normal((500, 3))
        return np.column_stack([X, X.sum(axis=1) + rng.standard_t(2, 500)])

    blocks = [da.from_delayed(dask.delayed(read)(k), (500, 4), dtype=float) for k in range(8)]
    rows = da.concatenate(blocks)
    alone = LinearRegressor("mae").fit(rows[:, :3], rows[:, 3])
    with (
        dask.config.set({"distributed.worker.daemon": True, "scheduler": None}),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            env={"ROBUSTREG_DIES": "1"},
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        model = LinearRegressor("mae").fit(rows[:, :3], rows[:, 3])
        for _ in range(100):  # what is released is so a moment later
            if not client.futures:
                break
            time.sleep(0.1)
        assert not client.futures
        predicted = model.predict(rows[:2, :3]).compute()
    assert len((tmp_path / "reads").read_text()) > 3, "the part was read again"
    np.testing.assert_array_equal(model.coef_, alone.coef_)
    assert model.intercept_ == alone.intercept_
    assert model.work_ == alone.work_
    np.testing.assert_array_equal(predicted, alone.predict(rows[:2, :3]).compute())


# -- what may be given ----------------------------------------------------------------------------
def frame(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {"a": rng.standard_normal(n), "b": rng.integers(0, 5, n), "c": rng.random(n) < 0.3}
    )
    data["y"] = data.a + 2.0 * data.b - data.c + rng.standard_t(2, n)
    data["w"] = rng.integers(0, 3, n).astype(float)
    return data


NAMES = ["a", "b", "c"]
DTYPES = {
    "as they are": {},
    "nullable": {"a": "Float64", "b": "Int64", "c": "boolean"},
    "float32": dict.fromkeys(NAMES, "float32"),
    "whole numbers": dict.fromkeys(NAMES, "int64"),
}


@pytest.mark.parametrize("dtypes", DTYPES)
def test_a_frame_keeps_its_names_and_its_index(in_passes, dtypes):
    data = frame().astype(DTYPES[dtypes])
    data.index = data.index * 3
    parts = dd.from_pandas(data, npartitions=7)
    here = LinearRegressor("huber").fit(data[NAMES], data.y, data.w)
    there = LinearRegressor("huber").fit(parts[NAMES], parts.y, parts.w)
    assert_same(here, there, 1e-6 if dtypes == "float32" else 1e-10)
    assert list(there.feature_names_in_) == NAMES
    assert there.work_.n_passes == 3
    assert there.outliers_.chunks[0] == tuple(len(part) for part in parts.partitions)
    predicted = there.predict(parts[NAMES])
    assert not isinstance(predicted, np.ndarray)
    computed = predicted.compute()
    assert computed.index.equals(data.index)
    assert computed.dtype == predicted.dtype
    np.testing.assert_allclose(computed, here.predict(data[NAMES]), rtol=1e-5)
    with pytest.raises(ValueError, match="feature names should match"):
        there.predict(parts[NAMES[::-1]])


def test_a_frame_from_a_file_is_read_once_in_a_pass(in_passes, tmp_path):
    pytest.importorskip("pyarrow")
    data = frame(3000)
    for k in range(6):  # few columns of many small files are read in larger parts
        data[500 * k : 500 * k + 500].to_parquet(tmp_path / f"{k}.parquet")
    parts = dd.read_parquet(tmp_path)
    here = LinearRegressor("mae").fit(data[NAMES], data.y, data.w)
    assert_same(here, LinearRegressor("mae").fit(parts[NAMES], parts.y, parts.w))
    assert_same(here, LinearRegressor("mae").fit(parts[NAMES], data.y, data.w.to_numpy()))


@pytest.mark.parametrize("form", ["frame", "array"])
def test_parts_may_be_empty_and_their_lengths_unknown(in_passes, form):
    data = frame()
    some = data[data.b > 2]
    parts = dd.from_pandas(data.sort_values("b"), npartitions=9)
    parts = parts[parts.b > 2]  # most parts are empty now
    some = data.sort_values("b")[lambda rows: rows.b > 2]
    X, y, w = parts[NAMES], parts.y, parts.w
    if form == "array":
        X, y, w = (v.astype(float).to_dask_array() for v in (X, y, w))
        assert np.isnan(X.shape[0])
    there = LinearRegressor("mae").fit(X, y, w)
    X = some[NAMES].astype(float).to_numpy() if form == "array" else some[NAMES]
    assert_same(LinearRegressor("mae").fit(X, some.y, some.w), there)
    assert not there.work_.gathered


def test_y_and_weights_may_be_in_memory_or_in_other_chunks(in_passes):
    X, y, rng = table()
    w = rng.uniform(0.5, 2.0, len(y))
    here = LinearRegressor("mae").fit(X, y, w)
    lazy = da.from_array(X, chunks=(300, 4))
    for target, weights in [(y, w), (da.from_array(y, chunks=700), da.from_array(w, chunks=999)),
                            (pd.Series(y), list(w))]:  # fmt: skip
        assert_same(here, LinearRegressor("mae").fit(lazy, target, weights))
    assert_same(LinearRegressor("mae").fit(X, y), LinearRegressor("mae").fit(lazy, y, 2.0))
    assert_same(here, LinearRegressor("mae").fit(X, da.from_array(y), da.from_array(w)))


SPARSE = [sparse.csr_array, sparse.csc_matrix, sparse.coo_array, sparse.dia_array]


@pytest.mark.parametrize("said", [np.ndarray, sparse.csr_array])
@pytest.mark.parametrize("forms", [*([kind] for kind in SPARSE), [np.array, sparse.csr_array]])
@pytest.mark.filterwarnings("ignore:Constructing a DIA matrix")
def test_chunks_may_be_sparse_in_any_form_whatever_the_array_says(in_passes, forms, said):
    X, y, rng = table(1200, 3)
    X, w = X * (rng.random(X.shape) < 0.4), rng.integers(0, 3, 1200).astype(float)
    dense = da.from_array(X, chunks=(200, 3))

    def form_of(block):
        return forms[np.count_nonzero(block) % len(forms)]

    assert {form_of(X[i : i + 200]) for i in range(0, 1200, 200)} == set(forms)

    def in_form(block):
        return form_of(block)(block)

    lazy = dense.map_blocks(in_form, dtype=float, meta=said((0, 3)))
    for loss in ("mse", "huber"):
        here, there = LinearRegressor(loss).fit(X, y, w), LinearRegressor(loss).fit(lazy, y, w)
        assert_same(here, there)
        assert not there.work_.gathered
        np.testing.assert_allclose(there.predict(lazy).compute(), here.predict(X), rtol=1e-9)


def test_chunks_of_columns_are_put_together_with_a_message(in_passes):
    X, y, _ = table()
    here = LinearRegressor("mae").fit(X, y)
    lazy = da.from_array(X, chunks=(500, 3))
    with pytest.warns(UserWarning, match="2 chunks of columns"):
        there = LinearRegressor("mae").fit(lazy, y)
    assert_same(here, there)
    np.testing.assert_allclose(there.predict(lazy).compute(), here.predict(X))


def test_several_targets_and_a_warm_start(in_passes):
    X, y, _ = table(3000)
    Y = np.column_stack([np.roll(y, k) for k in range(18)])
    here = LinearRegressor("huber", delta=5.0).fit(X, Y)
    there = LinearRegressor("huber", delta=5.0, warm_start=True)
    lazy = parts_of(X, Y, 500)
    assert_same(here, there.fit(*lazy))
    assert_same(here, there.fit(*lazy))
    predicted = there.predict(lazy[0])
    assert predicted.chunks == ((500,) * 6, (18,))
    np.testing.assert_allclose(predicted.compute(), here.predict(X), rtol=1e-9, atol=1e-9)
    column = LinearRegressor("mae").fit(lazy[0], lazy[1][:, :1])
    assert column.coef_.shape == (1, 4)


def test_a_pipeline_whose_transformer_keeps_dask(in_passes):
    X, y, _ = table()
    lazy = parts_of(X, y, 400)
    here = make_pipeline(FunctionTransformer(np.tanh), LinearRegressor("huber")).fit(X, y)
    there = make_pipeline(FunctionTransformer(np.tanh), LinearRegressor("huber")).fit(*lazy)
    assert_same(here[-1], there[-1])
    predicted = there.predict(lazy[0])
    assert predicted.chunks == (lazy[1].chunks[0],)
    np.testing.assert_allclose(predicted.compute(), here.predict(X))


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_rows_of_high_leverage(in_passes, loss):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((6000, 3))
    X[::500] *= 1000.0
    y = X.sum(axis=1) + rng.standard_t(2, 6000)
    there = LinearRegressor(loss).fit(*parts_of(X, y, 1000))
    assert_same(LinearRegressor(loss).fit(X, y), there)
    assert not there.work_.gathered


# -- what memory has room for ---------------------------------------------------------------------
def test_few_rows_are_brought_into_memory():
    X, y, _ = table(300)
    here, there = LinearRegressor("mae").fit(X, y), LinearRegressor("mae").fit(*parts_of(X, y, 50))
    assert there.work_.gathered
    assert "brought into memory" in str(there.work_)
    np.testing.assert_array_equal(there.coef_, here.coef_)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({"solver": "scipy"}, "solver='scipy' needs all rows"), ({"tol": 1e-40}, "tol is 1e-40")],
)
def test_what_passes_cannot_do_is_done_in_memory_or_refused(
    in_passes, monkeypatch, parameters, reason
):
    X, y, _ = table(1000)
    lazy = parts_of(X, y, 100)
    model = LinearRegressor("huber", **parameters)
    assert model.fit(*lazy).work_.gathered
    assert_same(LinearRegressor("huber", **parameters).fit(X, y), model, 1e-6)
    before = model.coef_
    monkeypatch.setattr(on_dask, "physical_memory", lambda: 1000.0)
    with pytest.raises(ValueError, match=reason):
        model.fit(*lazy)
    assert model.coef_ is before


def test_where_too_many_rows_are_kept_the_sample_is_larger(in_passes, monkeypatch):
    X, y, _ = table(30_000, 2)
    lazy = parts_of(X, y, 5000)
    usual = LinearRegressor("mae").fit(*lazy)
    monkeypatch.setattr(dask_source, "MOST_KEPT", 3 * usual.work_.n_kept - 300)
    there = LinearRegressor("mae").fit(*lazy)
    assert_same(LinearRegressor("mae").fit(X, y), there)
    assert there.work_.n_passes == 5, "a further sample, and settled again"
    assert not there.work_.gathered


def test_weights_that_overflow_are_fitted_in_memory_without_a_word(in_passes, recwarn):
    X, y, _ = table(1000)
    there = LinearRegressor("mae").fit(*parts_of(X, y, 100), 1e308)
    assert_same(LinearRegressor("mae").fit(X, y), there)
    assert "too large or too small to be squared" in there.work_.refused
    assert not recwarn.list


KINDS = {
    "mse": ["iid", "HC0", "HC1", "HC2", "HC3"],
    "huber": ["H1", "H2", "H3", "MASS", "sandwich"],
    "mae": ["nid", "iid", "kernel", "robust"],
    "quantile": ["nid", "iid", "kernel", "robust"],
}
KINDS = [(loss, cov) for loss, kinds in KINDS.items() for cov in kinds]


def assert_same_table(here, there):
    assert there.names == here.names
    for name in ("std_err", "interval", "p_value", "covariance"):
        expected = getattr(here, name)
        atol = 1e-9 * np.nanmax(np.abs(expected))
        np.testing.assert_allclose(getattr(there, name), expected, rtol=1e-7, atol=atol)
    assert (there.n_samples, there.df_resid, there.df) == (here.n_samples, here.df_resid, here.df)


@pytest.mark.parametrize(("loss", "cov"), KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_standard_errors_are_those_of_memory_and_no_row_is_gathered(
    in_passes, monkeypatch, loss, cov, weighted
):
    X, y, rng = table(1500, 3, seed=5)
    w = rng.integers(0, 4, 1500).astype(float) if weighted else None
    level = {"quantile": 0.3} if loss == "quantile" else {}
    model = LinearRegressor(loss, delta=0.8, **level).fit(X, y, w)
    here = infer(model, X, y, w, cov=cov)
    monkeypatch.setattr(inference, "in_memory", None)  # it would bring them
    lazy = *parts_of(X, y, 400), None if w is None else da.from_array(w, chunks=400)
    assert_same_table(here, infer(model, *lazy, cov=cov))


@pytest.mark.parametrize("loss", ["mse", "huber", "mae"])
def test_standard_errors_of_frames_dependent_columns_and_several_targets(in_passes, loss):
    X, y, _ = table(1200, 3, seed=6)
    frame = pd.DataFrame(X, columns=list("abc")).assign(d=2.0 * X[:, 0] - X[:, 1], e=np.abs(y))
    model = LinearRegressor(loss).fit(frame, y)
    lazy = dd.from_pandas(frame.assign(y=y), npartitions=4)
    here = infer(model, frame, y)
    assert np.isnan(here.std_err[[1, 2, 4]]).all()
    assert_same_table(here, infer(model, lazy[list(frame)], lazy["y"]))
    Y = np.column_stack([y, X[:, 0] - y])
    model = LinearRegressor(loss).fit(X, Y)
    tables = zip(infer(model, X, Y), infer(model, *parts_of(X, Y, 300)), strict=True)
    for here, there in tables:
        assert_same_table(here, there)


def test_ties_at_the_median_on_dask(in_passes):
    X, y, _ = table(1000, 2, seed=7)
    y = np.where(y > 0.0, y, 0.0)
    model = LinearRegressor("mae").fit(X, y)
    assert_same_table(infer(model, X, y), infer(model, *parts_of(X, y, 300)))


def test_the_residuals_of_all_rows_need_room(in_passes, monkeypatch):
    X, y, _ = table(1000, 2)
    model = LinearRegressor("mae").fit(X, y)
    monkeypatch.setattr(on_dask, "physical_memory", lambda: 32.0 * 2999)
    with pytest.raises(ValueError, match="residuals of all 1,000 rows in memory, which has room"):
        infer(model, *parts_of(X, y, 300), cov="kernel")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X[:, :1], y), "X must have the columns of the fit, 2; got 1"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (X, -y), "the coefficients of model do not minimise its loss"),
        (lambda X, y: (X, y[:, None].repeat(2, axis=1)), "y must have the 1 targets of the fit; g"),
        (lambda X, y: (X.map_blocks(np.full_like, np.nan), y), r"contains NaN(.|\s)* in part 0 of"),
    ],
)
def test_what_is_wrong_with_data_on_dask_is_told_by_infer(in_passes, change, message):
    X, y, _ = table(1000, 2)
    model = LinearRegressor("huber").fit(X, y)
    with pytest.raises(ValueError, match=message):
        infer(model, *change(*parts_of(X, y, 300)))


def test_a_saved_model_asks_for_neither_dask_nor_the_data(in_passes):
    X, y, _ = table()
    model = LinearRegressor("huber").fit(*parts_of(X, y, 500))
    saved = pickle.dumps(model)
    assert b"dask" not in saved
    again = pickle.loads(saved)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert not hasattr(again, "outliers_")
    assert model.outliers_.sum().compute() > 0


@pytest.mark.parametrize("loss", ["mse", "huber", "mae"])
def test_coefficients_of_other_data_are_told_on_dask(in_passes, loss):
    X, y, _ = table(1000, 2)
    model = LinearRegressor(loss).fit(X, y)
    fitted = model.predict(X)
    above = fitted + np.abs(y - fitted)  # rows on the fit stay there
    for other in (-y, above):
        with pytest.raises(ValueError, match="coefficients of model do not minimise its loss"):
            infer(model, *parts_of(X, other, 300))


def test_what_is_done_in_memory_takes_dask_or_says_so(monkeypatch):
    X, y, _ = table(200, 2)
    lazy = parts_of(X, y, 60)
    here, there = LinearRegressorCV(deltas=3).fit(X, y), LinearRegressorCV(deltas=3).fit(*lazy)
    np.testing.assert_array_equal(here.coef_, there.coef_)
    np.testing.assert_array_equal(delta_path(X, y).coefs, delta_path(*lazy[:1], y=lazy[1]).coefs)
    assert certify(here, *lazy).gap == certify(here, X, y).gap
    batches = LinearRegressor("mse").partial_fit(*lazy)
    np.testing.assert_array_equal(batches.coef_, LinearRegressor("mse").partial_fit(X, y).coef_)
    monkeypatch.setattr(on_dask, "physical_memory", lambda: 1000.0)
    for function in (
        lambda: LinearRegressorCV().fit(*lazy),
        lambda: delta_path(*lazy),
        lambda: certify(here, *lazy),
        lambda: batches.partial_fit(*lazy),
        lambda: infer(batches, *lazy, cov="bootstrap"),
        lambda: quantile_process(*lazy, quantiles=[0.5]),
    ):
        with pytest.raises(ValueError, match=r"600 numbers on Dask: .* is done in memory"):
            function()


# -- faults ---------------------------------------------------------------------------------------
def spoilt(change):
    """X and y of which part 3 is changed by change(X, y)."""
    X, y, _ = table(1000)
    pairs = [[X[k : k + 100], y[k : k + 100]] for k in range(0, 1000, 100)]
    pairs[3] = list(change(*(v.copy() for v in pairs[3])))
    lazy = [
        da.concatenate([
            da.from_delayed(dask.delayed(pair[i]), (100, 4)[: 2 - i], dtype=float) for pair in pairs
        ])
        for i in range(2)
    ]  # fmt: skip
    return lazy, pairs[3]


def with_value(value, of):
    def change(X, y):
        (X if of == "X" else y)[5] = value
        return X, y

    return change


FAULTS = {
    "NaN": with_value(np.nan, "X"),
    "inf": with_value(np.inf, "X"),
    "NaN in y": with_value(np.nan, "y"),
    "words": lambda X, y: (np.full(X.shape, "red", dtype=object), y),
    "complex": lambda X, y: (X * 1j, y),
    "width": lambda X, y: (X[:, :3], y),
    "length": lambda X, y: (X, y[:50]),
    "words in y": lambda X, y: (X, np.full(y.shape, "red")),
    "y of one number": lambda X, y: (X, np.array(1.0)),
    "y with an axis": lambda X, y: (X, y[:, None]),
    "numbers as text": lambda X, y: (X.astype(str).astype(object), y),
    "text of one kind": lambda X, y: (X.astype(str), y),
    "dates as y": lambda X, y: (X, y.astype("M8[s]")),
    "masked": lambda X, y: (np.ma.masked_array(X, mask=X > 1.0), y),
    "sparse y": lambda X, y: (X, sparse.csr_array(y[:, None])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_part_is_the_error_of_memory_with_its_number(in_passes, fault):
    X, y, _ = table(1000)
    model = LinearRegressor("mae").fit(X, y)
    before = dict(vars(model))
    lazy, (bad, bad_y) = spoilt(FAULTS[fault])
    with pytest.raises((ValueError, TypeError)) as there:
        model.fit(*lazy)
    assert "in part 3 of the rows" in str(there.value)
    if fault == "y with an axis":  # the other parts have none
        assert str(there.value).startswith("y must have the shape (100,); got (100, 1).")
    elif fault != "width":
        with pytest.raises((ValueError, TypeError)) as here:
            LinearRegressor("mae").fit(bad, bad_y)
        assert str(here.value)[:20] == str(there.value)[:20]
        assert type(here.value) is type(there.value)
    assert dict(vars(model)) == before


def test_weights_of_parts(in_passes):
    X, y, _ = table(1000)
    lazy, w = parts_of(X, y, 100), np.ones(1000)
    w[200:400] = 0.0  # two parts are absent
    assert_same(LinearRegressor("mae").fit(X, y, w), LinearRegressor("mae").fit(*lazy, w))
    for value, message in [(-1.0, "must be >= 0.*part 4"), (np.nan, "must be finite.*part 4")]:
        w[450] = value
        with pytest.raises(ValueError, match=message):
            LinearRegressor("mae").fit(*lazy, w)
    with pytest.raises(ValueError, match="got only zeros"):
        LinearRegressor("mae").fit(*lazy, 0.0 * y)


def test_a_part_that_raises_is_told(in_passes):
    lazy, _ = spoilt(lambda X, y: (X, y))
    parts = list(lazy[0].to_delayed().ravel())
    parts[3] = dask.delayed(lambda: 1 / 0)()
    X = da.concatenate([da.from_delayed(part, (100, 4), dtype=float) for part in parts])
    with pytest.raises(ZeroDivisionError) as error:
        LinearRegressor("mae").fit(X, lazy[1])
    assert "part 3" in error.value.__notes__[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X[:0], y[:0]), "0 sample"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
        (lambda X, y: (X, None), "requires y to be passed"),
        (lambda X, y: (X, 5.0), r"y must have the shape \(n_samples,\).* got shape \(\)"),
        (lambda X, y: (X, y[0]), r"got shape \(\)"),
        (lambda X, y: (X, y[:, None, None]), r"got shape \(1000, 1, 1\)"),
        (lambda X, y: (X, y[:, None][:, :0]), r"with a target or more; got shape \(1000, 0\)"),
        (lambda X, y: (y, y), r"X must have two dimensions, .*; got 1"),
        (lambda X, y: (X.astype(complex), y), "Complex data not supported"),
        (lambda X, y: (X[X[:, 0] > 0], y.rechunk(900)), "inconsistent numbers of samples"),
        (lambda X, y: (X[X[:, 0] > 0], y.rechunk(900)[y.rechunk(900) > 0]), "are not known"),
    ],
)
def test_what_cannot_be_fitted(change, message):
    X, y, _ = table(1000)
    with pytest.raises(ValueError, match=message):
        LinearRegressor().fit(*change(*parts_of(X, y, 100)))


def test_predictions_of_bad_rows_raise_when_they_are_computed():
    X, y, _ = table(100)
    model = LinearRegressor().fit(X, y)
    X[70] = np.nan
    lazy = model.predict(da.from_array(X, chunks=(30, 4)))
    with pytest.raises(ValueError, match="NaN or an infinite entry"):
        lazy.compute()
    with pytest.raises(ValueError, match="expecting 4 features"):
        model.predict(da.from_array(X[:, :2]))


def test_a_fit_without_dask_imports_none():
    code = "import robustreg, sys; robustreg.LinearRegressor().fit([[1.0], [2.0]], [1.0, 2.0]); print('dask' in sys.modules)"
    import subprocess
    import sys

    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert shown.stdout.strip() == "False"
