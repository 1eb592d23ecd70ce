"""The kernels of ``settling.py`` and ``nearer.py`` for many fits of a corner at once.

A kernel of one fit multiplies a part with a vector. For K fits of the same rows, several levels or
several targets, these products are those of matrices, which are several times faster:

    R = t - Phi Z',     H = V diag(w) Z,     R, V (K, k),   Phi, H (K, m)

The slopes of a corner, upper = lower + jump and lower, are made of A, which is 1 for the rows on
its right and 0 on its left:

    V = jump A + lower,     H = jump A diag(w) Z + lower (sum of w z of all rows),

with -lower / jump in A for a row that is left out.

A record here is that of K fits, and iterates over those of the single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.blocks import product, rows_of
from ..data.frame import Frame
from ..data.source import Part, Sums
from .descent import descent
from .settling import Kept, Settled, SettlingRule, Verified, opened_in, settle, verify

NONE = np.zeros(0, dtype=np.int64)  # no row is wrong
LEAST_FITS = 3  # for fewer a product of matrices gains nothing


class Fits:
    """A part whose X is C (k, p), its y (K, k) or one row for all, and the ``frames`` and
    ``losses`` of K fits; the frames have the same columns.
    """

    def __init__(self, part: Part, frames: list[Frame], losses: tuple):
        self.C, self.w, self.begin, self.frame = part.X, part.w, part.begin, frames[0]
        shift = np.array([[frame.y_shift] for frame in frames])
        self.t = part.y - shift[: len(part.y)]
        self.y_scale = np.array([frame.y_scale for frame in frames])
        self.lower = np.array([loss.lower for loss in losses])
        self.jump = np.array([loss.upper for loss in losses]) - self.lower

    def residuals(self, phis: Sequence[np.ndarray]) -> np.ndarray:
        """R (K, k) in the units of y, for phi (m,) of each fit."""
        Phi, rank = self.y_scale[:, None] * np.stack(phis), self.frame.rank
        R = product(-self.frame.spread(Phi[:, :rank]), self.C.T)
        R += self.t
        if self.frame.intercept:
            R -= Phi[:, rank:]
        return R

    def sides(self, R: np.ndarray) -> np.ndarray:
        """A (K, k), with a last row of ones below it, for the sums over all rows."""
        A = np.empty((len(R) + 1, R.shape[1]))
        np.greater(R, 0.0, out=A[:-1])
        A[-1] = 1.0
        return A

    def leave_out(self, A: np.ndarray, fit: np.ndarray, rows: np.ndarray) -> None:
        """Leave the row rows[i] out of the fit number fit[i]."""
        A[fit, rows] = (-self.lower / self.jump)[fit]

    def adjoints(self, A: np.ndarray) -> np.ndarray:
        """H (K, m) for A with its last row."""
        H = self.frame.adjoint(self.C, A if self.w is None else A * self.w)
        return self.jump[:, None] * H[:-1] + self.lower[:, None] * H[-1]

    def costs(self, A: np.ndarray, R: np.ndarray) -> np.ndarray:
        """The sums of w times the losses, (K,), in the units of each fit."""
        weighted = R if self.w is None else R * self.w
        right = np.einsum("ij,ij->i", A[:-1], weighted)
        return (self.jump * right + self.lower * weighted.sum(axis=1)) / self.y_scale


def descents(part: Fits, phis: tuple) -> np.ndarray:
    """``descent`` of each fit, (K, m)."""
    return part.adjoints(part.sides(part.residuals(phis)))


@dataclass(frozen=True, slots=True, eq=False)
class Settles:
    """``Settled`` of K fits: h (K, m), c (K,), and of each the rows that are kept."""

    h: np.ndarray
    c: np.ndarray
    kept: list[Kept]

    def __add__(self, other: Settles) -> Settles:
        kept = [mine + its for mine, its in zip(self.kept, other.kept, strict=True)]
        return Settles(self.h + other.h, self.c + other.c, kept)

    def __iter__(self) -> Iterator[Settled]:
        for h, c, kept in zip(self.h, self.c, self.kept, strict=True):
            yield Settled(None, h, float(c), kept)


def settles(part: Fits, rules: tuple[SettlingRule, ...], mosts: tuple) -> Settles:
    """``settle`` of each fit."""
    R = part.residuals([rule.phi for rule in rules])
    A = part.sides(R)
    # 1. Rows that stay open: those of all fits at once, and then of each.
    width = part.y_scale * np.array([rule.width for rule in rules])
    fit, rows = np.divmod(np.flatnonzero(np.abs(R) < width[:, None]), R.shape[1])
    C, r = rows_of(part.C, rows), R[fit, rows] / part.y_scale[fit]
    w = np.ones(len(rows)) if part.w is None else part.w[rows]
    ends, kept = np.searchsorted(fit, np.arange(len(R) + 1)), []
    for first, last, most in zip(ends[:-1], ends[1:], mosts, strict=True):
        some, count = slice(first, last), int(last - first)
        kept.append(Kept(most, count, [rows[some] + part.begin], [C[some]], [r[some]], [w[some]]))
    # 2. The sums over the others.
    part.leave_out(A, fit, rows)
    return Settles(part.adjoints(A), part.costs(A, R), kept)


@dataclass(frozen=True, slots=True, eq=False)
class Verifies(Sums):
    """``Verified`` of K fits without a rule: arrays (K,), the adjoint (K, m)."""

    cost: np.ndarray
    near: np.ndarray
    adjoint: np.ndarray
    n_kept: np.ndarray

    def __iter__(self) -> Iterator[Verified]:
        found = zip(self.cost, self.near, self.adjoint, self.n_kept, strict=True)
        for cost, near, adjoint, count in found:
            yield Verified(float(cost), float(near), adjoint, int(count), [NONE], [], [])


def verifies(part: Fits, phis: tuple, fars: tuple, rules, opened: tuple, *_) -> Verifies:
    """``verify`` of each fit; the ``rules`` are None."""
    R = part.residuals(phis)
    A = part.sides(R)
    # 1. What all rows cost.
    cost = near = part.costs(A, R)
    far = part.y_scale * np.array(fars)
    if np.any(np.maximum(R.max(axis=1), -R.min(axis=1)) > far):
        near = part.costs(A, np.clip(R, -far[:, None], far[:, None]))
    # 2. The slopes of those that are settled.
    rows = [opened_in(numbers, part.begin, R.shape[1]) for numbers in opened]
    count = np.array([len(some) for some in rows])
    part.leave_out(A, np.repeat(np.arange(len(R)), count), np.concatenate(rows))
    return Verifies(cost, near, part.adjoints(A), count)


KERNELS: dict[Any, Callable] = {descent: descents, settle: settles, verify: verifies}


def of_many(part: Part, kernel: Callable, frames: list[Frame], arguments: list[tuple]) -> Any:
    """The record of fits with these ``frames``, whose passes have the same ``kernel``.

    X of the part is C, y (K, k) or one row for all.
    """
    losses, *others = zip(*arguments, strict=True)
    return KERNELS[kernel](Fits(part, frames, losses), *others)


def is_one_of_many(kernel: Callable, arguments: tuple) -> bool:
    """Whether a pass is one that fits can make together: the loss is a corner, and a rule, if there
    is one, the same for all rows.
    """
    if kernel not in KERNELS or not arguments[0].is_corner:
        return False
    rules = [a for a in arguments if isinstance(a, SettlingRule)]
    alike = all(r.metric is None and not len(r.unknown.rare) and r.unknown.N is None for r in rules)
    return alike and (kernel is settle or not rules)
