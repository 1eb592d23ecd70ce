"""The penalty beside the loss: (W alpha / 2) ||b||^2, for slopes b and the sum of weights W.

With b = B phi[:r] in the coordinates of ``Rows`` it is ||L phi||^2 / 2 with L = sqrt(W alpha) [B,
0]: the intercept is free. L is kept, not L'L, since columns in very different units spread the
entries of L'L too far apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.rows import Rows
from .losses import Loss
from .problem import Problem, Quadratic

# Entries of L below it have finite squares.
LARGEST_ROOT = 1e150
# The rank rule leaves curvatures of about (10 EPS)^2 = 5e-30 and more, relative to the largest. A
# stiffness below this one is nothing beside them: it chooses among minimisers, as the canonical
# answer does, and nothing else.
NEGLIGIBLE_STIFFNESS = 1e-40
# Beside a corner a stiffness below it is hidden by rounding, unless the minimiser is not unique:
# then the penalty chooses the canonical one, which the limit of no penalty is, too. The gap checks
# it.
FAINT_STIFFNESS = 1e-13


@dataclass(frozen=True, slots=True)
class Ridge:
    """The penalty (W alpha / 2) ||b||^2, ``alpha`` in the units of rows.y."""

    alpha: float

    def root(self, rows: Rows) -> np.ndarray:
        """L with ||L phi||^2 = alpha W ||B phi[:r]||^2, (k, m); (0, m) without a penalty.

        Raises ValueError if its square overflows.
        """
        if not self.alpha:
            return np.zeros((0, rows.n_cols))
        root = rows.B if rows.spanned is None else rows.spanned.root
        L = np.zeros((len(root), rows.n_cols))
        with np.errstate(over="ignore", invalid="ignore"):
            L[:, : rows.rank] = np.sqrt(self.alpha * rows.w.sum()) * root
        if not np.abs(L).max(initial=0.0) < LARGEST_ROOT:
            raise ValueError(
                "The penalty overflows float64: alpha is too large for columns as small as those "
                "of X, or for y as large. Rescale them, or lower alpha."
            )
        return L

    def stiffness(self, rows: Rows) -> float:
        """The largest curvature of the penalty, relative to that of the squared loss."""
        root = np.sqrt(self.alpha) * np.abs(rows.B).max(initial=0.0)
        return float(np.square(min(root, LARGEST_ROOT)))

    def is_negligible(self, rows: Rows) -> bool:
        """Whether no loss can tell it from no penalty, but where the minimiser is not unique."""
        return bool(self.alpha) and self.stiffness(rows) < NEGLIGIBLE_STIFFNESS

    def is_faint(self, rows: Rows) -> bool:
        """Whether rounding may hide it beside a corner."""
        return bool(self.alpha) and self.stiffness(rows) < FAINT_STIFFNESS


def ridge_problem(rows: Rows, loss: Loss, alpha: float) -> Problem:
    """The problem of ``LinearRegressor``: all rows open, and the penalty as the quadratic.

    ``loss`` and ``alpha`` are in the units of rows.y.
    """
    return Problem(rows, loss, Quadratic(Ridge(alpha).root(rows), np.zeros(rows.n_cols)))
