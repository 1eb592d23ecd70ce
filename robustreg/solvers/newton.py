"""Newton's method on active sets for Huber's loss (Madsen & Nielsen 1990, BIT 30:682-699).

With zones s_i = 0 where abs(r_i) <= d and sign(r_i) elsewhere, Q = {s = 0}:

    gradient   g = -Z'W psi(r) + G phi - h,     Hessian   H = Z_Q'W_Q Z_Q + G.

f is convex and quadratic as long as no row changes its zone. So a full step H step = -g that
changes no zone ends at the exact minimiser, after finitely many steps (IRLS with weights 0 and 1,
made finite). Where a row does change its zone, f is searched exactly along the step: its derivative

    f'(t) = -sum_i w_i psi(r_i - t v_i) v_i + step'(G (phi + t step) - h),     v = Z step,

is piecewise linear and increasing, and Newton's method in t finds its zero.

Departure from the paper: where H is singular, the outer rows are given the weights of reweighted least squares,
d / abs(r_i), times a small number. Where H is not singular, a few refinements take that out again; where
it is, the step still descends, and the line search takes care of its length. A shift by all rows alike would let
one of high leverage decide how far the others may go.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..numerics import linalg
from ..problem.duality import rounding
from ..problem.losses import Huber
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Work

EPS = np.finfo(np.float64).eps
NEARLY = 0.1  # of the derivative may be left at the end of a full step
SHIFT = 1e-3  # times their weights in reweighted least squares is what outer rows add to a singular Hessian
REFINED = 3  # times, so that where H is not singular SHIFT^4 is left of that
IDLE = 6  # steps since the smallest decrement,
SMALL = 1e-12  # which is less than this part of f: rows at the knot go to and fro, for the rounding of residuals
NEARLY_ROUNDING = 1e-24  # a mean square of a step, for y of size 1


def newton(
    problem: Problem, phi, r, options: Options, work: Work, most: int, enough: float | None = None, hessian=None
) -> Pair:
    """Minimise from phi (m,) with residuals r (n,) in at most ``most`` steps, the first with the ``hessian``, if any.

    With ``enough`` the end is the first full step that changes no zone or whose decrement is below it: exact, or
    near, but not refined to the last digits.
    """
    rows, loss = problem.rows, problem.loss
    zone, hessian = loss.curved(r), hessian or Hessian(problem)
    clean = True  # r is that of phi to the last digit
    same, last, least, idle, best = False, np.inf, np.inf, 0, (np.inf,)
    for _ in range(most):
        work.n_iter += 1
        # 1. The Newton step.
        descent = problem.descent(loss.slope(r), phi)
        step = hessian.solve(zone, r, descent)
        decrement = step @ descent
        if options.tell:
            lacking = 0.5 * decrement / (problem.value(r, phi) or 1.0)
            options.report(f"newton {work.n_iter}", rows.n_rows, lacking)
        # 2. Stop where rounding of the residuals alone explains the gradient, or where the steps lead nowhere and are
        #    as small. The dual is that of the step's end, r - v in the quadratic zone: it fits the outer rows better
        #    than r itself does.
        v = rows.fitted(step)
        idle, least = (0, decrement) if decrement < least else (idle + 1, least)
        if clean and decrement < best[0]:
            best = decrement, phi, r, zone, v
        stuck = idle >= IDLE and decrement <= SMALL * problem.value(r, phi)
        still = same and decrement >= last / 4.0
        if clean and (stuck or still or _is_rounding(problem, phi, zone, decrement)):
            _, phi, r, zone, v = best
            return Pair(phi, loss.slope(loss.slope(r) - zone * v))
        # 3. Move to the minimum along the step, or near it.
        start = r
        t, r = line_search(problem, phi, start, step, v)
        phi = phi + t * step
        moved = loss.curved(r)
        # 4. A full step within one zone was exact; what is left is refinement, while it helps.
        same = hessian.sound and abs(t - 1.0) < 1e-8 and np.array_equal(zone, moved)
        same = same and not np.any(start * r < 0.0, where=~zone)  # from one side to the other
        if enough is not None and (same or decrement <= enough):
            return Pair(phi, loss.slope(r))
        clean = same or stuck or decrement <= NEARLY_ROUNDING * rows.w.sum()
        if clean:
            r = rows.residual(phi)
            moved = loss.curved(r)
        zone, last = moved, decrement if same else np.inf
    return Pair(phi, loss.slope(r), exhausted=True)


class Hessian:
    """Z_Q'W_Q Z_Q + G for changing Q: its changes are added up as long as they are the smaller part."""

    def __init__(self, problem, zone=None, gram=None):
        self.problem, self.zone, self.gram, self.sound = problem, zone, gram, False

    def factor(self, zone, scale=1.0) -> linalg.Factor:
        """Factor for the rows Q = zone (n,) bool and the quadratic times ``scale``, shifted if it is singular."""
        H, problem = self.of(zone, scale), self.problem
        factor = problem.sound_factor(H, problem.rows.w * zone) if scale == 1.0 else linalg.factor(H)
        self.sound = factor.sound
        return factor if factor.sound else linalg.factor_shifted(H, problem.rows.gram_all)

    def solve(self, zone, r, descent):
        """H^-1 descent (m,) for the rows Q = zone (n,) bool; where H is singular, as far as it is not, and a step
        like that of reweighted least squares otherwise."""
        problem, rows, knot = self.problem, self.problem.rows, self.problem.loss.knot
        H = self.of(zone)
        factor = problem.sound_factor(H, rows.w * zone)
        self.sound = factor.sound
        if factor.sound:
            return factor.solve(descent)
        factor = problem.factor(rows.w * np.where(zone, 1.0, SHIFT * knot / np.maximum(np.abs(r), knot)))
        factor = factor if factor.rcond else linalg.factor_shifted(H, rows.gram_all)
        step = factor.solve(descent)
        for _ in range(REFINED):
            step = step + factor.solve(descent - H @ step)
        return step

    def of(self, zone, scale=1.0):
        """Z_Q'W_Q Z_Q + scale * G, (m, m)."""
        rows = self.problem.rows
        changed = np.flatnonzero(zone != self.zone) if self.zone is not None else None
        if changed is None or 4 * len(changed) > np.count_nonzero(zone):
            self.gram = rows.gram(rows.w * zone)
        elif len(changed):
            Z, sign = rows.take(changed), np.where(zone[changed], 1.0, -1.0)
            self.gram = self.gram + np.dot(Z.T, Z * (sign * rows.w[changed])[:, None])
        self.zone = zone
        return self.gram + scale * self.problem.quadratic.G


