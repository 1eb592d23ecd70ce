"""The Frisch-Newton interior point method for a corner with a quadratic term.

    minimise    sum_i w_i max(lower r_i, upper r_i) + phi'G phi / 2 - h'phi,      r = y - Z phi
    dual        w_i lower <= a_i <= w_i upper,   Z'a = G phi - h                  (a = w u)

With slacks xu = w upper - a, xl = a - w lower > 0 and r = vp - vm, vp, vm > 0, the optimality
conditions are vp xu = 0, vm xl = 0. Mehrotra's predictor and corrector solve them with mu on the
right:

    q = 1 / (vp/xu + vm/xl),          M = Z' diag(q) Z + G
    rp = G phi - h - Z'a,             rd = r - vp + vm
    t = rd - cu/xu + cl/xl            (cu, cl: right-hand sides of the two complementarities)
    M dphi = Z'(q t) - rp,            da = q (t - Z dphi)
    dvp = (cu + vp da) / xu,          dvm = (cl - vm da) / xl

which is least squares with barrier weights q; the slopes of the corner appear in the first slacks
only. Source: Portnoy & Koenker 1997, Stat. Sci. 12:279-300, for the linear program; here in
symmetric form, with G, and with relative measures only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..numerics import linalg
from ..problem.problem import Problem

# Coefficients, for y of size 1, beyond which the iteration has diverged.
DIVERGED = 1e50
# Fraction of the way to the boundary that a step goes, as in the paper.
STEP = 0.9995
# Of a predictor that gets less far the second-order terms are left out: they are those of its whole
# length, and two rows can push each other from side to side by them for ever.
LEAST_STEP = 0.1
# The residual parts begin so far from 0, in typical residuals.
FIRST_PAD = 0.1
# The gap is relative to the value, or to this part of what typical residuals cost, where the value
# is less.
LEAST_VALUE = 1e-3
# Part of the diagonal added to a normal matrix that is singular: some hundred times its rounding.
DIAGONAL_SHIFT = 1e-13


@dataclass(slots=True, eq=False)
class Point:
    """An interior point: phi (m,), dual a, slacks xu, xl, residual parts vp, vm (n,), relative gap.

    The slacks are carried along: w upper - a would lose them to rounding near the end of the path.
    """

    phi: np.ndarray
    a: np.ndarray
    xu: np.ndarray
    xl: np.ndarray
    vp: np.ndarray
    vm: np.ndarray
    gap: float = np.inf


def central_path(problem: Problem, phi: np.ndarray, r: np.ndarray, scale: float) -> Iterator[Point]:
    """Interior points with falling gap, the first made from phi (m,) and its residuals r (n,).

    ``scale`` is a typical residual. The path ends where numbers overflow or no longer change.
    """
    rows, w, loss = problem.rows, problem.rows.w, problem.loss
    pad, least = FIRST_PAD * scale, LEAST_VALUE * scale * loss.steepest * w.sum()
    vp, vm = np.maximum(r, 0.0) + pad, np.maximum(-r, 0.0) + pad
    point = Point(phi, np.zeros(len(r)), loss.upper * w, -loss.lower * w, vp, vm)
    while True:
        r = rows.residual(point.phi)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            value = max(w @ loss.value(r), least)
            point.gap = float((point.vp @ point.xu + point.vm @ point.xl) / value)
        yield point
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            last, point = point, _step(problem, point, r)
        finite = np.abs(point.phi).max(initial=0.0) < DIVERGED
        if not finite or np.array_equal(last.a, point.a):
            return


def _step(problem: Problem, point: Point, r: np.ndarray) -> Point:
    """One predictor and corrector from a point with residuals r."""
    rows, quadratic = problem.rows, problem.quadratic
    phi, a, xu, xl, vp, vm = point.phi, point.a, point.xu, point.xl, point.vp, point.vm
    products = vp @ xu + vm @ xl
    # 1. Barrier weights and the normal matrix.
    q = 1.0 / (vp / xu + vm / xl)
    if not np.all(np.isfinite(q)):
        return replace(point, phi=np.full_like(phi, np.nan))
    factor = problem.factor(q)
    if factor.rcond == 0.0:
        M = rows.gram(q) + quadratic.G
        factor = linalg.factor_shifted(M + DIAGONAL_SHIFT * np.diag(np.diag(M)), rows.gram_all)
    rp = quadratic.gradient(phi) - rows.adjoint(a)
    rd = r - vp + vm
    # 2. Predictor.
    step = _direction(problem, factor, point, q, rp, rd, -vp * xu, -vm * xl)
    end, length = _move(point, step)
    left = end.vp @ end.xu + end.vm @ end.xl
    mu = (left / products) ** 3 * products / (2 * len(a))
    # 3. Corrector, with the same factor. Products of a step that ends at once are no correction.
    of_step = step.a if length > LEAST_STEP else 0.0
    cu, cl = mu - vp * xu + of_step * step.vp, mu - vm * xl - of_step * step.vm
    step = _direction(problem, factor, point, q, rp, rd, cu, cl)
    # 4. Step; a quadratic term couples the primal and the dual one.
    return _move(point, step, together=not quadratic.flat)[0]


def _direction(problem: Problem, factor: linalg.Factor, point: Point, q, rp, rd, cu, cl) -> Point:
    """The Newton direction for right-hand sides cu, cl, as differences of a Point."""
    rows = problem.rows
    t = rd - cu / point.xu + cl / point.xl
    right = rows.adjoint(q * t) - rp
    dphi = factor.solve(right)
    fitted = rows.fitted(dphi)
    if not factor.sound:  # one step of refinement
        dphi = dphi + factor.solve(right - rows.adjoint(q * fitted) - problem.quadratic.G @ dphi)
        fitted = rows.fitted(dphi)
    da = q * (t - fitted)
    dvp, dvm = (cu + point.vp * da) / point.xu, (cl - point.vm * da) / point.xl
    return Point(dphi, da, -da, da, dvp, dvm)


def _move(point: Point, step: Point, together: bool = False) -> tuple[Point, float]:
    """As far along the step as positivity allows, in the primal and in the dual; and how far
    in both.
    """
    primal = min(_longest(point.vp, step.vp), _longest(point.vm, step.vm))
    dual = min(_longest(point.xu, step.xu), _longest(point.xl, step.xl))
    if together:
        primal = dual = min(primal, dual)
    moved = Point(
        point.phi + primal * step.phi,
        point.a + dual * step.a,
        point.xu + dual * step.xu,
        point.xl + dual * step.xl,
        point.vp + primal * step.vp,
        point.vm + primal * step.vm,
    )
    return moved, min(primal, dual)


def _longest(x: np.ndarray, dx: np.ndarray) -> float:
    """The longest step <= 1 that keeps x + step dx positive, a little short of the boundary."""
    fastest = float((dx / x).min())
    return min(1.0, -STEP / fastest) if fastest < 0.0 else 1.0
