"""The canonical answer: among all minimisers the one of least norm, then the midpoint intercept.

The dual optimum u tells the whole set of minimisers. With S = {abs(u_i) < bound} it is the polyhedron

    Z_S phi = Z_S phi*             (the residuals in S are the same for every minimiser)
    s_i r_i >= knot,  i not in S   (s = sign(u); phi* is the minimiser that the solver found)

a single point if Z_S'W_S Z_S + G is regular. Otherwise phi = phi* + N eta with Z_S N = 0, and the
least norm ||B phi|| over it is a least distance problem: min ||x|| subject to A x >= c (Lawson & Hanson
1974, chapter 23), solved by nonnegative least squares over the few inequalities that matter, which
are found by adding the most violated ones until none is.

An intercept that no row in S holds moves freely between max(r_j + knot) over s_j < 0 and
min(r_i - knot) over s_i > 0. So while the slopes are chosen an inequality is about a pair (i, j) of
rows, and then the intercept goes to the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, nnls

from ..numerics import linalg
from ..problem.duality import rounding
from ..problem.problem import Problem
from ..problem.solution import Pair

DUST = 1e-15  # an entry of orthonormal columns that is rounding
AT_BOUND = 1e-9  # an exact dual is either rounding away from its bound or well inside
STILL = 1e-13  # of the terms of a fitted value is rounding
BATCH = 8  # inequalities added at a time


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A minimiser phi (m,), whether it is the only one, and whether it is the canonical one."""

    phi: np.ndarray
    unique: bool
    canonical: bool = True


def canonical(problem: Problem, pair: Pair) -> Choice:
    """The canonical minimiser among those that the dual of an optimal pair describes."""
    rows, loss, phi = problem.rows, problem.loss, pair.phi
    if np.isinf(loss.bound) or not len(phi):
        return Choice(phi, True)
    noise = rounding(problem, phi)
    S = np.abs(pair.u) < loss.bound * (1.0 - AT_BOUND)
    if loss.knot:  # a row within rounding of the knot
        S &= loss.bound - np.abs(pair.u) > noise
    if problem.factor(1.0 * S).sound:
        return Choice(phi, True)
    # N spans the directions that keep the residuals in S (and the penalty); slopes, those of them
    # along which the norm is to be minimised.
    held = bool(S.any()) or not rows.intercept
    axes = np.eye(len(phi))
    if problem.quadratic.flat:
        N = linalg.spectrum(rows.triangle(1.0 * S)).N
        N = np.where(np.abs(N) > DUST, N, 0.0)  # in raw units a speck may outweigh the rest
        slopes = N if held else axes[:, : rows.rank]
    else:
        N = axes[:, :0] if held else axes[:, rows.rank :]
        slopes = axes[:, :0]
    if not N.shape[1]:
        return Choice(phi, True)
    face = _Face(problem, pair.u, S | _fixed(rows, N), noise, held)
    found = True
    if slopes.shape[1]:
        phi, found = face.least_norm(phi, slopes)
    if not held:
        low, high = face.interval(rows.residual(phi))
        phi = phi + 0.5 * (low + high) * axes[-1]
    point = face.is_point(phi, N)  # of one point it is the least, too
    return Choice(phi, point, found or point)


def _fixed(rows, N):
    """Rows whose residual no direction along N changes, (n,): at the knot but for rounding, they hold nothing."""
    still = np.ones(rows.n_rows, dtype=bool)
    for direction in N.T:
        still &= np.abs(rows.fitted(direction)) <= STILL * (rows.magnitude(direction) - np.abs(rows.y))
    return still


