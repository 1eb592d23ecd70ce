"""Ties: a minimiser of a corner that goes through many rows, not only through as many as columns.

So it is where y is a count, mostly zero, or where many rows lie on an exact line. The smoothed
problem of ``continuation.py``, with the factor k, tells such a set F: its minimiser leaves rows of
F the residuals k u, and the others of its quadratic piece Q are so near by chance. A few steps of
trimming tell them apart,

    Q_0 = Q,    phi_j = the least squares of the rows Q_j,    Q_j+1 = the rows within 10^-j-1 k,

since each leaves a tenth of those that are near by chance, and all of F, in which they move the fit
ever less. At the end Q_j = F, which phi_j goes through. Without ties a tenth of the rows is left
after the first step, and trimming ends.

That F is the right one is not argued but checked, by its dual (``crossover.py``). It begins at the
dual of the smoothed problem, psi_k(r) / k, which is inside its bounds whatever the size of F: the
least change that also makes it stationary is tiny. The smallest dual of F may be out of bounds
where this one is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..numerics import linalg
from ..numerics.precision import EPS
from ..problem.losses import smooth
from ..problem.problem import Problem, Quadratic
from ..problem.solution import Options, Tally
from .newton import newton

# Each step of trimming keeps rows so many times nearer than the last one.
NEARER = 0.1
# More than this part of the rows is left by a step only if there are ties: of rows that are near by
# chance a step leaves a tenth. A safe margin.
TIED = 0.3
# Rows per column that are many.
MANY = 2
# Steps of trimming at most: the width is then 1e-12 of the first, and below the rounding of most.
STEPS = 12
# Newton steps for the dual of ties at most; it has few knots that count, or none.
DUAL_STEPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Ties:
    """phi (m,) goes through the rows F (n,) bool, and leaves the residuals r (n,)."""

    phi: np.ndarray
    r: np.ndarray
    F: np.ndarray


def ties(problem: Problem, phi: np.ndarray, r: np.ndarray, width: float) -> Ties | None:
    """Many rows that one phi goes through, among those with abs(r) <= width at ``phi`` (m,).

    None if there are none.
    """
    rows, Q = problem.rows, np.abs(r) <= width
    for _ in range(STEPS):
        if np.count_nonzero(Q) < MANY * rows.n_cols:
            return None
        # 1. Least squares of Q.
        factor = linalg.factor(rows.gram(rows.w * Q))
        if not factor.sound:
            return None
        phi = phi + factor.solve(rows.adjoint(rows.w * np.where(Q, r, 0.0)))
        r, width = rows.residual(phi), NEARER * width
        # 2. The rows near it.
        near = np.abs(r) <= width
        if np.array_equal(near, Q):
            return _without_dust(problem, Ties(phi, r, Q))
        if np.count_nonzero(near) < TIED * np.count_nonzero(Q):
            return None
        Q = near
    return None


def _without_dust(problem: Problem, found: Ties) -> Ties:
    """The same with 0 for coefficients that are nothing but rounding, as where y is 0 in F."""
    size = np.abs(found.phi)
    dust = size <= EPS * max(size.sum(), np.abs(found.r).mean())
    if not size[dust].any():
        return found
    phi = np.where(dust, 0.0, found.phi)
    return Ties(phi, problem.rows.residual(phi), found.F)


def dual_of_ties(problem: Problem, found: Ties) -> np.ndarray | None:
    """c (m,) that makes u_F = -Z_F c, clipped to the bounds of the loss, an optimal dual; None if
    there is no such c, and so no minimiser goes through F.

    Among all duals that are optimal with F's it has the least sum of w u^2, which is the dual of

        min over c    sum_F w l_1(-z'c) - h'c,    h = the pull of the other rows, less L'L phi,

    with the smooth loss l_1 that has the slopes of the corner, on F and with y = 0: of the absolute
    loss it is Huber's.
    """
    rows, loss = problem.rows, problem.loss
    pull = rows.w * np.where(found.F, 0.0, loss.pull(found.r))
    h = rows.adjoint(pull) - problem.quadratic.gradient(found.phi)
    tied = rows.subset(np.flatnonzero(found.F))
    tied = replace(tied, y=np.zeros(tied.n_rows))
    slopes = Problem(tied, smooth(loss.lower, loss.upper), Quadratic(np.zeros((0, rows.n_cols)), h))
    given = Options(DUAL_STEPS)
    pair = newton(slopes, np.zeros(rows.n_cols), tied.y, given, Tally(), DUAL_STEPS, enough=0.0)
    return None if pair.exhausted else pair.phi
