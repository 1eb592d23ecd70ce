"""From a point near the minimiser to the exact optimal face, with its dual certificate.

At a minimiser of sum w l(r) + phi'G phi / 2 - h'phi, with l a corner, the rows fall into F, which
the fit goes through (r = 0, u in [lower, upper]), and the others, where u is lower or upper, by the
side on which they are. Near the end of the central path the two are told apart by the ratio of
abs(r) to how far u is from its bounds. Given F,

    Z_F phi = y_F                                interpolation
    N'(G phi - h) = N'Z'(w u)                  where N spans the null space of Z_F, if G is there
    Z_F'(w_F u_F) = G phi - h - (the other rows)   the dual of F: the smallest change needed

determine phi and u to rounding. Ties need no special care: F may hold more rows than columns, or
fewer than would fix phi (the minimiser is then not unique, and phi stays inside its face).

A first guess of F may be wrong where a row is close to both kinds, as under a tiny penalty. Then
the conditions left out are violated: a row outside F has changed its side, or one inside has u
outside [lower, upper] or a residual after all. Such rows change sides and F is solved again (a
primal-dual active set method). Whether the end is right is not argued but checked: by these
conditions, and by the duality gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..numerics import linalg
from ..problem.duality import is_stationary, rounding
from ..problem.losses import Loss
from ..problem.problem import Problem
from ..problem.solution import Pair
from .interior_point import Point

TINY = np.finfo(np.float64).tiny
# Relative gap of an interior point below which the two kinds of ratios lie clearly apart.
SEPARATED_GAP = 1e-9
# Ratios that differ by this part are the same one: the gap between two kinds is far wider.
TIE = 1e-9
# Corrections of F; more than 2 are rarely needed.
CORRECTIONS = 8
# Part of a bound by which a dual variable may exceed it: some thousand times its rounding.
OVER_BOUND = 1e-12
# Part of a typical residual outside F below which one in F is 0: a row whose own terms vanish
# inherits some of the others' rounding.
DUST = 1e-13
# How stiff the penalty is counted: a part of its root, so that one a million times stiffer than the
# rows gives way.
STIFF = 1e-3
# Each of the three equations is solved with so many steps of refinement, and least squares have
# this condition.
REFINEMENTS, CONDITION = 3, 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """phi (m,), u (n,) near the optimum, the ``side`` -1 or 1 of each row (n,), and F (n,) bool."""

    phi: np.ndarray
    u: np.ndarray
    side: np.ndarray
    F: np.ndarray


def guesses(point: Point, w: np.ndarray, loss: Loss, scale: float) -> Iterator[Guess]:
    """What the end of the path may be; ``w`` (n,) are its weights, ``scale`` is a typical residual.

    The ratio of abs(r) to the slack of u is beyond a typical residual in one case, or else the two
    kinds lie on both sides of the widest gap between ratios.
    """
    u = (loss.upper - loss.lower) * point.a / (point.xu + point.xl)
    side, ratio = sides_and_ratios(point, w, loss)
    yield Guess(point.phi, u, side, ratio < scale)
    if point.gap > SEPARATED_GAP:
        return
    ordered = np.sort(np.log(ratio + TINY))
    if len(ordered) > 1:
        below = np.exp(ordered[np.argmax(np.diff(ordered))])
        yield Guess(point.phi, u, side, ratio <= below * (1.0 + TIE))


def sides_and_ratios(point: Point, w: np.ndarray, loss: Any) -> tuple[np.ndarray, np.ndarray]:
    """(the side -1 or 1 of each row, the ratio of abs(r) to the slack of u), which have a common
    product on the central path; of one problem, or of several.
    """
    slack = np.minimum(point.xu, point.xl) / (loss.steepest * w)
    ratio = np.maximum(point.vp, point.vm) / np.maximum(slack, TINY)
    return np.where(point.vp > point.vm, 1.0, -1.0), ratio


def crossover(problem: Problem, guess: Guess) -> tuple[Pair, bool]:
    """The pair at the end of the path near a guess, and whether its F, corrected, was right."""
    loss, phi, u, side, F = problem.loss, guess.phi, guess.u, guess.side, guess.F
    wrong = F
    for _ in range(CORRECTIONS):
        phi, u = _solve_face(problem, phi, np.where(F, u, loss.pull(side)), F)
        r, noise = problem.rows.residual(phi), rounding(problem, phi)
        outside = ~loss.held(u, -OVER_BOUND)
        dust = DUST * np.median(np.abs(r[~F])) if not F.all() else noise.max()
        in_F = outside | (np.abs(r) > np.maximum(noise, dust))
        wrong = np.where(F, in_F, side * r < -noise)
        if not wrong.any():
            break
        side = np.where(F, np.where(outside, np.sign(u), np.sign(r)), side)
        F = F ^ wrong
    u = np.clip(u, loss.lower, loss.upper)
    return Pair(phi, u), not wrong.any() and is_stationary(problem, phi, u)


def _solve_face(
    problem: Problem,
    phi: np.ndarray,
    u: np.ndarray,
    F: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(phi, u) from the three equations of the module for given F (n,) and u outside F."""
    if not problem.quadratic.flat and (found := _by_elimination(problem, phi, u, F)):
        return found
    rows, quadratic, index = problem.rows, problem.quadratic, np.flatnonzero(F)
    face = rows.subset(index)
    w = face.w
    solver = face.normal_equations(np.ones(len(w)))
    # 1. Interpolate F.
    for _ in range(REFINEMENTS):
        phi = phi + solver.solve(face.adjoint(face.residual(phi)))
    # 2. Along the null space of Z_F the quadratic decides.
    others = rows.adjoint(rows.w * np.where(F, 0.0, u))
    if not quadratic.flat and not isinstance(solver, linalg.Factor) and len(N := solver.N.T):
        phi = _minimise_along(problem, phi, N.T, others)
    # 3. The dual of F, the smallest in the metric of the weights. Nothing is asked of it where the
    # penalty is so stiff that the last digit of phi decides G phi.
    common = float(w[0]) if len(w) and quadratic.flat and np.all(w == w[0]) else 0.0
    if not common:
        solver = face.normal_equations(w, STIFF * quadratic.L)
    u, u_F = u.copy(), u[index]
    for _ in range(REFINEMENTS):
        missing = quadratic.gradient(phi) - others - face.adjoint(w * u_F)
        u_F = u_F + face.fitted(solver.solve(missing / common if common else missing))
    u[index] = u_F
    return phi, u


