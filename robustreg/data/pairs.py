"""Gram matrices of sparse rows: sums over the pairs of entries that share a row.

    X'diag(q)X = sum_i q_i x_i x_i'

A row with c entries adds c (c + 1) / 2 different products to it. Which entries of the Gram matrix
these belong to, and the products x_ij x_ik themselves, do not depend on q. So they are made once,
as a sparse matrix with a row for each row of X and a column for each entry of the Gram matrix; its
product with q is the Gram matrix, in a tenth of the time of a product of two sparse matrices
(measured). Rows that are nearly full are multiplied as dense blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np
from scipy import sparse

from .blocks import BLOCK

# Pairs of one group of rows: they stay in the cache while they are made.
CHUNK = 2**16
# Pairs that are kept, of 12 bytes each; if there are more, all are made again each time,
KEPT_PAIRS = 2**24
# so many at a time.
BATCH = 2**22
# A pair costs as much as so many multiplications of a dense block (measured): a row with more than
# a seventh of its entries is one of a dense block.
DENSE_PER_PAIR = 100
# Rows and columns of a block that is turned over at a time.
SQUARE = 128
# The least number that int32 does not hold.
BEYOND_INT32 = 2**31


class PairProducts:
    """Gram matrices of a CSR matrix X (n, p) without duplicate entries.

    The pairs are kept for the next one, unless they are wanted ``once`` or are too many.
    """

    def __init__(self, X: Any, once: bool = False):
        self.X, p = X, X.shape[1]
        count = np.diff(X.indptr).astype(np.int64)
        is_full = DENSE_PER_PAIR * _pairs_of(count) > p * p
        self.full = np.flatnonzero(is_full)
        self.groups = _groups(np.where(is_full, 0, count))
        self.keeps = not once and _pairs_of(count).sum(where=~is_full) <= KEPT_PAIRS
        self.kept = None

    def gram(self, q: np.ndarray | None = None) -> np.ndarray:
        """X'diag(q)X (p, p) for q (n,) of any sign, or None for ones."""
        p = self.X.shape[1]
        q = np.ones(self.X.shape[0]) if q is None else q
        halves = (pairs.T @ q[rows] for rows, pairs in self._batches())
        M = _symmetric(reduce(iadd, halves).reshape(p, p))
        step = max(1, BLOCK // max(1, p))
        for start in range(0, len(self.full), step):
            rows = self.full[start : start + step]
            block = self.X[rows].toarray()
            M += np.dot(block.T, block * q[rows, None])
        return M

    def _batches(self) -> Iterator[tuple[np.ndarray, Any]]:
        """(row numbers (k,), their pairs (k, p * p) in CSR form), in the same order each time."""
        if self.keeps:
            self.kept = self.kept or _pairs(self.X, self.groups)
            yield self.kept
            return
        some, size = [], 0
        for rows, pairs in self.groups:
            some.append((rows, pairs))
            size += len(rows) * pairs
            if size >= BATCH:
                yield _pairs(self.X, some)
                some, size = [], 0
        yield _pairs(self.X, some)


def _pairs_of(count: Any) -> Any:
    """The number of pairs of a row with so many entries."""
    return count * (count + 1) // 2


def _groups(count: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """(row numbers, pairs of each row): rows of equally many entries, ``count`` (n,) > 0, together
    at most CHUNK pairs.
    """
    small: Any = np.uint16 if count.max(initial=0) < 2**16 else np.int64  # sorted faster
    order, groups = np.argsort(count.astype(small), kind="stable"), []
    values, first = np.unique(count[order], return_index=True)
    edges = np.append(first, len(order))
    for value, begin, end in zip(values.tolist(), edges[:-1], edges[1:], strict=True):
        pairs = _pairs_of(value)
        step = max(1, CHUNK // max(1, pairs))
        for k in range(begin, end if value else begin, step):
            groups.append((order[k : min(k + step, end)], pairs))
    return groups


def _pairs(X: Any, groups: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, Any]:
    """(row numbers (k,), their pairs (k, p * p) in CSR form) of some groups of rows."""
    p, size = X.shape[1], sum(len(rows) * pairs for rows, pairs in groups)
    kind: Any = np.int32 if max(p * p, size) < BEYOND_INT32 else np.int64
    places, products, at = np.empty(size, dtype=kind), np.empty(size), 0
    for rows, pairs in groups:
        here, shape = slice(at, at + len(rows) * pairs), (len(rows), pairs)
        _fill(X, rows, places[here].reshape(shape), products[here].reshape(shape))
        at = here.stop
    numbers = np.concatenate([np.zeros(0, dtype=np.int64), *(rows for rows, _ in groups)])
    ends = np.zeros(len(numbers) + 1, dtype=kind)
    np.cumsum(np.repeat([n for _, n in groups], [len(rows) for rows, _ in groups]), out=ends[1:])
    return numbers, sparse.csr_array((products, places, ends), shape=(len(numbers), p * p))


def _fill(X: Any, rows: np.ndarray, places: np.ndarray, products: np.ndarray) -> None:
    """The pairs of rows with equally many entries, into (k, pairs of a row) each.

    A pair of entries j and k has the place j p + k.
    """
    p, count = X.shape[1], X.indptr[rows[0] + 1] - X.indptr[rows[0]]
    entry = X.indptr[rows] + np.arange(count, dtype=X.indptr.dtype)[:, None]
    columns, values = X.indices[entry].astype(places.dtype, copy=False), X.data[entry]
    # Entry by entry, for all rows together; turned over at the end.
    place, product = np.empty(places.shape[::-1], dtype=places.dtype), np.empty(places.shape[::-1])
    first = 0
    for j in range(count):
        last = first + count - j
        np.add(columns[j] * places.dtype.type(p), columns[j:], out=place[first:last])
        np.multiply(values[j], values[j:], out=product[first:last])
        first = last
    places[:], products[:] = place.T, product.T


def _symmetric(half: np.ndarray) -> np.ndarray:
    """half (p, p) with each two entries opposite each other replaced by their sum, in place.

    By square blocks, as columns and rows of a large matrix do not fit into the cache together.
    """
    p, diagonal = len(half), np.diag(half).copy()
    for i in range(0, p, SQUARE):
        for j in range(i, p, SQUARE):
            here, there = slice(i, i + SQUARE), slice(j, j + SQUARE)
            upper, lower = half[here, there], half[there, here]
            total = upper + lower.T
            upper[:], lower[:] = total, total.T
    np.fill_diagonal(half, diagonal)
    return half
