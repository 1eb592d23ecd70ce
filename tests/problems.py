"""Seeded problems, and the definitions recomputed naively from raw data and fitted coefficients."""

from contextlib import contextmanager

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from robustreg.fitting.at_knot import WAY

LOSSES = ["mse", "mae", "huber"]


def slow(*values):
    """Parameters of a test that run only where the slow tests do."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def random_problem(seed):
    """(X, y, sample_weight, parameters): n in 1..300, p in 1..20; ties, duplicates, units, weights."""
    rng = np.random.default_rng(seed)
    n = max(1, int(rng.choice([1, 2, 3, 5, 10, 30, 100, 300]) * rng.uniform(0.5, 1)))
    p = int(rng.integers(1, 21))
    X = rng.standard_normal((n, p))
    kind = rng.integers(5)
    if kind == 1:
        X = np.round(2 * X)
    elif kind == 2:
        X[:, -1] = X[:, 0]
    elif kind == 3:
        X = X * 10.0 ** rng.uniform(-3, 3, p)
    elif kind == 4:
        X = (rng.uniform(size=(n, p)) < 0.3).astype(float)
    y = X @ rng.standard_normal(p) + rng.standard_t(2, n)
    if rng.uniform() < 0.4:
        y = np.round(y)
    if rng.uniform() < 0.15:
        y = rng.integers(0, 3, n).astype(float)
    w, draw = None, rng.uniform()
    if draw < 0.3:
        w = rng.integers(0, 4, n).astype(float)
        w[0] = 1.0
    elif draw < 0.5:
        w = 10.0 ** rng.uniform(-3, 3, n)
    parameters = {
        "loss": LOSSES[rng.integers(3)],
        "delta": float(10.0 ** rng.uniform(-2, 1)),
        "alpha": float(rng.choice([0.0, 0.0, 1e-3, 0.1, 10.0])),
        "fit_intercept": bool(rng.integers(2)),
    }
    return X, y, w, parameters


def residuals(model, X, y):
    return y - X @ model.coef_ - model.intercept_


def objective(model, X, y, w=None):
    """The objective of the class docstring, written down once more."""
    r, d = residuals(model, X, y), model.delta
    w = np.ones(len(y)) if w is None else w
    values = {
        "mse": r**2 / 2,
        "mae": np.abs(r),
        "quantile": np.where(r > 0.0, model.quantile, model.quantile - 1.0) * r,
        "huber": np.where(np.abs(r) <= d, r**2 / 2, d * (np.abs(r) - d / 2)),
    }[model.loss]
    return w @ values / w.sum() + model.alpha / 2 * np.sum(model.coef_**2)


def naive_gap(model, X, y, w=None):
    """P - D, with a dual point built from the data and coef_ alone.

    D(u) = sum w (u y - l*(u)) / W - ||X'(w u) / W||^2 / (2 alpha), lower <= u <= upper, sum w u = 0
    if there is an intercept, X'(w u) = 0 if alpha = 0. Where u is not decided by the residual,
    bounded least squares finds it.
    """
    w = np.ones(len(y)) if w is None else w
    r, W, d, q = residuals(model, X, y), w.sum(), model.delta, model.quantile
    bounds = {
        "mse": (-np.inf, np.inf),
        "mae": (-1.0, 1.0),
        "huber": (-d, d),
        "quantile": (q - 1, q),
    }
    lower, upper = bounds[model.loss]
    has_corner = model.loss in ("mae", "quantile")
    A = np.column_stack([X, np.ones(len(y))]) if model.fit_intercept else X
    want = np.zeros(A.shape[1])
    want[: X.shape[1]] = W * model.alpha * model.coef_
    if not model.alpha:  # equalities: solved for columns of equal size
        unit = np.abs(A).max(axis=0)
        A = A / np.where(unit > 0, unit, 1.0)
    if has_corner:
        size = np.abs(y) + np.abs(X) @ np.abs(model.coef_) + abs(model.intercept_)
        free = np.abs(r) <= 1e-9 * size + 1e-12 * np.abs(y).mean()
        u = np.where(r > 0.0, upper, lower)
    else:
        u = np.clip(r, lower, upper)
        free = np.abs(r) < upper if model.loss == "huber" else np.ones(len(y), bool)
    if has_corner and free.any():
        u[free] = lsq_linear((A[free] * w[free, None]).T, want - A[~free].T @ (w * u)[~free],
                             bounds=(lower, upper), tol=1e-15, method="bvls" if free.sum() < 60 else "trf").x  # fmt: skip
    if not model.alpha:
        root = np.sqrt(w)
        missing = np.linalg.lstsq((A * root[:, None]).T, want - A.T @ (w * u), rcond=1e-13)[0]
        u = u + missing / np.where(root > 0, root, 1)
    elif model.fit_intercept:
        u = u - w @ u / W
    if np.abs(u).max() > 0:
        u = u / max(1.0, u.max() / upper, u.min() / lower)
    conjugate = 0.0 if has_corner else u**2 / 2
    dual = w @ (u * y - conjugate) / W
    if model.alpha:
        v = X.T @ (w * u) / W
        dual -= v @ v / (2 * model.alpha)
    return objective(model, X, y, w) - dual


@contextmanager
def way(name):
    """Fits in the block go one way: "passes" or "direct"."""
    before = WAY.set(name)
    try:
        yield
    finally:
        WAY.reset(before)
