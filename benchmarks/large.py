"""Fits of more rows than memory holds: seconds, anonymous memory, reads, and the objective reached.

    python benchmarks/large.py parquet --rows 200_000_000 --columns 5    8 GB in ``large/``, through Dask
    python benchmarks/large.py memmap --rows 100_000_000 --columns 10    8 GB, through numpy.load(mmap_mode="r")
    python benchmarks/large.py memmap --rows 1_000_000                   a small one, to try it
    python benchmarks/large.py parquet --only robustreg --csv head.csv   some of the fits; keeps the rows

Files are made once, of Gaussian columns and t(2) noise, and kept. Each fit has a process of its own. ``anonymous`` is
the largest RssAnon of /proc/self/status, looked at every 10 ms: what a process holds besides the pages of files, which
the system takes back where it needs them; of Spark without its Java process. ``disk`` is what was read from it, in
multiples of the file: 0 where the system still has all pages. ``objective`` is the mean loss over all rows, computed
here for all coefficients.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

import numpy as np
from records import keep
from sklearn.linear_model import SGDRegressor

from robustreg import LinearRegressor

BLOCK = (
    2**20
)  # rows that are made, or handed to partial_fit, at a time: a row group of a parquet file
BLOCKS_PER_FILE = 2  # of parquet: a part, of which Dask reads one for each thread at a time
DELTA = 1.35  # of Huber's loss; the noise has about unit size
LOOK_EVERY = 0.01  # seconds between two looks at the memory


# -- the data --------------------------------------------------------------------------------------
def block_of(number, rows, columns):
    """(X, y) of one block, always the same."""
    rng = np.random.default_rng([number, columns])
    X = rng.standard_normal((rows, columns))
    return X, 1.0 + X @ np.arange(1.0, columns + 1.0) + rng.standard_t(2, rows)


def blocks(rows, columns):
    """(first row, X, y) of all blocks."""
    for number, start in enumerate(range(0, rows, BLOCK)):
        yield start, *block_of(number, min(BLOCK, rows - start), columns)


def make_memmap(folder, rows, columns):
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float64, (rows, columns))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float64, (rows,))
    for start, block, target in blocks(rows, columns):
        X[start : start + len(target)], y[start : start + len(target)] = block, target


def make_parquet(folder, rows, columns):
    import pyarrow
    import pyarrow.parquet

    names, writer = [*(f"x{j}" for j in range(columns)), "y"], None
    for start, block, target in blocks(rows, columns):
        table = pyarrow.table([*block.T, target], names=names)
        if start // BLOCK % BLOCKS_PER_FILE == 0:
            if writer:
                writer.close()
            file = folder / f"part-{start // BLOCK // BLOCKS_PER_FILE:05d}.parquet"
            writer = pyarrow.parquet.ParquetWriter(
                file, table.schema, compression="none", use_dictionary=False
            )
        writer.write_table(table)
    writer.close()


MAKE = {"memmap": make_memmap, "parquet": make_parquet}


def folder_of(store, rows, columns, folder):
    """The folder with the data, which are made if they are not there."""
    path = Path(folder) / f"{store}-{rows}-{columns}"
    if not (path / "complete").exists():
        path.mkdir(parents=True, exist_ok=True)
        start = perf_counter()
        MAKE[store](path, rows, columns)
        (path / "complete").touch()
        print(f"made {path} in {perf_counter() - start:.0f} s\n", flush=True)
    return path


def batches(path):
    """(X, y) of all rows in order, a block at a time."""
    if (path / "X.npy").exists():
        X, y = (np.load(path / f"{name}.npy", mmap_mode="r") for name in "Xy")
        for start in range(0, len(y), BLOCK):
            yield X[start : start + BLOCK], y[start : start + BLOCK]
        return
    import pyarrow.parquet

    for file in sorted(path.glob("*.parquet")):
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(batch_size=BLOCK):
            columns = [column.to_numpy() for column in batch.columns]
            yield np.column_stack(columns[:-1]), columns[-1]


def whole(path):
    """(X, y) of all rows, none of them read: two memory maps, or a Dask frame and series."""
    if (path / "X.npy").exists():
        return tuple(np.load(path / f"{name}.npy", mmap_mode="r") for name in "Xy")
    import dask.dataframe

    frame = dask.dataframe.read_parquet(path)
    return frame.drop(columns="y"), frame["y"]


# -- the fits --------------------------------------------------------------------------------------
def ours(loss):
    return lambda path: LinearRegressor(loss, delta=DELTA).fit(*whole(path))


def by_batches(model):
    def fit(path):
        for X, y in batches(path):
            model.partial_fit(X, y)
        return model

    return fit


def dask_ml(path):
    import dask.dataframe
    from dask_ml.linear_model import LinearRegression

    rows = dask.dataframe.read_parquet(path).to_dask_array(lengths=True)
    return LinearRegression().fit(rows[:, :-1], rows[:, -1])


def spark(path):
    """Spark's Huber loss, with a scale that it fits too: delta is DELTA times that."""
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import LinearRegression
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[*]").config("spark.driver.memory", "8g")
    frame = session.getOrCreate().read.parquet(f"{path}/*.parquet")
    names = [name for name in frame.columns if name != "y"]
    rows = VectorAssembler(inputCols=names, outputCol="features").transform(frame)
    fit = LinearRegression(loss="huber", epsilon=DELTA, labelCol="y").fit(rows)
    return SimpleNamespace(coef_=fit.coefficients.toArray(), intercept_=fit.intercept)


