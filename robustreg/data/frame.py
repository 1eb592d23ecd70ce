"""Frame: the coordinates of a fit in passes, chosen once from some of the rows.

    C = X - shift,   Z = [C / scale, 1]   (n x m),   t = (y - y_shift) / y_scale,   r = t - Z phi

Of several targets t, r and phi have a row for each, and y_shift (k, 1) an entry.

The column of ones is there if there is an intercept. Below the frame there is one system of units,
in which columns and targets have about unit size; the only door back is

    b = y_scale * phi[:p] / scale,    b0 = y_shift + y_scale * phi[p] - shift'b.

Scales are powers of two and so round nothing. They go to the other factor: Z phi = C (phi / scale)
+ phi[p]. A column whose mean is of the size of its spread needs no shift; where none does, C is X
itself.

Where columns of X depend on others, Z has the independent ones only (``independent.py``), and
b = y_scale * B phi[:r] is the vector of least norm with the same fitted values. C still has all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from ..numerics.precision import EPS
from .blocks import dense, mean_squares, product
from .columns import OFFSET, power_of_two
from .csr import shifted
from .independent import Independent
from .pairs import PairProducts
from .source import Part, Refused, Source

SAMPLE = 2000  # rows that tell the size of columns and of y
LEAST = 1e-90  # a scale whose square and weighted sums stay far from the ends of float64
UNEVEN = 1e8  # ratio of the largest weight to the least, beyond which digits of light rows are lost


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Coordinates; see the module.

    ``shift`` (p,) or None for zeros, ``inverse_scale`` (p,). ``independent`` are the columns of Z,
    or None where all columns of X are, as far as is known.
    """

    shift: np.ndarray | None
    inverse_scale: np.ndarray
    intercept: bool
    y_shift: Any
    y_scale: float
    independent: Independent | None = None

    @property
    def rank(self) -> int:
        """The number of columns of Z, without that of ones."""
        return len(self.unit)

    @property
    def n_cols(self) -> int:
        """m: the rank, and one for the intercept."""
        return self.rank + self.intercept

    @property
    def kept(self) -> slice | np.ndarray:
        """The columns of X that Z has."""
        return slice(None) if self.independent is None else self.independent.kept

    @property
    def places(self) -> np.ndarray:
        """Those of the columns of Z among [X, 1], (m,)."""
        p = len(self.inverse_scale)
        places = np.arange(p)[self.kept]
        return np.append(places, p) if self.intercept else places

    @property
    def unit(self) -> np.ndarray:
        """1 / scale of the columns of Z, (rank,)."""
        return self.inverse_scale[self.kept]

    @property
    def B(self) -> np.ndarray:
        """B (p, rank) with b = y_scale * B phi[:rank]."""
        return np.diag(self.inverse_scale) if self.independent is None else self.independent.B

    # -- a part in these coordinates ----------------------------------------------------------
    def centred(self, part: Part, out: np.ndarray | None = None):
        """C (k, p) of a part; of a dense one written to ``out``, which may be float32, if given."""
        if out is not None:
            shift = 0.0 if self.shift is None else self.shift
            return np.subtract(part.X, shift, out=out, casting="same_kind")
        if self.shift is None:
            return part.X
        return shifted(part.X, self.shift) if issparse(part.X) else part.X - self.shift

    def of_centred(self) -> Frame:
        """The same frame for parts whose X is C already."""
        return replace(self, shift=None)

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
        slopes, r = self.spread(phi[..., : self.rank]), t
        r -= product(C, slopes) if phi.ndim == 1 else product(slopes, C.T)
        if self.intercept:
            r -= phi[..., self.rank :]
        return r

    def spread(self, slopes: np.ndarray) -> np.ndarray:
        """The factors (..., p) of the columns of C for slopes (..., rank) of those of Z."""
        if self.independent is None:
            return self.inverse_scale * slopes
        out = np.zeros((*slopes.shape[:-1], len(self.inverse_scale)))
        out[..., self.kept] = self.unit * slopes
        return out

    def adjoint(self, C, v: np.ndarray) -> np.ndarray:
        """Z'v (m,) of rows whose centred columns are C (k, p), v (k,)."""
        slopes = self.unit * product(v, C)[..., self.kept]
        if not self.intercept:
            return slopes
        return np.concatenate([slopes, v.sum(axis=-1, keepdims=True)], axis=-1)

    def gram(self, C, w: np.ndarray | None) -> np.ndarray:
        """Z'diag(w)Z (m, m) of rows whose centred columns are C (k, p); w (k,) or None for ones."""
        rank, kept, unit = self.rank, self.kept, self.unit
        G = np.empty((self.n_cols, self.n_cols))
        if issparse(C):
            of_all = PairProducts(C, once=True).gram(w)
        else:
            root = C if w is None else (C.T * np.sqrt(w)).T
            of_all = np.dot(root.T, root)  # of one matrix: half the flops, and symmetric
        G[:rank, :rank] = unit[:, None] * of_all[kept][:, kept] * unit
        if self.intercept:
            ones = np.ones(C.shape[0]) if w is None else w
            G[rank, :rank] = G[:rank, rank] = unit * product(ones, C)[kept]
            G[rank, rank] = ones.sum()
        return G

    def norms(self, C, K: np.ndarray) -> np.ndarray:
        """The norms (k,) of K z for rows whose centred columns are C (k, p), K (j, m)."""
        reached = product(C, self.spread(K[:, : self.rank]).T)
        if self.intercept:
            reached += K[:, -1]
        return np.sqrt(np.einsum("ij,ij->i", reached, reached))

    def rows(self, C, out: np.ndarray | None = None) -> np.ndarray:
        """Z (k, m), dense, of rows whose centred columns are C (k, p)."""
        Z = np.empty((C.shape[0], self.n_cols)) if out is None else out
        np.multiply(dense(C[:, self.kept]), self.unit, out=Z[:, : self.rank])
        Z[:, self.rank :] = 1.0
        return Z

    def take(self, source: Source, index: np.ndarray | slice, phi: np.ndarray | None = None):
        """(Z (k, m), r (k,), w (k,)) of some rows, residuals at phi (m,) or, without, t."""
        part = source.take(index)
        Z = self.rows(self.centred(part))
        r = self.target(part) if phi is None else self.target(part) - np.dot(Z, phi)
        return Z, r, part.weights

    # -- the units of the data ----------------------------------------------------------------
    def raw(self, phi: np.ndarray) -> tuple[np.ndarray, float]:
        """(b (p,), b0) in the units of the data."""
        b = self.y_scale * self._slopes(phi[: self.rank])
        if not self.intercept:
            return b, 0.0
        return b, float(self.y_shift + self.y_scale * phi[-1] - self._moved(b))

    def from_raw(self, b: np.ndarray, b0: float) -> np.ndarray:
        """phi (m,) of coefficients in the units of the data: the inverse of ``raw``."""
        a = b if self.independent is None else self.independent.slopes(b)
        slopes = a / (self.y_scale * self.unit)
        if not self.intercept:
            return slopes
        return np.append(slopes, (b0 + self._moved(b) - self.y_shift) / self.y_scale)

    def _slopes(self, phi: np.ndarray) -> np.ndarray:
        """B phi (p,), for the slopes of phi (rank,)."""
        return self.unit * phi if self.independent is None else self.independent.B @ phi

    @property
    def _origin(self) -> np.ndarray | float:
        """The shift of all columns of X (p,), of dependent ones what follows from others; or 0."""
        shift = self.shift if self.independent is None else self.independent.shift
        return 0.0 if shift is None else shift

    def _moved(self, b: np.ndarray) -> float:
        """shift'b."""
        return float(np.sum(self._origin * b))

    def rounding(self, phi: np.ndarray) -> float:
        """How far off fitted values may be because coefficients are rounded in the units of the
        data.
        """
        b, b0 = self.raw(phi)
        moved = np.sum(np.abs(self._origin * b))
        offsets = (abs(b0) + abs(self.y_shift) + moved) / self.y_scale
        return float(EPS * (offsets + np.abs(phi).sum()))

    def penalty_root(self, strength: float) -> np.ndarray:
        """L with ||L phi||^2 = strength * ||b / y_scale||^2, (p, m); (0, m) without a penalty."""
        if not strength:
            return np.zeros((0, self.n_cols))
        L = np.zeros((len(self.inverse_scale), self.n_cols))
        L[:, : self.rank] = np.sqrt(strength) * self.B
        return L

    def in_units(self, size: float) -> Frame:
        """The same frame with y in units of ``size``, a power of two, times the present one."""
        return replace(self, y_scale=self.y_scale * size)


