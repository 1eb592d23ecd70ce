"""The problem of all rows in the coordinates of a frame, and what passes hand back for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.columns import power_of_two
from ..data.frame import Frame
from ..data.source import Source
from ..problem.losses import Loss
from ..problem.solution import Tally


@dataclass(frozen=True, slots=True, eq=False)
class AllRows:
    """min (1/W) sum w l(r) + (alpha / 2) ||b / y_scale||^2 over phi, r = t - Z phi as in
    ``frame.py``.

    ``loss`` and ``alpha`` are in the units of the frame; the objective times ``unit`` is that of
    the data.
    """

    source: Source
    frame: Frame
    loss: Loss
    alpha: float
    unit: float

    @property
    def penalty_root(self) -> np.ndarray:
        """L (p, m) with ||L phi||^2 = W alpha ||b / y_scale||^2."""
        return self.frame.penalty_root(self.alpha * self.source.weight)

    def in_units(self, size: float) -> AllRows:
        """The same problem with y in units of the power of two next to ``size`` times the present
        one.
        """
        size = float(power_of_two(size))
        loss, unit = self.loss.in_units(size)
        frame = self.frame.in_units(size)
        return AllRows(
            self.source, frame, loss, self.alpha * (size * size / unit), self.unit * unit
        )


def all_rows(source: Source, frame: Frame, loss: Loss, alpha: float) -> AllRows:
    """The problem for ``loss`` and ``alpha`` in the units of the data."""
    s = frame.y_scale
    scaled, unit = loss.in_units(s)
    return AllRows(source, frame, scaled, alpha * (s * s / unit), unit)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The canonical minimiser phi (m,) in the coordinates of ``frame``, and its proof.

    ``objective`` is in the units of the data, ``gap`` relative. For a loss with knots ``outside``
    (n,) bool tells which rows are beyond one, but for those with the numbers ``close`` (k,), which
    rounding may decide; else both are None.
    """

    frame: Frame
    phi: np.ndarray
    objective: float
    gap: float
    unique: bool
    outside: np.ndarray | None
    close: np.ndarray | None
    tally: Tally
