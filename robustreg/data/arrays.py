"""Sources in memory, or mapped into it: dense arrays of any dtype and order, and CSR matrices."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import numpy as np
from scipy import sparse

from .blocks import BLOCK, Blocks, rows_of
from .csr import canonical_csr
from .source import Part, Source

GROUPS = 16  # of parts, for so many threads at most


class ArraySource:
    """A 2-D array X, which is only read, y (n,) or (k, n) float64 and weights w (n,) > 0 or None
    for ones.
    """

    is_sparse = False

    def __init__(self, X: np.ndarray, y: np.ndarray, w: np.ndarray | None):
        self.X, self.y, self.w, self.blocks = X, y, w, Blocks(X)
        self.n_rows, self.n_features = X.shape
        self.n_entries = X.size
        self.n_groups = min(self.blocks.n_blocks, GROUPS)

    @property
    def weight(self) -> float:
        return _weight(self.n_rows, self.w)

    def parts(self, group: int) -> Iterator[Part]:
        n_blocks = self.blocks.n_blocks
        numbers = range(n_blocks * group // self.n_groups, n_blocks * (group + 1) // self.n_groups)
        for rows, block in self.blocks.some(numbers):
            yield Part(
                block, self.y[..., rows], None if self.w is None else self.w[rows], rows.start
            )

    def take(self, index: np.ndarray | slice) -> Part:
        w = None if self.w is None else self.w[index]
        return Part(rows_of(self.X, index), self.y[..., index], w)

    def with_target(self, y: np.ndarray) -> ArraySource:
        return _with_target(self, y)


class SparseSource:
    """A CSR matrix or array X, y (n,) or (k, n) float64 and weights w (n,) > 0 or None for ones."""

    is_sparse = True

    def __init__(self, X, y: np.ndarray, w: np.ndarray | None):
        self.X = canonical_csr(X)
        self.y, self.w = y, w
        self.n_rows, self.n_features = X.shape
        self.n_entries = self.X.nnz
        # A part has a Gram matrix: it is to have more entries than a tenth of that.
        size = max(BLOCK, self.n_features * self.n_features // 10)
        n_parts = min(max(1, (self.n_entries + self.n_rows) // size), self.n_rows)
        self.edges = np.arange(n_parts + 1) * self.n_rows // n_parts
        self.n_groups = min(n_parts, GROUPS)

    @property
    def weight(self) -> float:
        return _weight(self.n_rows, self.w)

    def parts(self, group: int) -> Iterator[Part]:
        n_parts = len(self.edges) - 1
        for k in range(n_parts * group // self.n_groups, n_parts * (group + 1) // self.n_groups):
            rows = slice(self.edges[k], self.edges[k + 1])
            yield Part(
                self.X[rows],
                self.y[..., rows],
                None if self.w is None else self.w[rows],
                int(rows.start),
            )

    def take(self, index: np.ndarray | slice) -> Part:
        w = None if self.w is None else self.w[index]
        return Part(self.X[index], self.y[..., index], w)

    def with_target(self, y: np.ndarray) -> SparseSource:
        return _with_target(self, y)


def make_source(X, y: np.ndarray, w: np.ndarray | None) -> Source:
    """The source for X (n, p), an array or a CSR matrix, y (n,), or (k, n) for k targets, and w
    (n,) or None.
    """
    return SparseSource(X, y, w) if sparse.issparse(X) else ArraySource(X, y, w)


def _weight(n_rows: int, w: np.ndarray | None) -> float:
    return float(n_rows if w is None else w.sum())


def _with_target(source, y: np.ndarray):
    other = copy(source)
    other.y = y
    return other
