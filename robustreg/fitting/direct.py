"""The direct way: all rows in well-conditioned coordinates, a solve per target, and back."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy.sparse import issparse

from ..data.rows import Rows
from ..numerics.exact import ExactMatrix
from ..numerics.precision import EPS
from ..problem.duality import beyond, rounding
from ..problem.solution import Status, Work
from ..proof.judge import judge, make_table
from ..proof.judged_problem import Loss as JudgedLoss
from ..solvers.refine import LARGEST, refine
from .specification import Fit, Specification, together
from .target import Target, raw_of, solved, too_fine


def direct(X, Y, w, spec: Specification, start, rows: Rows) -> Fit:
    """Fit X (n, p; dense or CSR) to each column of Y (n, k) with weights w (n,) > 0 or None for
    ones.

    ``rows`` are those of X and w, without a target; ``start`` as in ``fitting.fit``.
    """
    starts = [None] * Y.shape[1] if start is None else zip(*start, strict=True)
    digits = Digits(X, w, spec)
    specs = [spec.of(k) for k in range(Y.shape[1])]
    each = zip(Y.T, specs, starts, strict=True)
    return together(
        [finished(digits, solved(rows, y, one, guess), y, one) for y, one, guess in each]
    )


class Digits:
    """The data, and X with twice the digits and for the independent proof, each made when it is
    asked for.
    """

    def __init__(self, X, w, spec: Specification):
        self.X, self.w, self.fit_intercept = X, w, spec.fit_intercept
        small = X.shape[0] * X.shape[1] <= LARGEST
        self.are_wanted = spec.last_digits and spec.solver == "auto" and small

    @functools.cached_property
    def dense(self) -> np.ndarray:
        return np.asarray(self.X.toarray() if issparse(self.X) else self.X, dtype=np.float64)

    @functools.cached_property
    def matrix(self) -> ExactMatrix:
        return ExactMatrix(self.dense, self.fit_intercept)

    @functools.cached_property
    def table(self):
        return make_table(self.dense, self.fit_intercept)


def finished(digits: Digits, target: Target, y, spec: Specification) -> Fit:
    """One target y (n,) as a record, in the units of the data and to the last digit where that is
    wanted.
    """
    X, w, rows, solution = digits.X, digits.w, target.rows, target.solution
    b, b0 = raw_of(target)
    r, least = _residual(target, y, b0) if spec.rule else (None, 0.0)
    with np.errstate(over="ignore"):  # a sum of squares may be infinite where the fit is not
        objective = (solution.objective and solution.objective * target.unit) + target.cut
    gap, status = solution.gap, solution.status
    # 1. The last digits.
    delicate = rows.delicate or too_fine(spec, [b0])
    if digits.are_wanted and (delicate or target.all_inside):
        if better := _refined(digits.matrix, target):
            b, b0 = better
            if spec.rule:
                r, least = _exact_residual(digits, target, y, b, b0)
        if delicate:  # the independent proof has the last word
            found = _judged(digits, y, b, b0, spec)
            gap, objective = max(gap, found.gap), found.objective
            if gap > spec.tol and status in (Status.EXACT, Status.NOT_CANONICAL):
                status = Status.ROUNDING
    # 2. The record.
    scale = noise = None
    if spec.rule:
        scale, noise = (np.array([x]) for x in _scale(target, r, least, w, spec.rule))
    return Fit(
        coef=b[None],
        intercept=np.array([b0]),
        objective=np.array([objective]),
        gap=np.array([gap]),
        losses=(spec.loss,),
        outliers=beyond(X, y, b, b0, spec.loss)[:, None] if spec.has_knots else None,
        scale=scale,
        scale_noise=noise,
        unique=solution.unique and (rows.rank == X.shape[1] or bool(spec.alpha)),
        rank=rows.rank,
        orthogonal=rows.orthogonal,
        statuses=frozenset({status}),
        work=_work(spec, target),
    )


def _work(spec: Specification, target: Target) -> Work:
    way, rows = "scipy" if spec.solver == "scipy" else "direct", target.rows
    return Work(way, 0, 0, 0, target.solution.work.n_iter, left_out=rows.n_faint)


def _refined(A: ExactMatrix, target: Target):
    """(b, b0) to the last digits that the data determine, or None if the penalty decides them."""
    if (
        not len(target.solution.phi)
        or not target.rows.y.any()
        or (target.alpha and not target.rows.has_own_columns)
    ):
        return None
    return refine(A, target.y, target.problem, target.solution)


def _judged(digits: Digits, y, b, b0, spec: Specification):
    loss = spec.loss
    of_proof = JudgedLoss(loss.lower, loss.upper, loss.left, loss.right)
    w = np.ones(len(y)) if digits.w is None else digits.w
    given: dict[str, Any] = {"loss": of_proof, "alpha": spec.alpha}
    found = judge(digits.table, y, w, b, b0, **given, search=False)
    # The dual that b suggests may be a poor one, among columns that are nearly dependent.
    return found if found.gap <= spec.tol else judge(digits.table, y, w, b, b0, **given)


def _residual(target: Target, y, b0):
    """(r (n,) in the units of ``target.rows``, what the last place of the intercept makes of one),
    y not moved.
    """
    scale = target.rows.y_scale
    return target.solution.r + (y - target.y) / scale, EPS * abs(b0) / scale


def _exact_residual(digits: Digits, target: Target, y, b, b0):
    """(r (n,) of (b, b0) in the units of ``target.rows``, what the last places of (b, b0) make of
    one).
    """
    scale = target.rows.y_scale
    x = np.append(b, b0) if target.rows.intercept else b
    least = 4.0 * EPS * float(np.median(np.abs(digits.dense) @ np.abs(b / scale)))
    return digits.matrix.residual(y / scale, x / scale), least


def _scale(target: Target, r, least, w, rule):
    """(scale of the residuals r (n,), what rounding, at ``least``, makes of it), in the units of
    the data.
    """
    rows = target.rows
    noise = rounding(target.problem, target.solution.phi)
    r = np.where(np.abs(r) <= noise, 0.0, r)
    noise = max(4.0 * float(np.median(noise)), 4.0 * EPS * rows.typical, least)
    return rows.y_scale * rule.scale(r, w, rows.n_cols), rows.y_scale * noise
