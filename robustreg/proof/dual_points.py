"""Where dual points come from. Nothing here has to be trusted: ``bound.py`` computes what a point proves.

At a minimiser u is the slope of the loss, where it has one. At the corner of a loss u is only bounded:
there it is chosen by least squares, or by a linear program (HiGHS). For coefficients that are not
optimal, the slopes of a smoothed loss at its own minimiser are a good u, and Newton's method finds them.
The loss smoothed by a width k > 0, and its slope, are

    l_k(r) = max over u in [lower, upper] of u r - k u^2 / 2,     u = clip(r / k, lower, upper);

with k = 1 they are the squared loss and Huber's loss themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import linprog

from .design import MOST_DENSE
from .judged_problem import FAR, HIDDEN_KNOT, NOISE, JudgedProblem

CORRECTIONS = 3  # of u: each leaves about the rounding of the one before
NOTHING = 0.1  # of the bound on the rounding of a sum is about as large as rounding gets
SHRINK = (1e-14, 1e-12, 1e-10, 1e-8)  # of u: room, where too few rows have some
WIDTHS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)  # typical residuals: each start is near the next solution
REACH = (10.0, 100.0)  # of the last width: rows whose u a linear program chooses
NEWTON_STEPS = 30  # for each width: from a near start five or so are enough
HALVINGS = 40  # of a step
GAINED = 1e-4  # of what its slope promises a step has to gain at least
CONVERGED = 1e-13  # of the objective is all that a step still gains
DAMPING = 1e-10  # of the curvature that all rows together would have, where few rows have any
LARGEST_PROGRAM = 2**20  # entries of a linear program that HiGHS solves in seconds
SMALL_PROGRAM = 500  # rows of which a program with all of them is faster than Newton's method
EVEN = 1e4  # typical residuals: larger ones make the tolerances of HiGHS too coarse for the others
AT_BOUND = 1e-7  # HiGHS leaves a u that is at its bound within this of it
NEGLIGIBLE = 1e-13  # a singular value, for columns of size 1, below which it counts as zero
WELL_CONDITIONED = 1e-5  # a pivot of a root with unit diagonal: five digits of a solution are right


@dataclass(frozen=True, slots=True, eq=False)
class Constraint:
    """T'A'(w u) is to be ``target`` (r,), T (m, r) or None for the identity.

    ``exact`` tells to compute the sums without rounding, which T would enlarge.
    """

    problem: JudgedProblem
    T: np.ndarray | None
    target: np.ndarray
    exact: bool

    def missing(self, u):
        """(what T'A'(w u) lacks, (r,), and whether that is nothing but rounding)."""
        design, w = self.problem.design, self.problem.w
        if self.exact:
            v, error = design.adjoint_exact(w, u)
        else:
            v = design.adjoint(w * u)
            error = NOTHING * design.sum_error * np.sqrt(w @ np.square(u)) * self.problem.sizes
        missing = self.target - self.along(v)
        size = error if self.T is None else np.abs(self.T).T @ error
        return missing, bool(np.all(np.abs(missing) <= size))

    def along(self, v):
        """T'v, (r,)."""
        return v if self.T is None else self.T.T @ v

    def back(self, c):
        """T c, (m,)."""
        return c if self.T is None else self.T @ c

    def fitted(self, c):
        """A T c, (n,)."""
        return self.problem.design.product(self.back(c))


def at_the_judged(constraint: Constraint) -> Iterator[np.ndarray]:
    """Dual points (n,) for coefficients that are optimal, the dearer ones later."""
    loss, r, e = constraint.problem.loss, constraint.problem.r, constraint.problem.e
    if loss.has_corner:
        near = NOISE * np.maximum(e, np.median(e))
        u = _at_the_corner(constraint, np.abs(r - loss.left) <= near)
        yield u
        yield _at_the_corner(constraint, np.abs(r - loss.left) <= np.maximum(near, HIDDEN_KNOT))
    else:
        yield loss.slope(r)
        u = _corrected(constraint, loss.slope(r), (r > loss.left) & (r < loss.right))
        yield u
    if loss.bounded:
        yield from _with_room(constraint, u)


