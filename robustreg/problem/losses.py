"""A loss as a value: four numbers, and what follows from them pointwise.

Every loss here is convex, with slopes in [lower, upper]: quadratic with curvature 1 on [left,
right], linear outside.

    loss            lower, upper      left, right
    squared         -inf, inf         -inf, inf
    Huber, knot d   -d, d             -d, d
    absolute        -1, 1             0, 0
    quantile tau    tau - 1, tau      0, 0

There are two kinds, and no other: a *smooth* loss, whose slope is continuous, so that left = lower
and right = upper; and a *corner*, two lines that meet at left = right = 0, where any slope in
[lower, upper] is one. Slopes on the two sides need not be equal in size.

What follows, for a residual r, a dual variable u in [lower, upper], and r_in = r clipped to [left,
right]:

                smooth                               corner
    slope(r)    r_in                                 v = lower, 0, upper for r < 0, = 0, > 0
    value(r)    r_in (r - r_in / 2)                  max(lower r, upper r)
    l*(u)       u^2 / 2                              0
    excess      (r_in - u) ((r_in - u) / 2           (v - u) r
                + (r - r_in))

The excess l(r) + l*(u) - u r is nonnegative, and zero exactly where u is a slope of l at r
(Fenchel-Young). It is written as products and sums of terms of equal sign, so that nothing cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Loss:
    """Slopes in [lower, upper], quadratic on [left, right], linear outside; see the module.

    ValueError if it is neither smooth nor a corner.
    """

    lower: float
    upper: float
    left: float
    right: float

    def __post_init__(self):
        if not self.lower < 0.0 < self.upper:
            raise ValueError(
                "A loss falls to the left of 0 and rises to the right: lower < 0 < upper; "
                f"got lower={self.lower!r} and upper={self.upper!r}."
            )
        smooth = self.left == self.lower and self.right == self.upper
        if not smooth and not (self.left == 0.0 == self.right):
            raise ValueError(
                "A loss is smooth (left = lower, right = upper) or a corner (left = right = 0); "
                f"got left={self.left!r} and right={self.right!r}."
            )
        alike = (self.lower > -np.inf) == (self.upper < np.inf)
        if not alike or not (smooth or self.is_bounded):
            raise ValueError(
                "Both slopes of a loss are bounded, or it is the squared loss; "
                f"got lower={self.lower!r} and upper={self.upper!r}."
            )

    @property
    def is_bounded(self) -> bool:
        """Whether slopes are bounded: a residual far away pulls no more than one nearby."""
        return bool(self.upper < np.inf)

    @property
    def is_corner(self) -> bool:
        """Whether nothing is quadratic: two lines that meet at left = right = 0."""
        return self.left == self.right

    @property
    def is_symmetric(self) -> bool:
        """Whether residuals of both signs count alike."""
        return self.lower == -self.upper

    @property
    def steepest(self) -> float:
        """The largest absolute slope."""
        return max(self.upper, -self.lower)

    @property
    def middle(self) -> float:
        """The middle of the slopes of a bounded loss."""
        return 0.5 * (self.lower + self.upper)

    @property
    def half_jump(self) -> float:
        """Half of what separates the slopes of a bounded loss."""
        return 0.5 * (self.upper - self.lower)

    @property
    def level(self) -> float:
        """The part of the weights that is below the intercept of a minimiser of a corner."""
        return self.upper / (self.upper - self.lower)

    def inside(self, r: np.ndarray) -> np.ndarray:
        """r clipped to [left, right]."""
        if not self.is_bounded:
            return r
        return np.clip(r, self.left, self.right)

    def slope(self, r: np.ndarray) -> np.ndarray:
        """l'(r); at a corner, where there is no derivative, 0."""
        return self.pull(r) if self.is_corner else self.inside(r)

    def value(self, r: np.ndarray) -> np.ndarray:
        """l(r)."""
        if self.is_corner:
            if self.is_symmetric:
                return self.upper * np.abs(r)
            return np.maximum(self.lower * r, self.upper * r)
        r_in = self.inside(r)
        return r_in * (r - 0.5 * r_in)

    def curved(self, r: np.ndarray) -> np.ndarray:
        """Where l is quadratic around r, so that l''(r) = 1; elsewhere l'' = 0."""
        if self.is_corner:
            return np.zeros(r.shape, dtype=bool)
        # Solvers ask this at every step: of a symmetric interval in two passes over r, not three.
        if self.left == -self.right:
            return np.abs(r) <= self.right
        return (r >= self.left) & (r <= self.right)

    def zone(self, r: np.ndarray) -> np.ndarray:
        """-1, 0 or 1: r is left of, inside or right of [left, right], (k,) int8."""
        return (r > self.right).view(np.int8) - (r < self.left).view(np.int8)

    def outside(self, r: np.ndarray) -> np.ndarray:
        """How far r is outside of [left, right]; negative inside: the way to the nearer end."""
        if self.left == -self.right:
            size = np.abs(r)
            if self.right:
                size -= self.right
            return size
        return np.maximum(self.left - r, r - self.right)

    def distance(self, r: np.ndarray) -> np.ndarray:
        """How far r is from the nearer end of [left, right], on either side."""
        away = self.outside(r)
        return away if self.is_corner else np.abs(away, out=away)

    def slack(self, r: np.ndarray, side: np.ndarray) -> np.ndarray:
        """How far r is outside on a given side: r - right for ``side`` 1, left - r for -1."""
        return side * r - np.where(side > 0.0, self.right, -self.left)

    def pull(self, side: np.ndarray) -> np.ndarray:
        """The slope on a side, if bounded: upper for ``side`` > 0, lower for < 0, 0 for 0."""
        if self.is_symmetric:
            return self.upper * np.sign(side)
        pull = np.where(side > 0.0, self.upper, self.lower)
        pull[side == 0.0] = 0.0
        return pull

    def pull_of_zone(self, zone: np.ndarray) -> np.ndarray:
        """The slope of a corner on the side ``zone`` (k,), -1, 0 or 1: lower, 0 or upper."""
        if self.is_symmetric:
            return self.upper * zone
        return self.pull(zone)

    def excess(self, r: np.ndarray, u: np.ndarray) -> np.ndarray:
        """l(r) + l*(u) - u r >= 0, for u in [lower, upper]."""
        if self.is_corner:
            return (self.slope(r) - u) * r
        r_in = self.inside(r)
        return (r_in - u) * (0.5 * (r_in - u) + (r - r_in))

    def excess_of_rounding(self, r: np.ndarray, e: np.ndarray) -> np.ndarray:
        """The most that excess(r, u) can be where u is a slope of l within e (n,) of r."""
        width = self.upper - self.lower
        near = self.outside(r) <= e
        if self.is_corner:
            return np.where(near, width * np.abs(r), 0.0)
        return np.where(near, np.minimum(0.5 * e, width) * e, 0.0)

    def shrinkage(self, u: np.ndarray) -> float:
        """The largest t <= 1 with t u in [lower, upper]."""
        highest, lowest = u.max(initial=0.0), u.min(initial=0.0)
        up = self.upper / highest if highest > self.upper else 1.0
        return float(min(up, self.lower / lowest if lowest < self.lower else 1.0))

    def held(self, u: np.ndarray, part: float) -> np.ndarray:
        """Where the slope u is inside [lower, upper] by more than ``part`` of the bounds' size.

        A residual with such a slope is the same in every minimiser.
        """
        if not self.is_bounded:
            return np.ones(u.shape, dtype=bool)
        return (u < self.upper * (1.0 - part)) & (u > self.lower * (1.0 - part))

    def in_units(self, s: float) -> tuple[Loss, float]:
        """(loss, unit) with l(r) = unit * loss(r / s); a corner is the absolute loss but for a
        linear part.
        """
        if self.is_corner:
            size = self.half_jump
            return corner(self.lower / size, self.upper / size), s * size
        return smooth(self.lower / s, self.upper / s), s * s

    def smoothed(self, factor: float) -> Loss:
        """``factor`` times this loss, made smooth by a quadratic piece as wide as its slopes then
        are. Of a corner the linear part, ``factor * middle * r``, is left out, so that the piece
        has 0 in its middle.
        """
        if self.is_corner:
            return huber(factor * self.half_jump)
        return smooth(factor * self.lower, factor * self.upper)

    def reach(self, r: np.ndarray) -> np.ndarray:
        """The least factor for which r is in the quadratic piece of ``smoothed(factor)``."""
        if self.is_corner or self.is_symmetric:
            return np.abs(r) / self.half_jump
        return np.maximum(r / self.upper, r / self.lower)

    def cornered(self) -> tuple[Loss, float]:
        """(corner, unit): unit * corner is the limit for residuals far outside [left, right]."""
        size = self.steepest
        return corner(self.lower / size, self.upper / size), size


def smooth(lower: float, upper: float) -> Loss:
    """r^2 / 2 while r is in [lower, upper], then linear with the slopes lower and upper."""
    return Loss(lower, upper, lower, upper)


def corner(lower: float, upper: float) -> Loss:
    """lower * r for r < 0, upper * r for r > 0."""
    return Loss(lower, upper, 0.0, 0.0)


def pinball(level: float) -> Loss:
    """level * r for r > 0, (level - 1) * r for r < 0: least at the quantile of that level."""
    return corner(level - 1.0, level)


def huber(knot: float) -> Loss:
    """r^2 / 2 up to abs(r) = knot, then knot * (abs(r) - knot / 2)."""
    return smooth(-knot, knot)


SQUARED = huber(np.inf)  # r^2 / 2
ABSOLUTE = corner(-1.0, 1.0)  # abs(r)
