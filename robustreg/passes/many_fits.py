"""The kernels of ``settling.py`` and ``nearer.py`` for many fits of a corner at once.

A kernel of one fit multiplies a part with a vector. For K fits of the same rows, several levels or
several targets, these products are those of matrices, which are several times faster:

    R = s - Phi Z',     H = V diag(w) Z,     R, V (K, k),   Phi, H (K, m)

R is in the units of y, and s = y - y_shift. They are made with D = [C, 1, s], so that the sums with
s and of ones are in them. A residual of 0 counts as one on the left.

The slopes of a corner, upper = lower + jump and lower, are made of A, which is 1 for the rows on
its right and 0 on its left:

    V = jump A + lower,     H = jump A diag(w) Z + lower (sum of w z of all rows),

with -lower / jump in A for a row that is left out.

A kernel here is made for K fits, and its record iterates over those of the single ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..data.frame import Frame
from ..data.source import Part, Sums
from ..problem.losses import Loss
from .descent import descent
from .settling import Kept, Settled, SettlingRule, Verified, settle, verify

Frames: TypeAlias = Sequence[Frame]
Losses: TypeAlias = Sequence[Loss]
NONE = np.zeros(0, dtype=np.int64)  # no row is wrong
LEAST_FITS = 3  # for fewer a product of matrices gains nothing


class Fits:
    """K fits with ``frames``, of the same columns, and ``losses``, each at its phi (m,).

    y of a part is (K, k), or one row for all. What is computed has the ``dtype``.
    """

    def __init__(
        self, frames: Frames, losses: Losses, phis: Sequence[np.ndarray], dtype: Any = np.float64
    ):
        self.frame, rank = frames[0], frames[0].rank
        self.y_shift = np.array([[frame.y_shift] for frame in frames])
        self.y_scale = np.array([frame.y_scale for frame in frames])
        self.lower = np.array([loss.lower for loss in losses])
        self.jump = np.array([loss.upper for loss in losses]) - self.lower
        Phi = self.y_scale[:, None] * np.stack(phis)
        intercepts = Phi[:, rank:] if self.frame.intercept else np.zeros((len(Phi), 1))
        ones = np.ones_like(intercepts)
        # (K, p + 2), with R = factors D'.
        factors = np.hstack([-self.frame.spread(Phi[:, :rank]), -intercepts, ones])
        self.factors = factors.astype(dtype)
        unit, ones = self.frame.unit, np.ones(int(self.frame.intercept))
        self.places, self.units = self.frame.places, np.append(unit, ones)

    def at(self, part: Part) -> Evaluated:
        """R, A and D of a part."""
        k, p = part.X.shape
        D = np.empty((k, p + 2), self.factors.dtype)
        self.frame.centred(part, out=D[:, :p])
        # One y is that of all fits, with one shift.
        D[:, p], D[:, p + 1] = 1.0, part.y[0] - self.y_shift[0] if len(part.y) == 1 else 0.0
        R = np.dot(self.factors, D.T)
        if len(part.y) > 1:
            R += part.y - self.y_shift
        A = np.empty((len(R) + 1, k), D.dtype)
        np.greater(R, 0.0, out=A[:-1])
        A[-1] = 1.0
        return Evaluated(self, part.w, D, R, A)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """A part at the phis of K fits: D (k, p + 2) = [C, 1, s], with s = 0 if each fit has its own;
    R (K, k) in the units of y; and A (K + 1, k), whose last row, of ones, is for the sums over all
    rows.
    """

    fits: Fits
    w: np.ndarray | None
    D: np.ndarray
    R: np.ndarray
    A: np.ndarray

    def leave_out(self, fit: np.ndarray, rows: np.ndarray) -> None:
        """Leave the row rows[i] out of the sums of the fit number fit[i]."""
        self.A[fit, rows] = (-self.fits.lower / self.fits.jump)[fit]

    def sums(self) -> np.ndarray:
        """V diag(w) D (K, p + 2)."""
        fits, A = self.fits, self.A
        weighted = A if self.w is None else A * self.w.astype(A.dtype, copy=False)
        sums = np.dot(weighted, self.D)
        return fits.jump[:, None] * sums[:-1] + fits.lower[:, None] * sums[-1]

    def adjoints(self, sums: np.ndarray) -> np.ndarray:
        """H (K, m)."""
        return sums[:, self.fits.places] * self.fits.units

    def costs(self, R: np.ndarray) -> np.ndarray:
        """The sums of w times the losses of R (K, k), in the units of each fit, (K,)."""
        fits, weighted = self.fits, R if self.w is None else R * self.w
        right = np.einsum("ij,ij->i", self.A[:-1], weighted)
        return (fits.jump * right + fits.lower * weighted.sum(axis=1)) / fits.y_scale


@dataclass(frozen=True, slots=True, eq=False)
class Descents:
    """The kernel ``descent`` of each fit, (K, m)."""

    fits: Fits

    def __call__(self, part: Part) -> np.ndarray:
        seen = self.fits.at(part)
        return seen.adjoints(seen.sums())


@dataclass(frozen=True, slots=True, eq=False)
class OpenRows:
    """Rows of a part that stay open, (j,) each: of which ``fit``, their ``index``, residuals and
    weights; and their centred columns C (j, p).
    """

    fit: np.ndarray
    index: np.ndarray
    C: np.ndarray
    r: np.ndarray
    w: np.ndarray

    def some(self, chosen: np.ndarray) -> OpenRows:
        return OpenRows(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Settles:
    """``Settled`` of K fits: h (K, m), c (K,), ``counts`` (K,) of open rows, and these, part by
    part; of a fit with more of them than its ``most`` (K,) only their number.
    """

    h: np.ndarray
    c: np.ndarray
    counts: np.ndarray
    opened: list[OpenRows]
    most: np.ndarray

    def __add__(self, other: Settles) -> Settles:
        counts, opened = self.counts + other.counts, self.opened + other.opened
        few = counts <= self.most
        if not few.all():
            opened = [one.some(few[one.fit]) for one in opened]
        return Settles(self.h + other.h, self.c + other.c, counts, opened, self.most)

    def __iter__(self) -> Iterator[Settled]:
        parts = [[getattr(one, name) for one in self.opened] for name in OpenRows.__slots__]
        opened = OpenRows(*map(np.concatenate, parts))
        order = np.argsort(opened.fit, kind="stable")
        ends = np.searchsorted(opened.fit[order], np.arange(len(self.c) + 1))
        each = zip(self.h, self.c, self.counts, self.most, ends[:-1], ends[1:], strict=True)
        for h, c, count, most, first, last in each:
            own = opened.some(order[first:last])
            kept = Kept(int(most), int(count), [own.index], [own.C], [own.r], [own.w])
            yield Settled(None, h, float(c), kept)


class Settling:
    """The kernel ``settle`` of each fit."""

    def __init__(
        self, frames: Frames, losses: Losses, rules: tuple[SettlingRule, ...], most: tuple
    ):
        self.fits = Fits(frames, losses, [rule.phi for rule in rules])
        self.width = self.fits.y_scale[:, None] * np.array([[rule.width] for rule in rules])
        self.most = np.array(most)

    def __call__(self, part: Part) -> Settles:
        seen = self.fits.at(part)
        R = seen.R
        # 1. Rows that stay open.
        fit, rows = np.divmod(np.flatnonzero(np.abs(R) < self.width), R.shape[1])
        r, w = R[fit, rows] / self.fits.y_scale[fit], part.weights[rows]
        opened = OpenRows(fit, rows + part.begin, seen.D[rows, : part.X.shape[1]], r, w)
        # 2. The sums over the others.
        seen.leave_out(fit, rows)
        sums, counts = seen.sums(), np.bincount(fit, minlength=len(R))
        if len(part.y) == 1:  # R is made of D
            cost = np.einsum("ij,ij->i", sums, self.fits.factors) / self.fits.y_scale
        else:
            cost = seen.costs(R)
        return Settles(seen.adjoints(sums), cost, counts, [opened], self.most)


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


class Verifying:
    """The kernel ``verify`` of each fit; the ``rules`` are None."""

    def __init__(self, frames: Frames, losses: Losses, phis, fars, rules, opened, *_):
        self.fits = Fits(frames, losses, phis)
        self.far = self.fits.y_scale[:, None] * np.array([[far] for far in fars])
        numbers, fit = (
            np.concatenate(opened),
            np.repeat(np.arange(len(opened)), [*map(len, opened)]),
        )
        order = np.argsort(numbers, kind="stable")
        self.numbers, self.fit = numbers[order], fit[order]

    def __call__(self, part: Part) -> Verifies:
        seen = self.fits.at(part)
        R = seen.R
        # 1. What all rows cost.
        cost = near = seen.costs(R)
        if np.any(np.maximum(R.max(axis=1), -R.min(axis=1)) > self.far[:, 0]):
            near = seen.costs(np.clip(R, -self.far, self.far))
        # 2. The slopes of those that are settled.
        first, last = np.searchsorted(self.numbers, (part.begin, part.begin + R.shape[1]))
        fit = self.fit[first:last]
        seen.leave_out(fit, self.numbers[first:last] - part.begin)
        counts = np.bincount(fit, minlength=len(R))
        return Verifies(cost, near, seen.adjoints(seen.sums()), counts)


def of_many(
    kernel: Callable, frames: Frames, arguments: list[tuple], rough: bool = False
) -> Callable[[Part], Any]:
    """The kernel of fits with these ``frames``, whose passes have the same ``kernel``.

    y of its parts is (K, k), or one row for all. A gradient may be ``rough``.
    """
    losses, *others = zip(*arguments, strict=True)
    if kernel is descent:
        return Descents(Fits(frames, losses, *others, dtype=np.float32 if rough else np.float64))
    return (Settling if kernel is settle else Verifying)(frames, losses, *others)


def is_one_of_many(kernel: Callable, arguments: tuple) -> bool:
    """Whether a pass is one that fits can make together: the loss is a corner, and a rule, if there
    is one, the same for all rows.
    """
    if kernel not in (descent, settle, verify) or not arguments[0].is_corner:
        return False
    rules = [a for a in arguments if isinstance(a, SettlingRule)]
    alike = all(r.metric is None and not len(r.unknown.rare) and r.unknown.N is None for r in rules)
    return alike and (kernel is settle or not rules)
