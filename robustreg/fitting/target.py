"""One target in the units of well-conditioned rows: what is solved there, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.rows import SAMPLE, Rows
from ..problem.duality import rounding, rounding_of_dual
from ..problem.losses import Absolute, Huber, Loss, Squared
from ..problem.problem import ridge_problem
from ..problem.solution import Options, Solution
from ..solvers.canonical import AT_BOUND
from ..solvers.solve import solve
from .specification import Specification

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
