"""The bound: how far the judged objective can be above the minimum, from any dual point u at all.

This file and those that it imports are all that has to be trusted: where u comes from does not
matter. Letters and equations are those of ``docs/how-it-works/certificate.md``.

For a feasible u, with the pull pi = A'(w u) of the rows,

    W (P(beta) - min P) <= sum_i w_i excess_i + sum_j (pi_j - kappa_j beta_j)^2 / (2 kappa_j),   (1)

    excess_i = l(r_i) + l*(u_i) - u_i r_i >= 0,

the second sum over the penalised columns. A computed u is feasible only to rounding. There is an
exactly feasible u + du nearby (``metric.py``); it is enough to know how large each du_i can be.
With u_in = clip(u, left, right), the conjugate l* has the slope u_in_i at u_i, and a curvature of
at most 1, none if the loss has a corner. So du_i raises excess_i by at most

    abs(du_i) abs(r_i - u_in_i) + du_i^2 / 2.                                                    (4)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .design import EPS
from .judged_problem import JudgedProblem, Loss
from .metric import make_metric, moves

# Multiples of e, by which a residual may be off because of rounding: that far from a residual that
# is exactly right one is called right. e counts half a unit in the last place of each coefficient;
# those of good solvers are off by one or two units. It decides what is called rounding, and not
# what is proved.
FORGIVEN_ERRORS = 4.0
# Share of the largest weight: lighter rows get u = 0, as their products might underflow.
LIGHTEST_WEIGHT = 1e-150
# Safe margin: more than the relative rounding of a sum of 1e8 terms that are >= 0, added up in any
# order.
SUM_ROUNDING = 1e-7
# Safe margin: more than the relative rounding of such a sum that NumPy adds up in pairs.
PAIRWISE_ROUNDING = 64.0 * EPS


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """W (P - min P) is at most ``excess``, and at most ``beyond_rounding`` if rounding of the
    residuals is forgiven.

    ``u`` (n,) is the dual point that proves it. ``missing`` (m,) is what its pull lacks,
    pi - kappa beta, known up to ``error`` (m,).
    """

    excess: float
    beyond_rounding: float
    u: np.ndarray
    missing: np.ndarray
    error: np.ndarray


def bound(
    problem: JudgedProblem,
    T: np.ndarray | None,
    counted: np.ndarray,
    u: np.ndarray,
    exact: bool = False,
) -> Bound | None:
    """What u (n,) proves; None if no feasible point is known to be near.

    T'pi = T'(kappa beta) is to hold exactly, for the directions T (m, k). The columns ``counted``
    (m,) bool are those outside of them, all with kappa_j > 0, whose terms of the second sum count.
    With ``exact`` the pull is computed without rounding.
    """
    loss, r, e = problem.loss, problem.r, problem.e
    # 0. Inside the interval. u = 0 always is: for rows so light that products might underflow.
    u = np.clip(u, loss.lower, loss.upper) if loss.bounded else u
    if problem.w.min() <= LIGHTEST_WEIGHT:
        u = np.where(problem.w > LIGHTEST_WEIGHT, u, 0.0)
    # 1. What the pull lacks, and how far u has to move to be feasible.
    missing, error = missing_of(problem, u, exact)
    du = _moved(problem, T, u, missing, error)
    if du is None:
        return None

    # 2. The first sum of (1) with (4), each r anywhere within e. A convex function is largest at
    #    one of the two ends.
    def at_most(rows: slice) -> np.ndarray:
        ends = (r[rows] - e[rows], r[rows] + e[rows])
        return np.maximum(*(_term(loss, end, u[rows], du[rows]) for end in ends))

    # 3. The same, each r where it suits u best, within what rounding explains.
    def at_least(rows: slice) -> np.ndarray:
        nearest = loss.nearest(r[rows], u[rows], FORGIVEN_ERRORS * e[rows])
        return _term(loss, nearest, u[rows], du[rows])

    # 4. The second sum: du changes each pi_j by at most this, by Cauchy and Schwarz.
    change = np.sqrt(problem.total(lambda rows: np.square(du[rows]))) * problem.sizes
    lacking = (np.abs(missing) + error + change)[counted]
    second = float(np.sum(np.square(lacking) / (2.0 * problem.curvature[counted])))
    # 5. What the loss that is judged may exceed the loss that was asked for.
    knot_loss = problem.weight * problem.units.knot_loss
    most = problem.total(at_most) + second + knot_loss + PAIRWISE_ROUNDING * problem.penalty
    least = problem.total(at_least) + second
    return Bound(most * (1.0 + SUM_ROUNDING), least, u, missing, error)


def _moved(
    problem: JudgedProblem,
    T: np.ndarray | None,
    u: np.ndarray,
    missing: np.ndarray,
    error: np.ndarray,
) -> np.ndarray | None:
    """At least abs(du) (n,) of a feasible u + du inside the interval; None if none is known."""
    needed = slice(None) if T is None else np.any(T != 0.0, axis=1)
    if not np.any(missing[needed]) and not np.any(error[needed]):  # u is feasible, exactly
        return np.zeros(len(u))
    room = problem.loss.room(u)
    metric = make_metric(problem.design, T, problem.w * room)
    if metric is None:
        return None
    # Rows move in proportion to their room: u + du is inside if no share is above 1.
    share = moves(problem.design, metric, room, missing, error)
    if problem.loss.bounded and not np.all(share <= 1.0):
        return None
    return room * share


def _term(loss: Loss, r: np.ndarray, u: np.ndarray, du: np.ndarray) -> np.ndarray:
    """excess of (1) at (r, u), and what a change of u by du may add to it (4)."""
    u_in = np.clip(u, loss.left, loss.right) if loss.bounded else u
    half_du = 0.0 if loss.has_corner else 0.5 * du
    return loss.excess(r, u) + du * (np.abs(r - u_in) + half_du)


def missing_of(
    problem: JudgedProblem, u: np.ndarray, exact: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(pi - kappa beta for the pull pi = A'(w u), a bound on its rounding), (m,) each."""
    if exact:
        pull, error = problem.design.adjoint_exact(problem.w, u)
    else:
        pull = problem.design.adjoint(problem.w * u)
        # At least sum_i w_i abs(a_ij u_i), of which rounding is a share, by Cauchy and Schwarz.
        terms = np.sqrt(problem.total(lambda rows: np.square(u[rows]))) * problem.sizes
        error = problem.design.sum_error * terms
    wanted = problem.curvature * problem.beta
    # The difference is rounded once, unless nothing is subtracted; kappa beta has a few roundings.
    rounding = EPS * (np.abs(pull) * (wanted != 0.0) + 4.0 * np.abs(wanted))
    return pull - wanted, error + rounding