def make_frame(source: Source, fit_intercept: bool) -> Frame:
    """Coordinates for dense or CSR rows; Refused if units or weights are too extreme for passes."""
    return make_frames(source, fit_intercept)[0]


def make_frames(source: Source, fit_intercept: bool) -> list[Frame]:
    """The same for each target of the source: they share all that is of X."""
    _check_weights(source)
    return frames_of(source, fit_intercept)


def frames_of(source: Source, fit_intercept: bool) -> list[Frame]:
    """The same, whatever the weights."""
    part = source.some(SAMPLE)
    X = part.X if source.is_sparse else np.asarray(part.X, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        shift, square = _shift_and_square(X, fit_intercept)
    known = square > 0.0
    if not np.all((square < LEAST**-2) & ((square > LEAST**2) | ~known)):
        raise Refused("A column of X has values too large or too small to be squared.")
    inverse_scale = 1.0 / power_of_two(np.sqrt(np.where(known, square, 1.0)))
    units = [_units_of(y, fit_intercept) for y in np.atleast_2d(part.y)]
    return [Frame(shift, inverse_scale, fit_intercept, *unit) for unit in units]


def _units_of(y: np.ndarray, fit_intercept: bool) -> tuple[float, float]:
    """(y_shift, y_scale) for some values y (k,) of a target."""
    with np.errstate(over="ignore", invalid="ignore"):
        y_shift = _middle(y) if fit_intercept else 0.0
        size = np.abs(y - y_shift)
    if not np.all(np.isfinite(size)):
        raise Refused("y has values that are not finite, or too large to be centred.")
    nonzero = size[size > 0.0]
    typical = (
        float(np.partition(nonzero, len(nonzero) // 2)[len(nonzero) // 2]) if len(nonzero) else 1.0
    )
    if not LEAST < typical < 1.0 / LEAST:
        raise Refused("y has values too large or too small to be squared.")
    return y_shift, float(power_of_two(typical))


def _check_weights(source: Source) -> None:
    if source.weight_range is None:
        return
    least, largest = source.weight_range
    if not LEAST < largest < 1.0 / LEAST:
        raise Refused("sample_weight has values too large or too small to be squared.")
    if largest > UNEVEN * least:
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
    shift = np.where(far, mean, 0.0)
    square[far] = np.mean(np.square(dense(X[:, far]) - shift[far]), axis=0)
    return shift, square
