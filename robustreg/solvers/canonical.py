"""The canonical answer: among all minimisers the one of least norm, then the midpoint intercept.

The dual optimum u tells the whole set of minimisers. With U = {lower < u_i < upper} it is the
polyhedron

    Z_U phi = Z_U phi*             (the residuals in U are the same for every minimiser)
    r_i >= right,  u_i = upper     (phi* is the minimiser that the solver found)
    r_i <= left,   u_i = lower

a single point if Z_U'diag(w_U)Z_U + G is regular. Otherwise phi = phi* + N eta with Z_U N = 0, and
the least norm ||B phi|| over it is a least distance problem: min ||x|| subject to A x >= c
(``least_distance.py``), for the few inequalities that matter, which are found by adding the most
violated ones until none is.

An intercept that no row in U holds moves freely between the largest r_j - left over u_j = lower and
the least r_i - right over u_i = upper. So while the slopes are chosen an inequality is about a pair
(i, j) of rows, and then the intercept goes to the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from ..data.rows import Rows
from ..numerics import linalg
from ..problem.duality import AT_BOUND, rounding
from ..problem.losses import Loss
from ..problem.problem import Problem
from ..problem.solution import Pair
from .least_distance import least_distance

TINY = np.finfo(np.float64).tiny
# Part of what a coefficient is made of, for directions of size 1: a smaller one is rounding.
DUST = 1e-14
# Part of the terms of a fitted value that is its rounding.
STILL = 1e-13
# Part of the rows, from which on a copy of them saves passes over all.
FEW = 0.25
# Inequalities added at a time: with one, every solve of the least distance problem would need a
# pass. So many at least, and this part of the directions, most of which meet one in the end.
BATCH, BATCH_PER_DIRECTION = 8, 0.25
# From so many for each direction on, those that do not hold x are left out again.
MANY = 1.5
# Rounds of adding them: so many, and so many more for each coefficient; each adds one that was not
# there before.
ROUNDS, ROUNDS_PER_COEFFICIENT = 50, 10
# Twice the rounding of both ends: an inequality with less slack, in units of a residual's rounding,
# is tight.
TIGHT = 4.0
# The widest step inside a cone of normalised inequalities is 0 or far above this; so are singular
# values, of this part.
NO_STEP, CONE_RANK = 1e-6, 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A minimiser phi (m,), whether it is the only one, and whether it is the canonical one."""

    phi: np.ndarray
    unique: bool
    canonical: bool = True


def canonical(problem: Problem, pair: Pair) -> Choice:
    """The canonical minimiser among those that the dual of an optimal pair describes."""
    rows, loss, phi = problem.rows, problem.loss, pair.phi
    if not loss.is_bounded or not len(phi):
        return Choice(phi, True)
    noise = rounding(problem, phi)
    U = loss.held(pair.u, AT_BOUND)
    if not loss.is_corner:  # a row whose residual is within rounding of left or right is not held
        U &= np.minimum(loss.upper - pair.u, pair.u - loss.lower) > noise
    if problem.factor(1.0 * U).sound:
        return Choice(phi, True)
    # N spans the directions that keep the residuals in U (and the penalty); slopes, those of them
    # along which the norm is to be minimised.
    held = bool(U.any()) or not rows.intercept
    axes = np.eye(len(phi))
    if problem.quadratic.flat:
        held_rows = rows.subset(np.flatnonzero(U)).normal_equations(np.ones(np.count_nonzero(U)))
        N = axes[:, :0] if isinstance(held_rows, linalg.Factor) else held_rows.N
        N = np.where(np.abs(N) > DUST, N, 0.0)  # in raw units a speck may outweigh the rest
        slopes = N if held else axes[:, : rows.rank]
    else:
        N = axes[:, :0] if held else axes[:, rows.rank :]
        slopes = axes[:, :0]
    if not N.shape[1]:
        return Choice(phi, True)
    side = np.where(U | _still(rows, N), 0.0, np.sign(pair.u))
    face, found = Face(rows, loss, side, noise, held), True
    if slopes.shape[1]:
        phi, found = _least_norm(face, phi, slopes)
    if not held:
        low, high = _interval(face, rows.residual(phi))
        phi = phi + 0.5 * (low + high) * axes[-1]
    point = _is_point(face, phi, N)  # of one point it is the least, too
    return Choice(phi, point, found or point)


def _still(rows: Rows, N: np.ndarray) -> np.ndarray:
    """Rows whose residual no direction along N changes, (n,) bool.

    At the end of their piece, but for rounding, they hold nothing.
    """
    left, some, still = np.arange(rows.n_rows), rows, np.ones(rows.n_rows, dtype=bool)
    for direction in N.T:
        terms = some.magnitude(direction) - np.abs(some.y)
        still &= np.abs(some.fitted(direction)) <= STILL * terms
        if np.count_nonzero(still) <= FEW * len(still):  # most rows move along most directions
            left, some = left[still], some.subset(np.flatnonzero(still))
            still = np.ones(len(left), dtype=bool)
    found = np.zeros(rows.n_rows, dtype=bool)
    found[left[still]] = True
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """The inequalities of the module for the rows with a ``side``, -1 or 1, and not 0 (n,).

    ``noise`` (n,) is how far off rounding makes a residual; ``held`` says whether U holds the
    intercept, if any.
    """

    rows: Rows
    loss: Loss
    side: np.ndarray
    noise: np.ndarray
    held: bool


def _slack(face: Face, r: np.ndarray) -> np.ndarray:
    """How far residuals r (n,) are from violating their inequality; infinite for rows without."""
    return np.where(face.side == 0.0, np.inf, face.loss.slack(r, face.side))


