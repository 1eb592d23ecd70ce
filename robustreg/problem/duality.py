"""The proof that a fit is optimal: the relative duality gap.

For a problem of ``problem.py`` whose quadratic is the ridge penalty (h = c = 0) the Fenchel dual is

    D(u) = sum_i w_i (u_i y_i - l*(u_i)) - phi'G phi / 2   for any phi with G phi = Z'Wu,
    subject to abs(u_i) <= bound.

From any candidate (phi, u) a feasible point is made in two moves: add D Z delta with
Z'W D Z delta = G phi - Z'Wu, so that Z'Wu = G phi, where D are the squares of how far off rounding makes each u; then
shrink u by t <= 1 until abs(u) <= bound, which leaves Z'Wu = t G phi. Inserting both into P - D and collecting terms,

    P - D = sum_i w_i [l(r_i) + l*(u_i) - u_i r_i] + (1 - t)^2 phi'G phi / 2,

a sum of nonnegative terms: it is computed without cancellation, and bounds P - min P from above.
"""

from __future__ import annotations

import numpy as np

from ..numerics import linalg
from .problem import Problem

EPS = np.finfo(np.float64).eps
ROUNDED = 64.0 * EPS  # of a dual is its own rounding and that of its part in a sum
EVEN = 1e-4  # of the largest rounding of a dual counts for every row
CORRECTIONS = 5  # of a dual at most


def rounding(problem: Problem, phi) -> np.ndarray:
    """How far off a residual may be only because float64 rounds the terms it is made of, (n,)."""
    return 4.0 * EPS * problem.rows.magnitude(phi)


def rounding_of_dual(problem: Problem, phi, r, u) -> np.ndarray:
    """How far off an optimal u may be only because float64 rounds it and its residual, (n,)."""
    loss = problem.loss
    return np.where(loss.curved(r), ROUNDED * np.abs(u) + rounding(problem, phi), ROUNDED * loss.bound)


def relative_gap(problem: Problem, phi, u) -> tuple[float, float]:
    """(P, (P - D) / P) at phi (m,) with dual candidate u (n,), P divided by the sum of weights.

    From each term of P - D is taken what rounding of its residual alone can cause; an exact fit, where P
    itself is nothing but rounding, has the gap 0. If Z'Wu cannot be made G phi to rounding, the
    only feasible point known is u = 0: then D = 0, and the gap is 1.
    """
    rows, loss = problem.rows, problem.loss
    W, r = rows.w.sum(), rows.residual(phi)
    noise = np.maximum(rounding(problem, phi), EPS * EPS * rows.typical)  # a row's own terms may vanish
    primal = problem.value(r, phi) / W
    if np.all(np.abs(r) <= np.maximum(noise, 4.0 * EPS * rows.typical)):  # an exact fit
        return float(primal), 0.0
    # 1. Z'Wu = G phi.
    u, feasible = _feasible(problem, phi, r, u)
    if not feasible:
        return float(primal), 1.0
    # 2. abs(u) <= bound.
    size = np.abs(u).max()
    shrink = 1.0 if size <= loss.bound else loss.bound / size
    excess = loss.excess(r, shrink * u) - loss.excess_of_rounding(r, noise)
    gap = rows.w @ np.maximum(excess, 0.0) + (1.0 - shrink) ** 2 * problem.quadratic.value(phi)
    return float(primal), float(gap / W / primal) if gap else 0.0


def _feasible(problem: Problem, phi, r, u):
    """(u + D Z delta with Z'W(u + D Z delta) = G phi, whether it is).

    That what is missing might be rounding is not enough where u is bounded: the rounding of one row of high leverage
    may be more than all others can pull.
    """
    rows, noise, last, factor = problem.rows, rounding_of_dual(problem, phi, r, u), np.inf, None
    for _ in range(CORRECTIONS):
        descent = problem.descent(u, phi)
        missing = np.abs(descent)
        unknown = np.all(missing <= _rounding_of_descent(problem, phi, noise))
        known = np.all(missing <= _rounding_of_descent(problem, phi, ROUNDED * np.abs(u)))
        if known or (unknown and np.isinf(problem.loss.bound)):
            return u, True
        if not missing.max() < 0.25 * last:
            break
        last = missing.max()
        if factor is None:
            spread = np.square(np.maximum(noise / noise.max(), EVEN))
            factor = linalg.factor_of_root(rows.triangle(rows.w * spread))
            if not factor.rcond:
                spread, factor = 1.0, rows.factor
        u = u - spread * rows.fitted(factor.solve(descent))
    return u, bool(unknown)


def is_stationary(problem: Problem, phi, u) -> bool:
    """Whether Z'Wu = G phi, as far as float64 can tell for this u."""
    noise = _rounding_of_descent(problem, phi, ROUNDED * np.abs(u))
    return bool(np.all(np.abs(problem.descent(u, phi)) <= noise))


def _rounding_of_descent(problem: Problem, phi, noise):
    """How far off Z'Wu - G phi may be because u (n,) is off by ``noise`` (n,), and by the rounding of sums, (m,)."""
    L, h = problem.quadratic.L, problem.quadratic.h
    penalty = 16.0 * EPS * (np.abs(L @ phi) @ np.abs(L) + np.abs(h))
    return problem.rows.adjoint_bound(noise) + penalty
