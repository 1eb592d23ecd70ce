"""The data of the benchmarks: shapes, designs, noise, storage."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

SHAPES = [(442, 10), (10_000, 10), (100_000, 20), (1_000_000, 20), (1_000_000, 50), (10_000_000, 5), (100_000, 100),
          (20_000, 500)]  # fmt: skip
NOISES = ["t2", "normal", "cauchy", "lognormal", "heteroscedastic"]
DESIGNS = ["gauss", "ar", "t3", "onehot", "sorted"]
STORAGES = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
    "frame": lambda X: pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]),
}


def noise_of(kind, rng, X):
    n = len(X)
    if kind == "t2":
        return rng.standard_t(2, n)
    if kind == "cauchy":
        return rng.standard_cauchy(n)
    if kind == "lognormal":
        return rng.lognormal(0.0, 2.0, n)
    return rng.standard_normal(n) * (np.exp(X[:, 0]) if kind == "heteroscedastic" else 1.0)


def data(n, p, design="gauss", noise="t2", storage="C"):
    """(X, y); 442 x 10 with Gaussian columns and t(2) noise is the diabetes data, in units of its
    residuals.
    """
    if (n, p, design, noise) == (442, 10, "gauss", "t2"):
        X, y = load_diabetes(return_X_y=True)
        return STORAGES[storage](X / X.std(axis=0)), y / 54.0
    rng = np.random.default_rng(0)
    X = rng.standard_t(3, (n, p)) if design == "t3" else rng.standard_normal((n, p))
    if design == "ar":
        for j in range(1, p):
            X[:, j] = 0.9 * X[:, j - 1] + np.sqrt(0.19) * X[:, j]
    if design == "onehot":
        level = rng.integers(0, p + 1, n)
        X[:] = level[:, None] == np.arange(1, p + 1)
    y = X @ rng.standard_normal(p) + noise_of(noise, rng, X)
    if design == "sorted":
        order = np.argsort(y)
        X, y = X[order], y[order]
    return STORAGES[storage](X), y
