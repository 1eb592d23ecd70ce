"""Dense data by blocks of rows, each worked on while it is in the cache.

A pass over the data is a sum over blocks. The blocks and the order in which they are added do not
depend on the number of threads, so that the sum has the same bits for any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse

from .threads import in_parallel

BLOCK = 2**18  # entries of one block: 2 MB of float64, which stays in a core's cache
LONGEST = 2**14  # rows of one block at most: several vectors as long stay in the cache, too
LEAST_ROWS = 16  # rows of one block at least
# Rows of one block for each column, up to SQUARE_ROWS: with fewer, products of blocks are slow.
ROWS_PER_COLUMN, SQUARE_ROWS = 2, 1024
PARTS = 16  # shares of the rows, for so many threads at most
BLOCKS_FOR_THREADS = 4  # of fewer a thread saves less than it costs to start (measured)


class NotFiniteError(ValueError):
    """X has a NaN or an infinite entry."""


class Blocks:
    """(X - shift) * scale by blocks of rows, for a 2-D array X of any real dtype and order.

    Blocks are in float64. X is only read. ``shift`` and ``scale`` (p,) may be None. Blocks are
    views of X where nothing has to be computed; else they lie in a buffer, in the order of X, that
    the next one overwrites.
    """

    def __init__(
        self, X: np.ndarray, shift: np.ndarray | None = None, scale: np.ndarray | None = None
    ):
        self.X, self.shift, self.scale = X, shift, scale
        self.n_rows, self.n_cols = X.shape
        square = min(ROWS_PER_COLUMN * self.n_cols, SQUARE_ROWS)
        self.step = min(max(LEAST_ROWS, BLOCK // max(1, self.n_cols), square), LONGEST)
        self.n_blocks = max(1, -(-self.n_rows // self.step))
        self.plain = shift is None and scale is None and X.dtype == np.float64
        self.by_columns = X.flags.f_contiguous and not X.flags.c_contiguous
        self.whole = None
        if self.n_blocks == 1:
            self.whole = self._computed(slice(0, self.n_rows), self._buffer())

    def _rows(self, k: int) -> slice:
        """The rows of block k."""
        return slice(k * self.step, min((k + 1) * self.step, self.n_rows))

    def _buffer(self) -> np.ndarray | None:
        """Room for a block; None if blocks are views of X."""
        if self.plain and (self.X.flags.c_contiguous or self.n_blocks == 1):
            return None
        return np.empty(min(self.step, self.n_rows) * self.n_cols)

    def _computed(self, rows: slice, buffer: np.ndarray | None) -> np.ndarray:
        """The block of these rows, in the buffer if there is one."""
        X = self.X[rows]
        if buffer is None:
            return X
        buffer = buffer[: X.size]
        if self.by_columns:
            block = buffer.reshape(X.shape[::-1]).T
        else:
            block = buffer.reshape(X.shape)
        np.copyto(block, X)
        if self.shift is not None:
            block -= self.shift
        if self.scale is not None:
            block *= self.scale
        return block

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        """(slice, block) in order."""
        return self.some(range(self.n_blocks))

    def some(self, numbers: Iterable[int]) -> Iterator[tuple[slice, np.ndarray]]:
        """(slice, block) of some blocks in order."""
        if self.whole is not None:
            yield slice(0, self.n_rows), self.whole
            return
        buffer = self._buffer()
        for k in numbers:
            rows = self._rows(k)
            yield rows, self._computed(rows, buffer)

    def sweep(self, kernel: Callable[[slice, np.ndarray], Any]) -> Any:
        """The sums of what kernel(slice, block) returns.

        That is a tuple of arrays, numbers or lists, or None. They are added up in an order that
        does not depend on the number of threads.
        """
        if self.whole is not None:
            return kernel(slice(0, self.n_rows), self.whole)
        n_parts, errors = min(self.n_blocks, PARTS), np.geterr()

        def part(i: int) -> Any:
            total, buffer = None, self._buffer()
            with np.errstate(**errors):  # a thread begins with those of its own
                for k in range(self.n_blocks * i // n_parts, self.n_blocks * (i + 1) // n_parts):
                    rows = self._rows(k)
                    total = _added(total, kernel(rows, self._computed(rows, buffer)))
            return total

        if self.n_blocks < BLOCKS_FOR_THREADS:
            return reduce(_added, map(part, range(n_parts)))
        return reduce(_added, in_parallel(part, n_parts))

    def take(self, index: Any) -> np.ndarray:
        """The rows ``index``, an index array or a slice."""
        if self.whole is not None:
            return rows_of(self.whole, index)
        block = np.asarray(rows_of(self.X, index), dtype=np.float64)
        block = block if self.shift is None else block - self.shift
        return block if self.scale is None else block * self.scale


def fitted_values(X: Any, coef: np.ndarray, intercept: Any) -> np.ndarray:
    """X coef' + intercept, (n,) or (n, k), for coef (p,) or (k, p); X, dense or CSR, is read once.

    In float32 if X and coef are, else in float64. NotFiniteError if a dense X is not finite.
    """
    if not isinstance(X, np.ndarray):
        return X @ coef.T + intercept
    kind = np.float32 if X.dtype.newbyteorder("=") == np.float32 else np.float64
    out = np.empty((len(X), *coef.shape[:-1]), dtype=np.result_type(kind, coef))
    step = max(LEAST_ROWS, BLOCK // max(1, X.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(X), step):
            block = X[start : start + step].astype(kind, copy=False)
            if not np.isfinite(block.sum()) and not np.all(np.isfinite(block)):
                raise NotFiniteError
            out[start : start + step] = product(block, coef.T) + intercept
    return out


def rows_of(block: Any, index: Any) -> Any:
    """The rows ``index`` of a block; those of an index array are copied along its own order."""
    if isinstance(index, slice) or not isinstance(block, np.ndarray):
        return block[index]
    if block.flags.f_contiguous and not block.flags.c_contiguous:
        return block.T.take(index, axis=1).T
    return block.take(index, axis=0)


def product(left: Any, right: Any) -> Any:
    """left @ right for arrays, of which one may be CSR.

    By ``np.dot``, which lets other threads work meanwhile; the operator ``@`` holds them up.
    """
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return np.dot(left, right)
    return left @ right


def dense(block: Any) -> np.ndarray:
    """The block as an array, if it is CSR."""
    return block if isinstance(block, np.ndarray) else block.toarray()


def nonzero_in(block: Any, columns: np.ndarray) -> np.ndarray:
    """Which rows of a block (k, p) have an entry other than 0 in ``columns``, (k,) bool.

    The block is dense or CSR.
    """
    return np.any(dense(block[:, columns]) != 0.0, axis=1)


def rare_columns(block: Any, least: int) -> np.ndarray:
    """The columns of a block (k, p), dense or CSR, that are other than 0 in less rows than that."""
    if sparse.issparse(block):
        count = np.bincount(block.indices[block.data != 0.0], minlength=block.shape[1])
        return np.flatnonzero(count < least)
    count = np.count_nonzero(block[: 2 * least], axis=0)  # most columns are known after a look
    rare = np.flatnonzero(count < least)
    return rare[np.count_nonzero(block[:, rare], axis=0) < least]


def mean_squares(block: Any) -> np.ndarray:
    """The mean square of each column of a block (k, p), dense or CSR, (p,)."""
    if sparse.issparse(block):
        return np.asarray(block.multiply(block).sum(axis=0)).ravel() / block.shape[0]
    return np.einsum("ij,ij->j", block, block) / len(block)


def _added(total: Any, more: Any) -> Any:
    """The sums of two tuples, entry by entry; None if there is nothing to add up."""
    if total is None or more is None:
        return more
    return tuple(a + b for a, b in zip(total, more, strict=True))
