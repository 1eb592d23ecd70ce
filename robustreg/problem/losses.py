"""The three losses, pointwise: each sees a residual, never the data.

For a residual r and a dual variable u in [-bound, bound]:

    value(r)      l(r)
    slope(r)      l'(r), the derivative (for the absolute loss sign(r), 0 at 0)
    curved(r)     where l is quadratic around r, so that l''(r) = 1; elsewhere l'' = 0
    excess(r, u)  l(r) + l*(u) - u r >= 0, zero exactly where u is a slope of l at r (Fenchel-Young);
                  written as products of nonnegative factors, so that nothing cancels

    excess_of_rounding(r, e)
                  the most that excess(r, u) can be where u is a slope of l at some residual within e
                  of r, and r has been changed only by rounding

``knot`` is the abs(r) up to which the loss is quadratic, ``bound`` the largest abs(slope). All three
are Huber's loss up to a factor: knot infinite (squared), finite (Huber) or zero (absolute).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Squared:
    """r^2 / 2."""

    knot: float = np.inf
    bound: float = np.inf

    def value(self, r):
        return 0.5 * np.square(r)

    def slope(self, r):
        return r

    def curved(self, r):
        return np.ones(r.shape, dtype=bool)

    def excess(self, r, u):
        return 0.5 * np.square(r - u)

    def excess_of_rounding(self, r, e):
        return 0.5 * np.square(e)


@dataclass(frozen=True, slots=True)
class Absolute:
    """abs(r)."""

    knot: float = 0.0
    bound: float = 1.0

    def value(self, r):
        return np.abs(r)

    def slope(self, r):
        return np.sign(r)

    def curved(self, r):
        return np.zeros(r.shape, dtype=bool)

    def excess(self, r, u):
        return np.abs(r) * (1.0 - np.sign(r) * u)

    def excess_of_rounding(self, r, e):
        return np.where(np.abs(r) <= e, 2.0 * np.abs(r), 0.0)


@dataclass(frozen=True, slots=True)
class Huber:
    """r^2 / 2 up to abs(r) = knot, then knot * (abs(r) - knot / 2); equality is quadratic."""

    knot: float

    @property
    def bound(self):
        return self.knot

    def value(self, r):
        inner = np.minimum(np.abs(r), self.knot)
        return inner * (np.abs(r) - 0.5 * inner)

    def slope(self, r):
        return np.clip(r, -self.knot, self.knot)

    def curved(self, r):
        return np.abs(r) <= self.knot

    def excess(self, r, u):
        size, v = np.abs(r), np.sign(r) * u
        outer = (self.knot - v) * (size - 0.5 * (self.knot + v))
        return np.where(size <= self.knot, 0.5 * np.square(size - v), outer)

    def excess_of_rounding(self, r, e):
        return np.where(np.abs(r) <= self.knot + e, np.minimum(0.5 * e, 2.0 * self.knot) * e, 0.0)


Loss = Squared | Absolute | Huber