def elsewhere(constraint: Constraint) -> Iterator[np.ndarray]:
    """Dual points (n,) from near a minimiser, for coefficients that are none: better and better ones."""
    problem = constraint.problem
    loss, r, size = problem.loss, problem.r, np.abs(problem.r)
    known = size > problem.e
    if not known.any():
        return
    typical = float(np.median(size[known]))
    if loss.has_corner and len(r) <= SMALL_PROGRAM and not problem.curvature.any():
        yield _by_program(constraint, np.zeros(len(r)), np.ones(len(r), dtype=bool), r)
        if size.max() <= EVEN * typical:  # that was the best there is
            return
    c = np.zeros(len(constraint.target))
    for width in np.multiply(WIDTHS, typical) if loss.has_corner else (1.0,):
        c = _newton(constraint, width, c)
        there, moved = _at(constraint, c), r - constraint.fitted(c)
        u = np.clip(moved / width, loss.lower, loss.upper)
        yield _corrected(there, u, (u > loss.lower) & (u < loss.upper))
    size = np.abs(moved)
    for reach in REACH if loss.has_corner else ():
        corner = size <= max(reach * width, _smallest(size, 8 * problem.design.n_cols))
        if corner.sum() * problem.design.n_cols <= LARGEST_PROGRAM:
            yield _by_program(there, loss.slope(moved), corner, moved)


def _at(constraint: Constraint, c) -> Constraint:
    """The constraint at the coefficients beta + T c."""
    problem = constraint.problem
    beta = problem.beta + constraint.back(c)
    return Constraint(problem, constraint.T, constraint.along(problem.curvature * beta), constraint.exact)


def _at_the_corner(constraint: Constraint, corner):
    """The slopes of all rows but ``corner`` (n,), and for these what the constraint asks for."""
    problem = constraint.problem
    loss, r = problem.loss, problem.r
    u = _corrected(constraint, np.where(corner, 0.0, loss.slope(r)), corner, clip=False)
    outside = np.any(u < loss.lower) or np.any(u > loss.upper)
    if outside and corner.sum() * problem.design.n_cols <= LARGEST_PROGRAM:
        return _by_program(constraint, u, corner, r)
    return np.clip(u, loss.lower, loss.upper)


def _with_room(constraint: Constraint, u) -> Iterator[np.ndarray]:
    """u a little smaller, so that all rows have room to satisfy the constraint.

    First not for rows very far away: their terms x_i of the bound are large, and 0 at a bound only.
    """
    loss, size = constraint.problem.loss, np.abs(constraint.problem.r)
    near = size <= FAR * np.median(size)
    for rows in (near, np.ones_like(near)):
        for share in SHRINK:
            smaller = np.where(rows, (1.0 - share) * u, u)
            yield _corrected(constraint, smaller, loss.room(smaller))
        if near.all():
            return


def _smallest(size, count):
    """The count-th smallest of the numbers, or the largest."""
    k = min(count, len(size)) - 1
    return np.partition(size, k)[k]


def _corrected(constraint: Constraint, u, room, clip=True):
    """u (n,) + room * (A T c), which satisfies the constraint with the least change in this metric."""
    problem, loss = constraint.problem, constraint.problem.loss
    room, solve, last = 1.0 * room, None, np.inf
    for _ in range(CORRECTIONS if len(constraint.target) and room.any() else 0):
        missing, is_rounding = constraint.missing(u)
        if is_rounding:
            break
        solve = solve or _solver(problem, problem.w * room, constraint.T)
        c = solve(missing)
        size = float(missing @ c)
        if not size < 0.1 * last:
            break
        u, last = u + room * constraint.fitted(c), size
    return np.clip(u, loss.lower, loss.upper) if clip else u


def _by_program(constraint: Constraint, u, corner, r):
    """u with the rows ``corner`` chosen such that the constraint holds and the dual objective is largest.

    As it was where there is no such u. The rows that are inside their bounds are then determined by the others.
    """
    problem = constraint.problem
    loss, F = problem.loss, np.flatnonzero(corner)
    u = np.where(corner, 0.0, u)
    wanted, _ = constraint.missing(u)
    A, w = problem.design.take(F), problem.w[F]
    M = (A if constraint.T is None else A @ constraint.T).T * w
    size = np.abs(M).max(axis=1, initial=0.0)
    size[size == 0.0] = 1.0
    worth = w * r[F]
    if not all(np.all(np.isfinite(part)) for part in (M / size[:, None], wanted / size, worth)):
        return np.clip(u, loss.lower, loss.upper)
    program = linprog(
        -worth / (np.abs(worth).max(initial=0.0) or 1.0),
        A_eq=M / size[:, None],
        b_eq=wanted / size,
        bounds=(loss.lower, loss.upper),
        method="highs",
    )
    if program.status != 0:
        return np.clip(u, loss.lower, loss.upper)
    inside = (program.x > loss.lower + AT_BOUND) & (program.x < loss.upper - AT_BOUND)
    at_bound = np.where(program.x < 0.5 * (loss.lower + loss.upper), loss.lower, loss.upper)
    u[F], free = np.where(inside, program.x, at_bound), np.zeros(len(u), dtype=bool)
    free[F] = inside
    return _corrected(constraint, u, free)


