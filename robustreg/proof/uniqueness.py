"""Whether other coefficients have the same objective, as an optimal dual point u tells.

In every minimiser

    a row with lower < u_i < upper keeps its residual (it is "held"),
    a row with u_i at a bound stays on that side of its knot.

So other minimisers differ by directions h with a_i'h = 0 for the held rows, and u_i a_i'h <= 0 for rows
that touch their knot ("tight"). If h = 0 is the only one, the minimiser is unique. If there is another,
a step is taken along it, and the same u bounds how far the objective there is from the minimum: only if
that is as little, other coefficients have been found.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from .bound import Bound
from .design import MOST_DENSE
from .directions import Directions
from .dual_points import LARGEST_PROGRAM
from .judged_problem import JudgedProblem

HELD = 1e-9  # of a bound: u nearer to it may be at it
SPANNED = 1e-8  # smallest eigenvalue of a Gram matrix with unit diagonal: well above its rounding
RANK = 1e-9  # of the largest singular value, for rows of size 1: below it a direction is free
POSITIVE = 1e-6  # of weights at most 1, of a combination that vanishes: well above the tolerance of HiGHS
TINY = 1e-100  # of the largest row: the square of a smaller one would underflow; it holds nothing
TOUCHES = 2.0  # times e: a residual so near to its knot may be at it
SEEN = 1e3  # times e: other coefficients change some residual by more than that
SAME = 1e-12  # of the objective: as small a difference counts as none


def is_unique(problem: JudgedProblem, found: Directions, best: Bound) -> bool | None:
    """Whether no other coefficients are minimisers, for an optimal point ``best``; None if neither is known."""
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


def _free_directions(problem: JudgedProblem, T, u):
    """N (m, k): the directions in which no held row changes, as coefficients; None if that is too large to tell."""
    loss, design = problem.loss, problem.design
    held = loss.room(u) > HELD * loss.upper
    r = design.n_cols if T is None else T.shape[1]
    G = design.gram(1.0 * held, T)
    size = np.sqrt(np.diag(G))
    if np.all(size > 0.0) and np.linalg.eigvalsh(G / size / size[:, None]).min(initial=1.0) > SPANNED:
        return np.zeros((design.n_cols, 0))
    if design.is_sparse and r > MOST_DENSE:
        return None
    # By singular values, each row counting as one of size 1.
    rows = design.sizes(np.ones(r), T)
    counts = held & (rows > TINY * rows.max(initial=0.0))
    weights = np.divide(1.0, np.square(rows), out=np.zeros(len(rows)), where=counts)
    N = _null_space(design.triangle(weights, T), r)
    return N if T is None else T @ N


def _no_other(problem: JudgedProblem, best: Bound, N):
    """Whether every step N z takes a row across its knot; None if that is not known."""
    loss, r, e, u, design = problem.loss, problem.r, problem.e, best.u, problem.design
    side = np.sign(u - 0.5 * (loss.lower + loss.upper))
    distance = side * (r - np.where(side > 0.0, loss.right, loss.left))
    at_bound = loss.room(u) <= HELD * loss.upper
    tight = np.flatnonzero(at_bound & (distance <= TOUCHES * e))
    if len(tight) * N.shape[1] > LARGEST_PROGRAM:
        return None
    A = design.take(tight)
    C = -side[tight, None] * (A @ N)  # a step N z is allowed if C z >= 0
    size = np.linalg.norm(C, axis=1)
    counts = size > RANK * np.linalg.norm(A, axis=1) * np.linalg.norm(N)  # the others do not change
    C = C[counts] / size[counts, None]
    if len(C) > N.shape[1] and not _null_space(C, N.shape[1]).shape[1] and _has_vanishing_combination(C):
        return True
    z = _allowed_step(C, N.shape[1])
    if z is None:
        return None
    others = _is_seen(problem, best, design.product(N @ z), side, np.where(at_bound, distance, np.inf))
    return False if others else None


def _has_vanishing_combination(C):
    """Whether positive weights make a combination of the rows of C (k, d) vanish: then C z >= 0 means C z = 0."""
    k, d = C.shape  # the largest t with C'x = 0, t <= x <= 1
    program = linprog(
        np.append(np.zeros(k), -1.0),
        A_eq=np.column_stack([C.T, np.zeros(d)]),
        b_eq=np.zeros(d),
        A_ub=np.column_stack([-np.eye(k), np.ones(k)]),
        b_ub=np.zeros(k),
        bounds=(0.0, 1.0),
        method="highs",
    )
    return bool(program.status == 0 and -program.fun > POSITIVE)


def _allowed_step(C, d):
    """z (d,) other than 0 with C z >= 0, or None."""
    lines = _null_space(C, d)
    if lines.shape[1]:
        return lines[:, 0]
    program = linprog(-C.sum(axis=0), A_ub=-C, b_ub=np.zeros(len(C)), bounds=(-1.0, 1.0), method="highs")
    return program.x if program.status == 0 and np.abs(program.x).max() > POSITIVE else None


def _is_seen(problem: JudgedProblem, best: Bound, change, side, distance):
    """Whether residuals r - t change (n,) for some t > 0 are other ones, with the same objective."""
    loss, r, e = problem.loss, problem.r, problem.e
    # 1. Half as far as the first row that is not tight meets its knot.
    towards = side * change
    meets = (towards > 0.0) & (distance > TOUCHES * e)
    reach = np.divide(distance, towards, out=np.full(len(r), np.inf), where=meets).min(initial=np.inf)
    largest = np.abs(change).max(initial=0.0)
    if not largest:
        return False
    t = 0.5 * reach if np.isfinite(reach) else np.abs(r).max() / largest + 1.0
    # 2. The bound there.
    moved, noise = r - t * change, e + 1e-12 * np.abs(t * change)
    excess = float(problem.w @ loss.excess(loss.nearest(moved, best.u, noise), best.u))
    seen = np.any(np.abs(t * change) > SEEN * e)
    return bool(seen and excess <= best.beyond_rounding + SAME * problem.near)


def _null_space(A, columns):
    """Orthonormal columns N (columns, k) with A N = 0, for rows of A of about size 1."""
    if not len(A):
        return np.eye(columns)
    _, sigma, Vt = np.linalg.svd(A)
    return Vt[np.count_nonzero(sigma > RANK * sigma.max(initial=0.0)) :].T
