"""Factor once, solve many; the rank rule and the fallback of a factorisation, stated once.

Every matrix M here is a Gram matrix in coordinates whose columns have about unit size, so that a
reciprocal condition number means the same thing for any data. cond(Z) is the condition number of
the rows Z that M = Z'Z is made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack as scipy_lapack
from scipy.linalg import qr

from .precision import EPS

# Reciprocal condition number, down to which a factor is sound: refined normal equations contract
# by about EPS cond(Z)^2 a step. At cond(Z)^2 = 1e10 that is 1e-6, so that two steps end at
# rounding level.
WELL_CONDITIONED = 1e-10
# Shares of the reference matrix that are added to a matrix without a sound factor: the least that
# is enough, a factor of SHIFT_GROWTH apart. The last one makes all others negligible.
FIRST_SHIFT = 1e-10
SHIFT_GROWTH = 100.0
LAST_SHIFT = 1e4
# Share of the largest singular value, for each column: a smaller one is rounding of the columns.
RANK = 10.0 * EPS
# The same, but for the root of the number of columns: what rounding makes of a dependent direction
# is smaller.
ROUNDED = 2.0 * EPS
# Multiple of what noise in the columns makes of a singular value: a smaller one is not told from 0.
BLURRED = 2.0
# Share of the largest remaining row: a smaller one is too near the span of the rows chosen so far,
# whatever its scale. A safe margin.
DEPENDENT = 1e-6
# Share of the largest weight of a combination of rows: a smaller one is rounding.
SPECK = 1e-13

# Ratio of the largest scale to the least, up to which a pivoted QR factorisation chooses rows: what
# rounding leaves of a row in their span is no larger than others then.
NEAR_UNITS = 1e4

lapack: Any = scipy_lapack  # the stubs do not know of its functions


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """Triangular factor of diag(scale)^-1 M diag(scale)^-1, where scale is the root of diag(M).

    ``rcond`` is the reciprocal condition number of that matrix. It is 0 where M is not numerically
    positive definite; ``solve`` must not be called then. ``sound``: solutions are so accurate that
    refinement converges fast.
    """

    cholesky: np.ndarray
    scale: np.ndarray
    rcond: float
    sound: bool

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x with M x = b, for b (m,) or (m, k)."""
        if not len(self.scale):
            return np.zeros_like(b)
        scaled, _ = lapack.dpotrs(self.cholesky, (b.T / self.scale).T)
        return (scaled.T / self.scale).T

    def inverse(self) -> np.ndarray:
        """M^-1, (m, m)."""
        upper, _ = lapack.dpotri(self.cholesky)
        scaled = np.triu(upper) + np.triu(upper, 1).T
        return scaled / self.scale[:, None] / self.scale

    def inverse_root(self) -> np.ndarray:
        """K (m, m) with K'K = M^-1."""
        inverse, _ = lapack.dtrtri(self.cholesky)
        return inverse.T / self.scale


def factor(M: np.ndarray) -> Factor:
    """Factor the symmetric positive semidefinite matrix M (m, m)."""
    diagonal = np.diag(M)
    if not len(M):
        return Factor(M, diagonal, 1.0, True)
    if not np.all(diagonal > 0.0):
        return Factor(M, diagonal, 0.0, False)
    scale = np.sqrt(diagonal)
    scaled = M / scale[:, None]
    scaled /= scale
    size = lapack.dlange("1", scaled.T)
    # Turned over, in which order LAPACK has it: then it needs no copy, a fourth of the time.
    cholesky, info = lapack.dpotrf(scaled.T, clean=True, overwrite_a=True)
    if info != 0:
        return Factor(cholesky, scale, 0.0, False)
    rcond, _ = lapack.dpocon(cholesky, size)
    return Factor(cholesky, scale, float(rcond), rcond >= WELL_CONDITIONED)


def factor_of_root(R: np.ndarray) -> Factor:
    """Factor R'R from R (k, m) itself, in which its condition is not squared."""
    R = triangle_of(R)
    scale = np.linalg.norm(R, axis=0)
    if len(R) < R.shape[1] or not np.all(scale > 0.0):
        return Factor(R, scale, 0.0, False)
    rcond, _ = lapack.dtrcon(R / scale)
    return Factor(R / scale, scale, float(rcond) ** 2, rcond >= WELL_CONDITIONED)


