"""Dense data by blocks of rows, each worked on while it is in the cache.

A pass over the data is a sum over blocks. The blocks and the order in which they are added do not depend on
the number of threads, so that the sum has the same bits for any.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from .threads import in_parallel

BLOCK = 2**18  # entries of one block: 2 MB of float64, which stays in a core's cache
LONGEST = 2**14  # rows of one block: several vectors as long stay there, too
PARTS = 16  # of the rows, for so many threads at most


class NotFiniteError(ValueError):
    """X has a NaN or an infinite entry."""


class Blocks:
    """(X - shift) * scale for a 2-D array X of any real dtype and order, by blocks of rows of float64.

    X is only read. ``shift`` and ``scale`` (p,) may be None. Blocks are views of X where nothing has to be
    computed; else they lie in a buffer, in the order of X, that the next one overwrites.
    """

    def __init__(self, X, shift=None, scale=None):
        self.X, self.shift, self.scale = X, shift, scale
        self.n_rows, self.n_cols = X.shape
        self.step = min(max(16, BLOCK // max(1, self.n_cols), min(2 * self.n_cols, 1024)), LONGEST)
        self.n_blocks = max(1, -(-self.n_rows // self.step))
        self.plain = shift is None and scale is None and X.dtype == np.float64
        self.by_columns = X.flags.f_contiguous and not X.flags.c_contiguous
        self.whole = self._computed(slice(0, self.n_rows), self._buffer()) if self.n_blocks == 1 else None

    def _rows(self, k):
        return slice(k * self.step, min((k + 1) * self.step, self.n_rows))

    def _buffer(self):
        if self.plain and (self.X.flags.c_contiguous or self.n_blocks == 1):
            return None
        return np.empty(min(self.step, self.n_rows) * self.n_cols)

    def _computed(self, rows, buffer):
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

    def __iter__(self):
        """(slice, block) in order."""
        if self.whole is not None:
            yield slice(0, self.n_rows), self.whole
            return
        buffer = self._buffer()
        for k in range(self.n_blocks):
            rows = self._rows(k)
            yield rows, self._computed(rows, buffer)

    def sweep(self, kernel):
        """The sums of what kernel(slice, block) returns: a tuple of arrays, numbers or lists, or None.

        They are added up in an order that does not depend on the number of threads.
        """
        if self.whole is not None:
            return kernel(slice(0, self.n_rows), self.whole)
        n_parts, errors = min(self.n_blocks, PARTS), np.geterr()

        def part(i):
            total, buffer = None, self._buffer()
            with np.errstate(**errors):  # a thread would begin with those of its own
                for k in range(self.n_blocks * i // n_parts, self.n_blocks * (i + 1) // n_parts):
                    rows = self._rows(k)
                    total = _added(total, kernel(rows, self._computed(rows, buffer)))
            return total

        return reduce(_added, in_parallel(part, n_parts))

    def take(self, index):
        """The rows ``index``, an index array or a slice."""
        if self.whole is not None:
            return rows_of(self.whole, index)
        block = np.asarray(rows_of(self.X, index), dtype=np.float64)
        block = block if self.shift is None else block - self.shift
        return block if self.scale is None else block * self.scale


def rows_of(block, index):
    """The rows ``index`` of a block; those of an index array are copied along its own order."""
    if isinstance(index, slice):
        return block[index]
    if block.flags.f_contiguous and not block.flags.c_contiguous:
        return block.T.take(index, axis=1).T
    return block.take(index, axis=0)


def _added(total, more):
    if total is None or more is None:
        return more
    return tuple(a + b for a, b in zip(total, more, strict=True))
