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
from dataclasses import dataclass
from typing import Any

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
# The residual parts begin so far from 0, in typical residuals, on the side that is steepest.
FIRST_PAD = 0.1
# The gap is relative to the value, or to this part of what typical residuals cost, where the value
# is less.
LEAST_VALUE = 1e-3
# Part of the diagonal added to a normal matrix that is singular: some hundred times its rounding.
DIAGONAL_SHIFT = 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where the path of a ``problem`` begins: phi (m,) and its residuals r (n,); ``scale`` is a
    typical one.

    Of ``Several`` problems (``several.py``) each array has an axis more in front, and the scale is
    (k, 1).
    """

    problem: Any
    phi: np.ndarray
    r: np.ndarray
    scale: Any

    @property
    def point(self) -> Point:
        """The first point of the path."""
        w, loss = self.problem.rows.w, self.problem.loss
        # Less where the slope is less, or rows on the flat side would be far from the centre.
        slope = np.where(self.r > 0.0, loss.upper, -loss.lower) / loss.steepest
        pad = FIRST_PAD * self.scale * slope
        vp, vm = np.maximum(self.r, 0.0) + pad, np.maximum(-self.r, 0.0) + pad
        return Point(self.phi, np.zeros_like(w), loss.upper * w, -loss.lower * w, vp, vm)

    @property
    def least_value(self) -> Any:
        """The gap is divided by the value, or by this number if the value is less."""
        steepest = self.problem.loss.steepest
        return LEAST_VALUE * self.scale * steepest * _sum(self.problem.rows.w)


@dataclass(slots=True, eq=False)
class Point:
    """An interior point: phi (m,), dual a, slacks xu, xl, residual parts vp, vm (n,), relative gap.

    The slacks are carried along: w upper - a would lose them to rounding near the end of the path.
    ``ended``: numbers have overflowed. Of several problems at once each array has an axis more in
    front, and ``gap`` and ``ended`` are (k, 1).
    """

    phi: np.ndarray
    a: np.ndarray
    xu: np.ndarray
    xl: np.ndarray
    vp: np.ndarray
    vm: np.ndarray
    gap: Any = np.inf
    ended: Any = False

    def some(self, chosen: np.ndarray) -> Point:
        """Those of the problems ``chosen`` (k,) bool."""
        arrays = (self.phi, self.a, self.xu, self.xl, self.vp, self.vm)
        return Point(*(one[chosen] for one in arrays))


def central_path(start: Start) -> Iterator[Point]:
    """Interior points with falling gap, until numbers overflow."""
    for point in points(start.problem, start.point, start.least_value):
        if point.ended:
            return
        point.gap = float(point.gap[0])
        yield point


def barrier_factor(problem: Problem, q: np.ndarray) -> linalg.Factor:
    """A factor of M for barrier weights q (n,), slightly shifted if M is singular."""
    M = problem.rows.gram(q) + problem.quadratic.G
    factor = problem.sound_factor(M, q)
    if factor.rcond == 0.0:
        shifted = M + DIAGONAL_SHIFT * np.diag(np.diag(M))
        factor = linalg.factor_shifted(shifted, problem.rows.gram_all)
    return factor


def points(problem, point: Point, least: Any, factored=barrier_factor) -> Iterator[Point]:
    """The path from a ``point``, without end.

    The gap is relative to the value, or to the ``least`` one. ``problem`` is one, or several of
    ``several.py``, which have a factor of their own.
    """
    rows, loss = problem.rows, problem.loss
    while True:
        r = rows.residual(point.phi)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            value = np.maximum(_sum(rows.w * np.maximum(loss.lower * r, loss.upper * r)), least)
            point.gap = _products(point) / value
        yield point
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            point = _step(problem, point, r, factored)


def _sum(x: np.ndarray) -> np.ndarray:
    """The sum over the rows, one number for each problem."""
    return x.sum(axis=-1, keepdims=True)


def _products(point: Point) -> np.ndarray:
    """The sum of the complementary products, 0 at the end."""
    return _sum(point.vp * point.xu + point.vm * point.xl)


def _step(problem, point: Point, r: np.ndarray, factored) -> Point:
    """One predictor and corrector from a point with residuals r."""
    rows, quadratic = problem.rows, problem.quadratic
    phi, a, xu, xl, vp, vm = point.phi, point.a, point.xu, point.xl, point.vp, point.vm
    products = _products(point)
    # 1. Barrier weights and the normal matrix.
    q = 1.0 / (vp / xu + vm / xl)
    finite = np.isfinite(q).all(axis=-1, keepdims=True)
    q = np.where(finite, q, 1.0)
    factor = factored(problem, q)
    rp = quadratic.gradient(phi) - rows.adjoint(a)
    rd = r - vp + vm
    # 2. Predictor.
    step = _direction(problem, factor, point, q, rp, rd, -vp * xu, -vm * xl)
    end, length = _move(point, step)
    mu = (_products(end) / products) ** 3 * products / (2 * a.shape[-1])
    # 3. Corrector, with the same factor. Products of a step that ends at once are no correction.
    second = np.where(length > LEAST_STEP, step.a, 0.0)
    cu, cl = mu - vp * xu + second * step.vp, mu - vm * xl - second * step.vm
    step = _direction(problem, factor, point, q, rp, rd, cu, cl)
    # 4. Step; a quadratic term couples the primal and the dual one.
    moved = _move(point, step, together=not quadratic.flat)[0]
    near = np.abs(moved.phi).max(axis=-1, keepdims=True, initial=0.0) < DIVERGED
    moved.ended = ~(finite & near)
    return moved


def _direction(problem, factor, point: Point, q, rp, rd, cu, cl) -> Point:
    """The Newton direction for right-hand sides cu, cl, as differences of a Point."""
    rows = problem.rows
    t = rd - cu / point.xu + cl / point.xl
    right = rows.adjoint(q * t) - rp
    dphi = factor.solve(right)
    fitted = rows.fitted(dphi)
    if not factor.sound:  # one step of refinement
        curved = (problem.quadratic.G @ dphi[..., None])[..., 0]
        dphi = dphi + factor.solve(right - rows.adjoint(q * fitted) - curved)
        fitted = rows.fitted(dphi)
    da = q * (t - fitted)
    dvp, dvm = (cu + point.vp * da) / point.xu, (cl - point.vm * da) / point.xl
    return Point(dphi, da, -da, da, dvp, dvm)


def _move(point: Point, step: Point, together: bool = False) -> tuple[Point, np.ndarray]:
    """As far along the step as positivity allows, in the primal and in the dual; and how far
    in both.
    """
    primal = np.minimum(_longest(point.vp, step.vp), _longest(point.vm, step.vm))
    dual = np.minimum(_longest(point.xu, step.xu), _longest(point.xl, step.xl))
    both = np.minimum(primal, dual)
    if together:
        primal = dual = both
    moved = Point(
        point.phi + primal * step.phi,
        point.a + dual * step.a,
        point.xu + dual * step.xu,
        point.xl + dual * step.xl,
        point.vp + primal * step.vp,
        point.vm + primal * step.vm,
    )
    return moved, both


def _longest(x: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """The longest step <= 1 that keeps x + step dx positive, a little short of the boundary."""
    fastest = (dx / x).min(axis=-1, keepdims=True)
    return np.where(fastest < -STEP, -STEP / fastest, 1.0)
