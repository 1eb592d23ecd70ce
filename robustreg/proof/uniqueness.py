"""Whether other coefficients have the same objective, as an optimal dual point u tells.

In every minimiser

    a row with lower < u_i < upper keeps its residual (it is "held"),
    a row with u_i at a bound stays on that side of its knot.

So other minimisers are beta + dbeta with a_i'dbeta = 0 for the held rows, and u_i a_i'dbeta <= 0
for rows that touch their knot ("tight"). If dbeta = 0 is the only one, the minimiser is unique. If
there is another, a step is taken along it, and the same u bounds how far the objective there is
from the minimum: only if that is as little, other coefficients have been found.

Steps are dbeta = N xi, where the columns of N are a basis of those that change no held row. Then
the rows of J are the gradients of the inequalities for tight rows: J xi >= 0.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from .bound import Bound
from .design import MOST_DENSE
from .directions import Directions
from .dual_points import LARGEST_PROGRAM
from .judged_problem import JudgedProblem

# Share of a bound: a u nearer to it may be at it. A safe margin.
HELD = 1e-9
# Smallest eigenvalue of a Gram matrix with unit diagonal: above it, well above its rounding, the
# held rows span all directions.
SPANNED = 1e-8
# Share of the largest singular value, for rows of size 1: below it a direction is free.
RANK = 1e-9
# Weight, at most 1, in a combination that vanishes: above it, well above the tolerance of HiGHS
# (1e-7), it is positive.
POSITIVE = 1e-6
# Share of the largest row: a smaller one holds nothing, as its square would underflow.
TINY = 1e-100
# Multiples of e: a residual so near to its knot may be at it.
TOUCHES = 2.0
# Multiples of e: other coefficients count as such if they change some residual by more.
SEEN = 1e3
# Share of the objective: as small a difference counts as none.
SAME = 1e-12
# Share of a change of residuals that rounding may add to them: thousands of roundings.
CHANGE_ROUNDING = 1e-12


def is_unique(problem: JudgedProblem, found: Directions, best: Bound) -> bool | None:
    """Whether no other coefficients are minimisers, as the optimal dual point of ``best`` tells.

    None if neither is known.
    """
    penalised, intercept = bool(problem.curvature.any()), problem.design.intercept
    if penalised and not intercept:
        return True
    if not penalised and not found.all_count:
        return False
    if not problem.loss.bounded:
        return True
    # A penalty determines the slopes, and leaves the intercept.
    T = np.eye(problem.design.n_cols)[:, -1:] if penalised else found.T
    N = _free_directions(problem, T, best.u)
    if N is None:
        return None
    return True if not N.shape[1] else _no_other(problem, best, N)


def _free_directions(
    problem: JudgedProblem, T: np.ndarray | None, u: np.ndarray
) -> np.ndarray | None:
    """N (m, k): the directions in which no held row changes, as coefficients.

    None if X is too large to tell.
    """
    loss, design = problem.loss, problem.design
    held = loss.room(u) > HELD * min(loss.upper, -loss.lower)
    rank = design.n_cols if T is None else T.shape[1]
    M = design.gram(1.0 * held, T)
    size = np.sqrt(np.diag(M))
    if np.all(size > 0.0):
        values = np.linalg.eigvalsh(M / size / size[:, None])
        if values.min(initial=1.0) > SPANNED:
            return np.zeros((design.n_cols, 0))
    if design.is_sparse and rank > MOST_DENSE:
        return None
    # By singular values, each row counting as one of size 1.
    rows = design.sizes(np.ones(rank), T)
    counts = held & (rows > TINY * rows.max(initial=0.0))
    weights = np.divide(1.0, np.square(rows), out=np.zeros(len(rows)), where=counts)
    N = _null_space(design.triangle(weights, T), rank)
    return N if T is None else T @ N


def _no_other(problem: JudgedProblem, best: Bound, N: np.ndarray) -> bool | None:
    """Whether every step N xi takes a row across its knot; None if that is not known."""
    loss, r, e, u, design = problem.loss, problem.r, problem.e, best.u, problem.design
    # 1. The tight rows: u at its bound, and the residual at its knot or, by rounding, beyond it.
    side = np.sign(u - 0.5 * (loss.lower + loss.upper))
    distance = side * (r - np.where(side > 0.0, loss.right, loss.left))
    at_bound = loss.room(u) <= HELD * min(loss.upper, -loss.lower)
    tight = np.flatnonzero(at_bound & (distance <= TOUCHES * e))
    if len(tight) * N.shape[1] > LARGEST_PROGRAM:
        return None
    # 2. A step N xi is allowed if J xi >= 0. Rows that no step changes are left out.
    rows, n_free = design.take(tight), N.shape[1]
    J = -side[tight, None] * (rows @ N)
    size = np.linalg.norm(J, axis=1)
    counts = size > RANK * np.linalg.norm(rows, axis=1) * np.linalg.norm(N)
    J = J[counts] / size[counts, None]
    # 3. No step is allowed: J xi >= 0 means J xi = 0, and that means xi = 0.
    if len(J) > n_free and not _null_space(J, n_free).shape[1] and _has_vanishing_combination(J):
        return True
    # 4. Or one is, and the objective after it is as small.
    xi = _allowed_step(J, n_free)
    if xi is None:
        return None
    change = design.product(N @ xi)
    others = _is_seen(problem, best, change, side, np.where(at_bound, distance, np.inf))
    return False if others else None


def _has_vanishing_combination(J: np.ndarray) -> bool:
    """Whether a combination J'x of the rows of J (n_tight, n_free) with positive weights x is 0.

    Then J xi >= 0 means J xi = 0. The program finds the largest t with J'x = 0 and t <= x <= 1.
    """
    n_tight, n_free = J.shape
    program = linprog(
        np.append(np.zeros(n_tight), -1.0),
        A_eq=np.column_stack([J.T, np.zeros(n_free)]),
        b_eq=np.zeros(n_free),
        A_ub=np.column_stack([-np.eye(n_tight), np.ones(n_tight)]),
        b_ub=np.zeros(n_tight),
        bounds=(0.0, 1.0),
        method="highs",
    )
    return bool(program.status == 0 and -program.fun > POSITIVE)


def _allowed_step(J: np.ndarray, n_free: int) -> np.ndarray | None:
    """xi (n_free,) other than 0 with J xi >= 0, or None."""
    lines = _null_space(J, n_free)
    if lines.shape[1]:
        return lines[:, 0]
    program = linprog(
        -J.sum(axis=0), A_ub=-J, b_ub=np.zeros(len(J)), bounds=(-1.0, 1.0), method="highs"
    )
    return program.x if program.status == 0 and np.abs(program.x).max() > POSITIVE else None


def _is_seen(
    problem: JudgedProblem,
    best: Bound,
    change: np.ndarray,
    side: np.ndarray,
    distance: np.ndarray,
) -> bool:
    """Whether residuals r - theta change (n,), theta > 0, are others, with the same objective.

    ``distance`` (n,) is how far a row with u at its bound is from its knot, towards the ``side``
    (n,) of that bound; infinite for the others.
    """
    loss, r, e = problem.loss, problem.r, problem.e
    # 1. Half as far as the first row that is not tight meets its knot.
    towards = side * change
    meets = (towards > 0.0) & (distance > TOUCHES * e)
    reaches = np.divide(distance, towards, out=np.full(len(r), np.inf), where=meets)
    reach = reaches.min(initial=np.inf)
    largest = np.abs(change).max(initial=0.0)
    if not largest:
        return False
    theta = 0.5 * reach if np.isfinite(reach) else np.abs(r).max() / largest + 1.0
    # 2. The bound there.
    moved, noise = r - theta * change, e + CHANGE_ROUNDING * np.abs(theta * change)
    excess = float(problem.w @ loss.excess(loss.nearest(moved, best.u, noise), best.u))
    seen = np.any(np.abs(theta * change) > SEEN * e)
    return bool(seen and excess <= best.beyond_rounding + SAME * problem.near)


def _null_space(A: np.ndarray, columns: int) -> np.ndarray:
    """Orthonormal columns N (columns, k) with A N = 0, for rows of A of about size 1."""
    if not len(A):
        return np.eye(columns)
    _, sigma, Vt = np.linalg.svd(A)
    return Vt[np.count_nonzero(sigma > RANK * sigma.max(initial=0.0)) :].T
