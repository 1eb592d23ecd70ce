"""Stream: tall data as row reduction sees them, one fused pass at a time.

Row reduction and least squares on many rows read the data two or three times, so that a pass is what a fit
costs. Each verb here is one: it forms residuals block by block, does with them all that can be done while the
block is in the cache, and keeps no vector of n float64. In it

    r = y - y_shift - Z phi,    Z = [(X - shift) / scale, 1]   (n x m),   b = phi[:p] / scale,

in the units of y; shift, scale and y_shift come from some rows and only have to be about right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blocks import rows_of
from .columns import OFFSET, DenseColumns, power_of_two

EPS = np.finfo(np.float64).eps
SAMPLE = 2000  # rows that tell the size of columns and of y
LEAST = 1e-90  # a scale whose square and weighted sums stay far from the ends of float64


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Dense X by columns, y (n,) and weights w (n,) > 0 or None for ones; see the module."""

    columns: DenseColumns
    y: np.ndarray
    w: np.ndarray | None
    intercept: bool
    y_shift: float

    @property
    def n_rows(self) -> int:
        return len(self.y)

    @property
    def n_cols(self) -> int:
        return self.columns.n_cols + self.intercept

    @property
    def weight(self) -> float:
        """W, the sum of the weights."""
        return float(self.n_rows if self.w is None else self.w.sum())

    # -- passes -------------------------------------------------------------------------------
    def gram(self):
        """(Z'WZ (m, m), Z'W(y - y_shift) (m,)), in one pass."""

        def kernel(rows, block):
            return self.gram_parts(block, self.target(rows), self.weights(rows))

        sums = self.columns.inner.sweep(kernel)
        return self.gram_of(*sums[:3]), self.vector(*sums[3:])

    def residual_sums(self, phi):
        """(sum w r^2, Z'Wr (m,)) of the residuals of phi, in one pass."""
        beta, level = self.split(phi)

        def kernel(rows, block):
            r = self.residual_of(rows, block, beta, level)
            wr = r if self.w is None else self.w[rows] * r
            return float(np.dot(wr, r)), np.dot(wr, block), wr.sum()

        square, slopes, total = self.columns.inner.sweep(kernel)
        return square, self.vector(slopes, total)

    def residual(self, phi):
        """(r (n,), how far off one may be only because float64 rounds its terms), in one pass."""
        beta, level = self.split(phi)
        out = np.empty(self.n_rows)

        def kernel(rows, block):
            out[rows] = self.residual_of(rows, block, beta, level)

        self.columns.inner.sweep(kernel)
        y = np.abs(self.y[:: 1 + self.n_rows // SAMPLE] - self.y_shift)
        return out, 4.0 * EPS * float(np.median(y) + np.abs(phi).sum())

    def take(self, index, phi):
        """(Z (k, m), r (k,), w (k,)) of some rows, residuals at phi."""
        Z = self.finish([rows_of(self.columns.inner.X, index)])
        r = self.y[index] - self.y_shift - np.dot(Z, phi) if phi.any() else self.y[index] - self.y_shift
        return Z, r, np.ones(len(index)) if self.w is None else self.w[index]

    # -- coordinates --------------------------------------------------------------------------
    def raw(self, phi):
        """(b (p,), b0) in the units of the data."""
        b, level = self.split(phi)
        return b, float(self.y_shift + level - self.columns.shift @ b) if self.intercept else 0.0

    def from_raw(self, b, b0):
        """phi of raw coefficients (b, b0): the inverse of ``raw``."""
        slopes = b / self.columns.inverse_scale
        return np.append(slopes, b0 + self.columns.shift @ b - self.y_shift) if self.intercept else slopes

    def penalty_root(self, alpha):
        """L with ||L phi||^2 = W alpha ||b||^2."""
        L = np.eye(self.columns.n_cols, self.n_cols)
        L[:, : self.columns.n_cols] *= np.sqrt(alpha * self.weight) * self.columns.inverse_scale
        return L

    def split(self, phi):
        return self.columns.inverse_scale * phi[: self.columns.n_cols], phi[-1] if self.intercept else 0.0

    def vector(self, slopes, total):
        slopes = self.columns.inverse_scale * slopes
        return np.append(slopes, total) if self.intercept else slopes

    def finish(self, parts):
        """Rows of Z from rows of X; the list is emptied, as its parts need not live longer."""
        p, start = self.columns.n_cols, 0
        Z = np.empty((sum(map(len, parts)), self.n_cols))
        while parts:
            part = parts.pop(0)
            out = Z[start : start + len(part), :p]
            if self.columns.inner.shift is None:
                np.multiply(part, self.columns.inverse_scale, out=out)
            else:
                np.subtract(part, self.columns.shift, out=out)
                out *= self.columns.inverse_scale
            start += len(part)
        Z[:, p:] = 1.0
        return Z

    def gram_of(self, G, edge, total):
        p, outer = self.columns.n_cols, self.columns.inverse_scale
        out = np.empty((self.n_cols, self.n_cols))
        out[:p, :p] = outer[:, None] * G * outer
        if self.intercept:
            out[p, :p] = out[:p, p] = outer * edge
            out[p, p] = total
        return out

    # -- parts of a pass ----------------------------------------------------------------------
    def weights(self, rows):
        return None if self.w is None else self.w[rows]

    def target(self, rows):
        return self.y[rows] - self.y_shift

    def residual_of(self, rows, block, beta, level):
        r = self.target(rows)
        r -= np.dot(block, beta)
        r -= level
        return r

    @staticmethod
    def gram_parts(block, y, w):
        """The parts of ``gram_of`` and, with y, of ``vector`` that a block adds."""
        ones = np.ones(len(block)) if w is None else w
        edge, total = np.dot(ones, block), float(ones.sum())
        G = np.dot(block.T, block) if w is None else np.dot(block.T, block * w[:, None])
        if y is None:
            return G, edge, total
        wy = y if w is None else w * y
        return G, edge, total, np.dot(wy, block), wy.sum()


def make_stream(X, y, w, fit_intercept) -> Stream | None:
    """The stream of dense X (n, p), y (n,) and w (n,) > 0 or None; None if units or weights are too extreme."""
    if w is not None and not (LEAST < w.max() < 1.0 / LEAST and w.max() <= 1e6 * w.min()):
        return None
    index = spread_out(len(y), SAMPLE)
    some, y_some = (X, y) if len(index) == len(y) else (rows_of(X, index), y[index])
    some = np.asarray(some, dtype=np.float64)
    shift, y_shift = np.zeros(X.shape[1]), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.einsum("ij,ij->j", some, some) / len(some)
        if fit_intercept:
            y_shift = float(np.partition(y_some, len(y_some) // 2)[len(y_some) // 2])
            mean = np.dot(np.full(len(some), 1.0 / len(some)), some)
            far = np.square(mean) > OFFSET**2 / (1.0 + OFFSET**2) * square
            if far.any():
                shift[far] = mean[far]
                square[far] = np.mean(np.square(some[:, far] - shift[far]), axis=0)
    known = square > 0.0
    if not np.all((square < LEAST**-2) & ((square > LEAST**2) | ~known)):
        return None
    scale = power_of_two(np.sqrt(np.where(known, square, 1.0)))
    return Stream(DenseColumns(X, shift, 1.0 / scale, None), y, w, fit_intercept, y_shift)


def spread_out(n, m):
    """m of n row numbers, ascending: one at random from each of m equal ranges, always the same."""
    if m >= n:
        return np.arange(n)
    edges = np.arange(m + 1) * n // m
    return edges[:-1] + (np.random.default_rng(0).random(m) * np.diff(edges)).astype(np.int64)
