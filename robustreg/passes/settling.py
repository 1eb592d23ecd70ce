"""The two passes of row reduction: settle the rows whose zone is known, and verify it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.blocks import rows_of
from ..data.stream import Stream

EPS = np.finfo(np.float64).eps
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


def settle(stream: Stream, phi, knot, band, reach, rare, most) -> Settled:
    """Settle all rows whose residual at phi is further than ``band`` from the knot, in one pass.

    For rows of a norm larger than ``reach`` (None: there are none) the band is wider in proportion. Rows with
    an entry other than 0 in one of the columns ``rare`` are kept, too. Where more than ``most`` rows are
    kept, not all of them are in Z.
    """
    beta, level = stream.split(phi)
    X, n_kept, square_of_scale = stream.columns.inner.X, [0], np.square(stream.columns.inverse_scale)
    zone = np.empty(stream.n_rows, dtype=np.int8)

    def kernel(rows, block):
        r, w = stream.residual_of(rows, block, beta, level), stream.weights(rows)
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
        return *found, *sums, *stream.gram_parts(block, None, w)

    index, Z, r, w, c, slopes, total, *gram = stream.columns.inner.sweep(kernel)
    index = np.concatenate(index)
    return Settled(
        G=stream.gram_of(*gram) if knot else None, h=stream.vector(slopes, total), c=c, zone=zone, index=index,
        Z=stream.finish(Z), r=np.concatenate(r), w=np.ones(len(index)) if stream.w is None else np.concatenate(w),
    )  # fmt: skip


def verify(stream: Stream, phi, knot, zone, far) -> Verified:
    """All rows at phi against their zones, in one pass; a residual beyond ``far`` is very far away."""
    beta, level = stream.split(phi)
    beyond = np.empty(stream.n_rows, dtype=bool) if knot else None
    size_of_beta = np.abs(beta)

    def kernel(rows, block):
        r, side, w = stream.residual_of(rows, block, beta, level), zone[rows], stream.weights(rows)
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
                terms = np.abs(stream.target(rows)[close]) + abs(level)
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

    near, excess, slopes, total, wrong = stream.columns.inner.sweep(kernel)
    return Verified(near + excess, near, stream.vector(slopes, total), np.concatenate(wrong), beyond)
