"""Where dual points come from.

Nothing here has to be trusted: ``bound.py`` computes what a point proves.

At a minimiser u is the slope of the loss, where it has one. At the corner of a loss u is only
bounded: there it is chosen by least squares, or by a linear program (HiGHS). For coefficients that
are not optimal, the slopes of a smoothed loss at its own minimiser are a good u, and Newton's
method finds them. The loss smoothed by a width > 0, and its slope, are

    l_width(r) = max over u in [lower, upper] of u r - width u^2 / 2,
    u = clip(r / width, lower, upper);

with width 1 they are the squared loss and Huber's loss themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import linprog

from .design import MOST_DENSE
from .judged_problem import FAR, HIDDEN_KNOT, NOISE, JudgedProblem

# Corrections of u for one constraint: each leaves about the rounding of the one before.
CORRECTIONS = 3
# Share of what was missing: a correction that leaves more is the last one, as rounding is all that
# is left.
LEAST_PROGRESS = 0.1
# Share of the bound on the rounding of a sum: about as large as rounding gets. Above it something
# is missing that a correction can supply.
ROUNDING_SHARE = 0.1
# Shares of u that are given up to make room, where too few rows have some: each is tried where the
# one before was not enough.
SHRINK = (1e-14, 1e-12, 1e-10, 1e-8)
# Widths of the smoothed absolute loss, in typical residuals: each start is near the next solution.
WIDTHS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
# Multiples of the last width: a linear program chooses the u of rows that are so near the corner.
REACH = (10.0, 100.0)
# Rows of a linear program, for each coefficient: with fewer it has too little choice.
ROWS_PER_COEFFICIENT = 8
# Steps for each width: from a near start five or so are enough.
NEWTON_STEPS = 30
# Halvings of a step: 2^-40 of one is nothing.
HALVINGS = 40
# Share of what its slope promises that a step has to gain at least (Armijo's rule).
GAINED = 1e-4
# Share of the objective: a step that promises less is the last.
CONVERGED = 1e-13
# Share of the curvature that all rows together would have: it is added, as few rows may have any.
DAMPING = 1e-10
# Entries of a linear program that HiGHS solves in seconds.
LARGEST_PROGRAM = 2**20
# Rows up to which a program with all of them is faster than Newton's method.
SMALL_PROGRAM = 500
# Typical residuals: larger ones make the tolerances of HiGHS too coarse for the others.
EVEN = 1e4
# HiGHS leaves a u that is at its bound within this of it (its default tolerance).
AT_BOUND = 1e-7
# Share of the largest singular value, for columns of size 1: a smaller one counts as zero.
NEGLIGIBLE = 1e-13
# A pivot of the root of a matrix with unit diagonal: above it five digits of a solution are right.
WELL_CONDITIONED = 1e-5

Solver = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Constraint:
    """T'A'(w u) is to be ``target`` (k,), for T (m, k), or None for the identity.

    ``exact`` tells to compute the pull A'(w u) without rounding, which T would enlarge.
    """

    problem: JudgedProblem
    T: np.ndarray | None
    target: np.ndarray
    exact: bool

    def missing(self, u: np.ndarray) -> tuple[np.ndarray, bool]:
        """(what T'A'(w u) lacks, (k,), and whether that is nothing but rounding)."""
        design, w = self.problem.design, self.problem.w
        if self.exact:
            pull, error = design.adjoint_exact(w, u)
        else:
            pull = design.adjoint(w * u)
            terms = np.sqrt(w @ np.square(u)) * self.problem.sizes
            error = ROUNDING_SHARE * design.sum_error * terms
        missing = self.target - self.along(pull)
        size = error if self.T is None else np.abs(self.T).T @ error
        return missing, bool(np.all(np.abs(missing) <= size))

    def along(self, v: np.ndarray) -> np.ndarray:
        """T'v, (k,)."""
        return v if self.T is None else self.T.T @ v

    def back(self, xi: np.ndarray) -> np.ndarray:
        """T xi, (m,)."""
        return xi if self.T is None else self.T @ xi

    def fitted(self, xi: np.ndarray) -> np.ndarray:
        """A T xi, (n,)."""
        return self.problem.design.product(self.back(xi))


def at_the_judged(constraint: Constraint) -> Iterator[np.ndarray]:
    """Dual points (n,) for coefficients that are optimal, those that take longer later."""
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
    """Dual points (n,) from near a minimiser, for coefficients that are not optimal: each point
    better than the one before.
    """
    problem = constraint.problem
    loss, r, size = problem.loss, problem.r, np.abs(problem.r)
    known = size > problem.e
    if not known.any():
        return
    typical = float(np.median(size[known]))
    if not loss.has_corner:
        yield _smoothed(constraint, 1.0, np.zeros(len(constraint.target))).u
        return
    if len(r) <= SMALL_PROGRAM and not problem.curvature.any():
        yield _by_program(constraint, np.zeros(len(r)), np.ones(len(r), dtype=bool), r)
        if size.max() <= EVEN * typical:  # that was the best there is
            return
    yield from _near_the_corner(constraint, typical)


