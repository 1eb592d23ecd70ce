"""Several problems as one, with an axis in front: what ``interior_point.py`` asks of a problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..numerics import linalg
from ..problem.losses import Loss

SHIFT = 1e-13  # of the diagonal, for a matrix that has no inverse: some hundred times its rounding


@dataclass(frozen=True, slots=True, eq=False)
class SeveralRows:
    """Z (K, n, m), y and w (K, n), for phi (K, m)."""

    Z: np.ndarray
    y: np.ndarray
    w: np.ndarray

    def fitted(self, phi: np.ndarray) -> np.ndarray:
        return (self.Z @ phi[:, :, None])[:, :, 0]

    def residual(self, phi: np.ndarray) -> np.ndarray:
        return self.y - self.fitted(phi)

    def adjoint(self, a: np.ndarray) -> np.ndarray:
        return (a[:, None, :] @ self.Z)[:, 0, :]

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


@dataclass(frozen=True, slots=True, eq=False)
class SeveralQuadratics:
    """Linear terms, h (K, m), and no quadratic one."""

    h: np.ndarray
    flat = True

    def gradient(self, phi: np.ndarray) -> np.ndarray:
        return -self.h

    @property
    def G(self) -> np.ndarray:
        """Zeros, (m, m)."""
        m = self.h.shape[1]
        return np.zeros((m, m))


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """K problems with n rows each."""

    rows: SeveralRows
    loss: SeveralLosses
    quadratic: SeveralQuadratics

    def some(self, chosen: np.ndarray) -> Several:
        """Those of an index array or a bool array."""
        rows, loss = self.rows.some(chosen), self.loss.some(chosen)
        return Several(rows, loss, SeveralQuadratics(self.quadratic.h[chosen]))


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
            scaled = scaled + SHIFT * np.eye(M.shape[1])
            inverse = np.linalg.inv(scaled)
        rcond = 1.0 / (_norms(scaled) * _norms(inverse))
        return cls(inverse, scale, bool(np.all(rcond >= linalg.WELL_CONDITIONED)))

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x (K, m) for b (K, m)."""
        return (self.inverse @ (b / self.scale)[:, :, None])[:, :, 0] / self.scale


def barrier_inverses(several: Several, q: np.ndarray) -> SeveralInverses:
    """Those of Z'diag(q)Z for barrier weights q (K, n)."""
    return SeveralInverses.of(several.rows.gram(q))


def _norms(M: np.ndarray) -> np.ndarray:
    """The largest sum of a column's absolute values, (K,)."""
    return np.abs(M).sum(axis=1).max(axis=1)
