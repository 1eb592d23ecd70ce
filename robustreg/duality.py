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


def relative_gap(problem: Problem, phi, u) -> tuple[float, float]:
    """(P, (P - D) / P) at phi (m,) with dual candidate u (n,), P divided by the sum of weights.

    From P - D is taken what rounding of the residuals alone can cause, so that an exact fit, where
    P itself is nothing but rounding, has the gap 0.
    """
    rows, loss = problem.rows, problem.loss
    W = rows.w.sum()
    r = rows.residual(phi)
    primal = problem.value(r, phi) / W
    for _ in range(2):
        missing = -problem.descent(u, phi)
        u = u + rows.fitted(rows.factor.solve(missing))
    size = np.abs(u).max()
    shrink = 1.0 if size <= loss.bound else loss.bound / size
    ridge = problem.quadratic.value(phi)
    gap = (rows.w @ loss.excess(r, shrink * u) + (1.0 - shrink) ** 2 * ridge) / W
    noise = rows.w @ (loss.value(np.abs(r) + rounding(problem, phi)) - loss.value(r)) / W
    gap = max(0.0, gap - noise)
    return float(primal), float(gap / primal) if gap else 0.0