def _newton(constraint: Constraint, width, c):
    """The c (r,) that minimises the objective with the loss smoothed by ``width`` at beta + T c."""
    problem = constraint.problem
    design, w, curvature = problem.design, problem.w, problem.curvature
    lower, upper = problem.loss.lower, problem.loss.upper

    def value(moved, beta):
        u = np.clip(moved / width, lower, upper)
        return float(w @ (u * (moved - 0.5 * width * u))) + 0.5 * float(curvature @ np.square(beta))

    penalty = _curvature(constraint, curvature)
    damping = _curvature(constraint, np.square(problem.sizes)) * (DAMPING / width)
    moved = problem.r - constraint.fitted(c)
    for _ in range(NEWTON_STEPS):
        # 1. The step, from the rows that are not at a bound.
        u, beta = moved / width, problem.beta + constraint.back(c)
        inside = (u > lower) & (u < upper)
        descent = constraint.along(design.adjoint(w * np.clip(u, lower, upper)) - curvature * beta)
        H = design.gram(w * inside / width, constraint.T) + penalty + damping
        step = _solver_of(H)(descent)
        # 2. As much of it as makes the objective smaller.
        before, change, gain = value(moved, beta), constraint.fitted(step), float(descent @ step)
        for k in range(HALVINGS):
            t = 0.5**k
            if value(moved - t * change, beta + t * constraint.back(step)) < before - GAINED * t * gain:
                break
        else:
            return c
        c, moved = c + t * step, moved - t * change
        if gain <= CONVERGED * before:
            return c
    return c


def _curvature(constraint: Constraint, a):
    """T' diag(a) T, (r, r)."""
    T = constraint.T
    return np.diag(a) if T is None else T.T @ (T * a[:, None])


def _solver(problem: JudgedProblem, q, T):
    """The function that solves G c = t for G = T'A' diag(q) A T; in the least squares sense where G is singular.

    Where rooms are many decades apart G has lost the smaller ones, but its root R, R'R = G, has not.
    """
    design = problem.design
    G = design.gram(q, T)
    if (design.is_sparse and len(G) > MOST_DENSE) or _factor(G) is not None:
        return _solver_of(G)
    R = design.triangle(q, T)
    size = _or_one(np.linalg.norm(R, axis=0))
    _, sigma, Vt = np.linalg.svd(R / size, full_matrices=False)
    kept = sigma > NEGLIGIBLE * sigma.max(initial=0.0)
    root = Vt[kept] / sigma[kept, None] / size
    return lambda t: root.T @ (root @ t)


def _solver_of(G):
    """The function that solves G c = t; in the least squares sense where G is singular."""
    if (factor := _factor(G)) is not None:
        return factor
    size = _or_one(np.sqrt(np.diag(G)))
    values, V = np.linalg.eigh(G / size / size[:, None])
    inverse = np.where(values > NEGLIGIBLE * len(G), 1.0 / np.maximum(values, NEGLIGIBLE), 0.0)
    return lambda t: V @ (inverse * (V.T @ (t / size))) / size


def _factor(G):
    """The function that solves G c = t by Cholesky, or None where G is too ill-conditioned."""
    size = np.sqrt(np.diag(G))
    if not np.all(size > 0.0):
        return None
    try:
        factor = cho_factor(G / size / size[:, None])
    except LinAlgError:
        return None
    well = np.diag(factor[0]).min(initial=1.0) > WELL_CONDITIONED
    return (lambda t: cho_solve(factor, t / size) / size) if well else None


def _or_one(size):
    return np.where(size > 0.0, size, 1.0)