@dataclass(frozen=True, slots=True, eq=False)
class Smoothed:
    """The minimiser beta + T ``xi`` for a smoothed loss: the ``constraint`` there, the residuals
    ``r`` (n,) there, and a dual point ``u`` (n,).
    """

    xi: np.ndarray
    constraint: Constraint
    r: np.ndarray
    u: np.ndarray


def _near_the_corner(constraint: Constraint, typical: float) -> Iterator[np.ndarray]:
    """For a loss with a corner: smaller and smaller widths, then a program for the rows near it."""
    loss, n_cols = constraint.problem.loss, constraint.problem.design.n_cols
    widths = np.multiply(WIDTHS, typical)
    found = _smoothed(constraint, widths[0], np.zeros(len(constraint.target)))
    yield found.u
    for width in widths[1:]:
        found = _smoothed(constraint, width, found.xi)
        yield found.u
    size = np.abs(found.r)
    for reach in REACH:
        least = _smallest(size, ROWS_PER_COEFFICIENT * n_cols)
        corner = size <= max(reach * widths[-1], least)
        if corner.sum() * n_cols <= LARGEST_PROGRAM:
            yield _by_program(found.constraint, loss.slope(found.r), corner, found.r)


def _smoothed(constraint: Constraint, width: float, xi: np.ndarray) -> Smoothed:
    """The minimiser for the loss smoothed by ``width``, from beta + T ``xi`` on."""
    loss = constraint.problem.loss
    xi = _newton(constraint, width, xi)
    there, r = _at(constraint, xi), constraint.problem.r - constraint.fitted(xi)
    u = np.clip(r / width, loss.lower, loss.upper)
    return Smoothed(xi, there, r, _corrected(there, u, (u > loss.lower) & (u < loss.upper)))


def _at(constraint: Constraint, xi: np.ndarray) -> Constraint:
    """The constraint at the coefficients beta + T xi."""
    problem, T = constraint.problem, constraint.T
    beta = problem.beta + constraint.back(xi)
    return Constraint(problem, T, constraint.along(problem.curvature * beta), constraint.exact)


def _at_the_corner(constraint: Constraint, corner: np.ndarray) -> np.ndarray:
    """The slopes of all rows but ``corner`` (n,), and for these what the constraint asks for."""
    problem = constraint.problem
    loss, r = problem.loss, problem.r
    middle = 0.5 * (loss.lower + loss.upper)  # where there is most room on both sides
    u = _corrected(constraint, np.where(corner, middle, loss.slope(r)), corner, clip=False)
    outside = np.any(u < loss.lower) or np.any(u > loss.upper)
    if outside and corner.sum() * problem.design.n_cols <= LARGEST_PROGRAM:
        return _by_program(constraint, u, corner, r)
    return np.clip(u, loss.lower, loss.upper)


def _with_room(constraint: Constraint, u: np.ndarray) -> Iterator[np.ndarray]:
    """u a little smaller, so that all rows have room to satisfy the constraint.

    First not for rows very far away: their excess is large unless u is at its bound.
    """
    loss, size = constraint.problem.loss, np.abs(constraint.problem.r)
    near = size <= FAR * np.median(size)
    for rows in (near, np.ones_like(near)):
        for share in SHRINK:
            smaller = np.where(rows, (1.0 - share) * u, u)
            yield _corrected(constraint, smaller, loss.room(smaller))
        if near.all():
            return


def _smallest(size: np.ndarray, count: int) -> float:
    """The count-th smallest of the numbers, or the largest."""
    k = min(count, len(size)) - 1
    return np.partition(size, k)[k]


def _corrected(
    constraint: Constraint, u: np.ndarray, room: np.ndarray, clip: bool = True
) -> np.ndarray:
    """u + room * (A T xi) (n,), which satisfies the constraint with the least change in the metric
    of ``room`` (n,).
    """
    problem, loss = constraint.problem, constraint.problem.loss
    room, solve, last = 1.0 * room, None, np.inf
    for _ in range(CORRECTIONS if len(constraint.target) and room.any() else 0):
        missing, is_rounding = constraint.missing(u)
        if is_rounding:
            break
        solve = solve or _solver(problem, problem.w * room, constraint.T)
        xi = solve(missing)
        # What is missing, measured by the change of u that supplies it.
        size = float(missing @ xi)
        if not size < LEAST_PROGRESS * last:
            break
        u, last = u + room * constraint.fitted(xi), size
    return np.clip(u, loss.lower, loss.upper) if clip else u


