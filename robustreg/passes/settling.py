"""The two passes of row reduction: settle the rows whose zone is known, and verify it.

The zone of a row is -1, 0 or 1: its residual is left of, inside or right of the quadratic piece of
the loss. A rule, made of phi0 and a width, tells which rows are settled: those whose residual at
phi0 is further than the width from both ends of the piece. What a settled row adds to the objective
is then a fixed quadratic in phi, and all of them add up to phi'S phi / 2 - h'phi + c. Both passes
compute the zones from the rule, by the same operations on the same blocks, so that no number for
each row is kept between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.blocks import nonzero_in, product, rows_of
from ..data.drawn import Drawn, drawn_of_part, quota
from ..data.frame import Frame
from ..data.source import Part, Sums
from ..problem.losses import Loss

# Rows so near to an end of the quadratic piece, relative to the steepest slope or, if that is more,
# to a typical residual, are looked at again in the units of the data. Safe margins: far above
# rounding, some 1e-15 of a typical target.
CLOSE, LEAST_CLOSE = 1e-6, 1e-12
# A combination of columns of unit size that is constant in a sample shows in a row where it is so
# far from that constant.
SHOWN = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    """What a sample does not know of the columns of X, so that rows which show it stay open.

    The columns ``rare`` (k,) are not 0 in a few of its rows only; the combinations C N of columns,
    N (p, d), are the constants c (d,) in it. N and c are None where there are none.
    """

    rare: np.ndarray
    N: np.ndarray | None
    c: np.ndarray | None

    def shown_in(self, C) -> np.ndarray | bool:
        """Which rows of a block show it, (k,) bool, for its centred columns C (k, p)."""
        shown = nonzero_in(C, self.rare) if len(self.rare) else False
        if self.N is not None:
            shown = shown | np.any(np.abs(product(C, self.N) - self.c) > SHOWN, axis=1)
        return shown


NOTHING = Unknown(np.zeros(0, dtype=np.int64), None, None)


@dataclass(frozen=True, slots=True, eq=False)
class SettlingRule:
    """Which rows are settled: at ``phi`` (m,) further than ``width`` from the ends of the quadratic
    piece.

    With a ``metric`` K (k, m) the width of a row is multiplied by the norm of K z, for rows of high
    leverage. Rows that show what is ``unknown`` are never settled.
    """

    phi: np.ndarray
    width: float
    metric: np.ndarray | None
    unknown: Unknown = NOTHING

    def open_rows(self, frame: Frame, loss: Loss, C, r: np.ndarray) -> np.ndarray:
        """The places (j,) in a block of the rows that are not settled.

        C (k, p) are the centred columns of the block, r (k,) its residuals at ``phi``.
        """
        width = self.width
        if self.metric is not None:
            width = width * frame.norms(C, self.metric)
        is_open = loss.distance(r) < width
        is_open |= self.unknown.shown_in(C)
        return np.flatnonzero(is_open)


@dataclass(frozen=True, slots=True, eq=False)
class Kept(Sums):
    """Rows that stay open: how many, and lists of their numbers, centred columns C (k, p),
    residuals and weights, block by block.

    Where there are more than ``most`` only their number is kept.
    """

    most: int
    count: int
    index: list
    C: list
    r: list
    w: list

    def __add__(self, other: Kept) -> Kept:
        count = self.count + other.count
        if count > self.most:
            return Kept(self.most, count, [], [], [], [])
        mine = (self.index, self.C, self.r, self.w)
        others = (other.index, other.C, other.r, other.w)
        return Kept(self.most, count, *(a + b for a, b in zip(mine, others, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class Settled(Sums):
    """phi'S phi / 2 - h'phi + c about phi0, of the settled rows, and the other rows.

    ``gram`` is S (m, m), the Gram matrix of the settled rows inside the quadratic piece; h (m,).
    """

    gram: np.ndarray | None
    h: np.ndarray
    c: float
    kept: Kept


def settle(part: Part, frame: Frame, loss: Loss, rule: SettlingRule, most: int) -> Settled:
    """The kernel of the first pass: at most ``most`` rows are kept. S is None for a corner."""
    C = frame.centred(part)
    r, w = frame.residual(part, C, rule.phi), part.w
    opened = rule.open_rows(frame, loss, C, r)
    # 1. Slopes v of the settled rows, and w times their losses: v r - v^2 / 2, or v r at a corner.
    v = loss.slope(r)
    v[opened] = 0.0
    wv = v if w is None else w * v
    cost = np.dot(wv, r if loss.is_corner else r - 0.5 * v)
    # 2. The Gram matrix of those inside the quadratic piece.
    gram = None
    if not loss.is_corner:
        inside = loss.curved(r)
        inside[opened] = False
        inner = np.flatnonzero(inside)
        if len(inner) == len(r):
            gram = frame.gram(C, w)
        else:
            gram = frame.gram(rows_of(C, inner), None if w is None else w[inner])
    # 3. Copies of the others.
    kept = Kept(
        most,
        len(opened),
        [opened + part.begin],
        [rows_of(C, opened)],
        [r[opened]],
        [np.ones(len(opened)) if w is None else w[opened]],
    )
    return Settled(gram, frame.adjoint(C, wv), float(cost), kept)


@dataclass(frozen=True, slots=True, eq=False)
class Verified(Sums):
    """All rows at one phi.

    ``cost`` is the sum of w l(r); ``near`` the same, with residuals very far away moved nearer;
    ``adjoint`` Z'(w v) (m,), v the slopes of all rows, at a corner of settled rows only; ``wrong``
    lists numbers of settled rows that left their zone; ``n_kept`` rows were not settled.
    ``outside`` lists, block by block, which rows are outside the quadratic piece, and ``close`` the
    numbers of those for which rounding may decide that; both are empty for a corner, or where
    nobody asks for them.
    """

    cost: float
    near: float
    adjoint: np.ndarray
    n_kept: int
    wrong: list
    outside: list
    close: list


def verify(
    part: Part, frame: Frame, loss: Loss, phi: np.ndarray, far: float,
    rule: SettlingRule | None, opened: np.ndarray, with_outside: bool = True,
) -> Verified:  # fmt: skip
    """The kernel of the second pass: are the settled rows at ``phi`` (m,) in the zones they had at
    rule.phi?

    A residual beyond ``far`` is very far away. ``opened`` (k,), ascending, are numbers of rows that
    are not settled, or not any more. Without a rule all others are settled, where they are at phi:
    no row is wrong. ``with_outside``: the rows outside are listed.
    """
    C, t, w = frame.centred(part), frame.target(part), part.w
    opened_here, wrong = opened_in(opened, part.begin, len(t)), np.zeros(0, dtype=np.int64)
    # 1. Zones then and now.
    then = None
    if rule is not None:
        r = frame.residual_of(t.copy(), C, rule.phi)
        then = loss.zone(r)
        opened_here = np.union1d(rule.open_rows(frame, loss, C, r), opened_here)
    r = frame.residual_of(t, C, phi)
    if then is not None:
        wrong = _wrong(loss, then, opened_here, r)
    # 2. Slopes, of settled rows only at a corner, and losses.
    v = loss.slope(r) if then is None or not loss.is_corner else loss.pull_of_zone(then)
    if loss.is_corner:
        v[opened_here] = 0.0
    wv = v if w is None else w * v
    cost = near = _total(loss.value(r), w) if loss.is_corner else float(np.dot(wv, r - 0.5 * v))
    if max(r.max(), -r.min()) > far:
        near = _total(loss.value(np.clip(r, -far, far)), w)
    # 3. Which rows are outside, and for which of them rounding may decide.
    outside, close = [], []
    if with_outside and not loss.is_corner:
        away = loss.outside(r)
        outside.append(away > 0.0)
        beside = np.abs(away, out=away) <= max(CLOSE * loss.steepest, LEAST_CLOSE)
        close.append(np.flatnonzero(beside) + part.begin)
    return Verified(
        cost, near, frame.adjoint(C, wv), len(opened_here), [wrong + part.begin], outside, close
    )


def opened_in(opened: np.ndarray, begin: int, count: int) -> np.ndarray:
    """The places (j,) of the rows ``opened`` (k,), ascending, in a block of ``count`` rows whose
    first one has the number ``begin``.
    """
    first, last = np.searchsorted(opened, (begin, begin + count))
    return opened[first:last] - begin


def _total(values: np.ndarray, w: np.ndarray | None) -> float:
    """The sum of w times values."""
    return float(values.sum() if w is None else np.dot(w, values))


def _wrong(loss: Loss, then: np.ndarray, opened: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The places (j,) in a block of settled rows that left the zone they had ``then`` (k,).

    A zone is a closed interval of residuals: at its end a row belongs to both.
    """
    has_moved = loss.zone(r) != then
    has_moved[opened] = False
    moved = np.flatnonzero(has_moved)
    then, r = then[moved], r[moved]
    # What has moved away from the piece itself is outside of it.
    left = (then < 0) & (r > loss.left)
    right = (then > 0) & (r < loss.right)
    return moved[left | right | (then == 0)]


@dataclass(frozen=True, slots=True, eq=False)
class Residuals(Sums):
    """A list of residuals, block by block."""

    r: list


def residuals(part: Part, frame: Frame, phi: np.ndarray) -> Residuals:
    """The kernel of a pass for all residuals at phi (m,): n numbers, for scales that need them."""
    return Residuals([frame.residual(part, frame.centred(part), phi)])


@dataclass(frozen=True, slots=True, eq=False)
class Sizes(Sums):
    """A list of sizes, block by block."""

    size: list


def sizes(part: Part, frame: Frame, v: np.ndarray) -> Sizes:
    """The kernel of a pass for abs(C) v of all rows, v (p,): n numbers, for uneven samples."""
    return Sizes([product(abs(frame.centred(part)), v)])


def drawn_by_reach(part: Part, frame: Frame, v: np.ndarray, share: float) -> Drawn:
    """The kernel of a pass that draws a ``share`` of the rows by their reach, abs(C) v."""
    reach = np.maximum(product(abs(frame.centred(part)), v), 1.0)
    return drawn_of_part(part, quota(part.begin, len(reach), share), reach)
