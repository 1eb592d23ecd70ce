"""Seconds of a fit of ordinary tables, as ratios to scikit-learn's LinearRegression on the same data.

    python benchmarks/tables.py                      every table of ordinary.py (15 minutes, 6 GB)
    python benchmarks/tables.py plain twelve_dummies some of them
    python benchmarks/tables.py --csv head.csv       keeps the rows, and
    python benchmarks/tables.py --against base.csv   tells what is slower by a fifth and 2 ms than in a file kept

All fits of one table are made in turn, in one process, and medians are quoted: of the ratios to the fit of
LinearRegression just before, and of milliseconds. Each fit is judged by ``certify``, too, where X has up to 1e8
entries: ``proved`` is that gap.
"""

import argparse
import platform
import sys
import warnings
from time import perf_counter, sleep

import numpy as np
import ordinary
import scipy
import sklearn
from records import compare_with, keep
from sklearn.linear_model import LinearRegression

from robustreg import LinearRegressor, certify

LOSSES = ["mse", "huber", "mae"]
TABLES = {
    name: make
    for name, make in vars(ordinary).items()
    if callable(make) and make.__module__ == "ordinary" and make.__code__.co_argcount == 0
}
REPEATS, LONGEST = 5, 10.0  # of each fit; no more of one when they have taken so many seconds
PAUSE = 0.2  # after LinearRegression: BLAS keeps its threads spinning
SLOWER, BY = 1.2, 2.0  # what --against flags: a factor and milliseconds, both
KEY = ("table", "loss")  # what a row is told by
JUDGED = 1e8  # entries of X up to which certify is asked


def seconds(model, X, y, w):
    start = perf_counter()
    model.fit(X, y, sample_weight=w)
    return perf_counter() - start


def fitted(model, X, y, w, n_most):
    """(seconds, ratios to LinearRegression, warnings) of up to ``n_most`` fits."""
    taken, ratios, told = [], [], []
    while len(taken) < n_most and (not taken or sum(taken) * (1 + 1 / len(taken)) < LONGEST):
        base = seconds(LinearRegression(), X, y, w)
        sleep(PAUSE)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            taken.append(seconds(model, X, y, w))
        ratios.append(taken[-1] / base)
        told = caught
    return taken, ratios, told


def rows_of(name, losses, n_most):
    """One record per loss."""
    X, y, parameters, w = TABLES[name]()
    for loss in losses:
        given = {"delta": 1.0, **parameters}
        model = LinearRegressor(loss, **given)
        taken, ratios, told = fitted(model, X, y, w, n_most)
        work = model.work_
        judged = certify(model, X, y, w) if np.prod(X.shape) <= JUDGED else []
        proofs = judged if isinstance(judged, list) else [judged]  # one for each target
        yield {
            "table": name, "loss": loss, "ratio": round(float(np.median(ratios)), 2),
            "ms": round(1e3 * float(np.median(taken)), 1), "way": work.way, "passes": work.n_passes,
            "kept": work.n_kept, "n_iter": model.n_iter_, "rank": model.rank_,
            "gap": f"{np.max(model.dual_gap_):.0e}",
            "proved": f"{max(proof.gap for proof in proofs):.0e}" if proofs else "",
            "warnings": len(told), "refused": work.refused,
        }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="table", help="all of them without")
    parser.add_argument("--losses", default=",".join(LOSSES))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--csv")
    parser.add_argument("--against")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.tables) - set(TABLES)):
        parser.error(f"no table {unknown}; there are {', '.join(TABLES)}")
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
          f"Python {platform.python_version()}\n")  # fmt: skip
    records = []
    for name in arguments.tables or TABLES:
        for record in rows_of(name, arguments.losses.split(","), arguments.repeats):
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
