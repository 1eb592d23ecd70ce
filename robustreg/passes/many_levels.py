"""The kernels of ``settling.py`` and ``nearer.py`` for many levels of one target at once.

A kernel of one fit multiplies a part with a vector. For K fits of the same rows these products are
those of matrices, which are several times faster:

    R = y - shift - y_scale Phi Z',     H = V diag(w) Z,     Phi (K, m), R, V (K, k)

The rest is asked of one fit after the other: signs of residuals, which of them are near, and sums.
With A the rows on the right of the corner, B those on the left, H_A and H_B the sums of w z over
them, the slopes of a corner make upper H_A + lower H_B, and H_B is what A and the open rows leave
of all rows.

Row number j of R is that of fit number j, whichever of them ask, so that residuals at the phi of a
rule are the same to the last bit in both passes: products of other shapes may round otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.blocks import rows_of
from ..data.frame import Frame
from ..data.source import Part
from .descent import Descent, descent
from .settling import Kept, Settled, SettlingRule, Verified, settle, verify

LEAST_FITS = 3  # for fewer a product of matrices gains nothing


class Levels:
    """A dense part whose X is C (k, p), and the ``frames`` of the fits that ask, by number.

    Its ``columns`` are [C, 1, y - shift] (k, p + 2).
    """

    def __init__(self, part: Part, frames: dict[int, Frame]):
        self.frame = next(iter(frames.values()))
        k, p = part.X.shape
        self.columns = np.empty((k, p + 2))
        self.columns[:, :p], self.columns[:, p] = part.X, 1.0
        np.subtract(part.y[0], self.frame.y_shift, out=self.columns[:, p + 1])
        self.C, self.w, self.begin = part.X, part.w, part.begin
        self.frames, self.n_fits = frames, len(part.y)
        self.of_all = self.adjoints(np.ones((1, k)))[0]

    def residuals(self, phis: dict[int, np.ndarray]) -> np.ndarray:
        """R (n_fits, k) in the units of y; 0 for fits that do not ask."""
        p = self.C.shape[1]
        combination = np.zeros((self.n_fits, p + 2))
        for j, phi in phis.items():
            frame = self.frames[j]
            combination[j, :p] = -frame.y_scale * frame.spread(phi[: frame.rank])
            combination[j, p] = -frame.y_scale * phi[-1] if frame.intercept else 0.0
            combination[j, p + 1] = 1.0
        return np.dot(combination, self.columns.T)

    def adjoints(self, V: np.ndarray) -> np.ndarray:
        """H (K, m) of V (K, k)."""
        return self._of_columns(np.dot(V if self.w is None else V * self.w, self.columns))

    def adjoint_of(self, rows: np.ndarray) -> np.ndarray:
        """The sum of w z over some rows, (m,)."""
        w = np.ones(len(rows)) if self.w is None else self.w[rows]
        return self._of_columns(np.dot(w, rows_of(self.columns, rows)))

    def _of_columns(self, sums: np.ndarray) -> np.ndarray:
        """Sums over rows of the columns of Z (..., m), from those of ``columns`` (..., p + 2)."""
        p = self.C.shape[1]
        slopes = self.frame.unit * sums[..., :p][..., self.frame.kept]
        if not self.frame.intercept:
            return slopes
        return np.concatenate([slopes, sums[..., p : p + 1]], axis=-1)

    def total(self, values: np.ndarray) -> float:
        """The sum of w times values (k,)."""
        return float(values.sum() if self.w is None else np.dot(values, self.w))


def descents(part: Levels, asked: dict[int, tuple]) -> dict[int, Descent]:
    """``descent`` of each fit."""
    R, found = part.residuals({j: phi for j, (_, _, phi) in asked.items()}), {}
    H = part.adjoints((R > 0.0).astype(np.float64))
    np.abs(R, out=R)
    for j, (loss, width, _) in asked.items():
        near = R[j] <= width * loss.half_jump * part.frames[j].y_scale
        curvature = np.count_nonzero(near) if part.w is None else np.dot(part.w, near)
        adjoint = (loss.upper - loss.lower) * H[j] + loss.lower * part.of_all
        found[j] = Descent(adjoint, float(curvature / width))
    return found


def settles(part: Levels, asked: dict[int, tuple]) -> dict[int, Settled]:
    """``settle`` of each fit."""
    R = part.residuals({j: rule.phi for j, (_, rule, _) in asked.items()})
    A, opened = (R > 0.0).astype(np.float64), {}
    for j, (_, rule, _) in asked.items():
        opened[j] = np.flatnonzero(np.abs(R[j]) < rule.width * part.frames[j].y_scale)
        A[j, opened[j]] = 0.0
    H, found = part.adjoints(A), {}
    for j, (loss, _, most) in asked.items():
        rows, scale = opened[j], part.frames[j].y_scale
        w, r = np.ones(len(rows)) if part.w is None else part.w[rows], R[j, rows]
        h = loss.upper * H[j] + loss.lower * (part.of_all - H[j] - part.adjoint_of(rows))
        right = np.dot(A[j] if part.w is None else A[j] * part.w, R[j])
        cost = loss.upper * right + loss.lower * (part.total(R[j]) - right - w @ r)
        kept = [rows + part.begin], [rows_of(part.C, rows)], [r / scale], [w]
        found[j] = Settled(None, h, float(cost / scale), Kept(most, len(rows), *kept))
    return found


def verifies(part: Levels, asked: dict[int, tuple]) -> dict[int, Verified]:
    """``verify`` of each fit."""
    then = part.residuals({j: rule.phi for j, (_, _, _, rule, *_) in asked.items()})
    now = part.residuals({j: phi for j, (_, phi, *_) in asked.items()})
    above, size = then > 0.0, np.abs(then, out=then)
    moved, wrong, opened = above != (now > 0.0), {}, {}
    for j, (_, _, _, rule, more, *_) in asked.items():
        is_open = size[j] < rule.width * part.frames[j].y_scale
        first, last = np.searchsorted(more, (part.begin, part.begin + len(is_open)))
        is_open[more[first:last] - part.begin] = True
        opened[j] = np.flatnonzero(is_open)
        above[j, opened[j]] = moved[j, opened[j]] = False
        rows = np.flatnonzero(moved[j])
        wrong[j] = rows[now[j, rows] != 0.0] + part.begin  # at its end a row belongs to its zone
    H, found = part.adjoints(above.astype(np.float64)), {}
    for j, (loss, _, far, *_) in asked.items():
        rows, r, scale = opened[j], now[j], part.frames[j].y_scale
        adjoint = loss.upper * H[j] + loss.lower * (part.of_all - H[j] - part.adjoint_of(rows))
        size = np.abs(r)
        cost = near = (loss.half_jump * part.total(size) + loss.middle * part.total(r)) / scale
        if size.max() > far * scale:
            near = part.total(loss.value(np.clip(r / scale, -far, far)))
        found[j] = Verified(cost, near, adjoint, len(rows), [wrong[j]], [], [])
    return found


MANY: dict[Any, Any] = {descent: descents, settle: settles, verify: verifies}


def of_many(part: Part, passes: dict[int, Any]) -> dict[int, Any] | None:
    """What the ``passes`` of the fits make of a part whose X is C, by their numbers; None where
    each has to stand alone: few fits, several targets, sparse rows, a smooth loss, or rows that are
    not alike.
    """
    if len(passes) < LEAST_FITS or part.y.strides[0] or not isinstance(part.X, np.ndarray):
        return None
    kernels = {asked.kernel for asked in passes.values()}
    simple = all(_is_simple(asked.arguments) for asked in passes.values())
    if not simple or not kernels <= set(MANY):
        return None
    found = {}
    for kernel in kernels:
        some = {j: asked for j, asked in passes.items() if asked.kernel is kernel}
        levels = Levels(part, {j: asked.frame for j, asked in some.items()})
        found |= MANY[kernel](levels, {j: asked.arguments for j, asked in some.items()})
    return found


def _is_simple(arguments: tuple) -> bool:
    """Whether the loss is a corner, and a rule, if there is one, the same for all rows."""
    if not arguments[0].is_corner or any(argument is None for argument in arguments):
        return False
    rules = [a for a in arguments if isinstance(a, SettlingRule)]
    return all(r.metric is None and not len(r.unknown.rare) and r.unknown.N is None for r in rules)
