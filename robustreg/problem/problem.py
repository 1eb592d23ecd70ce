"""The convex problem that every solver minimises.

    f(phi) = sum_i w_i l(r_i) + phi'G phi / 2 - h'phi + c,      r = y - Z phi,   G = L'L + S

``Quadratic`` is all that does not depend on a residual's zone any more: the ridge penalty,
and rows whose zone is settled. ``Problem`` adds the rows whose zone is still open.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..data.rows import Rows
from ..numerics import linalg
from .losses import Loss


@dataclass(frozen=True, slots=True, eq=False)
class Quadratic:
    """||L phi||^2 / 2 + phi'S phi / 2 - h'phi + c with L (k, m), h (m,), S (m, m) or None for zero.

    S is the Gram matrix of settled rows, L the root of the penalty. It is kept beside G = L'L + S because
    columns in very different units spread the entries of L'L so far apart that its product with phi would
    round to less than half of the digits of L phi.
    """

    L: np.ndarray
    h: np.ndarray
    c: float = 0.0
    S: np.ndarray | None = None
    G: np.ndarray = field(init=False)

    def __post_init__(self):
        G = self.L.T @ self.L
        object.__setattr__(self, "G", G if self.S is None else G + self.S)

    @property
    def flat(self) -> bool:
        """Whether there is no curvature: G = 0."""
        return self.S is None and not self.L.any()

    def value(self, phi):
        value = 0.5 * np.sum(np.square(self.L @ phi)) - self.h @ phi + self.c
        return value if self.S is None else value + 0.5 * (phi @ self.S @ phi)

    def gradient(self, phi):
        gradient = self.L.T @ (self.L @ phi) - self.h
        return gradient if self.S is None else gradient + self.S @ phi

    def times(self, factor) -> Quadratic:
        """This quadratic times a positive number."""
        S = None if self.S is None else factor * self.S
        return Quadratic(np.sqrt(factor) * self.L, factor * self.h, factor * self.c, S)


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Open rows, their loss, and the quadratic of everything else."""

    rows: Rows
    loss: Loss
    quadratic: Quadratic

    def value(self, r, phi):
        """f at phi, whose residuals are r."""
        return self.rows.w @ self.loss.value(r) + self.quadratic.value(phi)

    def descent(self, u, phi):
        """Z'Wu - G phi + h: minus the gradient of f when u = l'(r); zero for an optimal pair."""
        return self.rows.adjoint(self.rows.w * u) - self.quadratic.gradient(phi)

    def settled(self, kept, u) -> Problem:
        """The problem with open rows ``kept`` (n,) bool only, the others linear with slope u (n,)."""
        rows, quadratic = self.rows, self.quadratic
        pull = rows.w * np.where(kept, 0.0, u)
        linear = Quadratic(quadratic.L, quadratic.h + rows.adjoint(pull), quadratic.c + pull @ rows.y, quadratic.S)
        return Problem(rows.subset(np.flatnonzero(kept)), self.loss, linear)

    def factor(self, q) -> linalg.Factor:
        """Factor of Z'diag(q)Z + G; by reflections of the rows where the Gram matrix would lose too much."""
        return self.sound_factor(self.rows.gram(q) + self.quadratic.G, q)

    def sound_factor(self, M, q) -> linalg.Factor:
        """The same, for M = Z'diag(q)Z + G."""
        factor = linalg.factor(M)
        if factor.sound or self.quadratic.S is not None:
            return factor
        root = linalg.factor_of_root(np.vstack([self.rows.triangle(q), self.quadratic.L]))
        return root if root.rcond else factor


def ridge_problem(rows: Rows, loss: Loss, alpha: float) -> Problem:
    """The problem of ``LinearRegressor``: all rows open, (W alpha / 2) ||b||^2 as the quadratic.

    ``loss`` and ``alpha`` are in the units of rows.y; W is the sum of the weights.
    """
    m = rows.n_cols
    return Problem(rows, loss, Quadratic(rows.penalty_root(alpha * rows.w.sum()), np.zeros(m)))
