"""From checked data to fitted numbers: rows, a solve per target, and back to the units of the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .duality import rounding, rounding_of_dual
from .extended import LARGEST, ExactMatrix, refine
from .losses import Absolute, Huber, Loss, Squared
from .problem import ridge_problem
from .rows import Rows, make_rows
from .solution import Options, Status
from .solvers import solve

# In units of the largest abs(y): a smaller knot is lost in the rounding of a residual, a larger one is
# beyond all residuals.
BELOW_ROUNDING, BEYOND_ALL = 1e-13, 1e100


@dataclass(frozen=True, slots=True)
class Specification:
    """The checked parameters of an estimator; ``delta`` and ``alpha`` in the units of the data."""

    loss: str
    delta: float
    alpha: float
    fit_intercept: bool
    solver: str
    max_iter: int
    tol: float
    warm_start: bool
    verbose: int


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Fitted numbers of k targets.

    ``coef`` (k, p), ``intercept``, ``objective``, ``gap`` (k,), ``outliers`` (n, k) bool or None;
    ``unique`` over all targets, ``rank``, ``n_iter`` the largest, ``statuses`` the set of them.
    """

    coef: np.ndarray
    intercept: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    outliers: np.ndarray | None
    unique: bool
    rank: int
    n_iter: int
    orthogonal: bool
    statuses: frozenset[Status]


def fit(X, Y, w, spec: Specification, start=None) -> Fit:
    """Fit X (n, p; dense or CSR) to each column of Y (n, k) with weights w (n,) >= 0.

    ``start`` is None or (coef (k, p), intercept (k,)) to start from.
    """
    present = w > 0.0
    if present.all():
        rows = make_rows(X, w, spec.fit_intercept)
    else:  # a row of weight zero is absent from everything, the rank included
        rows = make_rows(X[present], w[present], spec.fit_intercept)
    targets = []
    for k, y in enumerate(Y.T):
        rows = rows.with_target(y[present])
        guess = None if start is None else rows.from_raw(start[0][k], start[1][k])
        options = Options(spec.max_iter, spec.verbose, guess)
        loss, alpha, unit = _in_units_of(rows, spec)
        targets.append((rows, loss, alpha, unit, solve(rows, loss, alpha, spec.solver, spec.tol, options)))
    raw = [_raw(rows, loss, alpha, solution) for rows, loss, alpha, _, solution in targets]
    if spec.loss == "mse" and spec.solver == "auto" and X.shape[0] * X.shape[1] <= LARGEST:
        raw = _refined(X, Y, present, targets, raw, spec)
    solutions = [solution for *_, solution in targets]
    with np.errstate(over="ignore"):  # a sum of squares may be infinite where the fit is not
        objective = [solution.objective and solution.objective * unit for *_, unit, solution in targets]
    return Fit(
        coef=np.array([b for b, _ in raw]),
        intercept=np.array([b0 for _, b0 in raw]),
        objective=np.array(objective),
        gap=np.array([s.gap for s in solutions]),
        outliers=_outliers(X, Y, present, targets, raw, spec) if spec.loss == "huber" else None,
        unique=all(s.unique for s in solutions)
        and (rows.rank == X.shape[1] or bool(spec.alpha)),
        rank=rows.rank,
        n_iter=max(s.work.n_iter for s in solutions),
        orthogonal=rows.orthogonal,
        statuses=frozenset(s.status for s in solutions),
    )  # fmt: skip


def _raw(rows: Rows, loss: Loss, alpha: float, solution):
    """(b, b0) of a solution in the units of the data."""
    noise = rounding_of_dual(ridge_problem(rows, loss, alpha), solution.phi, solution.r, solution.u)
    return rows.raw(solution.phi, solution.u, noise, alpha)


def _in_units_of(rows: Rows, spec: Specification) -> tuple[Loss, float, float]:
    """(loss, alpha, unit): the problem for residuals divided by rows.y_scale.

    Its objective times ``unit`` is the objective in the units of the data.
    """
    scale = rows.y_scale
    with np.errstate(over="ignore", under="ignore"):
        if spec.loss == "mse":
            return Squared(), spec.alpha, np.square(scale)
        if spec.loss == "mae":
            return Absolute(), spec.alpha * scale, scale
        knot = np.float64(spec.delta) / scale
        if knot <= BELOW_ROUNDING:  # delta * abs(r), as far as float64 can tell
            return Absolute(), spec.alpha * scale / spec.delta, scale * spec.delta
        return Huber(float(min(knot, BEYOND_ALL))), spec.alpha, np.square(scale)


def _refined(X, Y, present, targets, raw, spec):
    """The coefficients of small least squares problems, to the last digits that the data determine."""
    X = X[present] if not present.all() else X
    A = ExactMatrix(X.toarray() if hasattr(X, "toarray") else X, spec.fit_intercept)
    refined = []
    for y, (rows, loss, alpha, _, solution), plain in zip(Y.T, targets, raw, strict=True):
        problem = ridge_problem(rows, loss, alpha)
        exact = len(solution.phi) and rows.y.any() and not (alpha and rows.orthogonal)
        refined.append(refine(A, y[present], problem, solution.phi) if exact else plain)
    return refined


def _outliers(X, Y, present, targets, raw, spec):
    """abs(residual) > delta, (n, k); a residual within rounding of delta counts as equal to it."""
    out = np.zeros(Y.shape, dtype=bool)
    for k, ((rows, loss, _, _, solution), (b, b0)) in enumerate(zip(targets, raw, strict=True)):
        problem = ridge_problem(rows, loss, 0.0)
        out[present, k] = np.abs(solution.r) - loss.knot > rounding(problem, solution.phi)
        out[~present, k] = np.abs(Y[~present, k] - X[~present] @ b - b0) > spec.delta
    return out
