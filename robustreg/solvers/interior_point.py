"""The Frisch-Newton interior point method for least absolute deviations with a quadratic term.

    minimise    sum_i w_i abs(r_i) + phi'G phi / 2 - h'phi,      r = y - Z phi
    dual        abs(a_i) <= w_i,   Z'a = G phi - h               (a = w u)

With slacks xu = w - a, xl = w + a > 0 and r = vp - vm, vp, vm > 0, the optimality conditions are
vp xu = 0, vm xl = 0. Mehrotra's predictor and corrector solve them with mu on the right:

    q = 1 / (vp/xu + vm/xl),          M = Z' diag(q) Z + G
    rp = G phi - h - Z'a,             rd = r - vp + vm
    t = rd - cu/xu + cl/xl            (cu, cl: right-hand sides of the two complementarities)
    M dphi = Z'(q t) - rp,            da = q (t - Z dphi)
    dvp = (cu + vp da) / xu,          dvm = (cl - vm da) / xl

which is least squares with barrier weights q. Source: Portnoy & Koenker 1997, Stat. Sci. 12:279-300,
for the linear program; here in symmetric form, with G, and with relative measures only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import linalg
from ..problem import Problem

STEP = 0.9995  # fraction of the way to the boundary, as in the paper


@dataclass(slots=True, eq=False)
class Point:
    """An interior point: phi (m,), dual a (n,), residual parts vp, vm (n,), relative gap."""

    phi: np.ndarray
    a: np.ndarray
    vp: np.ndarray
    vm: np.ndarray
    gap: float


def central_path(problem: Problem, phi, r, scale: float) -> Iterator[Point]:
    """Interior points with falling gap, the first made from phi (m,) and its residuals r (n,).

    ``scale`` is a typical residual.
    """
    rows, w, quadratic = problem.rows, problem.rows.w, problem.quadratic
    pad, least = 0.1 * scale, 1e-3 * scale * w.sum()
    point = Point(phi, np.zeros(len(r)), np.maximum(r, 0.0) + pad, np.maximum(-r, 0.0) + pad, np.inf)
    while True:
        phi, a, vp, vm = point.phi, point.a, point.vp, point.vm
        xu, xl = w - a, w + a
        r = rows.residual(phi)
        products = vp @ xu + vm @ xl
        point.gap = products / max(problem.value(r, phi), least)
        yield point
        # 1. Barrier weights and the normal matrix.
        q = 1.0 / (vp / xu + vm / xl)
        M = rows.gram(q) + quadratic.G
        factor = linalg.factor(M)
        if factor.rcond == 0.0:
            factor, _ = linalg.factor_shifted(M + 1e-13 * np.diag(np.diag(M)), rows.gram_all)
        rp = quadratic.gradient(phi) - rows.adjoint(a)
        rd = r - vp + vm

        def direction(cu, cl):
            t = rd - cu / xu + cl / xl
            dphi = factor.solve(rows.adjoint(q * t) - rp)
            da = q * (t - rows.fitted(dphi))
            return dphi, da, (cu + vp * da) / xu, (cl - vm * da) / xl

        # 2. Predictor.
        _, da, dvp, dvm = direction(-vp * xu, -vm * xl)
        primal = min(_longest(vp, dvp), _longest(vm, dvm))
        dual = min(_longest(xu, -da), _longest(xl, da))
        left = (vp + primal * dvp) @ (xu - dual * da) + (vm + primal * dvm) @ (xl + dual * da)
        mu = (left / products) ** 3 * products / (2 * len(a))
        # 3. Corrector, with the same factor.
        dphi, da, dvp, dvm = direction(mu - vp * xu + da * dvp, mu - vm * xl - da * dvm)
        primal = min(_longest(vp, dvp), _longest(vm, dvm))
        dual = min(_longest(xu, -da), _longest(xl, da))
        if not quadratic.flat:  # a quadratic term couples the two steps
            primal = dual = min(primal, dual)
        # 4. Step.
        point = Point(phi + primal * dphi, a + dual * da, vp + primal * dvp, vm + primal * dvm, np.inf)
        if not np.all(np.isfinite(point.phi)) or max(primal, dual) < 1e-10:
            return


def _longest(x, dx) -> float:
    """The longest step <= 1 that keeps x + step dx positive, a little short of the boundary."""
    falling = dx < 0.0
    return min(1.0, STEP * float(np.min(-x[falling] / dx[falling]))) if falling.any() else 1.0