class _Face:
    """The inequalities s_i r_i >= knot of one problem, as slacks and as gradients."""

    def __init__(self, problem, u, S, noise, held):
        self.rows, self.knot, self.held = problem.rows, problem.loss.knot, held
        self.s, self.noise = np.where(S, 0.0, np.sign(u)), noise

    def slack(self, r):
        """s r - knot, infinite for rows in S."""
        return np.where(self.s == 0.0, np.inf, self.s * r - self.knot)

    def interval(self, r):
        """How far the intercept may move (down, up)."""
        slack = self.slack(r)
        return -slack[self.s < 0].min(initial=np.inf), slack[self.s > 0].min(initial=np.inf)

    def violated(self, r):
        """Pairs (index array of rows i, index array of rows j or None, slack) most violated at r."""
        slack, noise = self.slack(r), self.noise
        if self.held:
            worst = np.argsort(slack + noise)[:BATCH]
            worst = worst[slack[worst] < -noise[worst]]
            return worst, None, slack[worst]
        up, down = np.flatnonzero(self.s > 0), np.flatnonzero(self.s < 0)
        i = up[np.argsort(slack[up])[:BATCH]]
        j = down[np.argsort(slack[down])[:BATCH]]
        i, j = (part.ravel() for part in np.meshgrid(i, j))
        total = slack[i] + slack[j]
        bad = np.flatnonzero(total < -(noise[i] + noise[j]))
        bad = bad[np.argsort(total[bad])[:BATCH]]
        return i[bad], j[bad], total[bad]

    def gradient(self, i, j, N):
        """Derivatives of the slacks along N, (k, N.shape[1])."""
        A = -self.s[i, None] * (self.rows.take(i) @ N)
        return A if j is None else A - self.s[j, None] * (self.rows.take(j) @ N)

    def least_norm(self, phi, N):
        """phi + N eta of least ||B phi|| that satisfies every inequality, and whether it was found."""
        B = self.rows.B
        Q, T = np.linalg.qr(B @ N[: self.rows.rank])  # x = Q'B phi + T eta, minimal ||x||
        origin = Q.T @ (B @ phi[: self.rows.rank])
        move = N @ np.linalg.inv(T)  # phi + move (x - origin)
        x, A, c, seen = np.zeros(len(origin)), np.zeros((0, len(origin))), np.zeros(0), set()
        for _ in range(50 + 10 * len(phi)):
            trial = phi + move @ (x - origin)
            i, j, slack = self.violated(self.rows.residual(trial))
            fresh = {(a, b) for a, b in zip(i, i if j is None else j, strict=True)} - seen
            if not fresh:  # satisfied, up to the rounding of x; the gap will tell
                return trial, True
            seen |= fresh
            rows = self.gradient(i, j, move)
            A, c = np.vstack([A, rows]), np.append(c, rows @ x - slack)
            x = least_distance(A, c)
            if x is None:
                break
        return phi, False

    def is_point(self, phi, N):
        """Whether no direction along N leaves every tight inequality satisfied."""
        r = self.rows.residual(phi)
        tight = np.flatnonzero(self.slack(r) <= 4.0 * self.noise)
        if len(tight) <= N.shape[1]:
            return False  # a cone needs more than k half-spaces to shrink to a point
        A = self.gradient(tight, None, N)
        A = A / np.maximum(np.linalg.norm(A, axis=1, keepdims=True), np.finfo(float).tiny)
        cone = linprog(-A.sum(axis=0), A_ub=-A, b_ub=np.zeros(len(A)), bounds=(-1.0, 1.0), method="highs")
        return cone.status == 0 and -cone.fun < 1e-6 and np.linalg.matrix_rank(A, 1e-9) == N.shape[1]


def least_distance(A, c):
    """The x of least norm with A x >= c, or None if none is found."""
    size = np.linalg.norm(A, axis=1)
    size = np.where(size > 0.0, size, 1.0)
    A, c = A / size[:, None], c / size
    unit = max(np.abs(c).max(), np.finfo(float).tiny)
    E = np.vstack([A.T, c / unit])
    f = np.zeros(len(E))
    f[-1] = 1.0
    try:
        multipliers, _ = nnls(E, f)
    except RuntimeError:  # its iterations are limited
        return None
    residual = E @ multipliers - f
    if -residual[-1] <= 1e-14:
        return None
    x = -residual[:-1] / residual[-1] * unit
    active, polished = multipliers > 0.0, np.zeros(len(x))
    for _ in range(3 if active.any() else 0):  # refined: columns may be decades apart
        lost = c[active] - A[active] @ polished
        polished = polished + np.linalg.lstsq(A[active], lost, rcond=1e-12)[0]
    return polished if np.all(A @ polished - c >= -1e-9 * unit) else x
