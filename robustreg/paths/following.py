"""A path of Huber solutions followed downwards, from each piece into the next.

Where the line of a piece ends, one row i meets the knot and changes its zone, so that the equations
of the next piece are known without a search:

    H changes by -w_i z_i z_i' if the row goes outside, by w_i z_i z_i' if it comes in,
    the pull Z'(w side) by w_i side_i z_i, or by minus that.

Each piece proves itself in its middle: residuals there are those of the data, the gradient is made
of their own slopes, and Newton's step removes what it lacks, so that no error adds up along the
path. The following ends where something is not that simple: rows that meet the knot together
without an order, a minimiser that is not unique, digits that get lost. It says nothing then: who
asked for it searches on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..fitting.target import Target
from ..numerics import linalg
from ..numerics.precision import EPS

ENTRIES = 2**22  # of Z up to which a path is followed: Z is copied
PROVED = 1e-10  # relative gap of a piece: with a larger one it is left to the search
WELL_CONDITIONED = 1e-8  # least reciprocal condition number of H, which leaves directions 8 digits
AFRESH = 64  # pieces after which H and the pull are summed anew, as their changes round
LEFT = 1e-3  # part of a diagonal of H, below which it is, too: what is left may be rounding only
STAYS = 1e-6  # of the length of a piece: in its middle rows that move are further from the knot
ROUNDED = 64.0 * EPS  # of the terms of a residual, which are as large as phi where columns are
SHORT = 64.0 * EPS  # knots: a piece as short is none, rows met the knot together


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """phi (m,) at both ends of a piece, for knots from ``low`` to ``high``, in the units of rows.

    ``gap`` is relative.
    """

    low: float
    high: float
    at_low: np.ndarray
    at_high: np.ndarray
    gap: float


class Zones:
    """Which rows are inside, on which ``side`` (n,) the others are, and the sums that follow."""

    def __init__(self, target: Target):
        rows, self.G = target.rows, target.problem.quadratic.G
        self.Z, self.y, self.w = rows.take(slice(None)), rows.y, rows.w
        r = target.solution.r
        self.inner = target.loss.curved(r)
        self.side = np.where(self.inner, 0.0, np.sign(r))
        self.sum_up()

    def sum_up(self) -> None:
        """H (m, m) and the pull (m,) from all rows."""
        Z, w = self.Z[self.inner], self.w[self.inner]
        self.H = Z.T @ (Z * w[:, None]) + self.G
        self.pull = np.dot(self.w * self.side, self.Z)
        self.least = LEFT * np.diag(self.H)

    def change(self, i: int, side: float) -> None:
        """Row i goes out to a ``side``, or comes in from it."""
        z, goes_out = self.Z[i], self.inner[i]
        change = self.w[i] if goes_out else -self.w[i]
        self.H -= change * np.outer(z, z)
        self.pull += change * side * z
        self.inner[i] = not goes_out
        self.side[i] = side if goes_out else 0.0

    def direction(self, factor: linalg.Factor) -> tuple[np.ndarray, np.ndarray]:
        """(how phi (m,) moves with the knot, its fitted values (n,)), refined once."""
        direction = factor.solve(self.pull)
        fitted = np.dot(self.Z, direction)
        inside = self.w * self.inner
        inside *= fitted
        missing = self.pull - np.dot(inside, self.Z) - self.G @ direction
        direction += factor.solve(missing)
        return direction, np.dot(self.Z, direction)

    def first(self, r: np.ndarray, knot: float, fitted: np.ndarray) -> tuple[float, int, float]:
        """(how far the knot falls until a row meets it, which row, on which side).

        While it falls by t, residuals are r + t fitted. A row meets it on a side where t (1 + side
        fitted) = knot - side r: one inside where the left grows, one outside where it falls.
        """
        best = np.inf, -1, 0.0
        for side in (1.0, -1.0):
            rate = 1.0 + side * fitted
            meets = np.where(self.inner, rate > 0.0, (self.side == side) & (rate < 0.0))
            t = np.full(len(r), np.inf)
            np.divide(knot - side * r, rate, out=t, where=meets)
            i = int(t.argmin())
            if t[i] < best[0]:
                best = float(t[i]), i, side
        return max(best[0], 0.0), best[1], best[2]


def followed(target: Target, stop: float, most: int) -> Iterator[Line]:
    """The pieces below the knot of a target, down to the knot ``stop``, ``most`` of them at most.

    The first is that through the target's knot, from there on; all in the units of its rows.
    """
    zones, phi, knot = Zones(target), target.solution.phi, target.loss.right
    last, idle = -1, 0
    for k in range(most):
        if k % AFRESH == AFRESH - 1 or np.any(np.diag(zones.H) < zones.least):
            zones.sum_up()
        factor = linalg.factor(zones.H)
        if not factor.rcond >= WELL_CONDITIONED or not knot > stop:
            return
        # 1. The line, and where it ends.
        direction, fitted = zones.direction(factor)
        r = zones.y - np.dot(zones.Z, phi)
        t, row, side = zones.first(r, knot, fitted)
        low = max(knot - t, stop)
        t = knot - low
        # 2. Its proof, if it is one; rows that met the knot together have none between them.
        if t > SHORT * knot:
            middle = phi - 0.5 * t * direction
            step, gap = _proof(zones, factor, middle, 0.5 * (low + knot), STAYS * t)
            if not gap <= PROVED:
                return
            middle += step
            at_high, at_low = middle + 0.5 * t * direction, middle - 0.5 * t * direction
            yield Line(low, knot, at_low, at_high, gap)
            phi, idle = at_low, 0
        elif row == last or idle > len(phi):
            return
        else:
            idle += 1
        # 3. The row that meets the knot.
        if low == stop:
            return
        zones.change(row, side)
        knot, last = low, row


def _proof(
    zones: Zones, factor, phi: np.ndarray, knot: float, near: float
) -> tuple[np.ndarray, float]:
    """(Newton's step from phi (m,), the relative duality gap there), as in ``passes/gap.py``.

    The gap is infinite where a row inside is no further than ``near`` from the knot, or than
    rounding: it stays at the knot, and does not make the minimiser unique.
    """
    r = zones.y - np.dot(zones.Z, phi)
    near = max(near, ROUNDED * (knot + np.abs(phi).sum()))
    if np.any(zones.inner & (np.abs(r) >= knot - near)):
        return phi, np.inf
    inside = np.clip(r, -knot, knot)
    pull, penalty = zones.w * inside, zones.G @ phi
    missing = np.dot(pull, zones.Z) - penalty
    step = factor.solve(missing)
    decrement = max(float(step @ missing), 0.0)
    value = float(np.dot(pull, r - 0.5 * inside)) + 0.5 * float(phi @ penalty)
    outside = np.sqrt(decrement / zones.w.min()) / knot
    return step, 0.5 * decrement / value + outside if value > 0.0 else np.inf
