"""Seconds of a fit beside other packages, for more and more rows of 10 columns.

    python benchmarks/compare.py [--most 1000000] [--columns 10] [--picture docs/performance.png]

Every peer that is installed takes part: scikit-learn, scikit-learn-intelex, statsmodels, pyfixest,
skglm, SciPy's L-BFGS-B, and R's quantreg and MASS where Rscript is found. All fits of one size are
made in one process, a first one apart, and medians of three are quoted. A peer takes no part in
sizes where it would take longer than LIMIT seconds. "excess" is how far its objective is above
ours, relative to it, at the largest size that it solved: most peers stop at a tolerance, some
minimise a related objective (a scale estimated jointly), which is said in its name.
"""

import argparse
import logging
import platform
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
import scipy
import sklearn
from data import data
from scipy.optimize import minimize
from sklearn.linear_model import HuberRegressor, LinearRegression, QuantileRegressor

from robustreg import LinearRegressor

LIMIT = 15.0  # seconds
PAUSE = 0.2
COLOURS = {"mse": "#0072B2", "huber": "#009E73", "mae": "#D55E00"}
MARKERS = "os^Dv<>"


def coefficients(model):
    return np.append(model.coef_, model.intercept_)


def ours(loss):
    return lambda X, y: coefficients(LinearRegressor(loss, delta=1.0).fit(X, y))


def intelex(X, y):
    from sklearnex.linear_model import LinearRegression as Patched

    return coefficients(Patched().fit(X, y))


def with_constant(X):
    return np.column_stack([X, np.ones(len(X))])


def statsmodels_ols(X, y):
    import statsmodels.api as sm

    return sm.OLS(y, with_constant(X)).fit().params


def statsmodels_rlm(X, y):
    import statsmodels.api as sm

    return sm.RLM(y, with_constant(X), M=sm.robust.norms.HuberT(1.0)).fit().params


def statsmodels_quantreg(X, y):
    import statsmodels.api as sm

    return sm.QuantReg(y, with_constant(X)).fit(0.5).params


def pyfixest(function):
    def fit(X, y):
        import pandas as pd
        import pyfixest as pf

        names = [f"x{j}" for j in range(X.shape[1])]
        fitted = getattr(pf, function)(
            f"y ~ {' + '.join(names)}", pd.DataFrame(X, columns=names).assign(y=y)
        )
        found = fitted.coef()
        return np.append(found[names], found["Intercept"])

    return fit


def skglm_huber(X, y):
    from skglm import GeneralizedLinearEstimator
    from skglm.datafits import Huber
    from skglm.penalties import L1
    from skglm.solvers import AndersonCD

    # The faintest penalty it takes; the intercept is fitted too.
    solver = AndersonCD(fit_intercept=True, tol=1e-8, max_iter=200)
    return coefficients(GeneralizedLinearEstimator(Huber(1.0), L1(1e-12), solver).fit(X, y))


def scipy_lbfgs(X, y):
    A = with_constant(X)

    def value(b):
        r = y - A @ b
        psi = np.clip(r, -1.0, 1.0)
        return (psi @ (r - 0.5 * psi)) / len(y), -(A.T @ psi) / len(y)

    return minimize(value, np.zeros(A.shape[1]), jac=True, method="L-BFGS-B").x


def r(code):
    def fit(X, y):
        if not shutil.which("Rscript"):
            raise ImportError("Rscript")
        with tempfile.TemporaryDirectory() as folder:
            np.savetxt(Path(folder) / "data.csv", np.column_stack([X, y]), delimiter=",")
            script = f"""A <- as.matrix(read.csv('{folder}/data.csv', header=FALSE)); p <- ncol(A) - 1
                X <- A[, 1:p]; y <- A[, p + 1]; s <- proc.time()[3]; b <- coef({code})
                cat(proc.time()[3] - s, b[-1], b[1])"""
            found = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True)
        if found.returncode:
            raise ImportError(found.stderr)
        taken, *b = map(float, found.stdout.split())
        return np.array(b), taken

    return fit


