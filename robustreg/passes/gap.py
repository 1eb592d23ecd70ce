"""The duality gap of all rows, from the second pass: what proves a fit in passes.

From u, the slopes psi(r), a dual point with Z'(w u) = L'L phi is made by changing the open rows
inside of their bounds. Shrunk into its box, by a factor of at least 1 - ``outside``, it proves the
gap, since the dual function is concave and D(0) = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.frame import Frame
from ..data.rows import Rows
from ..data.source import Part, Refused, sweep
from ..numerics import linalg
from ..numerics.precision import EPS
from ..problem.duality import AT_BOUND
from ..problem.losses import Loss
from ..problem.problem import Problem
from ..problem.solution import Pair, Tally
from .all_rows import AllRows, Outcome
from .settling import Verified

PROVED = 1e-10  # a larger relative gap is no proof, and the direct way does better
DISTANT = 1e4  # typical residuals beyond which a row's distance does not count in the gap
# Of a bound, times the root of the number of rows: so far a dual point may be outside, for all that
# is asked; as the rounding of a decrement, it grows with the rows.
LITTLE = 4e-15
# Steepest slopes, or typical residuals if these are more, from a knot: a row is looked at closely.
NEAR, LEAST_NEAR = 1e-6, 1e-12


def proved(
    problem: AllRows, left, small: Problem, pair: Pair, unique: bool, seen: Verified, tally: Tally
) -> Outcome:  # fmt: skip
    """One more step on the gradient of all rows, and the duality gap before it; Refused without a
    proof.

    ``pair`` is (phi, u) of the ``small`` problem, phi in the coordinates of the frame; ``left`` has
    its rows.
    """
    gap = gap_of(problem, left, small, pair, seen, tally)
    if not gap.proves:
        raise Refused(f"The duality gap of all rows is {gap.relative:.2g}, and no proof.")
    return outcome_of(problem, pair, unique, seen, gap, tally)


def outcome_of(
    problem: AllRows, pair: Pair, unique: bool, seen: Verified, gap: Gap, tally: Tally
) -> Outcome:
    """What a ``gap`` proves."""
    penalty = 0.5 * np.sum(np.square(problem.penalty_root @ pair.phi))
    objective = problem.unit * (seen.cost + penalty - 0.5 * gap.decrement) / problem.source.weight
    outside = close = None
    if seen.outside:
        outside, close = np.concatenate(seen.outside), np.concatenate(seen.close)
    phi = pair.phi + gap.step
    value = float(objective)
    return Outcome(problem.frame, phi, value, gap.relative, unique, outside, close, tally)


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """The gap ``relative`` to the objective, and a ``step`` (m,) that lowers twice the objective of
    all rows by ``decrement``.
    """

    step: np.ndarray
    decrement: float
    relative: float

    @property
    def proves(self) -> bool:
        return self.relative <= PROVED


def gap_of(problem: AllRows, left, small: Problem, pair: Pair, seen: Verified, tally: Tally) -> Gap:
    """That of the ``pair`` of the ``small`` problem."""
    if problem.loss.is_corner:
        return _gap_of_corner(problem, left, pair, seen)
    return _gap_of_smooth(problem, left, small, pair, seen, tally)


def _gap_of_smooth(
    problem: AllRows, left, small: Problem, pair: Pair, seen: Verified, tally: Tally
) -> Gap:
    """For a loss with a quadratic piece: one step of Newton's method.

    Its decrement is twice what the step gains, and so what the dual point u lacks.
    """
    loss, phi, L = problem.loss, pair.phi, problem.penalty_root
    rows = _counted_from_zero(left)
    # 1. The open rows inside the quadratic piece; one at a knot holds in one direction only.
    inside = -loss.outside(rows.residual(phi))
    near = np.flatnonzero(np.abs(inside) <= max(NEAR * loss.steepest, LEAST_NEAR))
    inside[near] -= AT_BOUND * loss.steepest + _rounding(rows.subset(near), phi)
    factor = linalg.factor(rows.gram(rows.w * (inside > 0.0)) + small.quadratic.G)
    if not factor.sound:
        raise Refused("The minimiser is not unique, or nearly so.")
    # 2. The step on the gradient of all rows.
    missing = seen.adjoint - L.T @ (L @ phi)
    step = factor.solve(missing)
    decrement = step @ missing
    # 3. u moves by -Z step on the rows of the factor. For open rows that is known; for settled ones
    #    the decrement bounds it, which is far too much where weights differ by decades.
    outside = max(_outside_box(loss, rows.residual(phi + step)[inside > 0.0]), 0.0)
    if left.gram is not None and left.gram.any():
        least, _ = problem.source.weight_range or (1.0, 1.0)
        move = np.sqrt(decrement / least) / min(loss.upper, -loss.lower)
        if move > LITTLE * np.sqrt(problem.source.n_rows):
            move = sweep(problem.source, farthest, problem.frame, loss, phi, step).number
            tally.n_passes += 1
        outside = max(outside, move)
    return Gap(step, float(decrement), float(0.5 * decrement / seen.near + outside))


@dataclass(frozen=True, slots=True, eq=False)
class Largest:
    """The largest of some numbers."""

    number: float

    def __add__(self, other: Largest) -> Largest:
        return Largest(max(self.number, other.number))


def farthest(part: Part, frame: Frame, loss: Loss, phi: np.ndarray, step: np.ndarray) -> Largest:
    """The kernel of a pass for how far outside of its box any u = r - z'step is, of the rows that
    are inside the quadratic piece at ``phi`` (m,).
    """
    C = frame.centred(part)
    r = frame.residual(part, C, phi)
    inside = loss.curved(r)
    u = frame.residual_of(r, C, step)[inside]
    return Largest(_outside_box(loss, u))


def _gap_of_corner(problem: AllRows, left, pair: Pair, seen: Verified) -> Gap:
    """For a corner: the rows at it, U, take up what the others leave over."""
    loss, phi, L, rows = problem.loss, pair.phi, problem.penalty_root, _counted_from_zero(left)
    r, u = rows.residual(phi), pair.u.copy()
    # 1. Z'(w u) = L'L phi, by a change of u on U.
    missing = seen.adjoint - L.T @ (L @ phi) + rows.adjoint(rows.w * u)
    U = np.flatnonzero(loss.held(u, AT_BOUND))
    held = rows.subset(U)
    normal = held.normal_equations(held.w)
    change = held.fitted(normal.solve(missing))
    u[U] -= change
    step = np.zeros(len(phi))
    if not problem.alpha:
        step = normal.solve(held.adjoint(held.w * r[U]))
    # 2. What these rows cannot take costs what the penalty makes of it, or the dual point is not
    #    quite feasible.
    missing = missing - held.adjoint(held.w * change)
    excess = cost_of_missing(problem, phi, missing, seen.near)
    # 3. How far outside of its box u is, and where it is no slope of the loss at r, but for
    #    rounding.
    outside = max(_outside_box(loss, u), 0.0)
    lost = loss.value(r) - r * u
    doubtful = np.flatnonzero(lost > AT_BOUND * loss.value(r))
    if len(doubtful):
        noise = _rounding(rows.subset(doubtful), phi)
        excess += rows.w[doubtful] @ np.where(np.abs(r[doubtful]) <= noise, 0.0, lost[doubtful])
    # An exact fit, where both are 0, proves nothing.
    return Gap(step, 0.0, float(np.divide(excess, seen.near) + outside))


def cost_of_missing(problem: AllRows, phi, missing: np.ndarray, near: float) -> float:
    """What the dual function may lack because Z'(w u) lacks ``missing`` (m,); ``near`` is the
    objective, without rows far away.
    """
    costs = np.abs(missing) * (np.abs(phi) + near / problem.source.weight)
    if problem.alpha:
        slopes = slice(0, problem.frame.rank)
        L = problem.penalty_root[:, slopes]
        curvature = linalg.factor(L.T @ L)
        if curvature.rcond:
            costs[slopes] = 0.5 * missing[slopes] * curvature.solve(missing[slopes])
    return float(costs.sum())


def _outside_box(loss: Loss, u: np.ndarray) -> float:
    """The largest u / upper or u / lower, less 1."""
    return float(np.maximum(u / loss.upper, u / loss.lower).max(initial=1.0) - 1.0)


def _counted_from_zero(left) -> Rows:
    """The open rows with their targets as y, not their residuals at the base."""
    return replace(left.rows, y=left.rows.y + left.rows.fitted(left.base))


def _rounding(rows: Rows, phi):
    """How far off residuals may be only because float64 rounds the terms they are made of."""
    return 4.0 * EPS * rows.magnitude(phi)
