"""Seconds of each loss as a ratio to scikit-learn's LinearRegression: python benchmarks/run.py [--quick]

All fits of one shape are made in turn, in one process, and the medians of the ratios are printed as a table.
"""

import argparse
import platform
from time import perf_counter

import numpy as np
import scipy
import sklearn
from sklearn.linear_model import HuberRegressor, LinearRegression

from robustreg import LinearRegressor

SHAPES = [(442, 10), (10_000, 10), (100_000, 20), (1_000_000, 20)]
MODELS = {
    "mse": LinearRegressor("mse"),
    "huber": LinearRegressor("huber", delta=1.0),
    "mae": LinearRegressor("mae"),
    "sklearn HuberRegressor": HuberRegressor(max_iter=1000),
}


def seconds(model, X, y):
    start = perf_counter()
    model.fit(X, y)
    return perf_counter() - start


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="the two small shapes only, three repeats")
quick = parser.parse_args().quick

print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
      f"Python {platform.python_version()}\n")  # fmt: skip
print(f"| shape | LinearRegression, ms | {' | '.join(MODELS)} |\n|---|---|{'---|' * len(MODELS)}")
for n, p in SHAPES[: 2 if quick else None]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = X @ rng.standard_normal(p) + rng.standard_t(2, n)
    base, ratios = [], {name: [] for name in MODELS}
    for _ in range(3 if quick else 7):
        base.append(seconds(LinearRegression(), X, y))
        for name, model in MODELS.items():
            ratios[name].append(seconds(model, X, y) / base[-1])
    row = " | ".join(f"{np.median(values):.2f}" for values in ratios.values())
    print(f"| {n:,} x {p} | {1e3 * np.median(base):.2f} | {row} |", flush=True)
