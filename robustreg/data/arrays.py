"""Sources in memory, or mapped into it: dense arrays of any dtype and order, and CSR matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from scipy import sparse

from .blocks import BLOCK, Blocks, rows_of
from .csr import canonical_csr
from .drawn import drawn
from .source import Part, Source, spread_out
from .threads import in_parallel

GROUPS = 16  # of parts, for so many threads at most


class _InMemory:
    """What both sources have in common: ``parts(i)`` yields the parts of group i in order.

    The groups do not depend on the number of threads.
    """

    in_memory, n_looks = True, 0
    X: Any
    n_groups: int
    parts: Callable[[int], Iterator[Part]]

    def __init__(self, y: np.ndarray, w: np.ndarray | None):
        self.y, self.w, self.n_rows = y, w, y.shape[-1]

    @property
    def weight(self) -> float:
        return float(self.n_rows if self.w is None else self.w.sum())

    @property
    def weight_range(self) -> tuple[float, float] | None:
        return None if self.w is None else (float(self.w.min()), float(self.w.max()))

    @property
    def most_kept(self) -> int:
        return self.n_rows // 2

    def swept(self, kernel: Callable, arguments: tuple) -> Any:
        errors = np.geterr()

        def group(i):
            with np.errstate(**errors):  # a thread would begin with those of its own
                return reduce(add, (kernel(part, *arguments) for part in self.parts(i)))

        return reduce(add, in_parallel(group, self.n_groups))

    def take(self, index: np.ndarray | slice) -> Part:
        w = None if self.w is None else self.w[index]
        return Part(rows_of(self.X, index), self.y[..., index], w)

    def some(self, count: int) -> Part:
        few = self.n_rows <= count
        return self.take(slice(None) if few else spread_out(self.n_rows, count))

    def draw(self, size: int) -> int:
        return 0  # any rows can be taken

    def sample(self, size: int) -> tuple[Part, np.ndarray | None]:
        index, weights = drawn(self.w, self.n_rows, size)
        return self.take(index), weights

    @property
    def n_targets(self) -> int:
        return 1 if self.y.ndim == 1 else len(self.y)

    def target(self, k: int):
        return self._with_target(np.atleast_2d(self.y)[k])

    def stacked(self):
        return self._with_target(np.atleast_2d(self.y))

    def _with_target(self, y: np.ndarray):
        other = copy(self)
        other.y = y
        return other


class ArraySource(_InMemory):
    """A 2-D array X, which is only read, y (n,) or (k, n) float64 and weights w (n,) > 0 or None
    for ones.
    """

    is_sparse = False

    def __init__(self, X: np.ndarray, y: np.ndarray, w: np.ndarray | None):
        super().__init__(y, w)
        self.X, self.blocks = X, Blocks(X)
        self.n_features = X.shape[1]
        self.n_entries = X.size
        self.n_groups = min(self.blocks.n_blocks, GROUPS)

    def parts(self, group: int) -> Iterator[Part]:
        n_blocks = self.blocks.n_blocks
        numbers = range(n_blocks * group // self.n_groups, n_blocks * (group + 1) // self.n_groups)
        for rows, block in self.blocks.some(numbers):
            yield Part(
                block, self.y[..., rows], None if self.w is None else self.w[rows], rows.start
            )


class SparseSource(_InMemory):
    """A CSR matrix or array X, y (n,) or (k, n) float64 and weights w (n,) > 0 or None for ones."""

    is_sparse = True

    def __init__(self, X, y: np.ndarray, w: np.ndarray | None):
        super().__init__(y, w)
        self.X = canonical_csr(X)
        self.n_features = X.shape[1]
        self.n_entries = self.X.nnz
        # A part has a Gram matrix: it is to have more entries than a tenth of that.
        size = max(BLOCK, self.n_features * self.n_features // 10)
        n_parts = min(max(1, (self.n_entries + self.n_rows) // size), self.n_rows)
        self.edges = np.arange(n_parts + 1) * self.n_rows // n_parts
        self.n_groups = min(n_parts, GROUPS)

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


def make_source(X, y: np.ndarray, w: np.ndarray | None) -> Source:
    """The source for X (n, p), an array or a CSR matrix, y (n,), or (k, n) for k targets, and w
    (n,) or None.
    """
    return SparseSource(X, y, w) if sparse.issparse(X) else ArraySource(X, y, w)