def factor_shifted(M: np.ndarray, reference: np.ndarray) -> Factor:
    """Factor M, or M + shift * reference with the least shift = 1e-10, 1e-8, ... that is sound.

    ``reference`` (m, m) is positive definite.
    """
    result, shift = factor(M), FIRST_SHIFT
    while not result.sound and shift < LAST_SHIFT:
        result = factor(M + shift * reference)
        shift *= SHIFT_GROWTH
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Singular values (descending, cut at the rank) and right singular vectors of a matrix.

    ``sigma`` is (rank,). ``V`` (m, rank) spans the row space, ``N`` (m, m - rank) the null space.
    ``faint`` (m, k) are those of N, divided by their singular values, that the numbers tell from
    dependent ones, but with too few digits to fit them.
    """

    sigma: np.ndarray
    V: np.ndarray
    N: np.ndarray
    faint: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.sigma)

    def solve(self, b: np.ndarray) -> np.ndarray:
        """The least-norm x with (R'R) x = b, for b in the row space."""
        return self.V @ ((self.V.T @ b) / self.sigma**2)


def spectrum(R: np.ndarray, noise: Any = 0.0, *, full: bool = True) -> Spectrum:
    """The rank rule: which singular values count as zero.

    Those up to 10 m EPS times the largest, and up to twice what changes of ``noise`` (m,) in the
    columns of R make of them. R (k, m) is a triangular factor of equilibrated columns, so that the
    cut has no units. Without ``full`` the null space is left out, for which m may be large.
    """
    m = R.shape[1]
    if not R.any():
        return Spectrum(np.zeros(0), np.zeros((m, 0)), np.eye(m), np.zeros((m, 0)))
    _, sigma, Vt = np.linalg.svd(R, full_matrices=full)
    blurred = np.linalg.norm(Vt[: len(sigma)] * noise, axis=1)
    kept = sigma > np.maximum(RANK * m * sigma[0], BLURRED * blurred)
    told = sigma > np.maximum(ROUNDED * np.sqrt(m) * sigma[0], BLURRED * blurred)
    faint = told & ~kept
    dropped = np.append(~kept, np.ones(len(Vt) - len(sigma), dtype=bool))
    some = Vt[: len(sigma)]
    return Spectrum(sigma[kept], some[kept].T, Vt[dropped].T, some[faint].T / sigma[faint])


def triangle_of(Z: np.ndarray) -> np.ndarray:
    """The triangular R with R'R = Z'Z for rows Z (k, m), by Householder reflections."""
    R: Any = np.linalg.qr(Z, mode="r")  # an array; the stubs say it is a pair
    return R


def least_norm(found: Spectrum, inverse_scale: np.ndarray) -> np.ndarray:
    """B (p, rank) with V' diag(scale) B = diag(1 / sigma), and columns in the raw row space.

    That is the range of diag(scale) V, for the V and sigma of a spectrum and scale (p,) > 0. Raw
    units may differ by many decades, and a small row of B must be as right as a large one, so that
    nothing may be projected or squared.

    Let ``spanning`` be rank rows of V that span all others and have large scales, and
    V_others = weights V_spanning. The raw row space is then

        B_others = diag(scale_others) weights diag(scale_spanning)^-1 B_spanning,

    and the equation is one for B_spanning alone, with ratios of a scale to a larger one only.
    """
    V = found.V
    spanning, others = spanning_rows(V, 1.0 / inverse_scale)
    weights = combinations(V, spanning, others)
    # scale_others / scale_spanning
    ratio = inverse_scale[spanning] / inverse_scale[others, None]
    equations = V[spanning].T + V[others].T @ (weights * np.square(ratio))
    scaled = np.linalg.solve(equations, np.diag(1.0 / found.sigma))
    B = np.empty_like(V)
    B[spanning] = inverse_scale[spanning, None] * scaled
    B[others] = (weights * ratio) @ B[spanning]
    return B


def combinations(V: np.ndarray, spanning: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The weights with V_others = weights V_spanning, and 0 where they are rounding.

    In raw units a speck of a row may outweigh the rest.
    """
    weights = np.linalg.solve(V[spanning].T, V[others].T).T
    size = np.abs(weights)
    return np.where(size > SPECK * size.max(axis=1, initial=0.0, keepdims=True), weights, 0.0)


def spanning_rows(V: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of rank independent rows of V (p, rank), and of the others.

    The largest scale * distance from the span of those chosen first.
    """
    if scale.max() <= NEAR_UNITS * scale.min():
        found: Any = qr((V * scale[:, None]).T, mode="r", pivoting=True)
        order = found[1]
        return order[: V.shape[1]], np.sort(order[V.shape[1] :])
    V, left = V.copy(), np.ones(len(V), dtype=bool)
    chosen = []
    for _ in range(V.shape[1]):
        size = np.linalg.norm(V, axis=1) * left
        near = size < DEPENDENT * size.max()
        chosen.append(int(np.argmax(np.where(near, 0.0, size * scale))))
        left[chosen[-1]] = False
        # What of the other rows this one does not span.
        direction = V[chosen[-1]] / size[chosen[-1]]
        V -= np.outer(V @ direction, direction)
    return np.array(chosen), np.flatnonzero(left)
