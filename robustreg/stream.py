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
KEPT, INNER = 0, 2  # zones of a row; those settled on a side of the fit have its sign, 1 or -1


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What a pass leaves of the data: a quadratic of the settled rows, and the others.

    About phi0 the settled rows add phi'G phi / 2 - h'phi + c; ``zone`` (n,) int8. Of the rows kept: ``index``
    (k,), ``Z`` (k, m), residuals ``r`` (k,) and weights ``w`` (k,). G (m, m) is None for the absolute loss.
    """

    G: np.ndarray | None
    h: np.ndarray
    c: float
    zone: np.ndarray
    index: np.ndarray
    Z: np.ndarray
    r: np.ndarray
    w: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Verified:
    """All rows at one phi: the sum ``cost`` of w l(r); ``near``, the same but for how far rows very far away
    are; Z'Wv as ``adjoint`` (m,), v the slopes of settled rows; ``wrong`` (k,), the settled rows that left
    their zone; ``beyond`` (n,) bool, the rows outside the knot."""

    cost: float
    near: float
    adjoint: np.ndarray
    wrong: np.ndarray
    beyond: np.ndarray | None


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
            return self._gram(block, self._target(rows), self._weights(rows))

        sums = self.columns.inner.sweep(kernel)
        return self._gram_of(*sums[:3]), self._vector(*sums[3:])

    def residual_sums(self, phi):
        """(sum w r^2, Z'Wr (m,)) of the residuals of phi, in one pass."""
        beta, level = self._split(phi)

        def kernel(rows, block):
            r = self._residual(rows, block, beta, level)
            wr = r if self.w is None else self.w[rows] * r
            return float(np.dot(wr, r)), np.dot(wr, block), wr.sum()

        square, slopes, total = self.columns.inner.sweep(kernel)
        return square, self._vector(slopes, total)

    def settle(self, phi, knot, band, reach, rare, most) -> Settled:
        """Settle all rows whose residual at phi is further than ``band`` from the knot, in one pass.

        For rows of a norm larger than ``reach`` (None: there are none) the band is wider in proportion. Rows with
        an entry other than 0 in one of the columns ``rare`` are kept, too. Where more than ``most`` rows are
        kept, not all of them are in Z.
        """
        beta, level = self._split(phi)
        X, n_kept, square_of_scale = self.columns.inner.X, [0], np.square(self.columns.inverse_scale)
        zone = np.empty(self.n_rows, dtype=np.int8)

        def kernel(rows, block):
            r, w = self._residual(rows, block, beta, level), self._weights(rows)
            size, side, width = np.abs(r), np.sign(r).astype(np.int8), band
            if reach is not None:
                norm = np.sqrt(np.dot(np.square(block), square_of_scale))
                width = band * np.maximum(norm / reach, 1.0)
            side[size < knot + width] = KEPT
            if knot > band:
                side[size <= knot - width] = INNER
            if len(rare):
                side[np.any(block[:, rare] != 0.0, axis=1)] = KEPT
            zone[rows] = side
            kept = np.flatnonzero(side == KEPT)
            v = np.clip(r, -knot, knot) if knot else side.astype(np.float64)
            v[kept] = 0.0
            cost = v * (r - 0.5 * v) if knot else v * r
            wv = v if w is None else w * v
            n_kept[0] += len(kept)
            found = (
                [kept + rows.start], [rows_of(X[rows], kept)] if n_kept[0] <= most else [],
                [r[kept]], [] if w is None else [w[kept]],
            )  # fmt: skip
            sums = float(cost.sum() if w is None else np.dot(w, cost)), np.dot(wv, block), wv.sum()
            if not knot:
                return *found, *sums
            inner = np.flatnonzero(side == INNER)
            if len(inner) < len(side):
                block = rows_of(block, inner)
                w = w if w is None else w[inner]
            return *found, *sums, *self._gram(block, None, w)

        index, Z, r, w, c, slopes, total, *gram = self.columns.inner.sweep(kernel)
        index = np.concatenate(index)
        return Settled(
            G=self._gram_of(*gram) if knot else None, h=self._vector(slopes, total), c=c, zone=zone, index=index,
            Z=self._finish(Z), r=np.concatenate(r), w=np.ones(len(index)) if self.w is None else np.concatenate(w),
        )  # fmt: skip

    def verify(self, phi, knot, zone, far) -> Verified:
        """All rows at phi against their zones, in one pass; a residual beyond ``far`` is very far away."""
        beta, level = self._split(phi)
        beyond = np.empty(self.n_rows, dtype=bool) if knot else None
        size_of_beta = np.abs(beta)

        def kernel(rows, block):
            r, side, w = self._residual(rows, block, beta, level), zone[rows], self._weights(rows)
            size = np.abs(r)
            if knot:
                v = np.clip(r, -knot, knot)
                cost = v * (r - 0.5 * v)
                outside = size > knot
                wrong = np.flatnonzero(outside != (side != INNER))
                wrong = wrong[side[wrong] != KEPT]
                crossed = (side == 1) & (r < 0.0) | (side == -1) & (r > 0.0)
                if crossed.any():
                    wrong = np.union1d(wrong, np.flatnonzero(crossed))
                close = np.flatnonzero(np.abs(size - knot) <= 1e-6 * knot)
                if len(close):
                    terms = np.abs(self._target(rows)[close]) + abs(level)
                    terms += np.dot(np.abs(rows_of(block, close)), size_of_beta)
                    outside[close] = size[close] - knot > 4.0 * EPS * terms
                beyond[rows] = outside
            else:
                v, cost = side.astype(np.float64), size
                wrong = np.flatnonzero(v * r < 0.0)
            excess = 0.0
            if size.max() > far:
                distant = np.flatnonzero(size > far)
                excess = (size[distant] - far) * (knot or 1.0)
                cost[distant] = knot * (far - 0.5 * knot) if knot else far
                excess = float(excess.sum() if w is None else np.dot(w[distant], excess))
            wv = v if w is None else w * v
            near = float(cost.sum() if w is None else np.dot(w, cost))
            return near, excess, np.dot(wv, block), wv.sum(), [wrong + rows.start]

        near, excess, slopes, total, wrong = self.columns.inner.sweep(kernel)
        return Verified(near + excess, near, self._vector(slopes, total), np.concatenate(wrong), beyond)

    def take(self, index, phi):
        """(Z (k, m), r (k,), w (k,)) of some rows, residuals at phi."""
        Z = self._finish([rows_of(self.columns.inner.X, index)])
        r = self.y[index] - self.y_shift - np.dot(Z, phi) if phi.any() else self.y[index] - self.y_shift
        return Z, r, np.ones(len(index)) if self.w is None else self.w[index]

    # -- coordinates --------------------------------------------------------------------------
    def raw(self, phi):
        """(b (p,), b0) in the units of the data."""
        b, level = self._split(phi)
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

    def _split(self, phi):
        return self.columns.inverse_scale * phi[: self.columns.n_cols], phi[-1] if self.intercept else 0.0

    def _vector(self, slopes, total):
        slopes = self.columns.inverse_scale * slopes
        return np.append(slopes, total) if self.intercept else slopes

    def _finish(self, parts):
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

    def _gram_of(self, G, edge, total):
        p, outer = self.columns.n_cols, self.columns.inverse_scale
        out = np.empty((self.n_cols, self.n_cols))
        out[:p, :p] = outer[:, None] * G * outer
        if self.intercept:
            out[p, :p] = out[:p, p] = outer * edge
            out[p, p] = total
        return out

    # -- parts of a pass ----------------------------------------------------------------------
    def _weights(self, rows):
        return None if self.w is None else self.w[rows]

    def _target(self, rows):
        return self.y[rows] - self.y_shift

    def _residual(self, rows, block, beta, level):
        r = self._target(rows)
        r -= np.dot(block, beta)
        r -= level
        return r

    @staticmethod
    def _gram(block, y, w):
        """The parts of ``_gram_of`` and, with y, of ``_vector`` that a block adds."""
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
