"""The convex problem that every solver minimises.

    f(phi) = sum_i w_i l(r_i) + phi'G phi / 2 - h'phi + c,      r = y - Z phi,   G = L'L + S

``Quadratic`` is all that does not depend on a residual's zone any more: the ridge penalty,
and rows whose zone is settled. ``Problem`` adds the rows whose zone is still open.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ..data.rows import Rows
from ..numerics import linalg
from .losses import Loss


@dataclass(frozen=True, eq=False)  # no slots: G is made when it is asked for
class Quadratic:
    """||L phi||^2 / 2 + phi'S phi / 2 - h'phi + c with L (k, m), h (m,), S (m, m) or None for zero.

    S is the Gram matrix of settled rows, L the root of the penalty. It is kept beside G = L'L + S
    because columns in very different units spread the entries of L'L so far apart that its product
    with phi would round to less than half of the digits of L phi.
    """

    L: np.ndarray
    h: np.ndarray
    c: float = 0.0
    S: np.ndarray | None = None

    @functools.cached_property
    def G(self) -> np.ndarray:
        """L'L + S, (m, m)."""
        G = _square(self.L)
        return G if self.S is None else G + self.S

    @property
    def flat(self) -> bool:
        """Whether there is no curvature: G = 0."""
        return self.S is None and not self.L.any()

    def value(self, phi: np.ndarray) -> float:
        value = float(0.5 * np.sum(np.square(self.L @ phi)) - self.h @ phi) + self.c
        return value if self.S is None else value + 0.5 * float(phi @ self.S @ phi)

    def gradient(self, phi: np.ndarray) -> np.ndarray:
        """G phi - h, (m,)."""
        gradient = self.L.T @ (self.L @ phi) - self.h
        return gradient if self.S is None else gradient + self.S @ phi

    def times(self, factor: float) -> Quadratic:
        """This quadratic times a positive number."""
        S = None if self.S is None else factor * self.S
        return Quadratic(np.sqrt(factor) * self.L, factor * self.h, factor * self.c, S)


def _square(L: np.ndarray) -> np.ndarray:
    """L'L (m, m); at once if L (k, m) has an entry in each row at most, as where columns are the
    features themselves.
    """
    if not len(L):
        return np.zeros((L.shape[1], L.shape[1]))
    row, column = np.nonzero(L)
    if np.any(row[1:] == row[:-1]):
        return L.T @ L
    return np.diag(np.bincount(column, np.square(L[row, column]), L.shape[1]))


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Open rows, their loss, and the quadratic of everything else."""

    rows: Rows
    loss: Loss
    quadratic: Quadratic

    def value(self, r: np.ndarray, phi: np.ndarray) -> float:
        """f at phi, whose residuals are r."""
        return float(self.rows.w @ self.loss.value(r)) + self.quadratic.value(phi)

    def descent(self, u: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """Z'(w u) - G phi + h, (m,): minus the gradient of f if u = l'(r); 0 at an optimum."""
        return self.rows.adjoint(self.rows.w * u) - self.quadratic.gradient(phi)

    def smoothed(self, factor: float) -> Problem:
        """``factor`` times this problem with its loss made smooth: quadratic wherever
        ``loss.reach(r) <= factor``. The linear part of a corner, middle * r, is in the quadratic.
        """
        loss, quadratic = self.loss, self.quadratic
        if loss.is_corner and loss.middle:
            quadratic = self._with_pull(loss.middle * self.rows.w)
        return Problem(self.rows, loss.smoothed(factor), quadratic.times(factor))

    def settled(self, kept: np.ndarray, u: np.ndarray) -> Problem:
        """The problem with the rows ``kept`` (n,) bool open, the others linear of slope u (n,)."""
        quadratic = self._with_pull(self.rows.w * np.where(kept, 0.0, u))
        return Problem(self.rows.subset(np.flatnonzero(kept)), self.loss, quadratic)

    def _with_pull(self, pull: np.ndarray) -> Quadratic:
        """The quadratic and the sum of pull r, for ``pull`` (n,) times the residuals r."""
        rows, quadratic = self.rows, self.quadratic
        h, c = quadratic.h + rows.adjoint(pull), quadratic.c + float(pull @ rows.y)
        return Quadratic(quadratic.L, h, c, quadratic.S)

    def factor(self, q: np.ndarray) -> linalg.Factor:
        """Factor of Z'diag(q)Z + G; by reflections of rows where a Gram matrix loses too much.

        Not of sparse rows: they would be dense, and cost more than all iterations.
        """
        return self.sound_factor(self.rows.gram(q) + self.quadratic.G, q)

    def sound_factor(self, M: np.ndarray, q: np.ndarray) -> linalg.Factor:
        """The same, for M = Z'diag(q)Z + G."""
        factor = linalg.factor(M)
        if factor.sound or self.quadratic.S is not None or self.rows.is_sparse:
            return factor
        root = linalg.factor_of_root(np.vstack([self.rows.triangle(q), self.quadratic.L]))
        return root if root.rcond else factor
