"""The bound: how far the judged objective can be above the minimum, from any dual point u at all.

This file and those that it imports are all that has to be trusted: where u comes from does not
matter. Letters and equations are those of ``docs/how-it-works/certificate.md``.

For a feasible u, with v = A'(w u),

    W (P(beta) - min P)  <=  sum_i w_i x_i  +  sum_j (v_j - c_j beta_j)^2 / (2 c_j),            (1)

    x_i = l(r_i) + l*(u_i) - u_i r_i >= 0,

the second sum over the penalised columns. A computed u is feasible only to rounding. There is an
exactly feasible u + d nearby (``metric.py``); it is enough to know how large each d_i can be. The
conjugate l* has the slope p_i = clip(u_i, left, right), and a curvature of at most 1, none at a
corner. So d_i raises x_i by at most

    abs(d_i) abs(r_i - p_i) + d_i^2 / 2.                                                         (4)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .design import EPS
from .judged_problem import JudgedProblem, Loss
from .metric import metric, moves

# Times e: so far from a residual that is exactly right rounding may leave one. e counts half a unit
# in the last place of each coefficient; those of good solvers are off by one or two units.
EXPLAINED = 4.0
# Of the largest weight: u = 0 for lighter rows, whose products might underflow.
LIGHT = 1e-150
# More than the relative rounding of a sum of 1e8 terms that are >= 0, however it is added up.
SUMMED = 1e-7
# More than the relative rounding of such a sum that NumPy adds up pairwise.
PAIRWISE = 64.0 * EPS


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """W (P - min P) is at most ``excess``, and at most ``beyond_rounding`` if rounding of the residuals is forgiven.

    ``u`` (n,) is the dual point that proves it, ``v`` (m,) what its sums lack, known up to ``error`` (m,).
    """

    excess: float
    beyond_rounding: float
    u: np.ndarray
    v: np.ndarray
    error: np.ndarray


def bound(
    problem: JudgedProblem, T: np.ndarray | None, counted: np.ndarray, u: np.ndarray, exact: bool = False
) -> Bound | None:
    """What u (n,), inside its interval, proves; None if no feasible point is known to be near.

    T'v = T'(c beta) is to hold exactly, for directions T (m, r); the columns ``counted`` (m,) bool are those
    outside of them, all with c_j > 0, whose terms of the second sum count. With ``exact`` the sums v are
    computed without rounding.
    """
    loss, r, e = problem.loss, problem.r, problem.e
    # 0. Inside the interval; and 0, which always is, for rows so light that products with w would underflow.
    u = np.clip(u, loss.lower, loss.upper) if loss.bounded else u
    u = u if problem.w.min() > LIGHT else np.where(problem.w > LIGHT, u, 0.0)
    # 1. What the sums lack, and how far u has to move to be feasible.
    v, error = missing(problem, u, exact)
    d = _moved(problem, T, u, v, error)
    if d is None:
        return None

    # 2. The first sum of (1) with (4), each r anywhere within e. A convex function is largest at an end.
    def at_most(rows):
        ends = (r[rows] - e[rows], r[rows] + e[rows])
        return np.maximum(*(_term(loss, end, u[rows], d[rows]) for end in ends))

    # 3. The same, each r where it suits u best, within what rounding explains.
    def at_least(rows):
        nearest = loss.nearest(r[rows], u[rows], EXPLAINED * e[rows])
        return _term(loss, nearest, u[rows], d[rows])

    # 4. The second sum, and what the loss that is judged may exceed the loss that was asked for.
    changed = np.sqrt(problem.total(lambda rows: np.square(d[rows]))) * problem.sizes
    lacking = (np.abs(v) + error + changed)[counted]
    second = float(np.sum(np.square(lacking) / (2.0 * problem.curvature[counted])))
    knot_loss = problem.weight * problem.units.knot_loss
    most = problem.total(at_most) + second + knot_loss + PAIRWISE * problem.penalty
    return Bound(most * (1.0 + SUMMED), problem.total(at_least) + second, u, v, error)


def _moved(problem: JudgedProblem, T, u, v, error):
    """At least abs(d) (n,) of a feasible u + d inside the interval, or None."""
    needed = slice(None) if T is None else np.any(T != 0.0, axis=1)
    if not np.any(v[needed]) and not np.any(error[needed]):  # u is feasible, exactly
        return np.zeros(len(u))
    room = problem.loss.room(u)
    found = metric(problem.design, T, problem.w * room)
    if found is None:
        return None
    share = moves(problem.design, found, room, v, error)
    if problem.loss.bounded and not np.all(share <= 1.0):
        return None
    return room * share


def _term(loss: Loss, r, u, d):
    """A row's term x of (1) at (r, u), and what a change of u by d may add to it (4)."""
    p = np.clip(u, loss.left, loss.right) if loss.bounded else u
    return loss.excess(r, u) + d * (np.abs(r - p) + (0.0 if loss.has_corner else 0.5 * d))


def missing(problem: JudgedProblem, u: np.ndarray, exact: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(v - c beta for v = A'(w u), a bound on its rounding), (m,) each."""
    if exact:
        v, error = problem.design.adjoint_exact(problem.w, u)
    else:
        v = problem.design.adjoint(problem.w * u)
        # By Cauchy and Schwarz no less than sum_i w_i abs(a_ij u_i), of which rounding is a share.
        terms = np.sqrt(problem.total(lambda rows: np.square(u[rows]))) * problem.sizes
        error = problem.design.sum_error * terms
    wanted = problem.curvature * problem.beta
    return v - wanted, error + EPS * (np.abs(v) * (wanted != 0.0) + 4.0 * np.abs(wanted))


def no_bound(problem: JudgedProblem) -> Bound:
    """What u = 0 proves, feasible for every problem: P >= 0."""
    loss, r, e = problem.loss, problem.r, problem.e
    most = problem.total(lambda rows: loss.value(np.copysign(np.abs(r[rows]) + e[rows], r[rows])))
    most = (most + problem.penalty + problem.weight * problem.units.knot_loss) * (1.0 + SUMMED)
    return Bound(most, problem.primal, np.zeros(len(r)), *missing(problem, np.zeros(len(r))))


def lower_bound(problem: JudgedProblem, excess: float) -> float:
    """No coefficients have an objective below this number, in the units of the data; 0.0 at least."""

    def least(rows):  # each r as small as it may be
        size = np.maximum(np.abs(problem.r[rows]) - problem.e[rows], 0.0)
        return problem.loss.value(np.copysign(size, problem.r[rows]))

    primal = (problem.total(least) + problem.penalty) * (1.0 - PAIRWISE)
    dual = problem.units.in_data((primal - excess) / problem.weight)
    return max(0.0, dual - PAIRWISE * abs(dual))
