"""What a solver hands back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np


class Status(Enum):
    """How a solve ended; each value is the message for the user."""

    EXACT = "The exact minimiser was found and certified."
    ITERATIONS = (
        "The iterations reached max_iter before the minimiser was certified; "
        "the coefficients are the best found. Increase max_iter."
    )
    ROUNDING = (
        "Rounding stopped the iterations before the gap fell below tol; the coefficients are the "
        "best found and dual_gap_ tells how good they are. Check for nearly collinear columns or "
        "extreme weights, or try solver='scipy'."
    )
    NOT_CANONICAL = (
        "The minimiser is not unique, and the one of least norm was not found: the coefficients are "
        "another exact minimiser. A small alpha > 0 makes it unique."
    )
    SCALE = (
        "No scale was found that the residuals of its own fit have: the coefficients are exact for delta * scale_, "
        "but that is not the residuals' scale. Give the scale as a number instead."
    )
    NO_SCALE = (
        "More rows than the scale can ignore are fitted exactly, so that the residuals' scale is 0: the coefficients "
        "are those of the absolute loss, the limit of Huber's. Give the scale as a number instead."
    )


@dataclass(slots=True)
class Work:
    """What a solve cost."""

    n_iter: int = 0
    n_passes: int = 0  # over all rows, of a row reduction
    n_kept: int = 0  # rows that it left open
    n_fixups: int = 0  # rounds in which it had settled rows wrongly


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """At most ``max_iter`` iterations, from ``start`` (m,) or None; ``tell``, if any, hears of each step."""

    max_iter: int
    tell: Callable | None = None
    start: np.ndarray | None = None

    def report(self, step: str, rows: int, gap: float = math.nan) -> None:
        """A ``step`` is done, with so many ``rows`` open; ``gap`` is relative, of the problem it solves."""
        if self.tell:
            self.tell(step, rows, gap)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An optimal pair as a core solver leaves it: phi (m,), dual u (n,) with abs(u) <= bound."""

    phi: np.ndarray
    u: np.ndarray
    exhausted: bool = False  # stopped by max_iter


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """The canonical minimiser phi (m,), its residuals r and dual u (n,), and its proof.

    ``objective`` and ``gap`` (relative) belong to each other; ``unique`` says whether the minimiser is
    the only one in the space of independent columns.
    """

    phi: np.ndarray
    r: np.ndarray
    u: np.ndarray
    objective: float
    gap: float
    unique: bool
    status: Status
    work: Work


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """The canonical minimiser phi (m,) of a stream, its objective in units of y, its relative duality gap, whether it
    is ``unique``, and, for Huber's loss, which rows are ``beyond`` (n,) the knot."""

    phi: np.ndarray
    objective: float
    gap: float
    unique: bool
    beyond: np.ndarray | None
    work: Work