# Name: (the loss, which is minimised or judged; the fit; what has to be installed).
FITS = {
    "robustreg mae": ("mae", ours("mae"), []),
    "robustreg huber": ("huber", ours("huber"), []),
    "robustreg mse": ("mse", ours("mse"), []),
    "robustreg mse, partial_fit": ("mse", by_batches(LinearRegressor("mse")), []),
    "SGDRegressor huber, one epoch": (
        "huber", by_batches(SGDRegressor("huber", epsilon=DELTA, penalty=None, random_state=0)), [],
    ),
    "Spark LinearRegression huber": ("huber", spark, ["pyspark"]),
    "dask-ml LinearRegression": ("mse", dask_ml, ["dask_ml", "dask"]),
}  # fmt: skip


def names_of(store, only):
    """The fits that can be made of a store, those that begin with ``only``."""
    for name, (_, fit, needed) in FITS.items():
        missing = [package for package in needed if not importlib.util.find_spec(package)]
        reads_it = store == "parquet" or fit not in (dask_ml, spark)
        if name.startswith(only) and not missing and reads_it:
            yield name


def status(file, name):
    """A number of a file such as /proc/self/status; 0 where there is no such file."""
    path = Path("/proc/self") / file
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


class Watch:
    """The largest RssAnon of this process, in bytes, while the block runs."""

    def __enter__(self):
        self.most, self.ended = 0, threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ended.set()
        self.thread.join()

    def _look(self):
        while not self.ended.wait(LOOK_EVERY):
            self.most = max(self.most, 1024 * status("status", "RssAnon"))


def fitted(name, path):
    """One record: what a fit took, and its coefficients."""
    read, start = status("io", "read_bytes"), perf_counter()
    try:
        with Watch() as watch:
            model = FITS[name][1](path)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    size = sum(file.stat().st_size for file in path.iterdir())
    work = getattr(model, "work_", None)
    return {
        "seconds": perf_counter() - start,
        "anonymous": watch.most,
        "passes": work.n_passes if work else 1,
        "disk": (status("io", "read_bytes") - read) / size,
        "gap": float(getattr(model, "dual_gap_", np.nan)),
        "coef": np.ravel(model.coef_).tolist(),
        "intercept": float(np.ravel(model.intercept_)[0]),
    }


# -- the table -------------------------------------------------------------------------------------
def value(loss, r):
    """The losses of residuals, as LinearRegressor defines them."""
    if loss == "mse":
        return r * r / 2
    size = np.abs(r)
    return size if loss == "mae" else np.where(size <= DELTA, r * r / 2, DELTA * (size - DELTA / 2))


def objectives(found, path):
    """The mean loss over all rows of each fit, by name: one pass for all."""
    sums, n_rows = dict.fromkeys(found, 0.0), 0
    for X, y in batches(path):
        n_rows += len(y)
        for name, fit in found.items():
            r = y - fit["intercept"] - X @ np.array(fit["coef"])
            sums[name] += float(value(FITS[name][0], r).sum())
    return {name: total / n_rows for name, total in sums.items()}


def in_a_process_of_its_own(name, path):
    command = [sys.executable, __file__, "one", "--name", name, "--path", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": f"it ended with code {done.returncode}. {done.stderr[-300:]}"}
    return json.loads(done.stdout.splitlines()[-1])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", choices=["parquet", "memmap", "one"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--folder", default="large")
    parser.add_argument("--only", default="", help="fits whose names begin so")
    parser.add_argument("--csv")
    parser.add_argument("--name", help=argparse.SUPPRESS)  # of a fit in a process of its own
    parser.add_argument("--path", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    given = arguments()
    if given.store == "one":
        print(json.dumps(fitted(given.name, Path(given.path))))
        return
    path = folder_of(given.store, given.rows, given.columns, given.folder)
    print(f"{given.store}, {given.rows:,} x {given.columns}\n")
    print(
        "| fit | seconds | anonymous, GB | passes | disk | gap | objective |\n|---|---|---|---|---|---|---|"
    )
    fits = {name: in_a_process_of_its_own(name, path) for name in names_of(given.store, given.only)}
    found = {name: fit for name, fit in fits.items() if "error" not in fit}
    reached, records = objectives(found, path), []
    for name, fit in fits.items():
        if name not in found:
            print(f"| {name} | {fit['error']} |")
            continue
        print(
            f"| {name} | {fit['seconds']:.1f} | {fit['anonymous'] / 1e9:.2f} | {fit['passes']} | "
            f"{fit['disk']:.1f} | {fit['gap']:.0e} | {reached[name]:.9f} |"
        )
        record = {"fit": name, "store": given.store, "rows": given.rows, "columns": given.columns}
        records.append(record | fit | {"objective": reached[name]})
    if given.csv and records:
        keep(given.csv, records)


if __name__ == "__main__":
    main()