def _is_rounding(problem, phi, zone, decrement) -> bool:
    """Whether rounding of the residuals alone can make such a decrement."""
    w = problem.rows.w * zone
    if decrement > NEARLY_ROUNDING * w.sum():  # spares a pass
        return False
    return bool(decrement <= w @ np.square(rounding(problem, phi)))


def line_search(problem: Problem, phi, r, step, v):
    """(t, r - t v) with f'(t) = 0, by safeguarded Newton on the piecewise linear derivative; or with t = 1, if
    the derivative has all but vanished there."""
    w, loss, quadratic = problem.rows.w, problem.loss, problem.quadratic
    linear = step @ quadratic.gradient(phi)
    curve = step @ quadratic.G @ step
    wv = w * v
    start = abs(linear - wv @ loss.slope(r))
    low, high, t, moved = 0.0, np.inf, 1.0, r - v
    for k in range(100):
        slope = linear + t * curve - wv @ loss.slope(moved)
        if abs(slope) <= (NEARLY if k == 0 else 1e-14) * start:
            break
        low, high = (low, t) if slope > 0.0 else (t, high)
        bend = curve + wv @ (v * loss.curved(moved))
        trial = t - slope / bend if bend > 0.0 else np.nan
        if not low < trial < high:
            trial = 2.0 * t if high == np.inf else 0.5 * (low + high)
        if abs(trial - t) <= 4.0 * EPS * t:
            break
        t = trial
        moved = r - t * v
    return t, moved


def approach(problem: Problem, phi, r, options: Options, work: Work):
    """Come near the minimiser for a small knot by a few steps at each of larger ones, ten times apart.

    Far from the solution nearly all rows are outside a small knot, and their Hessian says nothing.
    """
    knot = float(np.partition(np.abs(r), len(r) // 2)[len(r) // 2])
    while knot > 10.0 * problem.loss.knot and work.n_iter < options.max_iter // 2:
        wide = replace(problem, loss=Huber(knot))
        phi = newton(wide, phi, r, options, work, most=4).phi
        r = problem.rows.residual(phi)
        knot /= 10.0
    return phi, r