PEERS = {
    "mse": {
        "robustreg": ours("mse"),
        "scikit-learn LinearRegression": lambda X, y: coefficients(LinearRegression().fit(X, y)),
        "scikit-learn-intelex": intelex,
        "statsmodels OLS": statsmodels_ols,
        "pyfixest feols": pyfixest("feols"),
    },
    "huber": {
        "robustreg": ours("huber"),
        "SciPy L-BFGS-B": scipy_lbfgs,
        "skglm": skglm_huber,
        "scikit-learn HuberRegressor (joint scale)": lambda X, y: coefficients(
            HuberRegressor(max_iter=1000).fit(X, y)
        ),
        "statsmodels RLM (MAD scale)": statsmodels_rlm,
        "R MASS::rlm (MAD scale)": r("MASS::rlm(y ~ X, k = 1)"),
    },
    "mae": {
        "robustreg": ours("mae"),
        "scikit-learn QuantileRegressor": lambda X, y: coefficients(
            QuantileRegressor(alpha=0.0).fit(X, y)
        ),
        "statsmodels QuantReg": statsmodels_quantreg,
        "pyfixest quantreg": pyfixest("quantreg"),
        "R quantreg pfn": r("quantreg::rq(y ~ X, method = 'pfn')"),
    },
}


def objective(loss, X, y, b):
    residual = y - X @ b[:-1] - b[-1]
    size = np.abs(residual)
    return np.mean({"mse": residual**2 / 2, "mae": size,
                    "huber": np.where(size <= 1.0, residual**2 / 2, size - 0.5)}[loss])  # fmt: skip


def timed(fit, X, y):
    start = perf_counter()
    found = fit(X, y)
    taken = perf_counter() - start
    return found if isinstance(found, tuple) else (found, taken)


def measure(sizes, columns):
    """{(loss, peer): [(n, seconds, excess)]}"""
    found, out = {}, set()
    for n in sizes:
        X, y = data(n, columns)
        for loss, peers in PEERS.items():
            best = objective(loss, X, y, peers["robustreg"](X, y))
            for name, fit in peers.items():
                if (loss, name) in out:
                    continue
                sleep(PAUSE)  # BLAS keeps the threads of the fit before spinning for a while
                try:
                    b, first = timed(fit, X, y)
                    taken = [timed(fit, X, y)[1] for _ in range(3)] if first < LIMIT else [first]
                except Exception as error:
                    print(f"{loss}, {name}: {type(error).__name__}: {str(error)[:80]}")
                    out.add((loss, name))
                    continue
                excess = objective(loss, X, y, b) / best - 1.0
                found.setdefault((loss, name), []).append((n, float(np.median(taken)), excess))
                if np.median(taken) > LIMIT / 8:  # ten times the rows would take too long
                    out.add((loss, name))
    return found


def table(found, sizes):
    print(
        f"\n| loss | package | {' | '.join(f'{n:,}' for n in sizes)} | excess |\n|---|---|{'---|' * (len(sizes) + 1)}"
    )
    for (loss, name), points in found.items():
        taken = {n: seconds for n, seconds, _ in points}
        cells = " | ".join(f"{taken[n]:.2g}" if n in taken else "" for n in sizes)
        excess = points[-1][2]
        print(f"| {loss} | {name} | {cells} | {f'{excess:.0e}' if abs(excess) > 1e-12 else '0'} |")


def picture(found, columns, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharey=True, layout="constrained")
    reference = found["mse", "scikit-learn LinearRegression"]
    for axis, loss in zip(axes, PEERS, strict=True):
        if loss != "mse":
            axis.plot(
                *zip(*[p[:2] for p in reference], strict=True),
                ":",
                color="black",
                label="LinearRegression (least squares)",
            )
        for k, name in enumerate(name for which, name in found if which == loss):
            line = [p[:2] for p in found[loss, name]]
            style = (
                {"color": COLOURS[loss], "linewidth": 3}
                if name == "robustreg"
                else {"color": str(0.25 + 0.1 * k)}
            )
            axis.plot(*zip(*line, strict=True), marker=MARKERS[k], label=name, **style)
        axis.set(xscale="log", yscale="log", xlabel=f"rows (of {columns} columns)", title=loss)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    axes[0].set_ylabel("seconds of a fit")
    figure.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=1_000_000, help="rows of the largest data")
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--picture", help="a file to draw into, log-log")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
          f"Python {platform.python_version()}\n")  # fmt: skip
    sizes = [10**k for k in range(3, 9) if 10**k <= arguments.most]
    found = measure(sizes, arguments.columns)
    table(found, sizes)
    if arguments.picture:
        picture(found, arguments.columns, arguments.picture)


if __name__ == "__main__":
    main()
