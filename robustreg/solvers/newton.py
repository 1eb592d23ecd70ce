"""Newton's method on active sets for smooth losses (Madsen & Nielsen 1990, BIT 30:682, for
Huber's).

With psi the slope of the loss, r clipped to [lower, upper], and Q the rows where it is r itself,

    gradient   g = -Z'(w psi(r)) + G phi - h,     Hessian   H = Z_Q'diag(w_Q)Z_Q + G.

f is convex, and quadratic as long as no row changes its zone: to the left of Q, in it, or to the
right. So a full step H step = -g that changes no zone ends at the exact minimiser, after finitely
many steps (IRLS with weights 0 and 1, made finite). Where a row does change its zone, f is searched
exactly along the step: its derivative

    f'(t) = -sum_i w_i psi(r_i - t v_i) v_i + step'(G (phi + t step) - h),     v = Z step,

is piecewise linear and increasing, and Newton's method in t finds its zero.

The iteration stops by one of four rules, each a function below: what is left is rounding
(``_is_rounding``); refinement no longer contracts (``_is_refined``); rows go to and fro between two
zones (``_is_stuck``); or, where digits beyond the first are not needed, a step was exact
(``_keeps_zones``).

Departure from the paper: where H is singular, the outer rows are given the weights of reweighted
least squares, psi(r) / r, times a small number. Where H is not singular, a few refinements take
that out again; where it is, the step still descends, and the line search takes care of its length.
A shift by all rows alike would let one of high leverage decide how far the others may go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..numerics import linalg
from ..numerics.precision import EPS
from ..problem.duality import rounding
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Tally

# Part of the derivative at the beginning of a step that may be left at its end: a full step that
# leaves less is as good as an exact search, and spares its passes.
LINE_DERIVATIVE_LEFT = 0.1
# The same for a search that has begun: the derivative is nothing but rounding.
LINE_DERIVATIVE_ROUNDED = 1e-14
# Steps of a line search at most; Newton's method on a piecewise linear derivative needs few.
LINE_STEPS = 100
# A step of length 1 up to this is a full one.
FULL_STEP = 1e-8
# What outer rows add to a singular Hessian: this part of their weights in reweighted least squares.
# Larger is better conditioned, smaller distorts less where the Hessian is only nearly singular.
OUTER_WEIGHT = 1e-3
# Reciprocal condition number of normal equations, of whose root it is EPS: a lower one is that of a
# singular matrix, whose factor solves nothing.
SINGULAR = EPS * EPS
# Refinements that take it out again: where H is not singular, OUTER_WEIGHT^4 is left of it.
OUTER_REFINEMENTS = 3
# Rows at the end of their zone may go to and fro, for the rounding of their residuals: that is so
# after this many steps without a smaller decrement,
STUCK_STEPS = 6
# if the decrement is less than this part of f, far below any tolerance of the gap.
STUCK_DECREMENT = 1e-12
# A mean square of a step's fitted values, for y of size 1: above it rounding is not what makes it.
NEARLY_ROUNDING = 1e-24
# Changed rows are added to a Hessian as long as they are at most this part of those in it.
CHANGED_ROWS = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Iterate:
    """phi (m,), its residuals r (n,), its ``zone`` Q (n,) bool, and the Newton step from there.

    ``fitted`` (n,) is Z step; ``decrement`` is step'(-g), twice what the quadratic model gains.
    """

    phi: np.ndarray
    r: np.ndarray
    zone: np.ndarray
    step: np.ndarray
    fitted: np.ndarray
    decrement: float

    def pair(self, problem: Problem) -> Pair:
        """phi, with the dual of the step's end: r - fitted in Q fits outer rows better than r."""
        slope = problem.loss.slope
        return Pair(self.phi, slope(slope(self.r) - self.zone * self.fitted))


