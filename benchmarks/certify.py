"""What certify takes: seconds and memory, beside the fit it judges: ``python
benchmarks/certify.py``.

Each row runs in a process of its own. "optimal" judges the fit under its own loss, "another" the
least squares coefficients under that loss. Memory is the largest size of the process beyond that
after the fits.
"""

import resource
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsqr

from robustreg import LinearRegressor, certify

KINDS = {
    "1e6 x 20": (1_000_000, 20),
    "1e7 x 8": (10_000_000, 8),
    "1e6 x 2,000 dummies, CSR": (1_000_000, 2000),
}
LOSSES = ("mse", "huber", "mae")
REPEATS = 5


def data(kind):
    n, p = KINDS[kind]
    rng = np.random.default_rng(0)
    if "CSR" not in kind:
        X = rng.standard_normal((n, p))
        y = X @ rng.standard_normal(p)
        y += rng.standard_t(2, n)
        return X, y
    levels = rng.integers(0, p // 2, (n, 2))
    columns = levels + np.array([0, p // 2])
    X = sparse.csr_array(
        (np.ones(2 * n), (np.repeat(np.arange(n), 2), columns.ravel())), shape=(n, p)
    )
    return X, rng.standard_normal(p)[columns].sum(axis=1) + rng.standard_t(2, n)


def seconds(function, repeats=REPEATS):
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)), result


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def least_squares(X, y):
    if not sparse.issparse(X):
        return LinearRegressor("mse").fit(X, y)
    with_ones = sparse.hstack([X, np.ones((X.shape[0], 1))], format="csr")
    found = lsqr(with_ones, y, atol=1e-14, btol=1e-14)[0]
    return SimpleNamespace(coef_=found[:-1], intercept_=found[-1], fit_intercept=True)


def measure(kind, loss):
    X, y = data(kind)
    other, fit = least_squares(X, y), "-"
    model = other
    if not sparse.issparse(X):
        LinearRegressor(loss).fit(X[:1000], y[:1000])
        taken, model = seconds(lambda: LinearRegressor(loss).fit(X, y))
        fit = f"{taken:.2f}"
    before = peak()
    optimal, proof = "-", None
    if loss == "mse" or not sparse.issparse(X):
        taken, proof = seconds(
            lambda: certify(model, X, y, loss=loss, delta=1.35), REPEATS if len(y) < 10**7 else 3
        )
        optimal = f"{taken:.2f} (gap {proof.gap:.0e})"
    another = "-"
    if loss != "mse":
        taken, proof = seconds(lambda: certify(other, X, y, loss=loss, delta=1.35), 1)
        another = f"{taken:.1f} (gap {proof.gap:.0e})"
    print(
        f"| {kind} | {loss} | {fit} | {optimal} | {another} | {peak() - before:.1f} GB |",
        flush=True,
    )


def main():
    if len(sys.argv) > 1:
        measure(*sys.argv[1:])
        return
    for kind in KINDS:
        for loss in LOSSES:
            subprocess.run([sys.executable, __file__, kind, loss], check=True)


if __name__ == "__main__":
    main()
