"""Coordinates from the side of the rows, where there are at least as many columns as rows.

Let Y = (X - shift) / (the largest scale), x_i its rows, and a row i0 the reference. If no row of
[X, 1] depends on the others, any fitted values f (n,) have one (b, b0) of least norm:

    b = Y'a,   a = P f,   b0 = t'f,      P = M^-1 - g g' / (1'g),   g = M^-1 1,   t = g / (1'g),
    M = Y Y' + c 1 1'  for any c > 0,                               P 1 = 0,  f'P f = ||b||^2,

and without an intercept P = M^-1, M = Y Y', t = 0. So the coordinates are the fitted values
themselves, less that of the reference, which then is the same as the intercept:

    phi = [(f_i - f_i0) / size for i other than i0,  t'f],
    f = Z phi,   Z = [size (A - 1 t'), 1],

where A are the columns of the identity but for i0. ``size``, about sqrt(n), makes columns of unit
mean square. No product with Z costs more than n operations, no Z'diag(q)Z more than n^2.

Where a row does depend on the others (one repeated, say) M is singular, and rows have an orthogonal
basis instead (``make_rows.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..numerics import linalg
from ..numerics.precision import EPS

# Reciprocal condition number of M, down to which it serves. The way back regains what it loses, the
# penalty on fitted values is as ill-conditioned as M: below it an orthogonal basis is better.
SOUND = 1e-11
# Reciprocal condition number of M, from which eleven digits are left of its inverse and its root;
# with less the way back is refined.
EXACT = 1e-5
# A refinement squares what is off: after this step it is rounding. Before a larger one M has told
# nothing.
LAST_STEP, LARGEST_STEP = 1e-7, 0.1
# Multiple of what the last places of X make of a singular value of Y: a smaller one is not told
# from 0.
BLURRED = 4.0
# Steps of refinement at most, on the way back.
ROUNDS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Spanned:
    """The matrix Z of the module, by its parts, and the root of the squared norm of b.

    Attributes: ``keep`` (r,) are the rows of A that are not 0; ``reference``, i0,
    or None without an intercept; ``t`` (r,), of the rows ``keep``; ``size``; ``root`` (k, r) with
    ||root phi[:r]|| = ||b||.
    """

    n_rows: int
    keep: np.ndarray
    reference: int | None
    t: np.ndarray
    size: float
    root: np.ndarray

    def dot(self, slopes: np.ndarray) -> np.ndarray:
        """size (A - 1 t') slopes, (n,)."""
        out = np.zeros(self.n_rows)
        out[self.keep] = self.size * slopes
        return out if self.reference is None else out - self.size * (self.t @ slopes)

    def magnitude(self, slopes: np.ndarray) -> np.ndarray:
        """size (A + 1 abs(t)') slopes, for slopes >= 0, (n,)."""
        out = np.zeros(self.n_rows)
        out[self.keep] = self.size * slopes
        return out if self.reference is None else out + self.size * (np.abs(self.t) @ slopes)

    def tdot(self, v: np.ndarray) -> np.ndarray:
        """size (A - 1 t')'v, (r,)."""
        return self.size * (v[self.keep] - v.sum() * self.t)

    def gram(self, q: np.ndarray) -> np.ndarray:
        """size^2 (A - 1 t')'diag(q) (A - 1 t'), (r, r)."""
        if self.reference is None:
            return np.diag(np.square(self.size) * q[self.keep])
        half = np.outer((0.5 * q.sum()) * self.t - q[self.keep], self.t)
        M = half + half.T
        M[np.diag_indices_from(M)] += q[self.keep]
        return np.square(self.size) * M

    def take(self, index: Any) -> np.ndarray:
        """The rows ``index`` of size (A - 1 t'), (k, r)."""
        column = np.full(self.n_rows, -1)
        column[self.keep] = np.arange(len(self.keep))
        column = column[index]
        out = np.zeros((len(column), len(self.keep)))
        out[:] = -self.t
        unit = np.flatnonzero(column >= 0)
        out[unit, column[unit]] += 1.0
        return self.size * out

    def coordinates(self, f: np.ndarray) -> np.ndarray:
        """phi (m,) with f = Z phi, for fitted values f (n,)."""
        if self.reference is None:
            return f[self.keep] / self.size
        slopes = f[self.keep] - f[self.reference]
        return np.append(slopes / self.size, f[self.reference] + self.t @ slopes)

    def pull(self, g: np.ndarray) -> np.ndarray:
        """v (n,) with Z'v = g, for g (m,)."""
        v = np.zeros(self.n_rows)
        if self.reference is None:
            v[self.keep] = g / self.size
        else:
            v[self.keep] = g[:-1] / self.size + g[-1] * self.t
            v[self.reference] = g[-1] - v.sum()
        return v


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Coordinates and the way back: b = B phi[:r], with B = T / scale, (p, r) both."""

    coordinates: Spanned
    T: np.ndarray
    B: np.ndarray


def span_of(columns: Any, w: np.ndarray, intercept: bool) -> Span | None:
    """The coordinates of the module for rows with weights w (n,).

    ``columns`` are centred, if there is an intercept. None if rows depend on each other, or nearly.
    """
    n, inverse_scale = len(w), columns.inverse_scale
    varying = inverse_scale != 0.0
    if not varying.any():
        return None
    # 1. The products of rows. Powers of two bring the columns to their raw units.
    least = inverse_scale[varying].min()
    ratio = np.divide(least, inverse_scale, out=np.zeros(len(inverse_scale)), where=varying)
    M = columns.products_of_rows(ratio)
    if intercept:
        M += np.trace(M) / n
    factor = linalg.factor(M)
    if factor.rcond < SOUND or _is_blurred(columns, ratio, factor):
        return None
    # 2. P without the reference.
    P, keep, reference, t = factor.inverse(), np.arange(n), None, np.zeros(n)
    if intercept:
        g, reference = P.sum(axis=0), int(np.argmax(w))
        keep, t = np.delete(keep, reference), g / g.sum()
        P = np.delete(P - np.outer(g, t), reference, axis=1)
        t = t[keep]
    # 3. The way back, and a root of ||b||^2: that of M^-1, or the way back itself.
    size = float(2.0 ** (int(n).bit_length() // 2))
    T = columns.combined(size * P)
    B = (least * ratio)[:, None] * T
    T *= np.square(ratio)[:, None]
    found = Spanned(n, keep, reference, t, size, root=B)
    if factor.rcond < EXACT:
        return _refined(columns, found, T, B)
    root = factor.inverse_root()
    root = root[:, keep] - np.outer(root.sum(axis=1), t) if intercept else root
    return Span(replace(found, root=(least * size) * root), T, B)


def _refined(columns: Any, found: Spanned, T: np.ndarray, B: np.ndarray) -> Span | None:
    """The way back with the digits that M has lost, and B as the root; None if it has lost all."""
    for _ in range(ROUNDS):
        off = -columns.times(T)
        step = off[found.keep]
        if found.reference is not None:
            step -= off[found.reference]
        step /= found.size
        step[np.diag_indices_from(step)] += 1.0
        T, B, size = T + np.dot(T, step), B + np.dot(B, step), np.abs(step).max()
        if not size < LARGEST_STEP:
            return None
        if size <= LAST_STEP:
            return Span(replace(found, root=B), T, B)
    return None


def _is_blurred(columns: Any, ratio: np.ndarray, factor: linalg.Factor) -> bool:
    """Whether the last places of X may be what makes the rows of Y independent."""
    noise = EPS * columns.peak * columns.inverse_scale * ratio
    smallest = np.sqrt(factor.rcond) * factor.scale.min()
    return bool(BLURRED * np.sqrt(len(factor.scale)) * noise.max() > smallest)
