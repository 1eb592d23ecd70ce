"""The direct way to a fit: all rows in well-conditioned coordinates, a solve per target, and back."""

from __future__ import annotations

import numpy as np

from ..data.rows import Rows
from ..numerics.exact import ExactMatrix
from ..problem.duality import rounding
from ..problem.solution import Status
from ..proof.judge import judge, make_table
from ..solvers.refine import LARGEST, refine
from .specification import Fit, Specification
from .target import Target, raw_of, solved, too_fine

EPS = np.finfo(np.float64).eps


def direct(X, Y, w, spec: Specification, start, rows: Rows) -> Fit:
    """Fit X (n, p; dense or CSR) to each column of Y (n, k) with weights w (n,) > 0 or None for ones.

    ``rows`` are those of X and w, without a target; ``start`` as in ``fitting.fit``.
    """
    starts = [None] * Y.shape[1] if start is None else zip(*start, strict=True)
    targets = [solved(rows, y, spec, guess) for y, guess in zip(Y.T, starts, strict=True)]
    raw = [raw_of(target) for target in targets]
    solutions = [target.solution for target in targets]
    with np.errstate(over="ignore"):  # a sum of squares may be infinite where the fit is not
        objective = np.array([(t.solution.objective and t.solution.objective * t.unit) + t.cut for t in targets])
    gap, statuses = np.array([s.gap for s in solutions]), {s.status for s in solutions}
    scales = None
    if spec.rule:
        scales = [
            _scale(t, *_residual(t, y, b0), w, spec.rule) for t, y, (_, b0) in zip(targets, Y.T, raw, strict=True)
        ]
    delicate = rows.delicate or too_fine(spec, [b0 for _, b0 in raw])
    if spec.solver == "auto" and X.shape[0] * X.shape[1] <= LARGEST and (delicate or spec.loss == "mse"):
        dense = np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float64)
        w = np.ones(len(Y)) if w is None else w
        A = ExactMatrix(dense, spec.fit_intercept)
        for k, target in enumerate(targets):
            if better := _refined(A, target):
                raw[k] = better
                if spec.rule:
                    scales[k] = _scale(target, *_exact_residual(A, dense, target, Y[:, k], *better), w, spec.rule)
        if delicate:  # the independent proof has the last word
            table = make_table(dense, spec.fit_intercept)
            judgements = [_judged(table, y, w, *found, spec) for y, found in zip(Y.T, raw, strict=True)]
            gap = np.maximum(gap, [judgement.gap for judgement in judgements])
            objective = np.array([judgement.objective for judgement in judgements])
            if np.any(gap > spec.tol) and statuses <= {Status.EXACT, Status.NOT_CANONICAL}:
                statuses = {Status.ROUNDING}
    return Fit(
        coef=np.array([b for b, _ in raw]),
        intercept=np.array([b0 for _, b0 in raw]),
        objective=objective,
        gap=gap,
        knot=np.full(len(raw), spec.knot),
        scale=np.array([scale for scale, _ in scales]) if scales else None,
        scale_noise=np.array([noise for _, noise in scales]) if scales else None,
        outliers=_outliers(targets) if spec.loss == "huber" or spec.rule else None,
        unique=all(s.unique for s in solutions) and (rows.rank == X.shape[1] or bool(spec.alpha)),
        rank=rows.rank,
        n_iter=max(s.work.n_iter for s in solutions),
        orthogonal=rows.orthogonal,
        statuses=frozenset(statuses),
    )


def _refined(A: ExactMatrix, target: Target):
    """(b, b0) to the last digits that the data determine, or None if the penalty decides them."""
    if not len(target.solution.phi) or not target.rows.y.any() or (target.alpha and target.rows.orthogonal):
        return None
    return refine(A, target.y, target.problem, target.solution)


def _judged(table, y, w, b, b0, spec: Specification):
    return judge(table, y, w, b, b0, loss=spec.loss, delta=spec.knot, alpha=spec.alpha, search=False)


def _residual(target: Target, y, b0):
    """(r (n,) in the units of ``target.rows``, what the last place of the intercept makes of one), y not moved."""
    scale = target.rows.y_scale
    return target.solution.r + (y - target.y) / scale, EPS * abs(b0) / scale


def _exact_residual(A: ExactMatrix, X, target: Target, y, b, b0):
    """(r (n,) of (b, b0) in the units of ``target.rows``, what the last places of (b, b0) make of one)."""
    scale = target.rows.y_scale
    x = np.append(b, b0) if target.rows.intercept else b
    return A.residual(y / scale, x / scale), 4.0 * EPS * float(np.median(np.abs(X) @ np.abs(b / scale)))


def _scale(target: Target, r, least, w, rule):
    """(scale of the residuals r (n,), what rounding, at ``least``, makes of it), in the units of the data."""
    rows = target.rows
    noise = rounding(target.problem, target.solution.phi)
    r = np.where(np.abs(r) <= noise, 0.0, r)
    noise = max(4.0 * float(np.median(noise)), 4.0 * EPS * rows.typical, least)
    return rows.y_scale * rule.scale(r, w, rows.n_cols), rows.y_scale * noise


def _outliers(targets):
    """abs(residual) > delta, (n, k); a residual within rounding of delta counts as equal to it."""
    return np.column_stack([
        np.abs(t.solution.r) - t.loss.knot > rounding(t.problem, t.solution.phi) for t in targets
    ])  # fmt: skip
