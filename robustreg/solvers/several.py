"""Several problems as one, with an axis in front: what ``interior_point.py`` asks of a problem."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ..numerics import linalg
from ..problem.losses import Loss
from ..problem.problem import Quadratic
from .interior_point import DIAGONAL_SHIFT


def times(M: np.ndarray, x: np.ndarray, turned: bool = False) -> np.ndarray:
    """M x, or M'x, for M (K, n, m) and x of each."""
    return (x[:, None, :] @ M)[:, 0, :] if turned else (M @ x[:, :, None])[:, :, 0]


@dataclass(frozen=True, slots=True, eq=False)
class SeveralRows:
    """Z (K, n, m), y and w (K, n), for phi (K, m)."""

    Z: np.ndarray
    y: np.ndarray
    w: np.ndarray

    def fitted(self, phi: np.ndarray) -> np.ndarray:
        return times(self.Z, phi)

    def residual(self, phi: np.ndarray) -> np.ndarray:
        return self.y - self.fitted(phi)

    def adjoint(self, a: np.ndarray) -> np.ndarray:
        return times(self.Z, a, turned=True)

    def gram(self, q: np.ndarray) -> np.ndarray:
        return (self.Z * q[:, :, None]).transpose(0, 2, 1) @ self.Z

    def some(self, chosen: np.ndarray) -> SeveralRows:
        return SeveralRows(self.Z[chosen], self.y[chosen], self.w[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class SeveralLosses:
    """The slopes of corners, (K, 1)."""

    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def of(cls, losses: list[Loss]) -> SeveralLosses:
        lower, upper = [loss.lower for loss in losses], [loss.upper for loss in losses]
        return cls(np.array(lower)[:, None], np.array(upper)[:, None])

    def some(self, chosen: np.ndarray) -> SeveralLosses:
        return SeveralLosses(self.lower[chosen], self.upper[chosen])

    @property
    def half_jump(self) -> np.ndarray:
        return 0.5 * (self.upper - self.lower)

    @property
    def middle(self) -> np.ndarray:
        return 0.5 * (self.upper + self.lower)

    @property
    def steepest(self) -> np.ndarray:
        return np.maximum(self.upper, -self.lower)


@dataclass(frozen=True, eq=False)  # no slots: G is made when it is asked for
class SeveralQuadratics:
    """h (K, m), and roots L (K, j, m) of the quadratic terms G = L'L, without settled rows."""

    h: np.ndarray
    L: np.ndarray

    @classmethod
    def of(cls, quadratics: list[Quadratic]) -> SeveralQuadratics:
        return cls(np.stack([one.h for one in quadratics]), np.stack([one.L for one in quadratics]))

    @property
    def flat(self) -> bool:
        """Whether there is no curvature: G = 0."""
        return not self.L.any()

    @functools.cached_property
    def G(self) -> np.ndarray:
        """L'L, (K, m, m)."""
        return self.L.transpose(0, 2, 1) @ self.L

    def gradient(self, phi: np.ndarray) -> np.ndarray:
        """G phi - h, (K, m)."""
        if self.flat:
            return -self.h
        return times(self.L, times(self.L, phi), turned=True) - self.h

    def size(self, phi: np.ndarray) -> np.ndarray:
        """That of the terms that the gradient is made of, (K, m)."""
        return times(np.abs(self.L), np.abs(times(self.L, phi)), turned=True) + np.abs(self.h)

    def some(self, chosen: np.ndarray) -> SeveralQuadratics:
        return SeveralQuadratics(self.h[chosen], self.L[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """K problems with n rows each."""

    rows: SeveralRows
    loss: SeveralLosses
    quadratic: SeveralQuadratics

    def some(self, chosen: np.ndarray) -> Several:
        """Those of an index array or a bool array."""
        rows, loss = self.rows.some(chosen), self.loss.some(chosen)
        return Several(rows, loss, self.quadratic.some(chosen))


@dataclass(frozen=True, slots=True, eq=False)
class SeveralInverses:
    """The ``inverse`` of each diag(scale)^-1 M diag(scale)^-1, (K, m, m), with ``scale`` (K, m) the
    roots of the diagonals. ``sound``: solutions are so accurate that they need no refinement.
    """

    inverse: np.ndarray
    scale: np.ndarray
    sound: bool

    @classmethod
    def of(cls, M: np.ndarray) -> SeveralInverses:
        """Those of positive semidefinite M (K, m, m)."""
        diagonal = np.diagonal(M, axis1=1, axis2=2)
        scale = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
        scaled = M / scale[:, :, None] / scale[:, None, :]
        try:
            inverse = np.linalg.inv(scaled)
        except np.linalg.LinAlgError:
            scaled = scaled + DIAGONAL_SHIFT * np.eye(M.shape[1])
            inverse = np.linalg.inv(scaled)
        rcond = 1.0 / (_norms(scaled) * _norms(inverse))
        return cls(inverse, scale, bool(np.all(rcond >= linalg.WELL_CONDITIONED)))

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x (K, m) for b (K, m)."""
        return times(self.inverse, b / self.scale) / self.scale


def barrier_inverses(several: Several, q: np.ndarray) -> SeveralInverses:
    """Those of Z'diag(q)Z + G for barrier weights q (K, n)."""
    return SeveralInverses.of(several.rows.gram(q) + several.quadratic.G)


def _norms(M: np.ndarray) -> np.ndarray:
    """The largest sum of a column's absolute values, (K,)."""
    return np.abs(M).sum(axis=1).max(axis=1)
