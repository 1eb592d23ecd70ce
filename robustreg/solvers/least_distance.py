"""The least distance problem: min ||x|| subject to A x >= c, for rows of A of any length.

By its dual, with K = A A' for rows of length 1,

    max over u >= 0 of  c'u - u'K u / 2,        x = A'u;   u_i > 0 only where A_i x = c_i.

*Few unknowns.* Nonnegative least squares (Lawson & Hanson 1974, chapter 23).

*Many.* The dual method of Goldfarb & Idnani (1983, Math. Program. 27:1), without equations. The
rows that hold x, F = {u_i > 0}, are linearly independent, and K_FF u_F = c_F. A violated row i
joins them, with mu = K_FF^-1 K_Fi:

    u_i = t,   u_F - t mu,      A_i x rises by t s,   s = K_ii - K_iF mu,

until A_i x = c_i, and i is one of F, or an u_k is 0, and k leaves F. Each row that joins raises the
dual's value, so that no F comes twice; if t has no end, no x satisfies all inequalities. K_FF^-1
follows: z z' / s is added, z = (mu, -1), for a row that joins, and z z' / z_k subtracted, z its own
column, for a row k that leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import blas as scipy_blas
from scipy.optimize import nnls

from ..numerics import linalg

blas: Any = scipy_blas  # the stubs do not know of its functions

TINY = np.finfo(np.float64).tiny
# The residual of nonnegative least squares, 0 if no x satisfies all inequalities; the condition of
# the tight ones, which are solved once more; how far, in units of the largest c, the result of that
# may violate one, or it is not taken.
CONTRADICTION, TIGHT_CONDITION, VIOLATION = 1e-14, 1e-12, 1e-9
# In units of the largest c, a violation that no rounding explains: no x satisfies all inequalities.
CONTRADICTED = 1e-3
# Unknowns from which the dual method is faster than nonnegative least squares (measured).
MANY = 100
# Squared distance of a row of length 1 from the span of others, up to which it depends on them.
DEPENDENT = 1e-10
# In units of the largest c, a violation up to this is rounding.
ROUNDED = 1e-13
# Times that all inequalities are looked at, far more than the dual method needs.
SWEEPS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The x of least norm with A x >= c, and the rows of A that hold it, ``active`` (k,)."""

    x: np.ndarray
    active: np.ndarray


def least_distance(
    A: np.ndarray, c: np.ndarray, polished: bool = True, start: Any = ()
) -> Nearest | None:
    """The x of least norm with A x >= c, or None if none is found; to the last digits if
    ``polished``.

    ``start`` (k,) are rows that may hold x.
    """
    size = np.linalg.norm(A, axis=1)
    size = np.where(size > 0.0, size, 1.0)
    A, c = A / size[:, None], c / size
    unit = max(np.abs(c).max(), TINY)
    found = None
    if A.shape[1] >= MANY:
        found = _by_dual(A, c, unit, np.asarray(start, dtype=np.intp))
    found = found or _by_multipliers(A, c, unit)
    return _refined(A, c, unit, found) if found and polished else found


def _refined(A: np.ndarray, c: np.ndarray, unit: float, found: Nearest) -> Nearest:
    """x solved once more from the inequalities that hold it: columns may be decades apart."""
    active, better = found.active, np.zeros(len(found.x))
    A_F = A[active]
    factor = linalg.factor(A_F @ A_F.T)
    for _ in range(3 if len(active) else 0):
        lost = c[active] - A_F @ better
        if factor.sound:
            better = better + A_F.T @ factor.solve(lost)
        else:
            better = better + np.linalg.lstsq(A_F, lost, rcond=TIGHT_CONDITION)[0]
    return Nearest(better, active) if np.all(A @ better - c >= -VIOLATION * unit) else found


