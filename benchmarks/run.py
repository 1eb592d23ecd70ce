"""Seconds and memory of a fit as ratios to scikit-learn's LinearRegression.

    python benchmarks/run.py                          the table of shapes (10 minutes, 4 GB)
    python benchmarks/run.py --quick                  its small shapes
    python benchmarks/run.py --noise all --design all --shape 100000x20
    python benchmarks/run.py --storage all --shape 1000000x20 --memory
    python benchmarks/run.py --exact                  compares each fit with the direct solver's, too
    python benchmarks/run.py --growth                 from 1e5 to 1e7 rows at 5 columns
    python benchmarks/run.py --grid                   GridSearchCV over 20 deltas, and HuberRegressor's over epsilon
    python benchmarks/run.py --csv head.csv           keeps the rows, and
    python benchmarks/run.py --against base.csv       tells what is slower by 10 % and 1 ms than in a file kept

All fits of one shape are made in turn, in one process, and medians are quoted: of the ratios to the
fit of LinearRegression just before, and of milliseconds. After LinearRegression, on a million
entries and more, is a pause: BLAS keeps its threads spinning for about a tenth of a second, which
would take time from the next fit. Peak extra memory is that of NumPy's allocations in one fit
(tracemalloc), in a process of its own.
"""

import argparse
import platform
import subprocess
import sys
import tracemalloc
from time import perf_counter

import numpy as np
import scipy
import sklearn
from data import DESIGNS, NOISES, SHAPES, STORAGES, data
from records import compare_with, keep
from sklearn.linear_model import HuberRegressor, LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import LinearRegressor, LinearRegressorCV, delta_path
from robustreg.fitting.at_knot import WAY

LOSSES = ["mse", "huber", "mae"]
PAUSE = 0.2
SLOWER, BY = 1.10, 1.0  # what --against flags: a factor and milliseconds, both
KEY = ("shape", "design", "noise", "storage", "loss")  # what a row is told by


def seconds(model, X, y):
    start = perf_counter()
    model.fit(X, y)
    return perf_counter() - start


def pause(X):
    start = perf_counter()
    while X.size >= 1_000_000 and perf_counter() < start + PAUSE:  # awake, as clocks fall in sleep
        pass


def direct(loss, X, y):
    """The same fit with all rows in memory, without passes."""
    before = WAY.set("direct")
    try:
        return LinearRegressor(loss, delta=1.0).fit(X, y)
    finally:
        WAY.reset(before)


def difference(model, other, X):
    """The largest change of a coefficient, relative to the largest, both per standard deviation of
    the column.
    """
    spread = np.asarray(X).std(axis=0)
    return float(
        np.abs(spread * (model.coef_ - other.coef_)).max() / np.abs(spread * other.coef_).max()
    )


def peak_memory(loss, shape, design, noise, storage):
    """Peak extra memory of one fit relative to the bytes of X, measured in a child process."""
    call = [
        sys.executable,
        __file__,
        "--child",
        loss,
        "--shape",
        shape,
        "--design",
        design,
        "--noise",
        noise,
    ]
    return float(
        subprocess.run(
            [*call, "--storage", storage], capture_output=True, check=True, text=True
        ).stdout
    )


def child(loss, shape, design, noise, storage):
    X, y = data(*map(int, shape.split("x")), design, noise, storage)
    size = X.memory_usage(index=False).sum() if storage == "frame" else X.nbytes
    tracemalloc.start()
    LinearRegressor(loss, delta=1.0).fit(X, y)
    print(tracemalloc.get_traced_memory()[1] / size)


def rows_of(shape, design, noise, storage, repeats, arguments):
    """One record per loss."""
    n, p = map(int, shape.split("x"))
    X, y = data(n, p, design, noise, storage)
    repeats = repeats or (31 if n * p < 1e6 else 9 if n * p < 3e7 else 5)
    models = {loss: LinearRegressor(loss, delta=1.0) for loss in LOSSES}
    for model in models.values():  # once before, as caches and threads begin cold
        model.fit(X, y)
    base, taken, ratios = [], {loss: [] for loss in LOSSES}, {loss: [] for loss in LOSSES}
    for _ in range(repeats):
        base.append(seconds(LinearRegression(), X, y))
        pause(X)
        for loss, model in models.items():
            taken[loss].append(seconds(model, X, y))
            ratios[loss].append(taken[loss][-1] / base[-1])
    for loss, model in models.items():
        yield {
            "shape": shape, "design": design, "noise": noise, "storage": storage, "loss": loss,
            "ratio": round(float(np.median(ratios[loss])), 3), "ms": round(1e3 * float(np.median(taken[loss])), 3),
            "LinearRegression ms": round(1e3 * float(np.median(base)), 3),
            "way": model.work_.way, "passes": model.work_.n_passes, "kept": model.work_.n_kept,
            "fixups": model.work_.n_fixups,
            "n_iter": model.n_iter_, "gap": f"{model.dual_gap_:.1e}",
            "difference": f"{difference(model, direct(loss, X, y), X):.1e}" if arguments.exact else "",
            "memory": round(peak_memory(loss, shape, design, noise, storage), 3) if arguments.memory else "",
        }  # fmt: skip


