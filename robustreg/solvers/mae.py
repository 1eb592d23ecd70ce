"""Corners such as the absolute loss: interior points, then crossover as soon as it is certified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from ..problem.duality import relative_gap, rounding
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Tally
from .continuation import FAR, approach, levelled, narrowed
from .crossover import Guess, crossover, guesses
from .interior_point import Point, Start, central_path
from .mse import start

# Relative gap of an interior point from which the zero residuals may be recognisable; a failed try
# costs a few passes.
TRY_GAP = 1e-6
# From this one any guess of the zero residuals is tried, not only one that lasts or is as large as
# phi.
SURE_GAP = 1e-9
# From this one a crossover that fails is kept, in case none succeeds.
LAST_GAP = 1e-12
# Below this one an interior point has no digits left to gain.
STALLED_GAP = 1e-22
# The gap of a crossover that has succeeded: rounding.
EXACT_GAP = 1e-14
# Of weights up to 2; the path need not tell lighter rows apart, the crossover does.
LIGHTEST = 1e-14
# Crossovers that a small problem has: nearly always the first one succeeds, or else one of the next
# twenty.
TRIES = 30
# Iterations in which the gap has to be halved, or the path has stalled.
PATIENCE = 30
# Rows per column, and entries of Z, from which narrowing the problem first is faster; with fewer it
# is Python that costs.
TALL, LARGE = 20, 50_000
# Residuals of a start up to so many times their rounding are 0: coefficients were rounded in the
# units of the data, whose offsets may be larger than what the rows are made of. The crossover takes
# back what is wrong.
START_ROUNDING = 1e3
# A typical residual is at least so many times the rounding of one.
LEAST_SCALE = 64.0


def minimise(problem: Problem, options: Options, work: Tally) -> Pair:
    """The optimal pair, or the best found within the iterations of the options."""
    phi, r, given = start(problem, options)
    at_rest = problem.quadratic.flat or not phi.any()
    if at_rest and np.all(np.abs(r) <= rounding(problem, phi)):
        work.n_iter = 1
        return Pair(phi, np.zeros(len(r)))  # an exact fit
    if given:
        pair = from_start(problem, phi, r, 0.0, work)
        if pair is not None and relative_gap(problem, pair.phi, pair.u)[1] <= EXACT_GAP:
            return pair
    if not given:
        phi = levelled(problem, phi)
        r = problem.rows.residual(phi)
    if _is_large(problem):
        half = replace(options, max_iter=options.max_iter // 2)  # narrowing may fail
        pair = from_far(problem, phi, r, half, work)
        if pair is not None and relative_gap(problem, pair.phi, pair.u)[1] <= EXACT_GAP:
            return pair
    return _with_least_gap(problem, phi, r, options, work)


def _is_large(problem: Problem) -> bool:
    n, m = problem.rows.n_rows, problem.rows.n_cols
    return n > TALL * m and n * m > LARGE


def from_start(problem: Problem, phi, r, noise: float, work: Tally) -> Pair | None:
    """The pair of the face that the user's start phi (m,) lies on; None if it is not optimal.

    The rows of F are those with residuals r (n,) of rounding, of phi and of the user's
    coefficients, which is ``noise`` at least.
    """
    work.n_iter += 1
    F = np.abs(r) <= START_ROUNDING * np.maximum(rounding(problem, phi), noise)
    guess = Guess(phi, np.zeros(len(r)), np.where(r > 0.0, 1.0, -1.0), F)
    pair, right = crossover(problem, guess)
    return pair if right else None


def from_far(problem: Problem, phi, r, options: Options, work: Tally) -> Pair | None:
    """The optimal pair of a problem from phi (m,) at any distance, with residuals r (n,).

    None if no crossover succeeds.
    """
    if _is_large(problem) and len(FAR) < options.max_iter - work.n_iter:
        phi, _, rho = approach(problem, levelled(problem, phi), FAR, work)
        return from_near(problem, phi, rho, options, work)
    return _optimal(problem, phi, r, options, work)


def from_near(problem: Problem, phi, rho: float, options: Options, work: Tally) -> Pair | None:
    """The optimal pair of a problem from phi (m,), whose fitted values are about rho off.

    None if no crossover succeeds.
    """

    def core(problem: Problem, phi: np.ndarray) -> Pair | None:
        return _optimal(problem, phi, problem.rows.residual(phi), options, work)

    return narrowed(problem, phi, rho, core, options, work)


def _optimal(problem: Problem, phi, r, options: Options, work: Tally) -> Pair | None:
    """The first pair that satisfies the conditions of a crossover, or None.

    Where open rows were chosen badly there is none, and all would be tried in vain.
    """
    tries = islice(_attempts(problem, _start(problem, phi, r), options, work), TRIES)
    return next((attempt.pair for attempt in tries if attempt.right), None)


def _with_least_gap(problem: Problem, phi, r, options: Options, work: Tally) -> Pair:
    """The first pair whose gap is rounding, or the one with the least gap, or the path's end."""
    best, best_gap, last = None, np.inf, Pair(phi, problem.loss.slope(r))
    for attempt in _attempts(problem, _start(problem, phi, r), options, work):
        last = attempt.pair
        if not attempt.right and attempt.path_gap > LAST_GAP:
            continue
        gap = relative_gap(problem, last.phi, last.u)[1]
        if attempt.right and gap <= EXACT_GAP:
            return last
        if gap < best_gap:
            best, best_gap = last, gap
    exhausted = best_gap > EXACT_GAP and work.n_iter >= options.max_iter
    return replace(best or last, exhausted=exhausted)


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A ``pair``, whether its crossover found it ``right``, and the gap of the path there.

    The last attempt of a path is its end, without a crossover: its ``path_gap`` is infinite.
    """

    pair: Pair
    right: bool
    path_gap: float


def _start(problem: Problem, phi: np.ndarray, r: np.ndarray) -> Start:
    """Where the path begins, from phi (m,) with residuals r (n,)."""
    w = problem.rows.w
    if w.min(initial=1.0) < LIGHTEST:
        w = np.maximum(w, LIGHTEST)
        problem = replace(problem, rows=replace(problem.rows, w=w))
    scale = (w @ np.maximum(np.abs(r), LEAST_SCALE * rounding(problem, phi))) / w.sum()
    return Start(problem, phi, r, scale)


def _attempts(problem: Problem, start: Start, options: Options, work: Tally) -> Iterator[Attempt]:
    """Crossovers from the central path, then its end.

    A guess of the zero residuals is tried if it is as large as the last one or as phi, or late on
    the path.
    """
    loss, w, point, last_size, progress = problem.loss, start.problem.rows.w, None, -1, _Progress()
    for point in central_path(start):
        options.report(f"interior point {work.n_iter}", problem.rows.n_rows, point.gap)
        # 1. Try what the point suggests.
        for guess in guesses(point, w, loss, start.scale) if point.gap <= TRY_GAP else ():
            size = int(guess.F.sum())
            lasting, last_size = size in (last_size, len(point.phi)), size
            if lasting or point.gap <= SURE_GAP:
                yield Attempt(*crossover(problem, guess), point.gap)
        # 2. Go on as long as the gap falls.
        patience_ends = progress.update(point, work.n_iter) + PATIENCE
        if point.gap <= STALLED_GAP or work.n_iter >= min(options.max_iter, patience_ends):
            break
        work.n_iter += 1
    if point is not None:
        yield Attempt(Pair(point.phi, np.clip(point.a / w, loss.lower, loss.upper)), False, np.inf)


@dataclass(slots=True)
class _Progress:
    """The iteration in which the gap of a path was last halved."""

    gap: float = np.inf
    iteration: int = 0

    def update(self, point: Point, iteration: int) -> int:
        if point.gap < 0.5 * self.gap:
            self.gap, self.iteration = point.gap, iteration
        return self.iteration
