"""How the columns of X are stored, centred and scaled: dense by blocks of rows, or sparse.

Z = (X - shift) / scale stands for the n x p matrix that the solvers see. It is never formed whole
(unless it fits into one block): each verb goes through blocks of rows, converting to float64 there.
Subtracting first and scaling by a power of two afterwards rounds each entry once, so that a column
with a large offset loses nothing that its data still hold. A column whose mean is of the size of
its spread needs no shift; if none does, X is used as it is and the scales go to the other factor,
which is the same but for the cost.

    peak           the largest abs(X) of each column   (p,)
    dot(v)         Z v                                 (n,)
    magnitude(v)   abs(Z) v, for v >= 0                (n,)
    tdot(v)        Z'v                                 (p,)
    gram(q, T)     (Z T)' diag(q) (Z T)                q >= 0; rows with q = 0 are skipped
    products_of_rows(s)   Z diag(s^2) Z'               (n, n)
    times(A)       Z A for A (p, k)                    (n, k)
    combined(A)    Z'A for A (n, k)                    (p, k)
    take(index)    the rows index of Z                 dense
    blocks()       (slice, rows of Z) in order         dense, each of about BLOCK entries

Sparse columns are split: a column that is mostly zeros stays sparse and is not shifted (its mean is
then at most its standard deviation, so that the shift would gain nothing), and a column that is
mostly not zero is held dense, where it can be shifted.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import numpy as np
from scipy import sparse

from ..numerics.precision import EPS
from .blocks import Blocks, NotFiniteError
from .csr import CsrColumns, canonical_csr, scaled, slices

# Standard deviations: a mean up to so many is not subtracted. It costs a factor of 17 in
# conditioning, which is no digit.
OFFSET = 4.0
# Scales up to it, and down to its inverse, neither overflow nor underflow when they are moved or
# squared.
MODERATE = 2.0**300
# A column with larger entries could overflow when it is centred.
LARGEST = 2.0**1022
# Roundings of its largest entry: a centred column that varies by less is a constant.
CONSTANT = 4.0 * EPS
# Share of the weight with an entry other than 0, above which a sparse column is held dense.
FULL = 0.5
# Share of the rows of a block: with fewer of positive weight, the others are left out first.
LIVE = 0.75
# Entries of a strip of columns, 16 MB of float64, and columns of one at least: products of narrower
# ones are slow.
STRIP, LEAST_COLUMNS = 2**21, 64
# Share of entries other than 0, up to which products of sparse matrices are faster than dense ones.
SPARSE_PRODUCTS = 0.05
# The least power of two whose reciprocal is finite.
LEAST_EXPONENT = -1021


class DenseColumns:
    """Columns of a 2-D array of any real dtype and order; the array is only read."""

    def __init__(
        self, X: np.ndarray, shift: np.ndarray, inverse_scale: np.ndarray, peak: np.ndarray | None
    ):
        self.n_rows, self.n_cols = X.shape
        self.shift, self.inverse_scale = shift, inverse_scale
        self.peak: Any = peak  # None where columns are given as they are: nothing asks for it there
        varying = inverse_scale[inverse_scale != 0.0]
        moderate = np.all((varying < MODERATE) & (varying > 1.0 / MODERATE))
        # Moderate scales go to the other factor; the blocks are then those of X itself.
        self.outer = inverse_scale if moderate and np.any(inverse_scale != 1.0) else None
        self.inner = Blocks(X, shift if shift.any() else None, None if moderate else inverse_scale)

    @classmethod
    def given(cls, Z: np.ndarray) -> DenseColumns:
        """The columns of Z (n, m) float64 as they are, with shift 0 and scale 1."""
        # In 6 us, not the 26 of __init__: many of a few rows are made.
        columns = cls.__new__(cls)
        columns.n_rows, columns.n_cols = Z.shape
        columns.shift, columns.inverse_scale = np.zeros(Z.shape[1]), np.ones(Z.shape[1])
        columns.peak = columns.outer = None
        columns.inner = Blocks(Z)
        return columns

    @classmethod
    def standardised(
        cls, X: np.ndarray, w: np.ndarray, centre: bool, offset: float = OFFSET
    ) -> DenseColumns:
        """Columns of X scaled to about unit size with weights w (n,), and shifted if ``centre``."""
        return cls(X, *_standardise(X, w / w.sum(), centre, offset))

    def some(self, kept: np.ndarray) -> DenseColumns:
        """The columns ``kept`` (r,), ascending, shifted and scaled as they are here."""
        peak = None if self.peak is None else self.peak[kept]
        X = self.inner.X[:, kept]
        return DenseColumns(X, self.shift[kept], self.inverse_scale[kept], peak)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        for rows, block in self.inner:
            yield rows, block if self.outer is None else block * self.outer

    def _outer(self, v: np.ndarray) -> np.ndarray:
        return v if self.outer is None else self.outer * v

    def dot(self, v: np.ndarray) -> np.ndarray:
        out, v = np.empty(self.n_rows), self._outer(v)

        def kernel(rows: slice, block: np.ndarray) -> None:
            np.dot(block, v, out=out[rows])

        self.inner.sweep(kernel)
        return out

    def magnitude(self, v: np.ndarray) -> np.ndarray:
        out, v = np.empty(self.n_rows), self._outer(v)

        def kernel(rows: slice, block: np.ndarray) -> None:
            np.dot(np.abs(block), v, out=out[rows])

        self.inner.sweep(kernel)
        return out

    def tdot(self, v: np.ndarray) -> np.ndarray:
        return self._outer(self.inner.sweep(lambda rows, block: (np.dot(v[rows], block),))[0])

    def gram(self, q: np.ndarray, T: np.ndarray | None = None) -> np.ndarray:
        if T is not None:
            T = T if self.outer is None else self.outer[:, None] * T
        M = self.inner.sweep(lambda rows, block: (gram_of_block(block, q[rows], T),))[0]
        return M if self.outer is None or T is not None else self.outer[:, None] * M * self.outer

    def products_of_rows(self, s: np.ndarray) -> np.ndarray:
        M = np.zeros((self.n_rows, self.n_rows))
        for columns, strip in self._strips():
            strip = strip * s[columns]
            M += np.dot(strip, strip.T)
        return M

    def times(self, A: np.ndarray) -> np.ndarray:
        out = np.zeros((self.n_rows, A.shape[1]))
        for columns, strip in self._strips():
            out += np.dot(strip, A[columns])
        return out

    def combined(self, A: np.ndarray) -> np.ndarray:
        out = np.empty((self.n_cols, A.shape[1]))
        for columns, strip in self._strips():
            np.dot(strip.T, A, out=out[columns])
        return out

    def _strips(self) -> Iterator[tuple[slice, np.ndarray]]:
        """(slice, columns of Z) in order, each of about STRIP entries."""
        step = max(LEAST_COLUMNS, STRIP // max(1, self.n_rows))
        for start in range(0, self.n_cols, step):
            columns = slice(start, start + step)
            strip = self.inner.X[:, columns].astype(np.float64)
            yield columns, (strip - self.shift[columns]) * self.inverse_scale[columns]

    def take(self, index: Any) -> np.ndarray:
        block = self.inner.take(index)
        return block if self.outer is None else block * self.outer


def _standardise(
    X: np.ndarray, share: np.ndarray, centre: bool, offset: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(shift, 1 / scale, peak), (p,) each, for the ``share`` (n,) of each row in the weight.

    By weighted means, and root mean squares about them, as safe from overflow as X is.
    """
    plain = Blocks(X)

    def first(rows, block):
        with np.errstate(over="ignore", invalid="ignore"):  # such columns are refused below
            mean = share[rows] @ block
        return [block.min(axis=0)], [block.max(axis=0)], mean

    low, high, mean = plain.sweep(first)
    low, high = np.min(low, axis=0), np.max(high, axis=0)
    if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
        raise NotFiniteError
    peak = np.maximum(np.abs(low), np.abs(high))
    _refuse_too_large(peak)
    mean = np.clip(mean, low, high) if centre else np.zeros(len(mean))
    unit = power_of_two(peak)

    def second(rows, block):
        return (share[rows] @ np.square((block - mean) / unit),)

    spread = np.sqrt(plain.sweep(second)[0])
    # A centred column that varies by a few units in its last place only is a constant.
    empty = high - low <= CONSTANT * peak if centre else peak == 0.0
    # The spread is lost where weights are near 0: then that of the rows, whatever their weights.
    spread = np.where(spread > 0.0, spread, np.where(empty, 0.0, (high - low) / unit))
    shift = np.where(empty | (np.abs(mean) / unit > offset * spread), mean, 0.0)
    spread = np.hypot(spread, (mean - shift) / unit)
    inverse = _reciprocal(unit * power_of_two(np.where(empty, 1.0, spread)))
    return shift, np.where(empty, 0.0, inverse), peak


