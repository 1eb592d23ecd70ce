"""Frame: the coordinates of a fit in passes, chosen once from some of the rows.

    C = X - shift,   Z = [C / scale, 1]   (n x m),   t = (y - y_shift) / y_scale,   r = t - Z phi

The column of ones is there if there is an intercept. Below the frame there is one system of units,
in which columns and targets have about unit size; the only door back is

    b = y_scale * phi[:p] / scale,    b0 = y_shift + y_scale * phi[p] - shift'b.

Scales are powers of two and so round nothing. They go to the other factor: Z phi = C (phi / scale)
+ phi[p]. A column whose mean is of the size of its spread needs no shift; where none does, C is X
itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..numerics.precision import EPS
from .blocks import dense, mean_squares, product
from .columns import OFFSET, power_of_two
from .source import Part, Refused, Source, spread_out

SAMPLE = 2000  # rows that tell the size of columns and of y
LEAST = 1e-90  # a scale whose square and weighted sums stay far from the ends of float64
UNEVEN = 1e6  # ratio of the largest weight to the least, beyond which digits of light rows are lost


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Coordinates; see the module. ``shift`` (p,) or None for zeros, ``inverse_scale`` (p,)."""

    shift: np.ndarray | None
    inverse_scale: np.ndarray
    intercept: bool
    y_shift: float
    y_scale: float

    @property
    def n_features(self) -> int:
        return len(self.inverse_scale)

    @property
    def n_cols(self) -> int:
        """m: the features, and one for the intercept."""
        return len(self.inverse_scale) + self.intercept

    # -- a part in these coordinates ----------------------------------------------------------
    def centred(self, part: Part):
        """C (k, p) of a part."""
        return part.X if self.shift is None else part.X - self.shift

    def target(self, part: Part) -> np.ndarray:
        """t (k,) of a part."""
        t = part.y - self.y_shift
        if self.y_scale != 1.0:
            t *= 1.0 / self.y_scale
        return t

    def residual(self, part: Part, C, phi: np.ndarray) -> np.ndarray:
        """r = t - Z phi (k,) of a part whose centred columns are C."""
        return self.residual_of(self.target(part), C, phi)

    def residual_of(self, t: np.ndarray, C, phi: np.ndarray) -> np.ndarray:
        """r = t - Z phi (k,), in place of t (k,)."""
        p, r = len(self.inverse_scale), t
        r -= product(C, self.inverse_scale * phi[:p])
        if self.intercept:
            r -= phi[p]
        return r

    def adjoint(self, C, v: np.ndarray) -> np.ndarray:
        """Z'v (m,) of rows whose centred columns are C (k, p), v (k,)."""
        slopes = self.inverse_scale * product(v, C)
        return np.append(slopes, v.sum()) if self.intercept else slopes

    def gram(self, C, w: np.ndarray | None) -> np.ndarray:
        """Z'diag(w)Z (m, m) of rows whose centred columns are C (k, p); w (k,) or None for ones."""
        p, scale = len(self.inverse_scale), self.inverse_scale
        G = np.empty((self.n_cols, self.n_cols))
        weighted = C if w is None else (C.T * w).T
        G[:p, :p] = scale[:, None] * dense(product(C.T, weighted)) * scale
        if self.intercept:
            ones = np.ones(C.shape[0]) if w is None else w
            G[p, :p] = G[:p, p] = scale * product(ones, C)
            G[p, p] = ones.sum()
        return G

    def rows(self, C, out: np.ndarray | None = None) -> np.ndarray:
        """Z (k, m), dense, of rows whose centred columns are C (k, p)."""
        p = len(self.inverse_scale)
        Z = np.empty((C.shape[0], self.n_cols)) if out is None else out
        np.multiply(dense(C), self.inverse_scale, out=Z[:, :p])
        Z[:, p:] = 1.0
        return Z

    def take(self, source: Source, index: np.ndarray | slice, phi: np.ndarray | None = None):
        """(Z (k, m), r (k,), w (k,)) of some rows, residuals at phi (m,) or, without, t."""
        part = source.take(index)
        Z = self.rows(self.centred(part))
        r = self.target(part) if phi is None else self.target(part) - np.dot(Z, phi)
        return Z, r, np.ones(len(r)) if part.w is None else part.w

    # -- the units of the data ----------------------------------------------------------------
    def raw(self, phi: np.ndarray) -> tuple[np.ndarray, float]:
        """(b (p,), b0) in the units of the data."""
        p = len(self.inverse_scale)
        b = self.y_scale * (self.inverse_scale * phi[:p])
        if not self.intercept:
            return b, 0.0
        moved = 0.0 if self.shift is None else self.shift @ b
        return b, float(self.y_shift + self.y_scale * phi[p] - moved)

    def from_raw(self, b: np.ndarray, b0: float) -> np.ndarray:
        """phi (m,) of coefficients in the units of the data: the inverse of ``raw``."""
        slopes = b / (self.y_scale * self.inverse_scale)
        if not self.intercept:
            return slopes
        moved = 0.0 if self.shift is None else self.shift @ b
        return np.append(slopes, (b0 + moved - self.y_shift) / self.y_scale)

    def rounding(self, phi: np.ndarray) -> float:
        """How far off fitted values may be because coefficients are rounded in the units of the
        data.
        """
        b, b0 = self.raw(phi)
        moved = 0.0 if self.shift is None else np.abs(self.shift) @ np.abs(b)
        offsets = (abs(b0) + abs(self.y_shift) + moved) / self.y_scale
        return float(EPS * (offsets + np.abs(phi).sum()))

    def penalty_root(self, strength: float) -> np.ndarray:
        """L (p, m) with ||L phi||^2 = strength * ||b / y_scale||^2."""
        p = len(self.inverse_scale)
        L = np.zeros((p, self.n_cols))
        np.fill_diagonal(L, np.sqrt(strength) * self.inverse_scale)
        return L

    def in_units(self, size: float) -> Frame:
        """The same frame with y in units of ``size``, a power of two, times the present one."""
        return replace(self, y_scale=self.y_scale * size)