def no_bound(problem: JudgedProblem) -> Bound:
    """What u = 0 proves, feasible for every problem: P >= 0."""
    loss, r, e = problem.loss, problem.r, problem.e

    def at_most(rows: slice) -> np.ndarray:  # each r as large as it may be
        return loss.value(np.copysign(np.abs(r[rows]) + e[rows], r[rows]))

    knot_loss = problem.weight * problem.units.knot_loss
    most = (problem.total(at_most) + problem.penalty + knot_loss) * (1.0 + SUM_ROUNDING)
    nothing = np.zeros(len(r))
    return Bound(most, problem.primal, nothing, *missing_of(problem, nothing))


def lower_bound(problem: JudgedProblem, excess: float) -> float:
    """D: no coefficients have an objective below it, in the units of the data; 0.0 at least."""

    def at_least(rows: slice) -> np.ndarray:  # each r as small as it may be
        size = np.maximum(np.abs(problem.r[rows]) - problem.e[rows], 0.0)
        return problem.loss.value(np.copysign(size, problem.r[rows]))

    primal = (problem.total(at_least) + problem.penalty) * (1.0 - PAIRWISE_ROUNDING)
    dual = problem.units.in_data((primal - excess) / problem.weight)
    return max(0.0, dual - PAIRWISE_ROUNDING * abs(dual))
