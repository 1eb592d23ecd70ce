"""The design matrix A = [(X - shift) / scale, 1], read by blocks of rows.

Any invertible change of coordinates may be used in a proof: coefficients in the new coordinates are
in one-to-one correspondence with those in the old. So shift and scale only have to be about right
(``coordinates.py``). Scales are powers of two, and dividing by them rounds nothing. Each verb is
one pass over the rows; A is never formed whole. T (m, k) is a matrix of directions, None for the
identity.

    product(beta)        A beta                      (n,)
    sizes(v, T, index)   abs(A T) v for v >= 0       (n,)    or of the rows ``index`` only
    adjoint(v)           A'v                         (m,)    off by ``sum_error`` of its terms
    adjoint_exact(w, u)  A'(w u)                     (m,)    from exact sums
    squares(q)           sum_i q_i a_ij^2            (m,)
    gram(q, T)           T'A' diag(q) A T            (k, k)  for q >= 0
    triangle(q, T)       R with R'R = gram(q, T)     (k, k)  by reflections
    take(index)          the rows ``index`` of A     (k, m)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse

from ..data.threads import in_parallel
from .exact_sums import sum_of_products

EPS = float(np.finfo(np.float64).eps)
# Entries of a block of dense rows: 2 MB of float64, which stays in a core's cache.
BLOCK_ENTRIES = 2**18
# Rows of a block: longer sums have a larger bound on their rounding.
LONGEST_BLOCK = 2**13
# Shares of the rows for threads: fixed, so that sums have the same bits for any number of threads.
PARTS = 16
# Columns of a sparse X up to which blocks of rows may be made dense, where A'A is ill-conditioned:
# with more it takes too long.
MOST_DENSE = 600
# Share of all rows: fewer are taken out of X, instead of passing over all.
FEW_ROWS = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Rows of A; see the module.

    ``X`` (n, p) is dense in any real dtype and order, or CSR; its columns are those of the data
    times 2^-``unit`` (p,), which is 0 but for numbers whose squares would leave the range of
    float64. ``shift`` (p,) is None where it is 0. ``peak`` (p,) is at least the largest abs(X) of
    each column. ``gram_of_ones`` is A'A (m, m).
    """

    X: Any
    unit: np.ndarray
    shift: np.ndarray | None
    scale: np.ndarray
    intercept: bool
    peak: np.ndarray
    gram_of_ones: np.ndarray

    @property
    def n_rows(self) -> int:
        return self.X.shape[0]

    @property
    def n_cols(self) -> int:
        return len(self.scale) + self.intercept

    @property
    def is_sparse(self) -> bool:
        return sparse.issparse(self.X)

    @property
    def step(self) -> int:
        """Rows of a block."""
        if self.is_sparse:
            return max(1, -(-self.n_rows // PARTS))
        return min(max(16, BLOCK_ENTRIES // max(1, self.n_cols)), LONGEST_BLOCK)

    @property
    def sum_error(self) -> float:
        """How far off a sum over the rows is, added up by blocks: share of its absolute terms.

        k terms added in any order are off by at most (k - 1) u / (1 - k u), u = EPS / 2 (Higham
        2002, section 4.2). Here k is the rows of a block, and the blocks; each term has a few
        roundings more.
        """
        return (min(self.step, self.n_rows) + self.n_rows // self.step + 8) * EPS

    # -- blocks -------------------------------------------------------------------------------
    def sweep(
        self, kernel: Callable[[slice, Any], Any], add: Callable[[Any, Any], Any] = np.add
    ) -> Any:
        """The sum of kernel(rows, (X - shift)[rows]) over the blocks of rows.

        In an order that does not depend on the number of threads.
        """
        blocks = -(-self.n_rows // self.step)
        n_parts, errors = min(blocks, PARTS), np.geterr()

        def part(i: int) -> Any:
            total = None
            with np.errstate(**errors):  # a thread begins with those of its own
                for k in range(blocks * i // n_parts, blocks * (i + 1) // n_parts):
                    rows = slice(k * self.step, min((k + 1) * self.step, self.n_rows))
                    found = kernel(rows, self.block(rows))
                    total = found if total is None else add(total, found)
            return total

        return reduce(add, in_parallel(part, n_parts))

    def each(self, kernel: Callable[[slice, Any], np.ndarray]) -> np.ndarray:
        """kernel(rows, (X - shift)[rows]) (k,) of all rows, (n,)."""
        out = np.empty(self.n_rows)

        def store(rows: slice, block: Any) -> None:
            out[rows] = kernel(rows, block)

        self.sweep(store, lambda total, more: None)
        return out

    def block(self, rows: Any) -> Any:
        """(X - shift)[rows], in float64."""
        X = self.X[rows]
        if self.is_sparse:
            return X
        if self.shift is None:
            return np.asarray(X, dtype=np.float64)
        return np.subtract(X, self.shift, dtype=np.float64)

    def times(self, block: Any, T: np.ndarray) -> np.ndarray:
        """The rows of A T, for a block of X - shift."""
        out = block @ (T[: len(self.scale)] / self.scale[:, None])
        return out + T[-1] if self.intercept else out

    def vector(self, of_columns: np.ndarray, of_ones: float) -> np.ndarray:
        """The vector (m,) of a sum over X - shift and one over the column of ones."""
        scaled = of_columns / self.scale
        return np.append(scaled, of_ones) if self.intercept else scaled

    def bordered(self, sums: np.ndarray) -> np.ndarray:
        """A' diag(q) A (m, m) from the sums of ``border``."""
        scale = np.append(self.scale, 1.0)
        return (sums / np.outer(scale, scale))[: self.n_cols, : self.n_cols]

    # -- verbs --------------------------------------------------------------------------------
    def product(self, beta: np.ndarray) -> np.ndarray:
        """A beta, (n,)."""
        slopes, level = beta[: len(self.scale)] / self.scale, beta[-1] if self.intercept else 0.0
        return self.each(lambda rows, block: block @ slopes + level)

    def sizes(
        self, v: np.ndarray, T: np.ndarray | None, index: np.ndarray | None = None
    ) -> np.ndarray:
        """At least abs(T'a_i)'v for v >= 0, whatever the rounding of T'a_i, of each row."""
        rounding = (self.n_cols + 3) * EPS
        # T'a_i is off by this share of abs(T)'abs(a_i), and a_i itself by two roundings.
        plain = v * (1.0 + rounding) if T is None else rounding * (np.abs(T) @ v)
        slopes, level = plain[: len(self.scale)] / self.scale, plain[-1] if self.intercept else 0.0

        def of(block: Any) -> np.ndarray:
            out = abs(block) @ slopes + level
            return out if T is None else out + np.abs(self.times(block, T)) @ v

        if index is None:
            return self.each(lambda rows, block: of(block))
        if len(index) >= FEW_ROWS * self.n_rows:
            return self.each(lambda rows, block: of(block))[index]
        found = (of(self.block(some)) for some in self._shares(index))
        return np.concatenate([np.zeros(0), *found])

    def adjoint(self, v: np.ndarray) -> np.ndarray:
        """A'v, (m,)."""
        sums = self.sweep(lambda rows, block: np.append(block.T @ v[rows], np.sum(v[rows])))
        return self.vector(sums[:-1], sums[-1])

    def adjoint_exact(self, w: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(A'(w u), a bound on its rounding), (m,) each, for dense X.

        The sums of w u x and of w u are rounded once each; their difference is the sum for a
        centred column. An entry and its bound are both 0 only if the sum is exactly 0.
        """
        columns = (
            np.asarray(x, dtype=np.float64) / scale
            for x, scale in zip(self.X.T, self.scale, strict=True)
        )
        sums = np.array([sum_of_products(w, u, column) for column in columns])
        if not self.intercept:
            return sums, EPS * np.abs(sums)
        total = sum_of_products(w, u, np.ones(self.n_rows))
        centre = 0.0 * sums if self.shift is None else self.shift / self.scale * total
        error = EPS * np.append(np.abs(sums) + 3.0 * np.abs(centre), abs(total))
        return np.append(sums - centre, total), error

    def squares(self, q: np.ndarray) -> np.ndarray:
        """sum_i q_i a_ij^2, (m,)."""
        if np.all(q == 1.0):
            return np.diag(self.gram_of_ones).copy()
        sums = self.sweep(
            lambda rows, block: np.append(_square(block).T @ q[rows], np.sum(q[rows]))
        )
        return self.vector(sums[:-1] / self.scale, sums[-1])

    def gram(self, q: np.ndarray, T: np.ndarray | None = None) -> np.ndarray:
        """T'A' diag(q) A T, (k, k), for q >= 0."""
        if T is None and np.all(q == 1.0):
            return self.gram_of_ones
        live = np.flatnonzero(q)
        if len(live) < FEW_ROWS * self.n_rows and not self.is_sparse:
            size = self.n_cols if T is None else T.shape[1]
            rows_of = self.take if T is None else lambda some: self.take(some) @ T
            parts = (_gram(rows_of(some), q[some]) for some in self._shares(live))
            return sum(parts, np.zeros((size, size)))
        if T is None:
            return self.bordered(self.sweep(lambda rows, block: border(block, q[rows])))
        return self.sweep(lambda rows, block: _gram(self.times(block, T), q[rows]))

    def triangle(self, q: np.ndarray, T: np.ndarray | None = None) -> np.ndarray:
        """R with R'R = gram(q, T), at most (k, k), by reflections of the rows."""
        T = np.eye(self.n_cols) if T is None else T
        size = T.shape[1]

        def kernel(rows: slice, block: Any) -> Any:
            live = q[rows] > 0.0
            root = np.sqrt(q[rows][live])
            return np.linalg.qr(self.times(block[live], T) * root[:, None], mode="r")

        def add(R: np.ndarray, more: np.ndarray) -> Any:
            both = np.vstack([R, more])
            return np.linalg.qr(both, mode="r") if len(both) > size else both

        return self.sweep(kernel, add)

    def take(self, index: np.ndarray) -> np.ndarray:
        """The rows ``index`` of A, dense."""
        block = self.block(index)
        slopes = (block.toarray() if self.is_sparse else block) / self.scale
        return np.column_stack([slopes, np.ones(len(slopes))]) if self.intercept else slopes

    def with_columns(self, columns: np.ndarray) -> Design:
        """The same rows with some of the columns of X."""
        kept = np.append(columns, len(self.scale)) if self.intercept else columns
        return Design(
            X=self.X[:, columns],
            unit=self.unit[columns],
            shift=None if self.shift is None else self.shift[columns],
            scale=self.scale[columns],
            intercept=self.intercept,
            peak=self.peak[columns],
            gram_of_ones=self.gram_of_ones[np.ix_(kept, kept)],
        )

    def _shares(self, index: np.ndarray) -> Iterator[np.ndarray]:
        """An index array in pieces of at most a block's rows."""
        return (index[k : k + self.step] for k in range(0, len(index), self.step))


def border(block: Any, q: np.ndarray | None) -> np.ndarray:
    """[[X'diag(q)X, X'q], [q'X, sum q]], (p + 1, p + 1), of a block X (k, p).

    q is (k,), or None for ones.
    """
    p, ones = block.shape[1], np.ones(block.shape[0]) if q is None else q
    out = np.empty((p + 1, p + 1))
    out[:p, :p] = _gram(block, q)
    out[p, :p] = out[:p, p] = block.T @ ones
    out[p, p] = np.sum(ones)
    return out


def _gram(block: Any, q: np.ndarray | None) -> np.ndarray:
    """block' diag(q) block; q (k,) or None for ones."""
    if sparse.issparse(block):
        return (block.T @ block if q is None else block.T.multiply(q) @ block).toarray()
    return block.T @ block if q is None else block.T @ (block * q[:, None])


def _square(block: Any) -> Any:
    """The squares of the entries of a block."""
    return block.power(2) if sparse.issparse(block) else np.square(block)
