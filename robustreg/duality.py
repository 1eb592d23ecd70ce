"""The proof that a fit is optimal: the relative duality gap.

For a problem of ``problem.py`` whose quadratic is the ridge penalty (h = c = 0) the Fenchel dual is

    D(u) = sum_i w_i (u_i y_i - l*(u_i)) - phi'G phi / 2   for any phi with G phi = Z'Wu,
    subject to abs(u_i) <= bound.

From any candidate (phi, u) a feasible point is made in two moves: add Z delta with
Z'WZ delta = G phi - Z'Wu, so that Z'Wu = G phi; then shrink u by t <= 1 until abs(u) <= bound, which
leaves Z'Wu = t G phi. Inserting both into P - D and collecting terms,

    P - D = sum_i w_i [l(r_i) + l*(u_i) - u_i r_i] + (1 - t)^2 phi'G phi / 2,

a sum of nonnegative terms: it is computed without cancellation, and bounds P - min P from above.
"""

from __future__ import annotations

import numpy as np

from .problem import Problem

EPS = np.finfo(np.float64).eps


def rounding(problem: Problem, phi) -> np.ndarray:
    """How far off a residual may be only because float64 rounds the terms it is made of, (n,)."""
    return 4.0 * EPS * problem.rows.magnitude(phi)


def rounding_of_dual(problem: Problem, phi, r, u) -> np.ndarray:
    """How far off an optimal u may be only because float64 rounds it and its residual, (n,)."""
    loss = problem.loss
    return np.where(loss.curved(r), 64.0 * EPS * np.abs(u) + rounding(problem, phi), 64.0 * EPS * loss.bound)


def relative_gap(problem: Problem, phi, u) -> tuple[float, float]:
    """(P, (P - D) / P) at phi (m,) with dual candidate u (n,), P divided by the sum of weights.

    From each term of P - D is taken what rounding of its residual alone can cause; an exact fit, where P
    itself is nothing but rounding, has the gap 0. If Z'Wu cannot be made G phi to rounding, the
    only feasible point known is u = 0: then D = 0, and the gap is 1.
    """
    rows, loss = problem.rows, problem.loss
    W, noise = rows.w.sum(), rounding(problem, phi)
    r = rows.residual(phi)
    primal = problem.value(r, phi) / W
    if np.all(np.abs(r) <= np.maximum(noise, 4.0 * EPS * rows.typical)):  # an exact fit
        return float(primal), 0.0
    for steps in range(5):
        missing = -problem.descent(u, phi)
        if np.all(np.abs(missing) <= _rounding_of_descent(problem, phi, r, u)):
            break
        if steps == 4:
            return float(primal), 1.0
        u = u + rows.fitted(rows.factor.solve(missing))
    size = np.abs(u).max()
    shrink = 1.0 if size <= loss.bound else loss.bound / size
    excess = loss.excess(r, shrink * u) - loss.excess_of_rounding(r, noise)
    gap = rows.w @ np.maximum(excess, 0.0) + (1.0 - shrink) ** 2 * problem.quadratic.value(phi)
    return float(primal), float(gap / W / primal) if gap else 0.0


def is_stationary(problem: Problem, phi, r, u) -> bool:
    """Whether Z'Wu = G phi, as far as float64 can tell."""
    return bool(np.all(np.abs(problem.descent(u, phi)) <= _rounding_of_descent(problem, phi, r, u)))


def _rounding_of_descent(problem: Problem, phi, r, u):
    """How far off Z'Wu - G phi may be only because float64 rounds u and the terms of the sums, (m,)."""
    L, h = problem.quadratic.L, problem.quadratic.h
    penalty = 16.0 * EPS * (np.abs(L @ phi) @ np.abs(L) + np.abs(h))
    return problem.rows.adjoint_bound(rounding_of_dual(problem, phi, r, u)) + penalty