def newton(
    problem: Problem,
    phi: np.ndarray,
    r: np.ndarray,
    options: Options,
    work: Tally,
    most: int,
    enough: float | None = None,
    hessian: Hessian | None = None,
) -> Pair:
    """Minimise from phi (m,) with residuals r (n,) in at most ``most`` steps.

    The first step uses ``hessian``, if it is given. With ``enough`` the end is the first step that
    is exact or whose decrement is not above it: near, but not refined to the last digits.
    """
    loss, hessian = problem.loss, hessian or Hessian(problem)
    zone, clean, exact = loss.curved(r), True, False  # clean: r is that of phi to the last digit
    best, last, least, idle = None, np.inf, np.inf, 0
    for _ in range(most):
        work.n_iter += 1
        # 1. The Newton step.
        point = _newton_step(problem, hessian, phi, r, zone)
        _report(problem, point, options, work)
        # 2. Stop where nothing is to be gained: at the best point whose residuals are clean.
        idle, least = (0, point.decrement) if point.decrement < least else (idle + 1, least)
        if clean and (best is None or point.decrement < best.decrement):
            best = point
        stuck = _is_stuck(problem, point, idle)
        refined = exact and _is_refined(point, last)
        if clean and best and (stuck or refined or _is_rounding(problem, point)):
            return best.pair(problem)
        # 3. Move to the minimum along the step, or near it.
        t, r = line_search(problem, phi, point.r, point.step, point.fitted)
        if t == np.inf:
            return Pair(phi, loss.slope(r), exhausted=True)
        phi = phi + t * point.step
        zone = loss.curved(r)
        # 4. An exact step is enough, or it is refined, while that helps.
        exact = hessian.sound and _keeps_zones(point, t, r, zone)
        if enough is not None and (exact or point.decrement <= enough):
            return Pair(phi, loss.slope(r))
        small = point.decrement <= NEARLY_ROUNDING * problem.rows.w.sum()
        clean = exact or stuck or small
        if clean:
            r = problem.rows.residual(phi)
            zone = loss.curved(r)
        if exact and small:  # the step was a refinement itself: it began at the exact minimiser
            return Pair(phi, loss.slope(r))
        last = point.decrement if exact else np.inf
    return Pair(phi, loss.slope(r), exhausted=True)


def _newton_step(problem: Problem, hessian: Hessian, phi, r, zone) -> Iterate:
    descent = problem.descent(problem.loss.slope(r), phi)
    step = hessian.solve(zone, r, descent)
    return Iterate(phi, r, zone, step, problem.rows.fitted(step), float(step @ descent))


def _report(problem: Problem, point: Iterate, options: Options, work: Tally) -> None:
    if options.tell:  # the value is a pass that a silent fit need not make
        value = problem.value(point.r, point.phi) or 1.0
        lacking = 0.5 * point.decrement / value
        options.report(f"newton {work.n_iter}", problem.rows.n_rows, lacking)


def _is_rounding(problem: Problem, point: Iterate) -> bool:
    """Whether rounding of the residuals alone can make such a decrement."""
    w = problem.rows.w * point.zone
    if point.decrement > NEARLY_ROUNDING * w.sum():  # spares a pass
        return False
    noise = rounding(problem, point.phi)
    return bool(point.decrement <= w @ np.square(noise))


def _is_refined(point: Iterate, last: float) -> bool:
    """Whether refinement has ended: the decrement did not fall to a quarter of the last one."""
    return point.decrement >= last / 4.0


def _is_stuck(problem: Problem, point: Iterate, idle: int) -> bool:
    """Whether steps as small as rounding lead nowhere: rows go to and fro between two zones."""
    if idle < STUCK_STEPS:
        return False
    return bool(point.decrement <= STUCK_DECREMENT * problem.value(point.r, point.phi))


def _keeps_zones(point: Iterate, t: float, r: np.ndarray, zone: np.ndarray) -> bool:
    """Whether the full step was taken and changed no zone: f was quadratic, this its minimum."""
    if abs(t - 1.0) >= FULL_STEP or not np.array_equal(point.zone, zone):
        return False
    crossed = np.any(point.r * r < 0.0, where=~zone)  # from one side of Q to the other
    return not crossed


