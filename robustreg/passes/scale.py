"""The scale of the residuals of rows that are not in memory, exactly, in a pass or a few.

A scale depends on the sizes of residuals that are between two bounds, and of the others only on
their weight and, below, on their sum of squares: the median is among those between, if half of the
weight is not below nor above; and with the knot k s, sum w min(r^2, (k s)^2) is linear in s^2 but
for rows whose residual is between the least and the largest k s. So one pass lists the residuals
between two bounds, which a sample tells, and adds up the others. Where the scale is not between the
bounds they were wrong, and are moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.frame import Frame
from ..data.source import Part, Refused, Source, Sums, sweep
from ..problem.solution import Tally

ROWS = 100_000  # of a sample that tell the bounds, at most
# Bounds are so many standard deviations of a sample's scale, about 1.2 / sqrt(rows), apart.
DEVIATIONS = 6.0
TRIALS = 8  # each with bounds four times as far apart


@dataclass(frozen=True, slots=True, eq=False)
class Between(Sums):
    """``size`` and ``w``, lists of the sizes of residuals between two bounds and of their weights;
    the weight ``below`` and the sum of w r^2 there, ``square``, and the weight ``above``.
    """

    size: list
    w: list
    below: float
    square: float
    above: float


def between(part: Part, frame: Frame, phi: np.ndarray, low: float, high: float) -> Between:
    """The kernel of a pass for the residuals at phi (m,) with sizes between two bounds."""
    size = np.abs(frame.residual(part, frame.centred(part), phi))
    w, is_below, is_above = part.weights, size < low, size > high
    inner = ~(is_below | is_above)
    below = w[is_below]
    square = float(below @ np.square(size[is_below]))
    return Between([size[inner]], [w[inner]], float(below.sum()), square, float(w[is_above].sum()))


def scale_of_rows(
    source: Source, frame: Frame, phi: np.ndarray, rule: Any, tally: Tally
) -> float:  # fmt: skip
    """``rule.scale`` of the residuals of all rows at phi (m,), in the units of the frame; Refused
    where no bounds are found.

    ``rule.knot`` residuals are one scale: the size at which a residual counts as another one.
    """
    tally.n_passes += source.draw(size := min(ROWS, source.n_rows))
    part, weights = source.sample(size)
    r = frame.residual(part, frame.centred(part), phi)
    weights = part.weights if weights is None else weights
    guess = rule.knot * rule.scale(r, weights * (source.weight / weights.sum()), frame.n_cols)
    width = DEVIATIONS * 1.2 / np.sqrt(len(r))
    for _ in range(TRIALS):
        low, high = guess / (1.0 + width), guess * (1.0 + width)
        seen = sweep(source, between, frame, phi, low, high)
        tally.n_passes += 1
        # One residual stands for those below, one for those above.
        inner = np.sqrt(seen.square / seen.below) if seen.below else 0.0
        sizes = np.concatenate([[inner], *seen.size, [2.0 * high]])
        w = np.concatenate([[seen.below], *seen.w, [seen.above]])
        found = rule.scale(sizes[w > 0.0], w[w > 0.0], frame.n_cols)
        if low <= rule.knot * found <= high:
            return found
        width *= 4.0
    raise Refused("The scale of the residuals of all rows is not near that of a sample.")
