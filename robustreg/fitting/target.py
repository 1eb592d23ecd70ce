"""One target in the units of well-conditioned rows: what is solved there, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.rows import SAMPLE, Rows
from ..numerics.order import median
from ..numerics.precision import EPS
from ..problem.duality import AT_BOUND, rounding, rounding_of_dual
from ..problem.losses import Loss, smooth
from ..problem.penalties import Ridge, ridge_problem
from ..problem.problem import Problem
from ..problem.solution import Options, Solution
from ..solvers.solve import solve
from .specification import Specification

# Slopes below this part of a typical y are lost in the rounding of a residual: the loss is a
# corner, as far as float64 can tell.
SLOPES_BELOW_ROUNDING = 1e-13
# A quadratic piece this wide, in units of the largest y, is beyond all residuals; its square is
# still finite.
BEYOND_ALL = 1e100
# Part of the distance from 0 to the end of the quadratic piece that the last place of an intercept
# may be: the objective moves by the square of that, and by as little as rounding.
FINE = 1e-5
# A target so many typical deviations away is moved nearer, if that cannot change the minimiser; and
# so many times the quadratic piece, at least, so that it stays outside.
FAR_DEVIATIONS, FAR_PIECES = 1e4, 4.0
# A coefficient of a column of unit size may change by so much without a residual's last place.
UNSEEN = 8.0 * EPS
# A coefficient is taken from the dual if its relative error there is at most this: nine digits.
KNOWN_DIGITS = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One column of Y: its problem in the units of ``rows``, and how it was solved.

    The objective times ``unit``, plus ``cut``, is the objective in the units of the data. ``y``
    (n,) is the target that was fitted.
    """

    y: np.ndarray
    rows: Rows
    loss: Loss
    alpha: float
    unit: float
    cut: float
    solution: Solution

    @property
    def problem(self) -> Problem:
        return ridge_problem(self.rows, self.loss, self.alpha)

    @property
    def all_inside(self) -> bool:
        """Whether no row is outside the quadratic piece: then the minimiser is that of least
        squares.
        """
        return bool(self.loss.curved(self.solution.r).all())


def too_fine(spec: Specification, intercepts) -> bool:
    """Whether the last place of an intercept tells, of which residuals near the knot are
    differences.
    """
    loss = spec.loss
    if loss.is_corner or not loss.is_bounded:
        return False
    return bool(EPS * np.abs(intercepts).max() > FINE * min(-loss.left, loss.right))


def solved(rows: Rows, y: np.ndarray, spec: Specification, start) -> Target:
    """The target y (n,), solved.

    Outside its quadratic piece a loss is linear: an outlier pulls, and how far it is does not
    matter. So those very far away are fitted nearer, where they do not swamp the others' digits;
    the minimisers are the same as long as they stay on their side. Where the intercept is free in
    an interval its middle may depend on how far they are.
    """
    loss = spec.loss
    near = nearer(y, FAR_PIECES * max(-loss.left, loss.right)) if loss.is_bounded else y
    target = _attempt(rows, near, spec, start)
    moved = np.flatnonzero(near != y)
    if not len(moved):
        return target
    solution, side = target.solution, np.sign(y - near)[moved]
    outside = target.loss.slack(solution.r[moved], side)
    if not np.all(outside > rounding(target.problem, solution.phi)[moved]):
        return _attempt(rows, y, spec, start)
    with np.errstate(over="ignore"):
        cut = (rows.w[moved] / rows.w.sum()) @ (loss.pull(side) * (y - near)[moved])
    target = replace(target, cut=float(cut))
    # Constraints that hold without being touched choose nothing; only an interval's middle depends
    # on both its ends.
    held = not spec.fit_intercept or np.any(target.loss.held(solution.u, AT_BOUND))
    if solution.unique or held:
        return target
    return _in_the_middle(target, y, near)