def _by_elimination(
    problem: Problem,
    phi: np.ndarray,
    u: np.ndarray,
    F: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The same (phi, u) from one system, by Cholesky; None where that would lose too much.

    With a = w_F u_F and M = G + Z_F'diag(q)Z_F, for any q > 0, the changes of phi and a satisfy

        M dphi - Z_F'da = Z'(w u) - G phi + h + Z_F'(q r_F),      Z_F dphi = r_F,

    from which phi is eliminated: Z_F M^-1 Z_F' da = ....
    """
    rows, G, index = problem.rows, problem.quadratic.G, np.flatnonzero(F)
    if not 0 < len(index) <= rows.n_cols:
        return None
    gram, w, u = rows.gram(rows.w * F), rows.w[index], u.copy()
    if not np.trace(gram) > 0.0:  # rows of zeros, which hold nothing
        return None
    common = np.trace(G) / np.trace(gram)  # both parts of M are of one size
    factor = linalg.factor(G + common * gram)
    if not factor.sound:
        return None
    Z = rows.take(index)
    schur = linalg.factor(np.dot(Z, factor.solve(Z.T)))
    if not schur.sound:
        return None
    for _ in range(REFINEMENTS):
        r = rows.residual(phi)[index]
        step = factor.solve(problem.descent(u, phi) + common * (Z.T @ (w * r)))
        da = schur.solve(r - Z @ step)
        phi = phi + step + factor.solve(Z.T @ da)
        u[index] += da / w
    return phi, u


def _minimise_along(
    problem: Problem,
    phi: np.ndarray,
    N: np.ndarray,
    others: np.ndarray,
) -> np.ndarray:
    """phi + N eta (m,) with N'(G phi - h) = N'others, as far as G determines it."""
    quadratic = problem.quadratic
    # (L N)'(L N) eta = N'(...) as two least squares problems, in which the condition of L N is not
    # squared.
    LN = quadratic.L @ N
    if quadratic.S is not None:
        LN = np.vstack([LN, _root(quadratic.S) @ N])
    for _ in range(REFINEMENTS):
        lacking = N.T @ (others - quadratic.gradient(phi))
        half = np.linalg.lstsq(LN.T, lacking, rcond=CONDITION)[0]
        phi = phi + N @ np.linalg.lstsq(LN, half, rcond=CONDITION)[0]
    return phi


def _root(S: np.ndarray) -> np.ndarray:
    """R (m, m) with R'R = S for a positive semidefinite S."""
    values, vectors = np.linalg.eigh(S)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