class Hessian:
    """Z_Q'diag(w_Q)Z_Q + G for a changing Q: changes are added up while they are fewer."""

    def __init__(self, problem: Problem, zone=None, gram=None):
        self.problem, self.zone, self.gram, self.sound = problem, zone, gram, False

    def factor(self, zone: np.ndarray, scale: float = 1.0) -> linalg.Factor:
        """Factor for Q = zone (n,) bool and the quadratic times ``scale``, shifted if singular."""
        H, problem = self.of(zone, scale), self.problem
        if scale == 1.0:
            factor = problem.sound_factor(H, problem.rows.w * zone)
        else:
            factor = linalg.factor(H)
        self.sound = factor.sound
        return factor if factor.sound else linalg.factor_shifted(H, problem.rows.gram_all)

    def solve(self, zone: np.ndarray, r: np.ndarray, descent: np.ndarray) -> np.ndarray:
        """H^-1 descent (m,) for the rows Q = zone (n,) bool.

        Where H is singular, as far as it is not, and else a step like that of reweighted least
        squares.
        """
        problem, rows = self.problem, self.problem.rows
        H = self.of(zone)
        factor = problem.sound_factor(H, rows.w * zone)
        self.sound = factor.sound
        if factor.sound:
            return factor.solve(descent)
        ratio = np.divide(problem.loss.slope(r), r, out=np.ones_like(r), where=~zone)
        factor = problem.factor(rows.w * np.where(zone, 1.0, OUTER_WEIGHT * ratio))
        usable = factor.rcond > SINGULAR
        factor = factor if usable else linalg.factor_shifted(H, rows.gram_all)
        step = factor.solve(descent)
        for _ in range(OUTER_REFINEMENTS):
            step = step + factor.solve(descent - H @ step)
        return step

    def of(self, zone: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Z_Q'diag(w_Q)Z_Q + scale * G, (m, m)."""
        rows = self.problem.rows
        changed = np.flatnonzero(zone != self.zone) if self.zone is not None else None
        many = 0 if rows.is_sparse else CHANGED_ROWS * np.count_nonzero(zone)
        if self.gram is None or changed is None or len(changed) > many:
            self.gram = rows.gram(rows.w * zone)
        elif len(changed):
            Z, sign = rows.take(changed), np.where(zone[changed], 1.0, -1.0)
            self.gram = self.gram + np.dot(Z.T, Z * (sign * rows.w[changed])[:, None])
        self.zone = zone
        return self.gram + scale * self.problem.quadratic.G


def line_search(
    problem: Problem, phi: np.ndarray, r: np.ndarray, step: np.ndarray, v: np.ndarray
) -> tuple[float, np.ndarray]:
    """(t, r - t v) with f'(t) = 0, for v = Z step (n,), by safeguarded Newton on the derivative.

    t is 1 if the derivative has all but vanished there. It is inf, and r unchanged, if f falls for
    ever along the step: where few rows are open, settled rows may pull in a direction in which no
    open row holds.
    """
    w, loss, quadratic = problem.rows.w, problem.loss, problem.quadratic
    linear = step @ quadratic.gradient(phi)
    curve = step @ quadratic.G @ step
    wv = w * v
    start = abs(linear - wv @ loss.slope(r))
    low, high, t, moved = 0.0, np.inf, 1.0, r - v
    for k in range(LINE_STEPS):
        slope = linear + t * curve - wv @ loss.slope(moved)
        if abs(slope) <= (LINE_DERIVATIVE_LEFT if k == 0 else LINE_DERIVATIVE_ROUNDED) * start:
            break
        low, high = (low, t) if slope > 0.0 else (t, high)
        bend = curve + wv @ (v * loss.curved(moved))
        trial = t - slope / bend if bend > 0.0 else np.nan
        if not low < trial < high:  # outside of the bracket: twice as far, or its middle
            # For t -> inf each row with v != 0 is outside the piece, and its slope is a bound.
            pulls = np.where(v > 0.0, -loss.lower, loss.upper)
            if curve == 0.0 and linear + np.abs(wv) @ pulls < 0.0:
                return np.inf, r
            trial = 2.0 * t if high == np.inf else 0.5 * (low + high)
        if abs(trial - t) <= 4.0 * EPS * t:
            break
        t = trial
        moved = r - t * v
    return float(t), moved
