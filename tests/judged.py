"""Coefficients of all kinds, judged on hostile data: ``python tests/judged.py --cases 100000``.

What must be true of every certificate is checked in rational arithmetic: no coefficients that
anybody proposes have an objective below the ``dual`` of any others. pytest runs some hundreds
(``test_proof.py``).
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import sys
import time
import warnings
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
from exact import objective
from sklearn.linear_model import (
    HuberRegressor,
    LinearRegression,
    QuantileRegressor,
    RANSACRegressor,
    TheilSenRegressor,
)

from robustreg import LinearRegressor, certify

LOSSES = ("mse", "mae", "huber")
ROWS = [3, 4, 5, 7, 9, 12, 20, 40]


def hostile_problem(seed):
    """(X, y, w, delta, alpha, fit_intercept): leverage, targets to 1e15, weights over 12 decades,
    ties, units.
    """
    rng = np.random.default_rng(seed)
    n, p = int(rng.choice(ROWS)), int(rng.integers(1, 5))
    X = rng.standard_normal((n, p))
    kind = rng.integers(6)
    if kind == 1:
        X = rng.integers(-3, 4, (n, p)).astype(float)
    elif kind == 2:
        X[:, -1] = X[:, 0]
    elif kind == 3:
        X = np.eye(p)[rng.integers(0, p, n)]
    elif kind == 4:
        X[:, -1] = X[:, 0] + 10.0 ** rng.uniform(-9, -3) * rng.standard_normal(n)
    elif kind == 5:
        X = X[rng.integers(0, max(1, n // 2), n)]
    y = (
        X @ rng.standard_normal(p)
        + [rng.standard_normal(n), 0.0, rng.standard_cauchy(n)][rng.integers(3)]
    )
    if rng.uniform() < 0.3:
        y = np.round(y)
    for _ in range(int(rng.integers(0, 3))):  # rows of leverage, and targets far away
        X[rng.integers(n)] *= 10.0 ** rng.uniform(0, 6)
        y[rng.integers(n)] = rng.choice([-1, 1]) * 10.0 ** rng.uniform(0, 15)
    X = X * 10.0 ** rng.uniform(-4, 4, p) if rng.uniform() < 0.3 else X
    w = [np.ones(n), rng.integers(1, 4, n) * 1.0, 10.0 ** rng.uniform(-6, 6, n)][rng.integers(3)]
    spread = float(np.median(np.abs(y - np.median(y)))) or 1.0
    alpha = float(rng.choice([0.0, 0.0, 0.0, 10.0 ** rng.uniform(-6, 2)]))
    return X, y, w, float(10.0 ** rng.uniform(-3, 1) * spread), alpha, bool(rng.uniform() < 0.7)


def candidates(X, y, w, delta, alpha, fit_intercept, seed):
    """(name, coef, intercept) of many kinds."""
    rng, p = np.random.default_rng(seed), X.shape[1]
    ours = [
        LinearRegressor(loss, delta=delta, alpha=alpha, fit_intercept=fit_intercept)
        for loss in ("mse", "mae", "huber")
    ]
    robust = {"random_state": 0}
    theirs = [
        LinearRegression(fit_intercept=fit_intercept),
        TheilSenRegressor(fit_intercept=fit_intercept, **robust),
    ]
    theirs += [
        HuberRegressor(fit_intercept=fit_intercept),
        QuantileRegressor(alpha=0.0, fit_intercept=fit_intercept),
    ]
    theirs += [RANSACRegressor(LinearRegression(fit_intercept=fit_intercept), **robust)]
    fitted = []
    for model in ours + theirs[seed % len(theirs) :][:2]:
        try:
            model.fit(X, y) if isinstance(model, TheilSenRegressor) else model.fit(
                X, y, sample_weight=w
            )
        except (ValueError, TypeError):  # what scikit-learn's cannot fit is not judged
            continue
        model = getattr(model, "estimator_", model)
        fitted.append((type(model).__name__, np.ravel(model.coef_), float(model.intercept_)))
    found = [*fitted, ("zero", np.zeros(p), 0.0)]
    for name, b, b0 in fitted[:3]:
        size = 10.0 ** rng.uniform(-12, 0)
        found.append(
            (f"{name} perturbed", b * (1 + size * rng.standard_normal(p)), b0 * (1 + size))
        )
    return [(name, b, b0 * fit_intercept) for name, b, b0 in found if np.all(np.isfinite([*b, b0]))]


def check(seed):
    """(number of certificates, what is false among them)."""
    X, y, w, delta, alpha, fit_intercept = hostile_problem(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = candidates(X, y, w, delta, alpha, fit_intercept, seed)
    wrong, outcomes = [], collections.Counter()
    for loss in LOSSES:
        objectives = [objective(X, y, w, b, b0, loss, delta, alpha) for _, b, b0 in found]
        for (name, b, b0), own in zip(found, objectives, strict=True):
            model = SimpleNamespace(coef_=b, intercept_=b0, fit_intercept=fit_intercept)
            proof = certify(model, X, y, w, loss=loss, delta=delta, alpha=alpha)
            wrong += [
                f"{loss} of {name}: {message}"
                for message in false_claims(proof, own, min(objectives))
            ]
            outcomes["proved" if proof.gap <= 1e-9 else "not optimal or not proved"] += 1
    return outcomes, wrong


def false_claims(proof, own: Fraction, least: Fraction):
    """What is not true of a certificate, for the exact objective of its coefficients and the least
    that is known.
    """
    if proof.objective == np.inf:
        return
    dual = Fraction(proof.dual)
    doubt = (Fraction(proof.objective) - dual) * Fraction(1 + 1e-9) + Fraction(
        proof.objective
    ) / 10**14
    if abs(own - Fraction(proof.objective)) > doubt and proof.dual > 0.0:
        yield f"the objective is {float(own)!r}, not {proof.objective!r}"
    if dual > own:
        yield f"dual {proof.dual!r} above its own objective {float(own)!r}"
    if proof.left_out:
        return
    if dual > least:
        yield f"dual {proof.dual!r} above an objective {float(least)!r}"
    if own - least > own * Fraction(min(1.0, proof.gap + proof.rounding) * (1 + 1e-9) + 1e-15):
        yield f"gap {proof.gap!r}, rounding {proof.rounding!r}, but {float(1 - least / own)!r} above another"


def _run(seed):
    return (seed, *check(seed))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    outcomes, failures, start = collections.Counter(), 0, time.perf_counter()
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for seed, found, wrong in pool.imap_unordered(
            _run, range(arguments.seed, arguments.seed + arguments.cases), chunksize=4
        ):
            outcomes += found
            for message in wrong:
                failures += 1
                print(f"seed {seed}: {message}", flush=True)
            if outcomes.total() >= arguments.cases:
                pool.terminate()
                break
    print(f"{dict(outcomes)} in {time.perf_counter() - start:.0f} s, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