def grid():
    X, y = data(442, 10)
    y = 54.0 * y
    grids = [
        GridSearchCV(make_pipeline(StandardScaler(), LinearRegressor("huber")),
                     {"linearregressor__delta": 54.0 * np.linspace(1.0, 3.0, 20)}, cv=5),
        GridSearchCV(make_pipeline(StandardScaler(), HuberRegressor(max_iter=1000)),
                     {"huberregressor__epsilon": np.linspace(1.0, 3.0, 20)}, cv=5),
    ]  # fmt: skip
    taken = np.array([[seconds(search, X, y) for search in grids] for _ in range(7)])
    ours, theirs = np.median(taken, axis=0)
    print(f"GridSearchCV over 20 values, 5 folds, StandardScaler, diabetes: {1e3 * ours:.0f} ms; HuberRegressor over "
          f"20 epsilons: {1e3 * theirs:.0f} ms; ratio {np.median(taken[:, 0] / taken[:, 1]):.2f}")  # fmt: skip


def cross_validation():
    print(
        "| shape | GridSearchCV, ms | LinearRegressorCV, ms | ratio | delta_path, breakpoints | ms |\n"
        + "|---" * 6
        + "|"
    )
    for n, p in [(442, 10), (10_000, 10), (100_000, 20), (100_000, 100)]:
        X, y = data(n, p)
        deltas = LinearRegressorCV().fit(X, y).path_.deltas
        search = GridSearchCV(
            LinearRegressor("huber"),
            {"delta": deltas},
            cv=5,
            scoring="neg_mean_absolute_error",
            refit=True,
        )
        taken = np.array(
            [[seconds(search, X, y), seconds(LinearRegressorCV(cv=5), X, y)] for _ in range(7)]
        )
        same = LinearRegressorCV(cv=5).fit(X, y).delta_ == search.best_params_["delta"]
        exact = "", ""
        if n <= 10_000:
            start = perf_counter()
            exact = len(delta_path(X, y).deltas), f"{1e3 * (perf_counter() - start):.0f}"
        theirs, ours = 1e3 * np.median(taken, axis=0)
        ratio = np.median(taken[:, 1] / taken[:, 0])
        print(f"| {n} x {p} | {theirs:.0f} | {ours:.0f} | {ratio:.2f}{'' if same else ' (another delta)'} "
              f"| {exact[0]} | {exact[1]} |", flush=True)  # fmt: skip


def scales():
    """Ratios to LinearRegression of Huber's loss with a scale."""
    print("| shape | scale | ratio | passes |\n|---|---|---|---|")
    for n, p in SHAPES[:4]:
        X, y = data(n, p)
        for scale in (1.0, "mad", "proposal2", "concomitant"):
            model, ratios = LinearRegressor("huber", delta=1.345, scale=scale).fit(X, y), []
            for _ in range(7):
                base = seconds(LinearRegression(), X, y)
                pause(X)
                ratios.append(seconds(model, X, y) / base)
            print(
                f"| {n} x {p} | {scale} | {np.median(ratios):.2f} | {model.work_.n_passes} |",
                flush=True,
            )


def growth():
    sizes = [100_000, 1_000_000, 10_000_000]
    print(
        f"| loss | {' | '.join(f'{n:,} x 5, ms' for n in sizes)} | exponent |\n|---|---|---|---|---|"
    )
    taken = {loss: [] for loss in LOSSES}
    for n in sizes:
        X, y = data(n, 5)
        for loss in LOSSES:
            model = LinearRegressor(loss, delta=1.0).fit(X, y)
            taken[loss].append(1e3 * np.median([seconds(model, X, y) for _ in range(7)]))
    for loss, ms in taken.items():
        exponent = np.log(ms[-1] / ms[0]) / np.log(sizes[-1] / sizes[0])
        print(f"| {loss} | {' | '.join(f'{t:.1f}' for t in ms)} | {exponent:.2f} |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, choices, default in (
        ("--shape", None, "all"), ("--design", [*DESIGNS, "all"], "gauss"),
        ("--noise", [*NOISES, "all"], "t2"), ("--storage", [*STORAGES, "all"], "C"),
    ):  # fmt: skip
        parser.add_argument(name, choices=choices, default=default)
    for name in ("--quick", "--memory", "--exact", "--growth", "--grid", "--cv", "--scale"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--csv")
    parser.add_argument("--against")
    parser.add_argument("--child", choices=LOSSES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(
            arguments.child, arguments.shape, arguments.design, arguments.noise, arguments.storage
        )
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
          f"Python {platform.python_version()}\n")  # fmt: skip
    for name, table in (
        ("growth", growth),
        ("grid", grid),
        ("cv", cross_validation),
        ("scale", scales),
    ):
        if getattr(arguments, name):
            return table()
    every = lambda value, values: list(values) if value == "all" else [value]  # noqa: E731
    shapes = [f"{n}x{p}" for n, p in SHAPES[: 2 if arguments.quick else None]]
    records = []
    for shape in every(arguments.shape, shapes):
        variants = [(design, noise) for design in every(arguments.design, DESIGNS)
                    for noise in every(arguments.noise, NOISES)
                    if "gauss" in (design, arguments.design) or noise == "t2"]  # fmt: skip
        for design, noise in variants:
            for storage in every(arguments.storage, STORAGES):
                for record in rows_of(shape, design, noise, storage, arguments.repeats, arguments):
                    if not records:
                        print(f"| {' | '.join(record)} |\n|{'---|' * len(record)}")
                    records.append(record)
                    print(f"| {' | '.join(str(value) for value in record.values())} |", flush=True)
    if arguments.csv:
        keep(arguments.csv, records)
    if not arguments.against:
        return 0
    return compare_with(arguments.against, records, KEY, SLOWER, BY)


if __name__ == "__main__":
    sys.exit(main())
