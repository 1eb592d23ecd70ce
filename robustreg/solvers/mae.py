"""Least absolute deviations: interior point, then crossover as soon as it can be certified."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..problem.duality import relative_gap, rounding
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Work
from .continuation import FAR, approach, narrowed
from .crossover import crossover, guesses
from .interior_point import central_path
from .mse import start

TRY = 1e-6  # gap from which the zero residuals may be recognisable; a failed try costs a few passes
LAST = 1e-12  # gap from which a crossover that fails is kept, in case none succeeds
SURE = 1e-9  # gap from which any guess of the zero residuals is tried, not only one that lasts
EXACT = 1e-14  # gap at which a crossover has succeeded: rounding
LIGHTEST = 1e-14  # of weights up to 2; the path need not tell lighter rows apart, the crossover does
PATIENCE = 30  # iterations in which the gap has to be halved
TALL = 20  # rows per column from which narrowing the problem first is faster
LARGE = 50_000  # entries, too: below it is Python that costs
STALLED = 1e-22  # below it an interior point has no digits left to gain


def minimise(problem: Problem, options: Options, work: Work) -> Pair:
    phi, r = start(problem, options)
    at_rest = problem.quadratic.flat or not phi.any()
    if at_rest and np.all(np.abs(r) <= rounding(problem, phi)):
        work.n_iter = 1
        return Pair(phi, np.zeros(len(r)))  # an exact fit
    if _is_large(problem):
        pair = from_far(problem, phi, r, options, work)
        if pair is not None and relative_gap(problem, pair.phi, pair.u)[1] <= EXACT:
            return pair
    return interior(problem, phi, r, options, work)[0]


def _is_large(problem: Problem) -> bool:
    n, m = problem.rows.n_rows, problem.rows.n_cols
    return n > TALL * m and n * m > LARGE


def from_far(problem: Problem, phi, r, options: Options, work: Work) -> Pair | None:
    """The optimal pair of a problem from phi (m,) with residuals r, wherever that is; None if that fails."""
    if _is_large(problem):
        return from_near(problem, *approach(problem, phi, 0.0, FAR, work), options, work)
    return _right(problem, phi, r, options, work)


def from_near(problem: Problem, phi, s, options: Options, work: Work) -> Pair | None:
    """The optimal pair of a problem from phi (m,), about s from it in fitted values; None if that fails."""

    def core(problem, phi):
        return _right(problem, phi, problem.rows.residual(phi), options, work)

    return narrowed(problem, phi, s, core, options, work)


def _right(problem, phi, r, options, work) -> Pair | None:
    pair, right = interior(problem, phi, r, options, work, certify=False)
    return pair if right else None


def interior(problem: Problem, phi, r, options: Options, work: Work, certify=True) -> tuple[Pair, bool]:
    """(pair, whether it is optimal) by interior points from phi (m,) with residuals r, and crossover.

    Without ``certify`` the conditions of the crossover are enough: the duality gap is that of all rows.
    """
    w = np.maximum(problem.rows.w, LIGHTEST)
    path = replace(problem, rows=replace(problem.rows, w=w))
    scale = (w @ np.maximum(np.abs(r), 64.0 * rounding(problem, phi))) / w.sum()
    best, best_gap, point, lowest, progress, done, last = None, np.inf, None, np.inf, 0, False, -1
    for point in central_path(path, phi, r, scale):
        options.report(f"interior point {work.n_iter}", problem.rows.n_rows, point.gap)
        if point.gap <= TRY:
            for F in guesses(point, w, scale):
                size, last = last, int(F.sum())
                if last not in (size, len(phi)) and point.gap > SURE:
                    continue
                pair, right = crossover(problem, point, F)
                if not right and (point.gap > LAST or not certify):
                    continue
                gap = relative_gap(problem, pair.phi, pair.u)[1] if certify else 0.0
                done = right and gap <= EXACT
                if done or gap < best_gap:
                    best, best_gap = pair, gap
                if done:
                    break
            if done or point.gap <= STALLED:
                break
        if point.gap < 0.5 * lowest:
            lowest, progress = point.gap, work.n_iter
        if work.n_iter >= min(options.max_iter, progress + PATIENCE):
            break
        work.n_iter += 1
    if best is None:
        best = Pair(point.phi, np.clip(point.a / w, -1.0, 1.0))
    return Pair(best.phi, best.u, exhausted=best_gap > EXACT and work.n_iter >= options.max_iter), done