def _interval(face: Face, r: np.ndarray) -> tuple[float, float]:
    """How far the intercept may move (down, up)."""
    slack = _slack(face, r)
    down, up = slack[face.side < 0].min(initial=np.inf), slack[face.side > 0].min(initial=np.inf)
    return -down, up


def _violated(face: Face, r: np.ndarray, most: int):
    """The inequalities most violated at r (n,): arrays i, and j of pairs or None, and slacks.

    At most ``most`` of them; of pairs, a few.
    """
    slack, noise = _slack(face, r), face.noise
    if face.held:
        worst = np.argsort(slack + noise)[:most]
        worst = worst[slack[worst] < -noise[worst]]
        return worst, None, slack[worst]
    # With a free intercept only the sum of two slacks on different sides matters.
    up, down = np.flatnonzero(face.side > 0), np.flatnonzero(face.side < 0)
    i = up[np.argsort(slack[up])[:BATCH]]
    j = down[np.argsort(slack[down])[:BATCH]]
    i, j = (part.ravel() for part in np.meshgrid(i, j))
    total = slack[i] + slack[j]
    bad = np.flatnonzero(total < -(noise[i] + noise[j]))
    bad = bad[np.argsort(total[bad])[:BATCH]]
    return i[bad], j[bad], total[bad]


def _gradient(face: Face, i: np.ndarray, j: np.ndarray | None, N: np.ndarray) -> np.ndarray:
    """Derivatives of the slacks along N, (k, N.shape[1])."""
    A = -face.side[i, None] * (face.rows.take(i) @ N)
    return A if j is None else A - face.side[j, None] * (face.rows.take(j) @ N)


def _least_norm(face: Face, phi: np.ndarray, N: np.ndarray) -> tuple[np.ndarray, bool]:
    """phi + N eta of least ||B phi|| that satisfies every inequality, and whether it was found."""
    B, rank = face.rows.B, face.rows.rank
    BN, N = _decoupled(B, N, rank)
    Q, T = np.linalg.qr(BN)  # x = Q'B phi + T eta, minimal ||x||
    origin = Q.T @ (B @ phi[:rank])
    move = N @ np.linalg.inv(T)  # phi + move (x - origin)
    x, A, c, seen = np.zeros(len(origin)), np.zeros((0, len(origin))), np.zeros(0), []
    active = np.zeros(0, dtype=np.intp)
    most, polished = max(BATCH, int(BATCH_PER_DIRECTION * len(x))), True
    for _ in range(ROUNDS + ROUNDS_PER_COEFFICIENT * len(phi)):
        trial = phi + move @ (x - origin)
        i, j, slack = _violated(face, face.rows.residual(trial), most)
        found = list(zip(i.tolist(), (i if j is None else j).tolist(), strict=True))
        fresh = not set(found) <= set(seen)
        if not fresh and polished:  # satisfied, up to the rounding of x; the gap will tell
            return trial, True
        polished = not fresh
        if fresh:
            rows = _gradient(face, i, j, move)
            A, c, seen = np.vstack([A, rows]), np.append(c, rows @ x - slack), seen + found
        nearest = least_distance(A, c, polished, active)
        if nearest is None:
            break
        x, active = nearest.x, nearest.active
        if len(A) > MANY * (len(x) + most):  # the others may be left out, as ||x|| only grows
            A, c, seen = A[active], c[active], [seen[k] for k in active]
            active = np.arange(len(c))
    return phi, False


def _decoupled(B: np.ndarray, N: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """(B N, N) in another basis of the same directions, in which raw coefficients come apart.

    In raw units a speck of one column's coefficient may outweigh all others. So each direction has
    a coefficient of its own, the largest left, which no other direction moves
    (``linalg.spanning_rows``), and what is rounding beside the terms it is made of is 0.
    """
    size = np.linalg.norm(B, axis=1)  # how far a coefficient goes for phi of size 1
    moved = size > 0.0
    D = B[moved] / size[moved, None] @ N[:rank]
    V = np.linalg.qr(np.where(np.abs(D) > DUST, D, 0.0))[0]
    own, others = linalg.spanning_rows(V, size[moved])
    weights = linalg.combinations(V, own, others)
    BN, place = np.zeros((len(B), N.shape[1])), np.flatnonzero(moved)
    BN[place[own]] = np.eye(len(own))
    BN[place[others]] = weights * (size[place[others], None] / size[place[own]])
    return BN, np.linalg.solve((B[place[own]] @ N[:rank]).T, N.T).T


def _is_point(face: Face, phi: np.ndarray, N: np.ndarray) -> bool:
    """Whether no direction along N leaves every tight inequality satisfied."""
    tight = np.flatnonzero(_slack(face, face.rows.residual(phi)) <= TIGHT * face.noise)
    if len(tight) <= N.shape[1]:
        return False  # a cone needs more than k half-spaces to shrink to a point
    A = _gradient(face, tight, None, N)
    A = A / np.maximum(np.linalg.norm(A, axis=1, keepdims=True), TINY)
    # The direction d in a box with A d >= 0 that goes furthest inside: d = 0 if there is no other.
    box = (-1.0, 1.0)
    cone = linprog(-A.sum(axis=0), A_ub=-A, b_ub=np.zeros(len(A)), bounds=box, method="highs")
    still = cone.status == 0 and -cone.fun < NO_STEP
    return bool(still and np.linalg.matrix_rank(A, CONE_RANK) == N.shape[1])
