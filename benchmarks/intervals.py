"""How often 95 % intervals cover the truth: python benchmarks/intervals.py

2,000 samples of 200 rows, a feature, an indicator and an intercept, for each kind of errors, and
for each loss the covariances that assume no more than what holds. A cell is the part of the samples
whose interval covers the slope of the feature, in percent; the standard error of a cell is 0.5.
About five minutes on one core.
"""

import argparse
import platform
import warnings

import numpy as np
import scipy

from robustreg import LinearRegressor, infer

COEF, INTERCEPT = np.array([2.0, -1.0]), 1.0
N_GROUPS = 50
# Errors, and for each loss the covariances that assume no more than what holds.
ALIKE = {"mse": ["iid"], "huber": ["H1"], "mae": ["iid", "rank"]}
UNLIKE = {"mse": ["HC3"], "huber": ["sandwich"], "mae": ["nid", "kernel"]}
CLUSTERED = {loss: ["cluster"] for loss in ALIKE}
ERRORS = {"normal": ALIKE, "t(3)": ALIKE, "heteroscedastic": UNLIKE, "clustered": CLUSTERED}
OPTIONS = {"kernel": {"kernel": "uniform"}}  # "gaussian", that of quantreg, is too wide here


def sample(errors, rng, n):
    """(X, y, groups) with errors of the kind; all are symmetric, so that the losses agree."""
    groups = np.arange(n) % N_GROUPS
    X = np.column_stack([rng.standard_normal(n), rng.integers(0, 2, n)])
    e = rng.standard_t(3, n) if errors == "t(3)" else rng.standard_normal(n)
    if errors == "heteroscedastic":  # quantiles are linear, as "nid" has them
        X[:, 0] = rng.uniform(0.0, 3.0, n)
        e *= 0.3 + X[:, 0]
    if errors == "clustered":  # half of the variance of the feature and of the errors
        X[:, 0] = (X[:, 0] + rng.standard_normal(N_GROUPS)[groups]) / np.sqrt(2.0)
        e += rng.standard_normal(N_GROUPS)[groups]
    return X, X @ COEF + INTERCEPT + e, groups


def coverage(errors, n_samples, n):
    """{(loss, cov): part of the samples whose interval covers the slope, in percent}."""
    covered = {(loss, cov): 0 for loss, kinds in ERRORS[errors].items() for cov in kinds}
    for seed in range(n_samples):
        X, y, groups = sample(errors, np.random.default_rng(seed), n)
        for loss, kinds in ERRORS[errors].items():
            delta = {"delta": 1.345, "scale": "mad"} if loss == "huber" else {}
            model = LinearRegressor(loss, **delta).fit(X, y)
            for cov in kinds:
                given = {"groups": groups} if cov == "cluster" else OPTIONS.get(cov, {})
                low, high = infer(model, X, y, cov=cov, **given).interval[1]
                covered[loss, cov] += low <= COEF[0] <= high
    return {key: 100.0 * count / n_samples for key, count in covered.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--errors", nargs="*", default=list(ERRORS), choices=list(ERRORS))
    args = parser.parse_args()
    warnings.simplefilter("error")
    print(
        f"{args.samples} samples of {args.rows} rows; Python {platform.python_version()}, "
        f"NumPy {np.__version__}, SciPy {scipy.__version__}\n"
    )
    print("| errors | loss | cov | covered, % |\n|---|---|---|---|")
    for errors in args.errors:
        for (loss, cov), part in coverage(errors, args.samples, args.rows).items():
            print(f'| {errors} | `"{loss}"` | `"{cov}"` | {part:.1f} |', flush=True)


if __name__ == "__main__":
    main()
