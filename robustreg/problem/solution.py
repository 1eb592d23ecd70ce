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
    LEFT_OUT = (
        "Directions of X that are too small to be fitted in float64 were left out, and other "
        "coefficients in them may lower the objective; dual_gap_ bounds by how much. Rescale or "
        "transform the columns that are nearly dependent, or penalise them."
    )
    NOT_CANONICAL = (
        "The minimiser is not unique, and the one of least norm was not found: the coefficients "
        "are "
        "another exact minimiser. A small alpha > 0 makes it unique."
    )
    SCALE = (
        "No scale was found that the residuals of its own fit have: the coefficients are exact for "
        "delta * scale_, "
        "but that is not the residuals' scale. Give the scale as a number instead."
    )
    NO_SCALE = (
        "So many rows can be fitted exactly that the residuals' scale is 0: the coefficients are "
        "those of the "
        "absolute loss, the limit of Huber's loss as its knot tends to 0. Give the scale as a "
        "number instead."
    )


@dataclass(slots=True)
class Tally:
    """What a solve has cost so far: the solvers count in it."""

    n_iter: int = 0
    n_passes: int = 0  # over all rows, of a row reduction
    n_kept: int = 0  # rows that it left open
    n_fixups: int = 0  # rounds in which it had settled rows wrongly


HOW = {
    "direct": "directly, with all rows in memory",
    "scipy": "by SciPy",
    "sums": "from sums over the rows, each read once",
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a fit took; ``print`` it for a sentence.

    Parameters
    ----------
    way : {"passes", "direct", "scipy", "sums"}
        How it was solved: in a few passes over the rows, of which only those near a knot are kept;
        directly, with all rows in memory, which is said if one of several targets was; by SciPy,
        for ``solver="scipy"``; or from sums over the rows of all batches, by ``partial_fit``.
    n_passes : int
        Passes over all rows, of every trial of a scale; one that up to 16 targets share counts
        once. The direct way, which reads the rows as often as it iterates, adds 0.
    n_kept : int
        The most rows that a fit in passes kept open: those near a knot, or all of few rows.
    n_fixups : int
        Rounds in which rows were found that had been settled wrongly.
    n_iter : int
        Iterations of the slowest target.
    refused : str
        Why passes could not solve the problem; empty if they did, or were not tried.
    left_out : int
        Directions of X that were left out though they are not quite dependent: float64 has too few
        digits to fit them.
    n_repeats : int
        Rows that are equal to others in X and y, and were merged with them to one of their weight.
    digits : int or None
        How many digits of the coefficients are right, about, where ``partial_fit`` knows that there
        are less than ten: columns of X are nearly dependent. Else None.
    gathered : bool
        Whether the rows were on Dask, and all of them were brought into memory: they are few, or
        passes could not solve the problem.
    """

    way: str
    n_passes: int
    n_kept: int
    n_fixups: int
    n_iter: int
    refused: str = ""
    left_out: int = 0
    n_repeats: int = 0
    digits: int | None = None
    gathered: bool = False

    def __str__(self) -> str:
        merged = f"{self.n_repeats:,} repeated rows merged. " if self.n_repeats else ""
        gathered = " All rows were brought into memory." if self.gathered else ""
        return merged + self._solved() + gathered

    def __repr__(self) -> str:
        return str(self)

    def _solved(self) -> str:
        plural = "" if self.n_iter == 1 else "s"
        if self.way == "passes":
            opened = f", opened {self.n_fixups} times" if self.n_fixups else ""
            kept = f", {self.n_kept:,} rows kept{opened}" if self.n_kept else ""
            passes = "1 pass" if self.n_passes == 1 else f"{self.n_passes} passes"
            return f"{passes} over the rows{kept}, {self.n_iter} iteration{plural}."
        how = HOW[self.way]
        why = f" Not in passes: {self.refused}" if self.refused else ""
        return f"Solved {how}, {self.n_iter} iteration{plural}.{why}{self._exception()}"

    def _exception(self) -> str:
        if self.digits is not None and not self.left_out:
            return f" About {self.digits} digits are right: columns of X are nearly dependent."
        if not self.left_out:
            return ""
        one = self.left_out == 1
        directions = "One direction" if one else f"{self.left_out} directions"
        return f" {directions} of X {'was' if one else 'were'} left out, too small for float64."

    def __add__(self, other: Work) -> Work:
        """Of two fits that share no pass, of which one is another target."""
        return Work(
            way=self.way if self.way == other.way else "direct",
            n_passes=self.n_passes + other.n_passes,
            n_kept=max(self.n_kept, other.n_kept),
            n_fixups=self.n_fixups + other.n_fixups,
            n_iter=max(self.n_iter, other.n_iter),
            refused=self.refused or other.refused,
            left_out=max(self.left_out, other.left_out),
            n_repeats=max(self.n_repeats, other.n_repeats),
            gathered=self.gathered or other.gathered,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """At most ``max_iter`` iterations, from ``start`` (m,) or None; ``tell``, if any, hears of each
    step.
    """

    max_iter: int
    tell: Callable | None = None
    start: np.ndarray | None = None

    def report(self, step: str, rows: int, gap: float = math.nan) -> None:
        """A ``step`` is done, with so many ``rows`` open; ``gap`` is relative, of the problem it
        solves.
        """
        if self.tell:
            self.tell(step, rows, gap)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An optimal pair as a core solver leaves it: phi (m,), dual u (n,) in [lower, upper]."""

    phi: np.ndarray
    u: np.ndarray
    exhausted: bool = False  # stopped by max_iter


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """The canonical minimiser phi (m,), its residuals r and dual u (n,), and its proof.

    ``objective`` and ``gap`` (relative) belong to each other; ``unique`` says whether the minimiser
    is the only one in the space of independent columns.
    """

    phi: np.ndarray
    r: np.ndarray
    u: np.ndarray
    objective: float
    gap: float
    unique: bool
    status: Status
    work: Tally