def make_frame(source: Source, fit_intercept: bool) -> Frame:
    """Coordinates for dense or CSR rows; Refused if units or weights are too extreme for passes."""
    _check_weights(source)
    few = source.n_rows <= SAMPLE
    part = source.take(slice(None) if few else spread_out(source.n_rows, SAMPLE))
    X = part.X if source.is_sparse else np.asarray(part.X, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        y_shift = _middle(part.y) if fit_intercept else 0.0
        size = np.abs(part.y - y_shift)
        shift, square = _shift_and_square(X, fit_intercept)
    known = square > 0.0
    if not np.all((square < LEAST**-2) & ((square > LEAST**2) | ~known)):
        raise Refused("A column of X has values too large or too small to be squared.")
    if not np.all(np.isfinite(size)):
        raise Refused("y has values that are not finite, or too large to be centred.")
    nonzero = size[size > 0.0]
    typical = (
        float(np.partition(nonzero, len(nonzero) // 2)[len(nonzero) // 2]) if len(nonzero) else 1.0
    )
    if not LEAST < typical < 1.0 / LEAST:
        raise Refused("y has values too large or too small to be squared.")
    scale = power_of_two(np.sqrt(np.where(known, square, 1.0)))
    return Frame(shift, 1.0 / scale, fit_intercept, y_shift, float(power_of_two(typical)))


def _check_weights(source: Any) -> None:
    w = source.w
    if w is None:
        return
    if not LEAST < w.max() < 1.0 / LEAST:
        raise Refused("sample_weight has values too large or too small to be squared.")
    if w.max() > UNEVEN * w.min():
        raise Refused(f"sample_weight has a largest value more than {UNEVEN:g} times the least.")


def _middle(y: np.ndarray) -> float:
    return float(np.partition(y, len(y) // 2)[len(y) // 2])


def _shift_and_square(X, fit_intercept: bool) -> tuple[np.ndarray | None, np.ndarray]:
    """(shift (p,) or None, mean squares about it (p,)) of some rows X (k, p)."""
    square = mean_squares(X)
    if not fit_intercept:
        return None, square
    mean = product(np.full(X.shape[0], 1.0 / X.shape[0]), X)
    far = np.square(mean) > OFFSET**2 / (1.0 + OFFSET**2) * square
    if not far.any():
        return None, square
    if not isinstance(X, np.ndarray):
        raise Refused("A column of the sparse X has a mean far from 0: centred, it would be dense.")
    shift = np.where(far, mean, 0.0)
    square[far] = np.mean(np.square(X[:, far] - shift[far]), axis=0)
    return shift, square
