"""From an interior point to the exact optimal face, with its dual certificate.

At a minimiser of sum w abs(r) + phi'G phi / 2 - h'phi the rows fall into F, which the fit goes
through (r = 0, abs(u) <= 1), and the others, where u = sign(r). Near the end of the central path the
two are told apart by the ratio of abs(r) to 1 - abs(u). Given F,

    Z_F phi = y_F                                   interpolation
    N'(G phi - h) = N'Z'W u                         where N spans the null space of Z_F, if G is there
    Z_F'W_F u_F = G phi - h - (the other rows)      the dual of F: the smallest change that is needed

determine phi and u to rounding. Ties need no special care: F may hold more rows than columns, or
fewer than would fix phi (the minimiser is then not unique, and phi stays inside its face).

A first guess of F may be wrong where a row is close to both kinds, as under a tiny penalty. Then the
conditions left out are violated: a row outside F has changed its sign, or one inside has abs(u) > 1 or
a residual after all. Such rows change sides and F is solved again (a primal-dual active set method).
Whether the end is right is not argued but checked: by these conditions, and by the duality gap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..numerics import linalg
from ..problem.duality import is_stationary, rounding
from ..problem.problem import Problem
from ..problem.solution import Pair
from .interior_point import Point

SEPARATED = 1e-9  # gap from which the two kinds of ratios lie apart
ROUNDS = 8  # corrections of F; more than 2 are rarely needed


def guesses(point: Point, w, scale: float) -> Iterator[np.ndarray]:
    """Sets F that the point suggests, (n,) bool; ``scale`` is a typical residual.

    On the central path abs(r) and 1 - abs(u) have a common product. Their ratio is beyond a typical
    residual in one case, or else the two kinds lie on both sides of the widest gap between ratios.
    """
    ratio = np.maximum(point.vp, point.vm) / np.maximum(np.minimum(point.xu, point.xl) / w, np.finfo(float).tiny)
    yield ratio < scale
    if point.gap > SEPARATED:
        return
    ordered = np.sort(np.log(ratio + np.finfo(float).tiny))
    if len(ordered) > 1:
        yield ratio <= np.exp(ordered[np.argmax(np.diff(ordered))]) * (1.0 + 1e-9)


def crossover(problem: Problem, point: Point, F) -> tuple[Pair, bool]:
    """The pair at the end of the path near ``point`` for a first guess F (n,), and whether F was right."""
    u, sign = 2.0 * point.a / (point.xu + point.xl), np.where(point.vp > point.vm, 1.0, -1.0)
    phi = point.phi
    for _ in range(ROUNDS):
        phi, u = _solve_face(problem, phi, np.where(F, u, sign), F)
        r, noise = problem.rows.residual(phi), rounding(problem, phi)
        outside = np.abs(u) > 1.0 + 1e-12
        # A row whose own terms vanish inherits some of the others' rounding.
        dust = 1e-13 * np.median(np.abs(r[~F])) if not F.all() else noise.max()
        wrong = np.where(F, outside | (np.abs(r) > np.maximum(noise, dust)), sign * r < -noise)
        if not wrong.any():
            break
        sign = np.where(F, np.where(outside, np.sign(u), np.sign(r)), sign)
        F = F ^ wrong
    u = np.clip(u, -1.0, 1.0)
    return Pair(phi, u), not wrong.any() and is_stationary(problem, phi, u)


def _solve_face(problem: Problem, phi, u, F):
    """(phi, u) from the three equations of the module for given F (n,) and u outside F."""
    rows, quadratic, index = problem.rows, problem.quadratic, np.flatnonzero(F)
    Z, y, w = rows.take(index), rows.y[index], rows.w[index, None]
    S = linalg.normal_equations(Z)
    # 1. Interpolate F; three steps refine to rounding.
    for _ in range(3):
        phi = phi + S.solve(Z.T @ (y - Z @ phi))
    # 2. Along the null space of Z_F the quadratic decides.
    others = rows.adjoint(rows.w * np.where(F, 0.0, u))
    if isinstance(S, linalg.Spectrum) and S.N.shape[1] and not quadratic.flat:
        LN = quadratic.L @ S.N
        for _ in range(3):
            half = np.linalg.lstsq(LN.T, S.N.T @ (others - quadratic.gradient(phi)), rcond=1e-13)[0]
            phi = phi + S.N @ np.linalg.lstsq(LN, half, rcond=1e-13)[0]
    # 3. The dual of F, the smallest in the metric of the weights.
    common = float(w[0, 0]) if len(w) and np.all(w == w[0]) else 0.0
    S = S if common else linalg.normal_equations(np.sqrt(w) * Z)
    u, u_F = u.copy(), u[index]
    for _ in range(3):
        missing = quadratic.gradient(phi) - others - (w * Z).T @ u_F
        u_F = u_F + Z @ S.solve(missing / common if common else missing)
    u[index] = u_F
    return phi, u
