"""Factor once, solve many; the rank rule and the fallback of a factorisation, stated once.

Every matrix here is a Gram matrix in coordinates whose columns have about unit size, so that a
reciprocal condition number means the same thing for any data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

EPS = np.finfo(np.float64).eps

# Refined normal equations contract by about EPS * kappa(Z)^2 a step: at kappa^2 = 1e10 that is 1e-6,
# so that two steps end at rounding level.
WELL_CONDITIONED = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """Triangular factor of D^-1 G D^-1, D = diag(G)^(1/2), with its reciprocal condition number.

    ``rcond`` is 0 where G is not numerically positive definite; ``solve`` must not be called then.
    ``sound``: solutions are so accurate that refinement converges fast.
    """

    cholesky: np.ndarray
    scale: np.ndarray
    rcond: float
    sound: bool

    def solve(self, b):
        if not len(self.scale):
            return np.zeros_like(b)
        scaled, _ = lapack.dpotrs(self.cholesky, (b.T / self.scale).T)
        return (scaled.T / self.scale).T


def factor(G: np.ndarray) -> Factor:
    """Factor the symmetric positive semidefinite m x m matrix G."""
    diagonal = np.diag(G)
    if not len(G):
        return Factor(G, diagonal, 1.0, True)
    if not np.all(diagonal > 0.0):
        return Factor(G, diagonal, 0.0, False)
    scale = np.sqrt(diagonal)
    C = G / scale[:, None] / scale
    cholesky, info = lapack.dpotrf(C, clean=True)
    if info != 0:
        return Factor(C, scale, 0.0, False)
    rcond, _ = lapack.dpocon(cholesky, np.abs(C).sum(axis=0).max())
    return Factor(cholesky, scale, float(rcond), rcond >= WELL_CONDITIONED)


def factor_of_root(R: np.ndarray) -> Factor:
    """Factor R'R from R (k, m) itself, in which its condition is not squared."""
    R = np.linalg.qr(R, mode="r")
    scale = np.linalg.norm(R, axis=0)
    if len(R) < R.shape[1] or not np.all(scale > 0.0):
        return Factor(R, scale, 0.0, False)
    rcond, _ = lapack.dtrcon(R / scale)
    return Factor(R / scale, scale, float(rcond) ** 2, rcond >= WELL_CONDITIONED)


def factor_shifted(G: np.ndarray, reference: np.ndarray) -> Factor:
    """Factor G, or G + tau * reference with the least tau = 1e-10, 1e-8, ... that is sound.

    ``reference`` is positive definite.
    """
    result, tau = factor(G), 1e-10
    while not result.sound and tau < 1e4:
        result = factor(G + tau * reference)
        tau *= 100.0
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Singular values (descending, cut at the rank) and right singular vectors of a matrix.

    ``V`` (m, rank) spans the row space, ``N`` (m, m - rank) the null space.
    """

    sigma: np.ndarray
    V: np.ndarray
    N: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.sigma)

    def solve(self, b):
        """The least-norm x with (R'R) x = b, for b in the row space."""
        return self.V @ ((self.V.T @ b) / self.sigma**2)


def spectrum(R: np.ndarray, noise=0.0, *, full: bool = True) -> Spectrum:
    """The rank rule: singular values count as zero up to 10 m EPS times the largest, and up to twice what
    changes of ``noise`` (m,) in the columns of R make of them.

    R (k, m) is a triangular factor of equilibrated columns, so that the cut has no units. Without
    ``full`` the null space is left out, for which m may be large.
    """
    m = R.shape[1]
    if not R.any():
        return Spectrum(np.zeros(0), np.zeros((m, 0)), np.eye(m))
    _, sigma, Vt = np.linalg.svd(R, full_matrices=full)
    blurred = np.linalg.norm(Vt[: len(sigma)] * noise, axis=1)
    kept = sigma > np.maximum(10.0 * m * EPS * sigma[0], 2.0 * blurred)
    dropped = np.append(~kept, np.ones(len(Vt) - len(sigma), dtype=bool))
    return Spectrum(sigma[kept], Vt[: len(sigma)][kept].T, Vt[dropped].T)


def normal_equations(Z: np.ndarray) -> Factor | Spectrum:
    """What solves (Z'Z) x = b for rows Z (k, m): the Cholesky factor, or the spectrum if that is not sound."""
    if len(Z) >= Z.shape[1] and (result := factor(np.dot(Z.T, Z))).sound:
        return result
    return spectrum(np.linalg.qr(Z, mode="r"))


def least_norm(S: Spectrum, inverse_scale: np.ndarray) -> np.ndarray:
    """B with V' diag(scale) B = 1 / sigma and columns in the raw row space, the range of diag(scale) V.

    Raw units may differ by many decades, and a small row of B must be as right as a large one, so that
    nothing may be projected or squared. With r rows of V that span all others and have large scales,
    V_rest = H V_piv, the raw row space is B_rest = K B_piv for K = diag(scale_rest) H diag(scale_piv)^-1,
    and the equation is one for B_piv alone, with ratios of a scale to a larger one only.
    """
    piv, rest = _spanning(S.V, 1.0 / inverse_scale)
    H = np.linalg.solve(S.V[piv].T, S.V[rest].T).T
    ratio = inverse_scale[piv] / inverse_scale[rest, None]  # scale_rest / scale_piv
    M = S.V[piv].T + S.V[rest].T @ (H * np.square(ratio))
    E = np.linalg.solve(M, np.diag(1.0 / S.sigma))
    B = np.empty_like(S.V)
    B[piv] = inverse_scale[piv, None] * E
    B[rest] = (H * ratio) @ B[piv]
    return B


def _spanning(V, scale):
    """Indices of r independent rows of V (p, r), largest scale * distance from the span first, and the others."""
    V, left = V.copy(), np.ones(len(V), dtype=bool)
    piv = []
    for _ in range(V.shape[1]):
        size = np.linalg.norm(V, axis=1) * left
        near = size < 1e-6 * size.max()
        piv.append(int(np.argmax(np.where(near, 0.0, size * scale))))
        left[piv[-1]] = False
        direction = V[piv[-1]] / size[piv[-1]]
        V -= np.outer(V @ direction, direction)
    return np.array(piv), np.flatnonzero(left)