def _by_multipliers(A: np.ndarray, c: np.ndarray, unit: float) -> Nearest | None:
    """By nonnegative least squares."""
    E = np.vstack([A.T, c / unit])
    f = np.zeros(len(E))
    f[-1] = 1.0
    try:
        multipliers, _ = nnls(E, f)
    except RuntimeError:  # its iterations are limited
        return None
    residual = E @ multipliers - f
    if -residual[-1] <= CONTRADICTION:
        return None
    x = -residual[:-1] / residual[-1] * unit
    if np.any(A @ x - c < -CONTRADICTED * unit):
        return None
    return Nearest(x, np.flatnonzero(multipliers > 0.0))


def _by_dual(A, c, unit: float, start: np.ndarray) -> Nearest | None:
    """By the dual, from the rows ``start`` (k,); None if no x satisfies all inequalities."""
    K, noise = A @ A.T, ROUNDED * unit
    held = _with_positive(K, c, start, A.shape[1])
    for _ in range(SWEEPS):
        slack = K @ held.u - c
        violated = np.flatnonzero((slack < -noise) & (held.u == 0.0))
        if not len(violated) and np.all(slack[held.u > 0.0] <= VIOLATION * unit):
            return Nearest(A.T @ held.u, np.flatnonzero(held.u))
        if not len(violated):  # the updates have drifted
            held = _with_positive(K, c, np.flatnonzero(held.u), A.shape[1])
        for i in violated[np.argsort(slack[violated])]:
            if c[i] - K[i] @ held.u > noise and not held.join(K, c, i):
                return None
    return None


@dataclass(slots=True, eq=False)
class _Held:
    """Rows F that hold x, and their u (j,).

    Each has a place among as many as can be independent: place k has the row ``F[k]`` if
    ``used[k]``. ``inverse`` is K_FF^-1 in its upper triangle, and 0 in places that are not used.
    """

    F: np.ndarray
    used: np.ndarray
    inverse: np.ndarray
    u: np.ndarray

    def join(self, K: np.ndarray, c: np.ndarray, i: int) -> bool:
        """Step until A_i x = c_i; False if no x satisfies the inequalities of F and i."""
        while True:
            # 1. How far the multipliers go.
            mu = blas.dsymv(1.0, self.inverse, np.where(self.used, K[i, self.F], 0.0))
            s = K[i, i] - K[i, self.F] @ mu
            independent = s > DEPENDENT and not self.used.all()
            full = (c[i] - K[i] @ self.u) / s if independent else np.inf
            ends = np.divide(self.u[self.F], mu, out=np.full(len(mu), np.inf), where=mu > 0.0)
            first = int(np.argmin(ends))
            t = min(full, float(ends[first]))
            if t == np.inf:
                return False
            self.u[self.F[self.used]] -= t * mu[self.used]
            self.u[i] += t
            # 2. Who joins or leaves.
            if t == full:
                place = int(np.argmin(self.used))
                mu[place], self.F[place], self.used[place] = -1.0, i, True
                self.inverse = blas.dsyr(1.0 / s, mu, a=self.inverse, overwrite_a=True)
                return True
            self._leave(first)

    def _leave(self, k: int) -> None:
        z = np.append(self.inverse[:k, k], self.inverse[k, k:])
        self.inverse = blas.dsyr(-1.0 / z[k], z, a=self.inverse, overwrite_a=True)
        self.inverse[:k, k] = self.inverse[k, k:] = self.u[self.F[k]] = 0.0
        self.used[k] = False


def _with_positive(K, c, F: np.ndarray, most: int) -> _Held:
    """F without the rows whose u, of K_FF u_F = c_F, is not positive, in ``most`` places; none of
    F if they depend on each other.
    """
    factor, u_F = linalg.factor(K[np.ix_(F, F)]), np.zeros(0)
    while factor.sound and not np.all((u_F := factor.solve(c[F])) > 0.0):
        F = F[u_F > 0.0]
        factor = linalg.factor(K[np.ix_(F, F)])
    if not factor.sound:
        return _with_positive(K, c, F[:0], most)
    held = _Held(
        np.zeros(most, dtype=np.intp),
        np.arange(most) < len(F),
        np.zeros((most, most), order="F"),
        np.zeros(len(c)),
    )
    held.F[: len(F)], held.u[F] = F, u_F
    if len(F):
        held.inverse[: len(F), : len(F)] = factor.inverse()
    return held
