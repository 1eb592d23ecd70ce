"""Seconds of quantile fits as ratios to scikit-learn's LinearRegression, and beside other packages.

    python benchmarks/quantiles.py                    levels 0.5, 0.9, 0.99 of three shapes, 19 levels at once
    python benchmarks/quantiles.py --noise all        the same under every noise
    python benchmarks/quantiles.py --peers            QuantileRegressor, statsmodels and pyfixest at 1000 x 10
    python benchmarks/quantiles.py --csv head.csv     keeps the rows, and
    python benchmarks/quantiles.py --against base.csv tells what is slower by 10 % and 1 ms

As in ``run.py`` all fits of one shape are made in turn, in one process, and medians are quoted. The
ratio of ``process`` is that of 19 levels to one fit of the median.
"""

import argparse
import sys
from time import perf_counter

import numpy as np
from data import NOISES, data
from records import compare_with, keep
from run import pause
from sklearn.linear_model import LinearRegression, QuantileRegressor

from robustreg import LinearRegressor, quantile_process

LEVELS = (0.5, 0.9, 0.99)
SHAPES = ((10_000, 10), (100_000, 20), (1_000_000, 20))
PEERS_SHAPE = (1000, 10)
KEY = ("shape", "noise", "fit")


def seconds(fit):
    start = perf_counter()
    found = fit()
    return perf_counter() - start, found


def records(shape, noise, repeats):
    """A record for each level, and for the process."""
    X, y = data(*shape, noise=noise)
    fits = {
        f"{level}": lambda level=level: LinearRegressor("quantile", quantile=level).fit(X, y)
        for level in LEVELS
    }
    fits["process"] = lambda: quantile_process(X, y)
    taken, found = {name: [] for name in ("linear", *fits)}, {}
    for _ in range(repeats + 1):  # the first one warms up
        taken["linear"].append(seconds(lambda: LinearRegression().fit(X, y))[0])
        pause(X)
        for name, fit in fits.items():
            one, found[name] = seconds(fit)
            taken[name].append(one)
    for name, result in found.items():
        ms = {key: 1e3 * np.array(values[1:]) for key, values in taken.items()}
        base = ms["0.5"] if name == "process" else ms["linear"]
        work = result.work if name == "process" else result.work_
        yield {
            "shape": f"{shape[0]}x{shape[1]}", "noise": noise, "fit": name,
            "ms": float(np.median(ms[name])), "ratio": float(np.median(ms[name] / base)),
            "passes": work.n_passes, "kept": work.n_kept, "fixups": work.n_fixups, "way": work.way,
        }  # fmt: skip


def statsmodels(X, y, level):
    import statsmodels.api as sm

    params = sm.QuantReg(y, np.column_stack([X, np.ones(len(X))])).fit(level).params
    return params[:-1], params[-1]


def pyfixest(X, y, level):
    import pandas as pd
    import pyfixest as pf

    names = [f"x{j}" for j in range(X.shape[1])]
    table = pd.DataFrame(X, columns=names).assign(y=y)
    found = pf.quantreg(f"y ~ {' + '.join(names)}", table, quantile=level).coef()
    return found[names].to_numpy(), found["Intercept"]


def of_scikit_learn(estimator):
    return lambda X, y, level: (
        estimator.set_params(quantile=level).fit(X, y).coef_,
        estimator.intercept_,
    )


PEERS = {
    "robustreg": of_scikit_learn(LinearRegressor("quantile")),
    "scikit-learn QuantileRegressor": of_scikit_learn(QuantileRegressor(alpha=0.0)),
    "statsmodels QuantReg": statsmodels,
    "pyfixest quantreg": pyfixest,
}


def pinball(X, y, level, coef, intercept):
    r = y - X @ coef - intercept
    return np.mean(np.maximum(level * r, (level - 1.0) * r))


def peers(repeats):
    """Milliseconds of each that is installed, and how far its objective is above ours."""
    X, y = data(*PEERS_SHAPE, noise=next(iter(NOISES)))
    print(f"{PEERS_SHAPE[0]} x {PEERS_SHAPE[1]}: ms, and excess of the objective")
    for level in LEVELS:
        least = np.nan
        for name, fit in PEERS.items():
            try:
                runs = [
                    seconds(lambda fit=fit, level=level: fit(X, y, level))
                    for _ in range(repeats + 1)
                ]
            except ImportError:
                continue
            value = pinball(X, y, level, *runs[-1][1])
            least = value if name == "robustreg" else least
            ms = 1e3 * np.median([one for one, _ in runs[1:]])
            print(f"{level:<5} {name:<32} {ms:9.1f} {value / least - 1.0:9.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--noise", default=next(iter(NOISES)), choices=[*NOISES, "all"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--csv")
    parser.add_argument("--against")
    arguments = parser.parse_args()
    if arguments.peers:
        return peers(arguments.repeats)
    rows = []
    for shape in SHAPES:
        for noise in NOISES if arguments.noise == "all" else [arguments.noise]:
            for record in records(shape, noise, arguments.repeats):
                rows.append(record)
                print("  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
                                for k, v in record.items()), flush=True)  # fmt: skip
    if arguments.csv:
        keep(arguments.csv, rows)
    return compare_with(arguments.against, rows, KEY, 1.10, 1.0) if arguments.against else 0


if __name__ == "__main__":
    sys.exit(main())