def _by_program(
    constraint: Constraint, u: np.ndarray, corner: np.ndarray, r: np.ndarray
) -> np.ndarray:
    """u with the rows ``corner`` chosen such that the constraint holds and the dual is largest.

    u as it was where there is no such choice. With the rows at a bound the constraint determines
    those inside their bounds, which are corrected for the tolerances of the program.
    """
    problem = constraint.problem
    loss, F = problem.loss, np.flatnonzero(corner)
    u = np.where(corner, 0.0, u)
    wanted, _ = constraint.missing(u)
    A, w = problem.design.take(F), problem.w[F]
    equations = (A if constraint.T is None else A @ constraint.T).T * w
    # Equations and worths of about size 1: HiGHS has absolute tolerances.
    size = np.abs(equations).max(axis=1, initial=0.0)
    size[size == 0.0] = 1.0
    left, right, worth = equations / size[:, None], wanted / size, w * r[F]
    if not all(np.all(np.isfinite(part)) for part in (left, right, worth)):
        return np.clip(u, loss.lower, loss.upper)
    program = linprog(
        -worth / (np.abs(worth).max(initial=0.0) or 1.0),
        A_eq=left,
        b_eq=right,
        bounds=(loss.lower, loss.upper),
        method="highs",
    )
    if program.status != 0:
        return np.clip(u, loss.lower, loss.upper)
    inside = (program.x > loss.lower + AT_BOUND) & (program.x < loss.upper - AT_BOUND)
    at_bound = np.where(program.x < 0.5 * (loss.lower + loss.upper), loss.lower, loss.upper)
    u[F] = np.where(inside, program.x, at_bound)
    free = np.zeros(len(u), dtype=bool)
    free[F] = inside
    return _corrected(constraint, u, free)


def _newton(constraint: Constraint, width: float, xi: np.ndarray) -> np.ndarray:
    """The minimiser beta + T xi for the loss smoothed by ``width``: its xi (k,)."""
    problem = constraint.problem
    design, w, curvature = problem.design, problem.w, problem.curvature
    lower, upper = problem.loss.lower, problem.loss.upper

    def value(r: np.ndarray, beta: np.ndarray) -> float:
        u = np.clip(r / width, lower, upper)
        return float(w @ (u * (r - 0.5 * width * u))) + 0.5 * float(curvature @ np.square(beta))

    penalty = _along(constraint, curvature)
    damping = _along(constraint, np.square(problem.sizes)) * (DAMPING / width)
    r = problem.r - constraint.fitted(xi)
    for _ in range(NEWTON_STEPS):
        # 1. The step, from the rows that are not at a bound.
        u, beta = r / width, problem.beta + constraint.back(xi)
        inside = (u > lower) & (u < upper)
        pull = design.adjoint(w * np.clip(u, lower, upper))
        descent = constraint.along(pull - curvature * beta)
        M = design.gram(w * inside / width, constraint.T) + penalty + damping
        step = _solver_of(M)(descent)
        # 2. As much of it as makes the objective smaller.
        before, gain = value(r, beta), float(descent @ step)
        dr, dbeta = constraint.fitted(step), constraint.back(step)
        for k in range(HALVINGS):
            theta = 0.5**k
            wanted = before - GAINED * theta * gain
            if value(r - theta * dr, beta + theta * dbeta) < wanted:
                break
        else:
            return xi
        xi, r = xi + theta * step, r - theta * dr
        if gain <= CONVERGED * before:
            return xi
    return xi


def _along(constraint: Constraint, diagonal: np.ndarray) -> np.ndarray:
    """T' diag(diagonal) T, (k, k)."""
    T = constraint.T
    return np.diag(diagonal) if T is None else T.T @ (T * diagonal[:, None])


def _solver(problem: JudgedProblem, q: np.ndarray, T: np.ndarray | None) -> Solver:
    """The function that solves M xi = b for M = T'A' diag(q) A T; by least squares if M is
    singular.

    Where rooms are many decades apart M has lost the smaller ones, but its root R, R'R = M, has
    not.
    """
    design = problem.design
    M = design.gram(q, T)
    if (design.is_sparse and len(M) > MOST_DENSE) or _factor(M) is not None:
        return _solver_of(M)
    R = design.triangle(q, T)
    size = _or_one(np.linalg.norm(R, axis=0))
    _, sigma, Vt = np.linalg.svd(R / size, full_matrices=False)
    kept = sigma > NEGLIGIBLE * sigma.max(initial=0.0)
    root = Vt[kept] / sigma[kept, None] / size
    return lambda b: root.T @ (root @ b)


def _solver_of(M: np.ndarray) -> Solver:
    """The function that solves M xi = b; by least squares if M is singular."""
    if (solve := _factor(M)) is not None:
        return solve
    size = _or_one(np.sqrt(np.diag(M)))
    values, V = np.linalg.eigh(M / size / size[:, None])
    inverse = np.where(values > NEGLIGIBLE * len(M), 1.0 / np.maximum(values, NEGLIGIBLE), 0.0)
    return lambda b: V @ (inverse * (V.T @ (b / size))) / size


def _factor(M: np.ndarray) -> Solver | None:
    """The function that solves M xi = b by Cholesky, or None where M is too ill-conditioned."""
    size = np.sqrt(np.diag(M))
    if not np.all(size > 0.0):
        return None
    try:
        factor = cho_factor(M / size / size[:, None])
    except LinAlgError:
        return None
    if not np.diag(factor[0]).min(initial=1.0) > WELL_CONDITIONED:
        return None
    return lambda b: cho_solve(factor, b / size) / size


def _or_one(size: np.ndarray) -> np.ndarray:
    """The sizes, 1 where they are 0."""
    return np.where(size > 0.0, size, 1.0)
