"""Columns of a CSR matrix as they are, with the verbs of ``columns.py``; and CSR rows centred."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from .blocks import BLOCK
from .pairs import PairProducts

# Rows of a dense block at least; and its entries, 64 MB, up to which it has twice as many rows as
# columns: a factorisation of shorter blocks, one after the other, would cost more than all rows.
LEAST_ROWS, LARGE_BLOCK = 16, 2**23


class CsrColumns:
    """The columns of Z (n, p), a CSR array of float64 without duplicate entries."""

    peak: Any = None  # nothing asks for it where columns are given as they are

    def __init__(self, Z: Any):
        self.Z = Z
        self.n_rows, self.n_cols = Z.shape
        self.shift, self.inverse_scale = np.zeros(self.n_cols), np.ones(self.n_cols)

    @cached_property
    def pairs(self) -> PairProducts:
        return PairProducts(self.Z)

    def dot(self, v: np.ndarray) -> np.ndarray:
        return self.Z @ v

    def magnitude(self, v: np.ndarray) -> np.ndarray:
        return abs(self.Z) @ v

    def tdot(self, v: np.ndarray) -> np.ndarray:
        return v @ self.Z

    def gram(self, q: np.ndarray, T: np.ndarray | None = None) -> np.ndarray:
        M = self.pairs.gram(q)
        return M if T is None else T.T @ M @ T

    def products_of_rows(self, s: np.ndarray) -> np.ndarray:
        Z = scaled(self.Z, s)
        return (Z @ Z.T).toarray()

    def take(self, index: Any) -> np.ndarray:
        return self.Z[index].toarray()

    def subset(self, index: np.ndarray) -> CsrColumns:
        """The rows ``index`` as columns of their own."""
        return CsrColumns(self.Z[index])

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        for rows in slices(*self.Z.shape):
            yield rows, self.take(rows)


def slices(n: int, p: int) -> Iterator[slice]:
    """The rows of dense blocks of a sparse matrix (n, p), in order."""
    p = max(1, p)
    step = max(LEAST_ROWS, BLOCK // p, min(2 * p, LARGE_BLOCK // p))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def canonical_csr(X: Any) -> Any:
    """X as a CSR array of float64 without duplicate entries; X itself is not changed."""
    A = sparse.csr_array(X, dtype=np.float64)
    if not A.has_canonical_format:
        A = A.copy()
        A.sum_duplicates()
    return A


def shifted(X: Any, shift: np.ndarray) -> Any:
    """X - shift for a canonical CSR array X (k, p) and shift (p,), as a CSR array.

    A column with a shift other than 0 becomes full: it is nearly full before, where its mean is far
    from 0 beside its spread.
    """
    C = sparse.csr_array((X.data - shift[X.indices], X.indices, X.indptr), shape=X.shape)
    far = np.flatnonzero(shift)
    is_far = shift[X.indices] != 0.0
    if np.count_nonzero(is_far) == len(far) * X.shape[0]:
        return C
    row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))[is_far]
    absent = np.ones((X.shape[0], len(far)), dtype=bool)
    absent[row, np.searchsorted(far, X.indices[is_far])] = False
    row, place = np.nonzero(absent)
    return C + sparse.csr_array((-shift[far[place]], (row, far[place])), shape=X.shape)


def scaled(X: Any, inverse_scale: np.ndarray) -> Any:
    """X diag(inverse_scale) for a CSR array X."""
    return sparse.csr_array((X.data * inverse_scale[X.indices], X.indices, X.indptr), shape=X.shape)
