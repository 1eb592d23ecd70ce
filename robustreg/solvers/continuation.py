"""Narrowing: solve a smoothed problem, settle the rows it leaves far away, repeat.

For a corner, or a smooth loss whose quadratic piece is so narrow that it hardly differs from one.

*The smoothed problem.* Let the slopes of the loss lie in [lower, upper], and phi have fitted values
about rho from the minimiser's. In place of the loss, times a factor k, stands

    l_k(r),  quadratic on [k lower, k upper], with slopes psi_k(r) = r clipped to this interval,

and in place of the quadratic k times it: the same problem, but for the rows Q with r in [k lower, k
upper]. For the absolute loss l_k is Huber's loss with the knot k (Madsen & Nielsen 1993, SIAM J.
Optim. 3:223). A corner whose slopes are not equal in size is the absolute loss, times (upper -
lower) / 2, and a linear part, middle * r, which goes to the quadratic: so 0 is in the middle of Q
for every corner, and rows of both signs are in it. With half the width of Q equal to rho a few
Newton steps solve it.

*How far off its minimiser is.* Let v(r) be lower for r < 0 and upper for r > 0, of a corner without
its linear part. At the minimiser of the smoothed problem the gradient of k times the true one is
Z'(w e), with

    e_i = k v(r_i) - psi_k(r_i) = k v(r_i) - r_i  on Q,  0 elsewhere.

The true Hessian, Z'diag(w)Z times the density of residuals at 0 times k (upper - lower), is about
the one of the smoothed problem, Z_Q'diag(w_Q)Z_Q, since k (upper - lower) is the width of Q; if the
rows of Q are like any others, that is M sum_Q w, where M is the mean of z z'. So one Newton step
leads from one minimiser to the other, (M sum_Q w)^-1 Z'(w e). As if the e_i were independent of
each other and of z_i, with mean 0, it has the covariance M^-1 sum_Q w^2 e^2 / (sum_Q w)^2, and
changes fitted values by the mean square trace(M covariance):

    rho'^2 = m sum_Q w^2 e^2 / (sum_Q w)^2,

about rho sqrt(m / (3 |Q|)) where weights are equal. For a smooth loss e is
smaller, and rho' a bound.

At a corner the minimiser may go through many rows that are near: ``ties.py`` finds it at once. Else
rows further outside than a few rho' have found their side: each is linear, as long as it stays
there. (Where some rows are far larger than most, rho' is that of each row, from its own z and the
covariance, with the sums over Q themselves.) So the problem shrinks from n rows to about sqrt(m n),
and so on, until the core solver takes over. In the end all that was settled is looked at again: a
row that changed its side is opened.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..numerics import linalg
from ..problem.losses import Loss
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Tally
from .crossover import Guess, crossover
from .newton import Hessian, line_search, newton
from .ties import ties

# A row is heavy from so many times the size of others; how far each row reaches, a product for each
# column, is asked for up to so many columns.
HEAVY, MOST_COLUMNS = 10.0, 200
# Rows that reach far are few, and errors of few are not normal: they are taken to be so many times
# larger.
WIDER = 2.0
TINY = np.finfo(np.float64).tiny

# Rows are settled further outside than so many rho': fewer would be settled wrongly too often (a
# round more), more leave more rows to the next problem.
WIDTH = 4.0
# Rows per column up to which the core solver is as fast as narrowing (measured).
CORE_ROWS = 6
# Parts of the residuals that the quadratic piece holds, one after the other, on the way to the
# minimiser: from least squares, and from the minimiser of other rows of the same population.
FAR, NEARBY = (0.7, 0.5, 0.35, 0.25, 0.25), (0.25, 0.25)
# Residuals that tell a quantile of all, to some percent.
QUANTILE_ROWS = 2000
# Parts below this one take more of them, in proportion.
SMALL_PART = 0.1
# Rows per column that are in Q at least, where they are taken from one end of the residuals.
LEAST_ROWS = 4
# Times the root of columns per row on the side with fewer: rho is taken to be so much larger
# (measured).
AT_AN_END = 1.0
# Newton steps for one smoothed problem at most: few are needed unless some rows are far larger than
# most, and then what they leave undone settles rows wrongly.
NEWTON_STEPS = 20
# A decrement, in units of m (k steepest)^2 and a typical weight, from which a pilot is off by less
# than a third of rho, its own error.
PILOT_DECREMENT = 0.1
# A decrement, in units of m rho^2 and a typical weight, for which fitted values are about a sixth
# of rho' from the minimiser's: steps beyond it gain nothing.
NARROW_DECREMENT = 0.01
# Steps with the same Hessian at most: where the start is near, two do (measured).
SAME_HESSIAN = 3
# A smooth loss is not smoothed to a piece that is less than so many times wider: little would be
# gained.
LEAST_FACTOR = 4.0
# Rounds of opening rows that were settled wrongly.
ROUNDS = 6
# Each quadratic piece of ``sharpened`` is so many times narrower than the last, and has so many
# Newton steps.
NARROWER, STEPS_EACH = 10.0, 4


def approach(
    problem: Problem, phi: np.ndarray, parts, work: Tally
) -> tuple[np.ndarray, np.ndarray, float]:
    """(phi, its residuals r, rho): near the minimiser of a smoothed ``problem``, the last of
    ``parts`` of rows in Q.

    One step of Newton's method for each part, with factors k that only fall: far from the minimiser
    a small one would leave too few rows to tell a direction. For a smooth loss k >= 1, the loss
    itself.

    rho is how far fitted values are from those of the population that the rows are a sample of,
    root mean square. With psi the slopes, M the mean of z z' and all w = 1, the minimiser of n rows
    has by the central limit theorem

        sqrt(n) (phi - population)  ->  N(0, V),      V = M^-1 E psi^2 / (E psi')^2,

    since the gradient at the population's phi is a sum of n independent terms psi z with mean 0 and
    variance M E psi^2, and the Hessian n M E psi'. So rho^2 = trace(M V) / n = (m / n) E psi^2 / (E
    psi')^2, with means over the rows in place of E: E psi' is the part of them in Q. For a corner
    psi is k v(r), and E psi' that of psi_k.
    """
    rows, w, loss = problem.rows, problem.rows.w, problem.loss
    hessian, k, r = Hessian(problem), np.inf, rows.residual(phi)
    least = TINY if loss.is_corner else 1.0
    for part in parts:
        k = max(least, min(k, factor_of(problem, r, part)))
        smoothed = problem.smoothed(k)
        factor = hessian.factor(smoothed.loss.curved(r), k)
        if not factor.rcond:
            break
        work.n_iter += 1
        descent = smoothed.descent(smoothed.loss.slope(r), phi)
        step = factor.solve(descent)
        t, r = line_search(smoothed, phi, r, step, rows.fitted(step))
        if t == np.inf:
            break
        phi = phi + t * step
        size = k * _deviation(loss)  # its square may be infinite
        close = step @ descent <= PILOT_DECREMENT * len(phi) * size * size * typical_weight(w)
        if close and (k == 1.0 == least or part == parts[-1]):
            break
    k = least_factor(problem, r, parts[-1])
    psi = loss.slope(r) if k == 1.0 == least else k * loss.pull(r)
    weight = max(float(w @ loss.smoothed(k).curved(r)), TINY)
    rho = np.sqrt(len(phi) * np.sum(np.square(w * psi))) / weight
    return phi, r, float(rho * _wider_at_an_end(loss, r, len(phi)))


def typical_weight(w: np.ndarray) -> float:
    """sum w^2 / sum w, in which no square overflows."""
    return float(w @ (w / w.sum()))


def least_factor(problem: Problem, r: np.ndarray, part: float) -> float:
    """The factor k, at least that of the loss itself, whose Q holds that part of the residuals r
    (n,).
    """
    return max(TINY if problem.loss.is_corner else 1.0, factor_of(problem, r, part))


def _deviation(loss: Loss) -> float:
    """The root mean square slope of a corner at a minimiser with an intercept; else the steepest
    one.
    """
    return float(np.sqrt(-loss.lower * loss.upper)) if loss.is_corner else loss.steepest


def _wider_at_an_end(loss: Loss, r: np.ndarray, m: int) -> float:
    """How much further from the population's minimiser that of a sample is than rho, 1 if a corner
    has many rows for each column on both sides: of few the central limit theorem tells little.
    """
    if not loss.is_corner or loss.is_symmetric:
        return 1.0
    above = np.count_nonzero(r > 0.0)
    few = max(1, min(above, len(r) - above))
    return 1.0 + float(AT_AN_END * np.sqrt(m / few))


def factor_of(problem: Problem, r: np.ndarray, part: float) -> float:
    """The factor k whose Q holds that part of the residuals r (n,).

    Where one side of a corner has few rows the density of residuals is that at their end: so the
    part is taken 4 q (1 - q) times, q the part of them on that side. A minimiser without an
    intercept may have many on both sides.
    """
    loss, n = problem.loss, len(r)
    if loss.is_corner and not loss.is_symmetric:
        above = np.count_nonzero(r > 0.0) / n
        share = 4.0 * above * (1.0 - above)
        part = max(part * share, min(part, LEAST_ROWS * problem.rows.n_cols / n))
    return quantile(loss.reach(r), part)


def levelled(problem: Problem, phi: np.ndarray) -> np.ndarray:
    """phi (m,) with the intercept, if any, where a corner has it: below it is the part ``level`` of
    the weights.
    """
    loss, rows = problem.loss, problem.rows
    if not rows.intercept or not loss.is_corner or loss.is_symmetric:
        return phi
    r = rows.residual(phi)
    order = np.argsort(r)
    total = np.cumsum(rows.w[order])
    middle = order[np.searchsorted(total, loss.level * total[-1])]
    return np.append(phi[:-1], phi[-1] + r[middle])


def quantile(x: np.ndarray, part: float) -> float:
    """About the value below which that part of x (n,) lies, from some of many."""
    more = max(1.0, SMALL_PART / max(part, 1.0 / len(x)))
    some = x[:: 1 + len(x) // int(QUANTILE_ROWS * more)]
    k = int(part * len(some))
    return float(np.partition(some, k)[k])


def sharpened(
    problem: Problem, phi: np.ndarray, r: np.ndarray, options: Options, work: Tally
) -> tuple[np.ndarray, np.ndarray]:
    """(phi, r) near the minimiser for a smooth loss, by steps for several wider quadratic pieces.

    Far from the solution nearly all rows are outside a narrow one, and their Hessian says nothing.
    """
    sizes = problem.loss.reach(r)
    k = float(np.partition(sizes, len(sizes) // 2)[len(sizes) // 2])
    while k > NARROWER and (left := options.max_iter // 2 - work.n_iter) > 0:
        phi = newton(problem.smoothed(k), phi, r, options, work, most=min(STEPS_EACH, left)).phi
        r = problem.rows.residual(phi)
        k /= NARROWER
    return phi, r


Core = Callable[[Problem, np.ndarray], Pair | None]


def narrowed(
    problem: Problem,
    phi: np.ndarray,
    rho: float,
    core: Core,
    options: Options,
    work: Tally,
) -> Pair | None:
    """The optimal pair from phi (m,), whose fitted values are about rho off.

    ``core(problem, phi)``, an optimal pair or None, solves the last problem; None if it fails.
    """
    loss, m, k = problem.loss, problem.rows.n_cols, rho / problem.loss.half_jump
    least = 0.0 if loss.is_corner else LEAST_FACTOR
    if problem.rows.n_rows <= CORE_ROWS * m + 100 or k <= least:
        return core(problem, phi)
    # 1. The smoothed problem, and how far off its minimiser is.
    smoothed = problem.smoothed(k)
    enough = NARROW_DECREMENT * m * rho * rho * typical_weight(problem.rows.w)
    phi = near_minimiser(smoothed, phi, enough, options, work)
    r = problem.rows.residual(phi)
    error, reach = _error(smoothed, r)
    if error is None:
        return None
    pair = _through_ties(problem, phi, r, k) if loss.is_corner else None
    if pair is not None:
        return pair
    # 2. Settle the rows far outside, but for those nearest.
    outside, side = loss.outside(r), np.sign(r)
    outside = outside / reach
    nearest = np.partition(outside, CORE_ROWS * m)[CORE_ROWS * m]
    kept = outside <= max(WIDTH * error, nearest)
    if 2 * np.count_nonzero(kept) > len(r):
        return core(problem, phi)
    # 3. Solve for the others; open rows that are no longer on their side.
    for _ in range(ROUNDS):
        u = loss.pull(side)
        fewer = problem.settled(kept, u)
        pair = narrowed(fewer, phi, error, core, options, work)
        if pair is None:
            break
        wrong = ~kept & (loss.slack(problem.rows.residual(pair.phi), side) < 0.0)
        if not wrong.any():
            u[kept] = pair.u
            return Pair(pair.phi, u)
        kept |= wrong
    return core(problem, phi)


def near_minimiser(
    smoothed: Problem, phi: np.ndarray, enough: float, options: Options, work: Tally
) -> np.ndarray:
    """phi (m,) at which the next Newton step would have a decrement of at most about ``enough``.

    1. Up to SAME_HESSIAN steps with the Hessian of the start. If the last decrement is c times the
       one before, the next one is about c times the last.
    2. If decrements do not fall, or are still too large: Newton's method.
    """
    rows, loss, last = smoothed.rows, smoothed.loss, 0.0
    r = rows.residual(phi)
    factor = smoothed.factor(rows.w * loss.curved(r))
    steps = min(NEWTON_STEPS, options.max_iter - work.n_iter)
    for _ in range(min(SAME_HESSIAN, steps) if factor.sound else 0):
        descent = smoothed.descent(loss.slope(r), phi)
        step = factor.solve(descent)
        decrement = float(step @ descent)
        c = min(decrement / last, 1.0) if last else 1.0
        if last and c == 1.0:
            break
        work.n_iter += 1
        phi = phi + step
        if c * decrement <= enough:
            return phi
        r, last = rows.residual(phi), decrement
        steps -= 1
    return newton(smoothed, phi, r, options, work, steps, enough).phi


def _through_ties(problem: Problem, phi, r, k: float) -> Pair | None:
    """The optimal pair, if it goes through many of the rows that are within the factor k at phi,
    the minimiser of the smoothed problem; else None.
    """
    loss = problem.loss
    tied = ties(problem, phi, r, k * loss.half_jump)
    if tied is None:
        return None
    u = loss.middle + loss.smoothed(k).slope(r) / k
    pair, right = crossover(problem, Guess(tied.phi, u, np.sign(tied.r), tied.F))
    return pair if right else None


def _error(smoothed: Problem, r: np.ndarray) -> tuple[float | None, np.ndarray | float]:
    """(rho' of the module at residuals r (n,), how far each row reaches, in units of it).

    None if Q is empty. Rows are alike, 1, unless some are far larger than most.
    """
    rows, Q = smoothed.rows, smoothed.loss.curved(r)
    inner, w = r[Q], rows.w[Q]
    weight = w.sum()
    if not weight:
        return None, 1.0
    e = smoothed.loss.pull(inner) - inner
    error = float(np.sqrt(rows.n_cols * np.sum(np.square(w * e))) / weight)
    size = rows.magnitude(np.ones(rows.n_cols)) if rows.n_cols <= MOST_COLUMNS else np.ones(1)
    if size.max() <= HEAVY * quantile(size, 0.75):
        return error, 1.0
    # The covariance H^-1 V H^-1, row by row: V the sum of (w e)^2 z z', H that of w z z', on Q.
    spread = np.zeros(len(r))
    spread[Q] = np.square(w * e)
    factor = linalg.factor(rows.gram(rows.w * Q))
    if not factor.sound:
        return error, 1.0
    values, vectors = np.linalg.eigh(rows.gram(spread))
    directions = factor.solve(vectors * np.sqrt(np.maximum(values, 0.0)))
    reach = np.sqrt(sum(np.square(rows.fitted(column)) for column in directions.T))
    reach *= WIDER
    error = float(np.median(reach))
    return error, np.maximum(reach / error, TINY)
