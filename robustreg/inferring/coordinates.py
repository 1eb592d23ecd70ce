"""The coordinates in which covariances are computed, and what of the coefficients is identified.

Fitted values are D a, with independent columns D (n x r) that are well-conditioned: those of a
frame, D = Z, or Z T where those are ill-conditioned. All coefficients, the intercept first, are

    beta = origin + y_scale A a,    A (k, r),

and so a covariance V of a is y_scale^2 A V A' for beta. Where columns of X are dependent, beta is
the vector of least norm. The columns of ``null`` (k, d) are the changes of beta that change no
fitted value: a coefficient that they change is not identified, nor is R beta unless R null = 0.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from ..data.frame import Frame
from ..data.source import Part, Refused, Source, sweep
from ..numerics import linalg
from ..passes.dependence import independent_columns
from ..passes.least_squares import WELL_CONDITIONED, NormalEquations

# Share of the terms of a sum: a smaller sum is 0. A safe margin above rounding.
ROUNDED = 1e-9
# Part of a direction that changes no fitted value, in columns of unit size: a column with less has
# none in it. A safe margin above what is left of a direction by rounding.
NO_PART = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Coordinates:
    """Coordinates of the module; ``gram`` (r, r) is D'diag(w)D, ``T`` (m, r) is None for D = Z."""

    frame: Frame
    T: np.ndarray | None
    gram: np.ndarray
    A: np.ndarray
    null: np.ndarray

    @property
    def rank(self) -> int:
        """r, the number of independent columns, that of ones included."""
        return len(self.gram)

    def inverse_gram(self) -> np.ndarray:
        """(D'diag(w)D)^-1 (r, r), which these coordinates have."""
        return linalg.factor(self.gram).inverse()

    def weighted_gram(self, C, w: np.ndarray | None) -> np.ndarray:
        """D'diag(w)D (r, r) of rows whose centred columns are C."""
        if self.T is None:
            return self.frame.gram(C, w)
        D = self.rows(C)
        return np.dot(D.T, D if w is None else w[:, None] * D)

    def of_all(self, g: np.ndarray) -> np.ndarray:
        """D'v (r,), given [X, 1]'v in the coordinates of the frame with all columns."""
        g = g[self.frame.places]
        return g if self.T is None else self.T.T @ g

    def rows(self, C) -> np.ndarray:
        """D (k, r), dense."""
        Z = self.frame.rows(C)
        return Z if self.T is None else Z @ self.T

    def norms(self, C, K: np.ndarray) -> np.ndarray:
        """The norms (k,) of K d for the rows d of D, K (j, r)."""
        if self.T is None:
            return self.frame.norms(C, K)
        return np.linalg.norm(self.rows(C) @ K.T, axis=1)

    def covariance(self, V: np.ndarray) -> np.ndarray:
        """A V A' (k, k): the covariance of beta / y_scale for that of a."""
        found = self.A @ V @ self.A.T
        return 0.5 * (found + found.T)


def is_estimable(R: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Which rows of R (q, k) have R null = 0, but for rounding, (q,) bool."""
    terms = np.abs(R) @ np.abs(null)
    return np.all(np.abs(R @ null) <= ROUNDED * terms, axis=1)


def of_frame(frame: Frame, gram: np.ndarray) -> Coordinates:
    """D = Z."""
    return Coordinates(frame, None, gram, _back(frame), _null(frame))


def make_coordinates(source: Source, frame: Frame, sums: NormalEquations, rank: int) -> Coordinates:
    """Coordinates for all rows, whose ``sums`` in the frame are known; ``rank`` is that of the fit.

    That takes no pass, one to four where columns are dependent, one where they are nearly so.
    """
    if not np.all(np.isfinite(sums.gram)):
        raise Refused("X has values that are not finite, or too large to be squared.")
    if not linalg.factor(sums.gram).rcond >= WELL_CONDITIONED:
        # Those that are nearly dependent are told by an orthogonal factorisation.
        with suppress(Refused):
            frame = replace(frame, independent=independent_columns(source, frame, sums))
            sums = sums.of(frame)
    if linalg.factor(sums.gram).rcond >= WELL_CONDITIONED:
        return of_frame(frame, sums.gram)
    return _orthogonal(source, frame, rank)


@dataclass(frozen=True, slots=True, eq=False)
class Triangle:
    """R (m, m) with R'R = Z'diag(w)Z, by orthogonal factorisation."""

    R: np.ndarray

    def __add__(self, other: Triangle) -> Triangle:
        return Triangle(linalg.triangle_of(np.vstack([self.R, other.R])))


def triangle(part: Part, frame: Frame) -> Triangle:
    """The kernel of the pass for ill-conditioned columns."""
    Z = frame.rows(frame.centred(part))
    return Triangle(linalg.triangle_of(Z if part.w is None else np.sqrt(part.w)[:, None] * Z))


def _orthogonal(source: Source, frame: Frame, rank: int) -> Coordinates:
    """Coordinates D = Z T with D'diag(w)D = I, of as many columns as the fit has, or fewer."""
    R = sweep(source, triangle, frame).R
    size = np.linalg.norm(R, axis=0)
    size = np.where(size > 0.0, size, 1.0)
    found = linalg.spectrum(R / size)
    k = min(found.rank, rank + frame.intercept)
    T, A = found.V[:, :k] / found.sigma[:k] / size[:, None], _back(frame)
    N = np.column_stack([found.N, found.V[:, k:]])
    N = np.where(np.abs(N) > NO_PART, N, 0.0) / size[:, None]
    null = A @ N
    null = np.where(np.abs(null) > ROUNDED * (np.abs(A) @ np.abs(N)), null, 0.0)
    return Coordinates(frame, T, np.eye(k), A @ T, np.column_stack([_null(frame), null]))


def _back(frame: Frame) -> np.ndarray:
    """A (k, m): beta / y_scale = A phi, but for a constant, for coefficients phi of Z."""
    plain = replace(frame, y_shift=0.0, y_scale=1.0)
    raw = [plain.raw(unit) for unit in np.eye(frame.n_cols)]
    slopes = np.array([b for b, _ in raw]).reshape(frame.n_cols, len(frame.inverse_scale)).T
    return np.vstack([[b0 for _, b0 in raw], slopes]) if frame.intercept else slopes


def _null(frame: Frame) -> np.ndarray:
    """The changes (k, d) of (b0, b) that change no fitted value, as the frame knows them."""
    p, found = len(frame.inverse_scale), frame.independent
    if found is None:
        return np.zeros((p + frame.intercept, 0))
    d = len(found.others)
    null = np.zeros((p, d))
    null[found.kept], null[found.others, np.arange(d)] = found.J, -1.0
    if not frame.intercept:
        return null
    # X_I J + c - X_D = 0, and c is what the shifts leave.
    c = found.shift[found.others] - found.shift[found.kept] @ found.J
    terms = np.abs(found.shift[found.others]) + np.abs(found.shift[found.kept]) @ np.abs(found.J)
    return np.vstack([np.where(np.abs(c) > ROUNDED * terms, c, 0.0), null])
