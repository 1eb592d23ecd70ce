"""Hostile problems, checked two ways: ``python tests/fuzz.py --problems 20000``.

Every fit that claims to have converged is judged by ``certify`` and compared with the solution that
SciPy finds on an equilibrated copy of the data. A failure is reduced to a few rows and columns,
printed as code, and saved under ``fuzz-failures/``; a file from there becomes a test once it lies
in ``tests/data/found/`` with a line in its index. pytest runs some hundreds of problems
(``test_fuzz.py``).

The features of a problem are plain values, so that hypothesis can draw and shrink them, too.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import multiprocessing
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from problems import way
from scipy import sparse
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer
from stored import write_problem

from robustreg import LinearRegressor, certify

MOST_FOR_SCIPY = 400  # rows: with more its solver takes a minute
CORNERS = ("mae", "quantile")
FEATURES = {
    "n": [1, 2, 3, 5, 8, 13, 30, 80, 200, 400, 2000],
    "p": [1, 1, 2, 2, 3, 5, 8, 12, 20],
    "design": ["normal", "integer", "binary", "one-hot", "near-collinear", "duplicate columns", "constant column",
               "leverage", "huge row", "sorted", "duplicate rows", "powers", "cauchy", "mostly zero", "factors",
               "rare levels", "few distinct rows", "splines", "fourier", "moving averages", "polynomials"],
    "units": [0, 0, 0, 3, 9],
    "offset": [0, 0, 0, 3, 6, 8],
    "target": ["normal", "t", "cauchy", "integer", "classes", "exact", "half exact", "constant", "unrelated", "ties",
               "zeros", "counts"],
    "y_unit": [0, 0, 0, -12, -7, 7, 12, -150, 150],
    "weights": [None, None, "integer", "decades", "one huge", "equal", "zeros"],
    "loss": ["mse", "mae", "huber", "quantile"],
    "delta": [-6, -3, -1, 0, 0, 1, 3, 20],
    "alpha": [None, None, None, -8, -3, 0, 3],
    "fit_intercept": [True, True, False],
    "storage": ["C", "C", "C", "F", "csr", "C passes", "csr passes", "C targets", "C passes targets"],
    "scale": [1.0, 1.0, "mad", "concomitant", "proposal2"],
    "quantile": [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999],
}  # fmt: skip


def random_features(seed):
    rng = np.random.default_rng(seed)
    return {name: values[rng.integers(len(values))] for name, values in FEATURES.items()}


def build(seed, features):
    """(X, y, sample_weight, parameters) with the features; the seed draws the numbers."""
    f, rng = features, np.random.default_rng(seed)
    X = _design(f["design"], rng, f["n"], f["p"])
    n, p = X.shape
    X = X + (
        0.0 if not f["offset"] else 10.0 ** rng.uniform(0, f["offset"], p) * np.abs(X).max(axis=0)
    )
    b = rng.standard_normal(p)
    signal_ = (X - X.mean(axis=0)) @ b
    y = _target(f["target"], rng, n, signal_)
    X = X * 10.0 ** rng.uniform(-f["units"], f["units"], p)
    unit = 10.0 ** f["y_unit"]
    w = {
        None: lambda: None,
        "integer": lambda: rng.integers(1, 4, n).astype(float),
        "decades": lambda: 10.0 ** rng.uniform(-6, 6, n),
        "one huge": lambda: np.where(np.arange(n) == n // 2, 1e12, 1.0),
        "equal": lambda: np.full(n, 10.0 ** rng.uniform(-300, 300)),
        "zeros": lambda: np.append(1.0, rng.integers(0, 2, n - 1)),
    }[f["weights"]]()
    spread = np.abs(y - np.median(y)).mean() or 1.0
    alpha = 0.0
    if f["alpha"] is not None:  # in units in which it matters
        alpha = 10.0 ** f["alpha"] * float(np.median(np.square(X).mean(axis=0)) or 1.0)
        alpha = alpha / (spread * unit) if f["loss"] in CORNERS else alpha
    parameters = {
        "loss": f["loss"], "delta": float(10.0 ** f["delta"] * spread * unit), "alpha": float(alpha),
        "fit_intercept": f["fit_intercept"],
    }  # fmt: skip
    if f["loss"] == "quantile":
        parameters["quantile"] = f["quantile"]
    if has_scale(f):
        least = 1.01 if f["scale"] == "concomitant" else 0.1
        parameters |= {
            "scale": f["scale"],
            "delta": float(max(least, min(1.345 * 2.0 ** f["delta"], 20.0))),
        }
        parameters["alpha"] = float(alpha / (spread * unit if f["scale"] == "concomitant" else 1.0))
    return X, y * unit, w, parameters


def _design(kind, rng, n, p):
    X = rng.standard_normal((n, p))
    if kind == "integer":
        X = rng.integers(-2, 3, (n, p)).astype(float)
    elif kind == "binary":
        X = (rng.uniform(size=(n, p)) < 0.3).astype(float)
    elif kind == "one-hot":
        X = np.eye(p)[rng.integers(0, p, n)]
    elif kind == "near-collinear":
        X[:, -1] = X[:, 0] + 10.0 ** rng.uniform(-12, -4) * X[:, -1]
    elif kind == "duplicate columns":
        X[:, rng.integers(p)] = X[:, 0]
    elif kind == "constant column":
        X[:, rng.integers(p)] = rng.integers(0, 2) * 3.7
    elif kind == "leverage":
        X = X * np.exp(2 * rng.standard_normal((n, 1)))
    elif kind == "huge row":
        X[0] *= 1e6
    elif kind == "sorted":
        X = np.sort(X, axis=0)
    elif kind == "duplicate rows":
        X = X[rng.integers(0, max(1, n // 3), n)]
    elif kind == "powers":
        X = np.linspace(0, 10, n)[:, None] ** (1 + np.arange(p) % 6)
    elif kind == "cauchy":
        X = rng.standard_cauchy((n, p))
    elif kind == "mostly zero":
        X = X * (rng.uniform(size=(n, p)) < 0.1)
    else:
        X = _table(kind, rng, X)
    return X


def _table(kind, rng, X):
    """Columns (n, p) as preparation makes them from a table or a series; X (n, p) of any other kind."""
    n, p = X.shape
    if kind == "factors":  # all levels of two, and those of their interaction
        a, b = rng.integers(0, max(1, p // 4), n), rng.integers(0, 2, n)
        return np.column_stack([np.eye(p)[a], np.eye(2)[b], np.eye(2 * p)[2 * a + b]])[:, : 2 * p]
    if kind == "rare levels":
        return np.eye(p)[np.minimum(rng.zipf(1.5, n), p) - 1]
    if kind == "few distinct rows":
        return X[rng.integers(0, 1 + p, n) % n]
    if kind == "splines" and n > 1:
        inputs, n_knots = rng.uniform(size=(n, 1 + p // 8)), max(2, min(p, 8))
        return SplineTransformer(n_knots).fit_transform(inputs)
    if kind == "fourier":
        t = np.linspace(0.0, 10.0 ** rng.uniform(-1, 1), n)
        waves = np.outer(t, 2.0 * np.pi * (1 + np.arange(p) // 2))
        return np.where(np.arange(p) % 2, np.cos(waves), np.sin(waves))
    if kind == "moving averages":
        total = np.append(0.0, np.cumsum(np.cumsum(rng.standard_normal(n + p))))
        return np.column_stack([(total[p:-1] - total[p - k : -1 - k]) / k for k in range(1, p + 1)])
    if kind == "polynomials":
        return PolynomialFeatures(2).fit_transform(X[:, :5])
    return X


def _target(kind, rng, n, line):
    if kind == "integer":
        return np.round(line + rng.standard_normal(n))
    if kind == "classes":
        return rng.integers(0, 3, n).astype(float)
    if kind == "exact":
        return line + 1.0
    if kind == "half exact":
        return line + np.where(np.arange(n) % 2, rng.standard_cauchy(n), 0.0)
    if kind == "constant":
        return np.full(n, 2.0 / 3.0)
    if kind == "unrelated":
        return rng.standard_t(2, n)
    if kind == "ties":
        return np.round(line)
    if kind == "zeros":
        return np.where(rng.uniform(size=n) < 0.7, 0.0, line + rng.standard_normal(n))
    if kind == "counts":
        return rng.poisson(np.exp(np.clip(line, -5.0, 5.0))).astype(float)
    noise = {
        "normal": rng.standard_normal,
        "t": lambda n: rng.standard_t(1.5, n),
        "cauchy": rng.standard_cauchy,
    }
    return line + noise[kind](n)


def check(X, y, w, parameters, storage="C"):
    """What is wrong with the fit of a problem (a string, "" if nothing), and how it ended (a word)."""
    stored, *name = storage.split()
    has_others = "targets" in name
    name = [word for word in name if word != "targets"]
    data = {"C": np.ascontiguousarray, "F": np.asfortranarray, "csr": sparse.csr_array}[stored](X)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with way(*name or ["auto"]):
                model = LinearRegressor(**parameters).fit(data, y, sample_weight=w)
        except ValueError as error:
            known = any(
                words in str(error)
                for words in ("overflow", "too large", "more rows than coefficients")
            )
            return ("", "refused") if known else (repr(error), "crash")
    no_scale = [warning for warning in caught if "scale is 0" in str(warning.message)]
    caught = [warning for warning in caught if warning not in no_scale]
    if bool(no_scale) != (getattr(model, "scale_", 1.0) == 0.0):
        return f"scale_ is {model.scale_}", "wrong"
    if any(not issubclass(warning.category, ConvergenceWarning) for warning in caught):
        return f"a warning: {[str(warning.message) for warning in caught]}", "crash"
    if not model.converged_:
        return "" if caught else "not converged, and no warning", "warned"
    if not np.all(np.isfinite([*model.coef_, model.intercept_])):
        return f"coefficients {model.coef_}", "wrong"
    proof = certify(model, X, y, w)
    if proof.gap > 1e-9:
        return f"certificate: {proof}", "wrong"
    sharp = proof.rounding <= 1e-9 and proof.gap <= 1e-12 and not model.orthogonal_
    sharp = sharp and (w is None or w.max() <= 1e6 * w.min()) and not parameters["alpha"]
    if sharp and proof.unique is not None and proof.unique != model.unique_:
        return f"unique_ is {model.unique_}; certificate: {proof}", "wrong"
    message = _wrong_scale(model, X, y, w)
    if not message and len(y) <= MOST_FOR_SCIPY:
        message = _worse_than_scipy(model, X, y, w, parameters, proof)
    if not message and has_others:
        with way(*name or ["auto"]):
            message = _other_among_targets(model, X, y, w)
    return message, "wrong" if message else "right"


def _other_among_targets(model, X, y, w):
    """Whether y has another fit where it is one of several targets."""
    Y = np.column_stack([y[::-1], y, np.abs(y)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        together = clone(model).fit(X, Y, sample_weight=w)
    if not together.converged_:
        return "" if caught else "several targets: not converged, and no warning"
    alone = clone(model)
    alone.__dict__.update(model.__dict__, coef_=together.coef_[1])
    alone.intercept_ = float(together.intercept_[1])
    alone.scale_ = float(together.scale_[1]) if model.loss == "huber" else 1.0
    gap = certify(alone, X, y, w).gap
    return (
        f"among several targets the gap is {gap:.2g}"
        if gap > 1e-9
        else _wrong_scale(alone, X, y, w)
    )


def _wrong_scale(model, X, y, w):
    """Whether an estimated scale is not that of the residuals, by its definition."""
    if not isinstance(model.scale, str):
        return ""
    w = np.ones(len(y)) if w is None else w
    r, s, m = (
        np.abs(y - X @ model.coef_ - model.intercept_),
        model.scale_,
        model.rank_ + model.fit_intercept,
    )
    noise = (
        1e-14 * (np.abs(y) + np.abs(X) @ np.abs(model.coef_) + abs(model.intercept_))
        + 1e-15 * np.abs(y).max()
    )
    low, high = (np.sort(np.maximum(r + sign * noise, 0.0)) for sign in (-1.0, 1.0))
    if model.scale == "mad":
        order = np.argsort(r)
        below = np.cumsum(w[order]) / w.sum()
        i = np.searchsorted(below, 0.5 - 1e-9), min(np.searchsorted(below, 0.5 + 1e-9), len(r) - 1)
        least, most = low[i[0]] / 0.6745, high[i[1]] / 0.6745
        right = least * (1 - 1e-9) <= s <= most * (1 + 1e-9)
    else:
        k = model.delta if model.scale == "concomitant" else 1.345
        g = norm.cdf(k) - norm.cdf(-k) - 2 * k * norm.pdf(k) + 2 * k * k * norm.sf(k)
        total = w.sum() if model.scale == "concomitant" else (w.sum() - m) * g
        if s == 0.0:  # rows fitted exactly may count up to k^2 each
            exact = total <= 0.0 or k * k * w[r > 100 * noise].sum() <= total * (1 + 1e-9)
            return "" if exact else "scale_ is 0"
        least, most = (
            w @ np.minimum(np.square(size / s), k * k)
            for size in (r - np.minimum(r, noise), r + noise)
        )
        right = least * (1 - 1e-9) <= total <= most * (1 + 1e-9)
    return "" if right else f"scale_ {s!r}: {least!r}, {most!r}"


def _worse_than_scipy(model, X, y, w, parameters, proof):
    """Whether SciPy finds a lower objective on a copy with columns and y in units of their own."""
    if "scale" in parameters:  # given the scale, it is a fit with a fixed knot
        s, joint = model.scale_, parameters["scale"] == "concomitant"
        if s == 0.0:
            return ""
        parameters = dict(parameters, scale=1.0, delta=parameters["delta"] * s)
        parameters["alpha"] *= 0.5 * s if joint else 1.0
    unit = np.abs(y).max() or 1.0
    size = np.abs(X).max(axis=0)
    size = np.where((size > 0) & (parameters["alpha"] == 0), size, 1.0)
    other = dict(parameters, delta=max(parameters["delta"] / unit, 1e-300), solver="scipy")
    other["alpha"] *= unit if parameters["loss"] in CORNERS else 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = LinearRegressor(**other).fit(X / size, y / unit, sample_weight=w)
    theirs.coef_ = theirs.coef_ / size * unit
    theirs.intercept_ = theirs.intercept_ * unit
    theirs.set_params(**parameters)
    lower = certify(theirs, X, y, w).objective
    if proof.objective * (
        1 - 1e-9 - proof.rounding
    ) > lower and proof.objective - lower > _rounding(X, y, model):
        return f"objective {proof.objective!r}, SciPy {lower!r}"
    return ""


def _rounding(X, y, model):
    """What a change of every number of the data in its last place can do to the objective."""
    e = 1e-15 * (np.abs(y) + np.abs(X) @ np.abs(model.coef_) + abs(model.intercept_))
    r = np.abs(y - X @ model.coef_ - model.intercept_)
    with np.errstate(over="ignore"):
        knot = model.delta * getattr(model, "scale_", 1.0)
        one = np.ones(len(r))
        slopes = {"mae": one, "quantile": one, "mse": r + e, "huber": np.minimum(r + e, knot)}
        return (slopes[model.loss] * e).max()


class _Slow(Exception):
    pass


def _stop(*_):
    raise _Slow


def run(seed, cap=20.0):
    """(seed, message, outcome, seconds) of one seeded problem, at most ``cap`` seconds."""
    features = random_features(seed)
    X, y, w, parameters = build(seed, features)
    return (seed, *timed(X, y, w, parameters, features["storage"], cap))


def timed(X, y, w, parameters, storage, cap=20.0):
    start = time.perf_counter()
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, cap)
    try:
        message, outcome = check(X, y, w, parameters, storage)
    except _Slow:
        message, outcome = f"more than {cap} s", "slow"
    except Exception as error:  # a crash is a finding, not the end
        message, outcome = f"{type(error).__name__}: {error}", "crash"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return message, outcome, time.perf_counter() - start


def reduce(X, y, w, parameters, storage):
    """The fewest rows and columns, taken away one block at a time, that still fail in the same way."""
    kind = timed(X, y, w, parameters, storage, 20.0)[1]

    def fails(X, y, w):
        if not X.size or (w is not None and not w.any()):
            return False
        message, outcome, _ = timed(X, y, w, parameters, storage, 20.0)
        return bool(message) and outcome == kind

    for axis in (0, 1):
        step = X.shape[axis]
        while step := step // 2:
            start = 0
            while start < X.shape[axis]:
                keep = np.ones(X.shape[axis], dtype=bool)
                keep[start : start + step] = False
                smaller = (
                    (X[keep], y[keep], w if w is None else w[keep])
                    if axis == 0
                    else (X[:, keep], y, w)
                )
                if keep.any() and fails(*smaller):
                    X, y, w = smaller
                else:
                    start += step
    return X, y, w


def report(seed, message):
    """Print a failing seed as a reduced, runnable example, and save it."""
    features = random_features(seed)
    X, y, w, parameters = build(seed, features)
    X, y, w = reduce(X, y, w, parameters, features["storage"])
    folder = Path("fuzz-failures")
    folder.mkdir(exist_ok=True)
    write_problem(folder / f"{seed}.npz", X, y, w, parameters, features["storage"])
    print(
        f"\n--- seed {seed}: {message}\n    {features}\n    reduced to {X.shape[0]} x {X.shape[1]}:"
    )
    if X.size <= 60:
        print(f"X = np.array({X.tolist()!r})\ny = np.array({y.tolist()!r})")
        print(f"w = {None if w is None else w.tolist()!r}")
        print(
            f"LinearRegressor(**{parameters!r}).fit(X, y, w)  # X stored as {features['storage']}"
        )
    print(flush=True)


def has_scale(features):
    return features["loss"] == "huber" and features["scale"] != 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--scales", action="store_true", help="only problems with an estimated scale"
    )
    arguments = parser.parse_args()
    seeds = itertools.count(arguments.seed)
    if arguments.scales:
        seeds = (seed for seed in seeds if has_scale(random_features(seed)))
    seeds = list(itertools.islice(seeds, arguments.problems))
    outcomes, failures, slowest = collections.Counter(), [], (0.0, None)
    with multiprocessing.Pool(arguments.jobs) as pool:
        for seed, message, outcome, seconds in pool.imap_unordered(run, seeds, chunksize=20):
            outcomes[outcome] += 1
            slowest = max(slowest, (seconds, seed))
            if outcome == "warned":
                print(f"seed {seed} warned: {random_features(seed)}", flush=True)
            if message:
                failures.append((seed, message))
                print(f"seed {seed} {outcome}: {message}", flush=True)
    for seed, message in failures:
        report(seed, message)
    print(
        f"{dict(outcomes)}, {len(failures)} failures; the slowest took {slowest[0]:.2f} s (seed {slowest[1]})"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