def _refuse_too_large(peak: np.ndarray) -> None:
    """ValueError if a column has entries that could overflow when it is centred."""
    if np.any(peak > LARGEST):
        raise ValueError(
            f"X has entries as large as {peak.max():.3g}, too close to the largest float64 "
            "to compute with; rescale that column."
        )


class SparseColumns:
    """Columns of a SciPy sparse matrix or array in CSR form."""

    def __init__(self, X: Any, w: np.ndarray, centre: bool, offset: float = OFFSET):
        self.n_rows, self.n_cols = X.shape
        share, X = w / w.sum(), canonical_csr(X)
        filled = share @ sparse.csr_array((np.ones(X.nnz), X.indices, X.indptr), shape=X.shape)
        self.full = np.flatnonzero(filled > FULL)
        self.thin = np.flatnonzero(filled <= FULL)
        self.dense = DenseColumns.standardised(X[:, self.full].toarray(), w, centre, offset)
        self.shift = np.zeros(self.n_cols)
        self.shift[self.full] = self.dense.shift
        self.inverse_scale = np.empty(self.n_cols)
        self.inverse_scale[self.full] = self.dense.inverse_scale
        self.peak = np.empty(self.n_cols)
        self.peak[self.full] = self.dense.peak
        thin = sparse.csr_array(X[:, self.thin])
        self.inverse_scale[self.thin], self.peak[self.thin] = self._inverse_scale(thin, share)
        self.sparse = CsrColumns(scaled(thin, self.inverse_scale[self.thin]))

    @staticmethod
    def _inverse_scale(thin: Any, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(1 / scale, peak) of the columns that stay sparse."""
        peak = np.zeros(thin.shape[1])
        np.maximum.at(peak, thin.indices, np.abs(thin.data))
        _refuse_too_large(peak)
        unit = power_of_two(peak)
        relative = sparse.csr_array(
            (np.square(thin.data / unit[thin.indices]), thin.indices, thin.indptr), shape=thin.shape
        )
        spread = np.sqrt(share @ relative)
        inverse = _reciprocal(unit * power_of_two(np.where(spread == 0.0, 1.0, spread)))
        return np.where(spread == 0.0, 0.0, inverse), peak

    def some(self, kept: np.ndarray) -> SparseColumns:
        """The columns ``kept`` (r,), ascending, shifted and scaled as they are here."""
        found = copy(self)
        found.n_cols = len(kept)
        found.full, found.thin = (np.flatnonzero(np.isin(kept, j)) for j in (self.full, self.thin))
        found.dense = self.dense.some(np.flatnonzero(np.isin(self.full, kept)))
        found.sparse = CsrColumns(self.sparse.Z[:, np.flatnonzero(np.isin(self.thin, kept))])
        found.shift, found.peak = self.shift[kept], self.peak[kept]
        found.inverse_scale = self.inverse_scale[kept]
        return found

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        for rows in slices(self.n_rows, self.n_cols):
            yield rows, self.take(rows)

    def dot(self, v: np.ndarray) -> np.ndarray:
        return self.sparse.dot(v[self.thin]) + self.dense.dot(v[self.full])

    def magnitude(self, v: np.ndarray) -> np.ndarray:
        return self.sparse.magnitude(v[self.thin]) + self.dense.magnitude(v[self.full])

    def tdot(self, v: np.ndarray) -> np.ndarray:
        out = np.empty(self.n_cols)
        out[self.thin] = self.sparse.tdot(v)
        out[self.full] = self.dense.tdot(v)
        return out

    def gram(self, q: np.ndarray, T: np.ndarray | None = None) -> np.ndarray:
        if T is not None:
            grams = (gram_of_block(block, q[rows], T) for rows, block in self.blocks())
            total: Any = sum(grams)  # an array, as there is a block at least
            return total
        if not len(self.full):
            return self.sparse.gram(q)
        M = np.empty((self.n_cols, self.n_cols))
        M[np.ix_(self.thin, self.thin)] = self.sparse.gram(q)
        M[np.ix_(self.full, self.full)] = self.dense.gram(q)
        cross = np.zeros((len(self.thin), len(self.full)))
        for rows, block in self.dense.blocks():
            cross += self.sparse.Z[rows].T @ (block * q[rows, None])
        M[np.ix_(self.thin, self.full)] = cross
        M[np.ix_(self.full, self.thin)] = cross.T
        return M

    def products_of_rows(self, s: np.ndarray) -> np.ndarray:
        thin = self._products_of(scaled(self.sparse.Z, s[self.thin]))
        M: Any = thin @ thin.T
        M = M.toarray() if sparse.issparse(M) else M
        return M + self.dense.products_of_rows(s[self.full]) if len(self.full) else M

    def times(self, A: np.ndarray) -> np.ndarray:
        out = self._products_of(self.sparse.Z) @ A[self.thin]
        return out + self.dense.times(A[self.full]) if len(self.full) else out

    def combined(self, A: np.ndarray) -> np.ndarray:
        out = np.empty((self.n_cols, A.shape[1]))
        out[self.thin] = self._products_of(self.sparse.Z).T @ A
        out[self.full] = self.dense.combined(A)
        return out

    def _products_of(self, thin: Any) -> Any:
        """The sparse columns as they are multiplied fastest, CSR or dense."""
        few = thin.nnz <= SPARSE_PRODUCTS * self.n_rows * self.n_cols
        return sparse.csr_array(thin) if few else thin.toarray()

    def take(self, index: Any) -> np.ndarray:
        is_slice = isinstance(index, slice)
        count = len(range(*index.indices(self.n_rows))) if is_slice else len(index)
        out = np.empty((count, self.n_cols))
        out[:, self.thin] = self.sparse.take(index)
        out[:, self.full] = self.dense.take(index)
        return out

    def subset(self, index: np.ndarray) -> SparseColumns:
        """The rows ``index`` as columns of their own, with the same coordinates."""
        some, full = copy(self), self.dense.take(index)
        some.n_rows, some.sparse = len(index), self.sparse.subset(index)
        some.dense = DenseColumns.given(full)
        return some


def gram_of_block(block: np.ndarray, q: np.ndarray, T: np.ndarray | None = None) -> np.ndarray:
    """(Z T)' diag(q) (Z T) of a block Z."""
    if T is None and np.all(q[:1] == 1.0) and np.all(q == 1.0):
        return np.dot(block.T, block)
    root = np.sqrt(q)
    live = root > 0.0
    if np.count_nonzero(live) < LIVE * len(root):
        block, root = block[live], root[live]
    if T is not None:
        block = block @ T
    block = block * root[:, None]
    return np.dot(block.T, block)


def _reciprocal(x: np.ndarray) -> np.ndarray:
    """1 / x, kept finite."""
    return 1.0 / np.maximum(x, 2.0**LEAST_EXPONENT)


def power_of_two(x: Any) -> np.ndarray:
    """The power of two at or below x > 0 (1 for x = 0), kept where its reciprocal is finite."""
    _, exponent = np.frexp(x)
    return np.where(x > 0.0, np.ldexp(1.0, np.maximum(exponent - 1, LEAST_EXPONENT)), 1.0)
