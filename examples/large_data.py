"""Three million rows in parquet files, fitted on a cluster of two processes: python examples/large_data.py

The cluster is made on this machine; any other does the same with ``Client("its address")``. The
files stand for ones that no memory holds: they are read three times, and what travels between the
processes are small sums, and the few rows near the fit. The page on large data tells how few.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import dask.dataframe
import numpy as np
import pandas as pd
from dask.distributed import Client, LocalCluster

from robustreg import LinearRegressor

FILES, ROWS = 12, 250_000  # of each file
COEFFICIENTS = {"size": 3.0, "age": -1.0, "rooms": 2.0, "floor": 0.5}


def write(file, number):
    """One file of rows with a few gross errors in y, always the same."""
    rng = np.random.default_rng(number)
    frame = pd.DataFrame({name: rng.standard_normal(ROWS) for name in COEFFICIENTS})
    frame["price"] = 10.0 + frame @ list(COEFFICIENTS.values()) + rng.standard_t(2, ROWS)
    frame.loc[::100, "price"] *= 100.0  # two digits too many
    frame.to_parquet(file)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            write(Path(folder) / f"part-{number:02d}.parquet", number)
        print(f"{FILES * ROWS:,} rows in {FILES} files\n")
        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        )
        with cluster, Client(cluster):
            frame = dask.dataframe.read_parquet(folder)
            X, y = frame[list(COEFFICIENTS)], frame["price"]
            fit_and_tell(X, y)


def fit_and_tell(X, y):
    print(f"{'':<5} {'seconds':>7}  {'coefficients':<28} {'intercept':>9}   work")
    for loss in ("mae", "huber", "mse"):
        start = perf_counter()
        model = LinearRegressor(loss).fit(X, y)
        seconds, b = perf_counter() - start, " ".join(f"{b:6.3f}" for b in model.coef_)
        assert model.converged_
        print(f"{loss:<5} {seconds:7.1f}  {b:<28} {model.intercept_:9.3f}   {model.work_}")
        if loss == "mae":
            off = abs(y - model.predict(X))  # lazy: a series of Dask, with the parts of y
            share = float((off > 100.0).mean().compute())
    print(f"\n{share:.2%} of the rows are more than 100 from the fit of the absolute loss.")


if __name__ == "__main__":
    main()
