"""The direct way to a fit: all rows in well-conditioned coordinates, a solve per target, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.rows import SAMPLE, Rows
from ..numerics.exact import LARGEST, ExactMatrix, refine
from ..problem.duality import rounding, rounding_of_dual
from ..problem.losses import Absolute, Huber, Loss, Squared
from ..problem.problem import ridge_problem
from ..problem.solution import Options, Solution, Status
from ..proof.judge import judge, make_table
from ..solvers.canonical import AT_BOUND
from ..solvers.solve import solve
from .specification import Fit, Specification

EPS = np.finfo(np.float64).eps

# In units of a typical y a smaller knot is lost in the rounding of a residual; in units of the largest a
# larger one is beyond all residuals.
BELOW_ROUNDING, BEYOND_ALL = 1e-13, 1e100
NOTHING = 1e-40  # a penalty, relative to the loss, far below the square of any condition number

FINE = 1e-5  # of the knot: the objective moves by the square of that

# A target so many typical deviations away is moved nearer, if that cannot change the minimiser.
FAR = 1e4


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One column of Y: its problem in the units of ``rows``, and how it was solved.

    The objective times ``unit``, plus ``cut``, is the objective in the units of the data. ``y`` (n,) is
    the target that was fitted.
    """

    y: np.ndarray
    rows: Rows
    loss: Loss
    alpha: float
    unit: float
    cut: float
    solution: Solution

    @property
    def problem(self):
        return ridge_problem(self.rows, self.loss, self.alpha)


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


def too_fine(spec: Specification, intercepts) -> bool:
    """Whether the last place of an intercept tells, of which residuals near the knot are differences."""
    return spec.loss == "huber" and bool(EPS * np.abs(intercepts).max() > FINE * spec.knot)


def solved(rows: Rows, y, spec: Specification, start) -> Target:
    """The target y (n,), solved.

    Beyond the knots a loss is linear: an outlier pulls, and how far it is does not matter. So those very
    far away are fitted nearer, where they do not swamp the others' digits; the minimisers are the same as
    long as they stay on their side. Where the intercept is free in an interval its middle may depend on how far
    they are.
    """
    near = y if spec.loss == "mse" else _nearer(y, 4.0 * spec.knot if spec.loss == "huber" else 0.0)
    target = _attempt(rows, near, spec, start)
    moved = np.flatnonzero(near != y)
    if not len(moved):
        return target
    beyond = np.sign(y - near)[moved] * target.solution.r[moved] - target.loss.knot
    if not np.all(beyond > rounding(target.problem, target.solution.phi)[moved]):
        return _attempt(rows, y, spec, start)
    slope = 1.0 if spec.loss == "mae" else spec.knot
    with np.errstate(over="ignore"):
        cut = slope * ((rows.w[moved] / rows.w.sum()) @ np.abs(y - near)[moved])
    target = replace(target, cut=float(cut))
    # Constraints that hold without being touched choose nothing; only an interval's middle depends on both its ends.
    held = not spec.fit_intercept or np.any(np.abs(target.solution.u) < target.loss.bound * (1.0 - AT_BOUND))
    if target.solution.unique or held:
        return target
    return _in_the_middle(target, y, near)


def _in_the_middle(target: Target, y, near) -> Target:
    """The intercept in the middle of its interval, given where the targets moved to ``near`` really are."""
    solution, knot = target.solution, target.loss.knot
    with np.errstate(over="ignore"):
        r = solution.r + (y - near) / target.rows.y_scale
    below, above = r[solution.u < 0.0], r[solution.u > 0.0]
    if not (len(below) and len(above)):  # an interval without an end is not that of a minimiser
        return target
    step = 0.5 * ((below + knot).max() + (above - knot).min())
    phi = np.append(solution.phi[:-1], solution.phi[-1] + step)
    return replace(target, y=y, solution=replace(solution, phi=phi, r=r - step))


def _nearer(y, least):
    """y with those very far from the others moved to a limit of at least ``least``."""
    middle = np.median(y[:: 1 + len(y) // SAMPLE])
    with np.errstate(over="ignore"):
        limit = max(FAR * typical(y), least) or np.inf
        return np.clip(y, middle - limit, middle + limit)


def typical(y) -> float:
    """How far y is from its middle, where it is not there: a median, of some rows."""
    some = y[:: 1 + len(y) // SAMPLE]
    with np.errstate(over="ignore"):
        size = np.abs(some - np.median(some))
    return float(np.median(size[size > 0.0])) if size.any() else 0.0


def _attempt(rows: Rows, y, spec: Specification, start) -> Target:
    rows = rows.with_target(y)
    loss, alpha, unit = _in_units_of(rows, spec)
    options = Options(spec.max_iter, spec.tell, None if start is None else rows.from_raw(*start))
    return Target(y, rows, loss, alpha, unit, 0.0, solve(rows, loss, alpha, spec.solver, spec.tol, options))


def _in_units_of(rows: Rows, spec: Specification) -> tuple[Loss, float, float]:
    """(loss, alpha, unit): the problem for residuals divided by rows.y_scale.

    Its objective times ``unit`` is the objective in the units of the data.
    """
    scale = rows.y_scale
    with np.errstate(over="ignore", under="ignore"):
        knot = np.float64(spec.knot) / scale
        if spec.loss == "mse":
            loss, alpha, unit = Squared(), spec.alpha, np.square(scale)
        elif spec.loss == "mae":
            loss, alpha, unit = Absolute(), spec.alpha * scale, scale
        elif spec.knot <= BELOW_ROUNDING * typical(rows.y) * scale:  # delta * abs(r), as far as float64 can tell
            loss, alpha, unit = Absolute(), spec.alpha * scale / spec.knot, scale * spec.knot
        else:
            loss, alpha, unit = Huber(float(min(knot, BEYOND_ALL))), spec.alpha, np.square(scale)
        if alpha and rows.stiffness(alpha) < NOTHING:
            alpha = 0.0  # chooses among minimisers, as the canonical answer does, and nothing else
        return loss, alpha, unit


def raw_of(target: Target):
    """(b, b0) of a solution in the units of the data."""
    problem, solution = target.problem, target.solution
    noise = rounding_of_dual(problem, solution.phi, solution.r, solution.u)
    return target.rows.raw(solution.phi, solution.u, noise, target.alpha)


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
