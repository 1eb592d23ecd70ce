"""Narrowing: solve a smoothed problem, settle the rows it leaves far away, repeat.

For the absolute loss, or Huber's with a knot so small that it hardly differs.

Near phi, whose fitted values are about s from the minimiser's, Huber's loss with the knot d = s in place of
the absolute one is solved by a few Newton steps (Madsen & Nielsen 1993, SIAM J. Optim. 3:223). Its
minimiser misses the true one because its slopes psi(r) / d differ from sign(r) on the rows Q = {abs(r) <= d}; to
first order, as if these differences were independent, the fitted values are then off by

    s' = d sqrt(m sum_Q w^2 (1 - abs(r)/d)^2) / sum_Q w,

about d sqrt(m / 3 abs(Q)). Rows further away than a few s' have found their side: each is linear, as long as it
stays there. So the problem shrinks from n rows to about sqrt(m n), and so on, until an interior point method
takes over. In the end all that was settled is looked at again: a row that changed its side is opened.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..problem.losses import Huber
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Work
from .newton import Hessian, line_search, newton

WIDTH = 4.0  # rows are settled so many times s' from the fit
FEW = 6  # rows per column that an interior point method does as fast
FAR, NEARBY = (0.7, 0.5, 0.35, 0.25, 0.25), (0.25, 0.25)  # parts of the residuals to approach the minimiser with
SAMPLE = 2000  # residuals that tell their size
STEPS = 6  # of Newton's method for one knot; what they leave undone, the next one does
CLOSE = 0.1  # a decrement that leaves a pilot off by less than a third of s
NEAR = 0.01  # a decrement s' s' / 30 or so: to a sixth of s'
SMOOTH = 4.0  # Huber's loss need not be smoothed to a knot less than so many times larger
ROUNDS = 6  # of opening rows that were settled wrongly


def approach(problem: Problem, phi, least, parts, work: Work):
    """(phi, s): nearly the minimiser for a knot >= ``least`` that the last of ``parts`` of the residuals lie within.

    One step of Newton's method for each part, with knots that only fall: far from the minimiser a small one
    would leave too few rows to tell a direction.

    s is how far fitted values are from those of the population that the rows are a sample of, for Huber's loss
    with the knot ``least`` or, if that is smaller than the last, for the absolute one:
    root mean square, by the usual asymptotics.
    """
    rows, w, hessian, knot, r = problem.rows, problem.rows.w, Hessian(problem), np.inf, problem.rows.residual(phi)
    for part in parts:
        knot = max(least, min(knot, quantile(np.abs(r), part)), np.finfo(float).tiny)
        scale = 1.0 if least else knot
        smoothed = replace(problem, loss=Huber(knot), quadratic=problem.quadratic.times(scale))
        factor = hessian.factor(smoothed.loss.curved(r), scale)
        if not factor.rcond:
            break
        work.n_iter += 1
        descent = smoothed.descent(smoothed.loss.slope(r), phi)
        step = factor.solve(descent)
        t, r = line_search(smoothed, phi, r, step, rows.fitted(step))
        phi = phi + t * step
        if step @ descent <= CLOSE * len(phi) * knot * knot and (knot == least or part == parts[-1]):
            break
    knot = max(least, quantile(np.abs(r), parts[-1]), np.finfo(float).tiny)
    slope = np.clip(r, -knot, knot) if knot == least else knot
    weight = max(w @ (np.abs(r) <= knot), np.finfo(float).tiny)
    return phi, float(np.sqrt(len(phi) * np.sum(np.square(w * slope))) / weight)


def quantile(x, part) -> float:
    """About the value below which that part of x (n,) lies, from some of many."""
    some = x[:: 1 + len(x) // SAMPLE]
    k = int(part * len(some))
    return float(np.partition(some, k)[k])


def narrowed(problem: Problem, phi, s, core, options: Options, work: Work) -> Pair | None:
    """The optimal pair from phi (m,), about s from it in fitted values, or None if that fails.

    The loss is the absolute one, or Huber's. ``core(problem, phi)`` -> Pair or None solves what is left in the end.
    """
    rows, m, loss = problem.rows, problem.rows.n_cols, problem.loss
    if rows.n_rows <= FEW * m + 100 or s <= SMOOTH * loss.knot:
        return core(problem, phi)
    smoothed = replace(problem, loss=Huber(s), quadratic=problem.quadratic.times(s / loss.bound))
    phi = newton(smoothed, phi, rows.residual(phi), options, work, STEPS, NEAR * s * s * m).phi
    r = rows.residual(phi)
    size, side = np.abs(r), np.sign(r)
    inner = size <= s
    weight = rows.w[inner].sum()
    if not weight:
        return None
    error = s * np.sqrt(m * np.sum(np.square(rows.w[inner] * (1.0 - size[inner] / s)))) / weight
    nearest = np.partition(size, FEW * m)[FEW * m]
    kept = size <= max(loss.knot + WIDTH * error, nearest)
    if 2 * np.count_nonzero(kept) > rows.n_rows:
        return core(problem, phi)
    for _ in range(ROUNDS):
        pair = narrowed(problem.settled(kept, loss.bound * side), phi, error, core, options, work)
        if pair is None:
            break
        wrong = ~kept & (side * rows.residual(pair.phi) < loss.knot)
        if not wrong.any():
            u = loss.bound * side
            u[kept] = pair.u
            return Pair(pair.phi, u)
        kept |= wrong
    return core(problem, phi)
