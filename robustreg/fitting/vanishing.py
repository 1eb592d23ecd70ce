"""The limit of a vanishing scale, and whether s = 0 is a fixed point.

It is one if scale(r) < s for all small s. As s tends to 0, Huber's loss with the knot d = delta s
tends to d abs(r), so that the fit tends to

    mad, proposal2, alpha = 0    the absolute loss
    mad, proposal2, alpha > 0    coefficients 0 and a median as the intercept: the penalty does not
                                 vanish with the knot
    concomitant                  the absolute loss with the penalty alpha / (2 delta), since

        (1/W) sum w (s + s H(r / s)) + (alpha / 2) ||b||^2
            ->  2 delta (1/W) sum w abs(r) + (alpha / 2) ||b||^2.

Let phi* be that limit, F the rows that it fits exactly, and side_i the signs of the other
residuals. Near phi*, at phi = phi* + d eta, the residuals in F are -d Z_F eta, and the others are
beyond the knot. So the Huber fit, divided by d^2, is a Huber fit again, with the knot 1 and linear
outside F:

    min over eta    sum_F w H_1(-z'eta) - h'eta + eta'G eta / 2,
    h = sum_{not F} w side z - (gradient of the limit's penalty at phi*),

where H_1 is Huber's loss with the knot 1, and G the penalty of the fits: 0 with alpha = 0, and
under concomitant, where it vanishes with s. The residuals of this fit are, in the limit, those of
the Huber fits relative to the knot, r / d; outside F they are infinite. Therefore

    s = 0 is a fixed point    where    scale(delta relative) <= 1.

For concomitant the problem is convex in (b, s), and this is the condition for its minimum. With
u = clip(relative), of all duals of the absolute loss that of least sum w u^2 (u_i = side_i outside
F), the derivative in s of the objective, minimised over b, is 1 - delta^2 (1/W) sum w u^2 at
s = 0+. In F the dual u counts, and the sign of a residual says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ..data.rows import Rows, dense_rows
from ..numerics import linalg
from ..problem.duality import AT_BOUND, rounding
from ..problem.losses import ABSOLUTE, huber
from ..problem.penalties import Ridge
from ..problem.problem import Problem, Quadratic
from ..problem.solution import Options, Status, Tally
from ..solvers.newton import newton
from ..solvers.reference import solve_reference
from .at_knot import at_knot, rows_of_all
from .direct import Digits, finished
from .scale import Rule
from .specification import Fit, Specification
from .target import Target, solved

# Share of 1: scale(delta relative) <= 1, but for rounding.
EQUAL = 1e-12
# Iterations at most: where the fit does not exist, as F is wrong, they do not end.
MOST_ITERATIONS = 100
# Share of the pull of all rows: so much may be left where it should be 0. u is off by as much.
STATIONARY = 1e-9


def rule_of(spec: Specification) -> Rule:
    """The rule; what is here and in ``at_scale.py`` is called with one only."""
    return cast(Rule, spec.rule)


def scale_of(found: Fit) -> tuple[float, float]:
    """(scale, what rounding makes of it) of a fit of one target, which has both under a rule."""
    return cast(np.ndarray, found.scale)[0], cast(np.ndarray, found.scale_noise)[0]


def vanishing(
    X: Any, y: np.ndarray, w: np.ndarray | None, spec: Specification, rows: Callable[[], Rows]
) -> Fit:
    """The limit for y (n, 1).

    Its ``scale`` is 0 where s = 0 is a fixed point, more than 1 where not, nan if that is not
    known.
    """
    if spec.alpha and not rule_of(spec).joint:
        return _beside_a_penalty(X, y, w, spec, rows())
    return _of_the_absolute_loss(X, y, w, spec, rows())


def _of_the_absolute_loss(
    X: Any, y: np.ndarray, w: np.ndarray | None, spec: Specification, rows: Rows
) -> Fit:
    """With alpha = 0, or under concomitant."""
    rule = rule_of(spec)
    spec = replace(spec, loss=ABSOLUTE, alpha=rule.alpha(spec.alpha, 1.0 / rule.delta))
    target = solved(rows, y[:, 0], spec, None)
    found = finished(Digits(X, w, spec), target, y[:, 0], spec)
    exact, phi = _fitted_exactly(target, found), target.solution.phi
    side = np.where(exact, 0.0, np.sign(target.solution.u))  # of small residuals the dual tells it
    h = target.rows.adjoint(target.rows.w * side) - target.problem.quadratic.gradient(phi)
    c = target.rows.w.sum()  # keeps the minimum above 0
    flat = Quadratic(np.zeros((0, rows.n_cols)), h, c)
    unit = 2.0 * rule.delta if rule.joint else 1.0  # of the objective
    found = replace(found, objective=unit * found.objective)
    return _with_scale(found, target.rows, exact, flat, w, spec)


def _fitted_exactly(target: Target, found: Fit) -> np.ndarray:
    """The rows F, (n,) bool: their residuals are rounding, or their duals inside the bounds."""
    r, u = target.solution.r, target.solution.u
    typical = scale_of(found)[1] / target.rows.y_scale  # a row's own terms may vanish
    noise = np.maximum(rounding(target.problem, target.solution.phi), typical)
    return (np.abs(r) <= noise) | target.loss.held(u, AT_BOUND)


def _beside_a_penalty(
    X: Any, y: np.ndarray, w: np.ndarray | None, spec: Specification, rows: Rows
) -> Fit:
    """With alpha > 0 under mad and proposal2: beside such a penalty all coefficients are 0."""
    nothing, absolute = np.zeros((len(y), 1)), replace(spec, loss=ABSOLUTE, alpha=0.0)
    found = at_knot(nothing, y, w, absolute, None, rows_of_all(nothing, w, spec))
    found = replace(found, coef=np.zeros((1, X.shape[1])), rank=rows.rank)
    r = (y - found.intercept)[:, 0]
    exact = np.abs(r) <= scale_of(found)[1]
    h = rows.adjoint(rows.w * np.where(exact, 0.0, np.sign(r)))
    quadratic = Quadratic(Ridge(spec.alpha).root(rows), h, rows.w.sum())
    return _with_scale(found, rows, exact, quadratic, w, spec)


def _with_scale(
    found: Fit,
    rows: Rows,
    exact: np.ndarray,
    quadratic: Quadratic,
    w: np.ndarray | None,
    spec: Specification,
) -> Fit:
    """The same fit, with the ``scale`` that tells whether s = 0 is a fixed point."""
    rule, work = rule_of(spec), Tally()
    relative = np.where(exact, 0.0, np.inf)
    # 1. At least: the rows that are fitted exactly may add to it.
    exceeds = rule.exceeds(relative, w, rows.n_cols)
    # 2. With what they add, where that may matter.
    if exceeds <= 1.0 + EQUAL and quadratic.h.any():
        options = Options(min(spec.max_iter - found.n_iter, MOST_ITERATIONS))
        relative = None
        if found.statuses <= {Status.EXACT, Status.NOT_CANONICAL}:
            relative = standardised(rows, exact, quadratic, spec.solver, options, work)
        exceeds = np.nan
        if relative is not None:
            exceeds = rule.exceeds(rule.delta * relative, w, rows.n_cols)
    scale = 0.0 if exceeds <= 1.0 + EQUAL else exceeds
    taken = replace(found.work, n_iter=found.n_iter + work.n_iter)
    return replace(found, scale=np.array([scale]), work=taken)


def standardised(
    rows: Rows,
    exact: np.ndarray,
    quadratic: Quadratic,
    solver: str,
    options: Options,
    work: Tally,
) -> np.ndarray | None:
    """The residuals (n,) of the module, relative to the knot; None if they are not proved.

    F is ``exact`` (n,) bool, and ``quadratic`` is eta'G eta / 2 - h'eta.
    """
    if options.max_iter < 1:
        return None
    # 1. Coordinates xi in which no direction leaves all residuals as they are, eta = V xi.
    index, V = np.flatnonzero(exact), np.eye(rows.n_cols)
    Z, w, start = rows.take(index), rows.w[index], np.zeros(len(index))
    if quadratic.flat:
        spectrum = linalg.spectrum(linalg.triangle_of(Z))
        V = spectrum.V / spectrum.sigma
    inner = Quadratic(quadratic.L @ V, V.T @ quadratic.h, quadratic.c)
    problem = Problem(dense_rows(Z @ V, start, w), huber(1.0), inner)
    # 2. The minimum.
    if solver == "scipy":
        pair = solve_reference(problem, options, work)
    else:
        pair = newton(problem, np.zeros(V.shape[1]), start, options, work, options.max_iter)
    # 3. The proof, in all directions.
    eta, u = V @ pair.phi, np.clip(pair.u, -1.0, 1.0)
    missing = np.abs(Z.T @ (w * u) - quadratic.gradient(eta))
    if not np.all(missing <= STATIONARY * rows.adjoint_bound(np.ones(rows.n_rows))):
        return None
    relative = np.full(rows.n_rows, np.inf)
    relative[exact] = -Z @ eta
    return relative