def _in_the_middle(target: Target, y: np.ndarray, near: np.ndarray) -> Target:
    """The intercept in the middle of its interval, given where the targets moved to ``near`` really
    are.
    """
    solution, loss = target.solution, target.loss
    with np.errstate(over="ignore"):
        r = solution.r + (y - near) / target.rows.y_scale
    left, right = r[solution.u < 0.0], r[solution.u > 0.0]
    if not (len(left) and len(right)):  # an interval without an end is not that of a minimiser
        return target
    step = 0.5 * ((left - loss.left).max() + (right - loss.right).min())
    phi = np.append(solution.phi[:-1], solution.phi[-1] + step)
    return replace(target, y=y, solution=replace(solution, phi=phi, r=r - step))


def nearer(y: np.ndarray, least: float) -> np.ndarray:
    """y with those very far from the others moved to a limit of at least ``least``."""
    middle = median(y[:: 1 + len(y) // SAMPLE])
    with np.errstate(over="ignore"):
        limit = max(FAR_DEVIATIONS * typical(y), least) or np.inf
        return np.clip(y, middle - limit, middle + limit)


def typical(y) -> float:
    """How far y is from its middle, where it is not there: a median, of some rows."""
    some = y[:: 1 + len(y) // SAMPLE]
    with np.errstate(over="ignore"):
        size = np.abs(some - median(some))
    return float(np.median(size[size > 0.0])) if size.any() else 0.0


def _attempt(rows: Rows, y, spec: Specification, start) -> Target:
    rows = rows.with_target(y)
    loss, alpha, unit = _in_units_of(rows, spec)
    options = Options(spec.max_iter, spec.tell, None if start is None else rows.from_raw(*start))
    solution = solve(rows, loss, alpha, spec.solver, spec.tol, options)
    return Target(y, rows, loss, alpha, unit, 0.0, solution)


def _in_units_of(rows: Rows, spec: Specification) -> tuple[Loss, float, float]:
    """(loss, alpha, unit): the problem for residuals divided by rows.y_scale.

    Its objective times ``unit`` is the objective in the units of the data. With l(r) = unit *
    loss(r / s) and b = s b', (alpha / 2) ||b||^2 is unit * (alpha s^2 / unit / 2) ||b'||^2: s^2 /
    unit is 1 for a smooth loss, s / half_jump for a corner.
    """
    s, loss, alpha, size = rows.y_scale, spec.loss, spec.alpha, 1.0
    with np.errstate(over="ignore", under="ignore"):
        if loss.is_bounded and not loss.is_corner:
            if loss.steepest <= SLOPES_BELOW_ROUNDING * typical(rows.y) * s:
                loss, size = loss.cornered()
            else:
                limit = BEYOND_ALL * s
                loss = smooth(max(loss.lower, -limit), min(loss.upper, limit))
        alpha = alpha * s / (size * loss.half_jump) if loss.is_corner else alpha
        loss, unit = loss.in_units(s)
    return loss, 0.0 if Ridge(alpha).is_negligible(rows) else alpha, size * unit


def raw_of(target: Target) -> tuple[np.ndarray, float]:
    """(b (p,), b0) of a solution in the units of the data."""
    rows, phi = target.rows, target.solution.phi
    if not target.alpha or rows.basis is None:
        return rows.raw(phi)
    return rows.raw(phi, _stationary_slopes(target))


def _stationary_slopes(target: Target) -> np.ndarray:
    """B phi (p,), each slope from the dual where that is as near and has more digits.

    At a minimiser alpha W b = X'(w u). Where the penalty is stiff this is the better way to a small
    coefficient, which B phi may lose among larger terms.
    """
    problem, solution, rows = target.problem, target.solution, target.rows
    scale, W = rows.columns.inverse_scale, rows.w.sum()
    noise = rounding_of_dual(problem, solution.phi, solution.r, solution.u)
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = rows.slopes(solution.phi)
        per_pull = 1.0 / (np.where(scale > 0.0, scale, 1.0) * target.alpha * W)
        stationary = rows.columns.tdot(rows.w * solution.u) * per_pull
        error = np.sqrt(W * (rows.w @ np.square(noise))) * per_pull
        # A change that no residual sees, for y of size 1.
        unseen = UNSEEN * scale
        known = error <= np.minimum(unseen, KNOWN_DIGITS * np.abs(stationary))
        return np.where(known & (np.abs(stationary - slopes) <= unseen), stationary, slopes)
