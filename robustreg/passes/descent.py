"""The kernel of a step of Newton's method on the gradient of all rows (``nearer.py``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.frame import Frame
from ..data.source import Part, Sums
from ..problem.losses import Loss


@dataclass(frozen=True, slots=True, eq=False)
class Descent(Sums):
    """Z'(w psi(r)) (m,), and E psi' times W."""

    adjoint: np.ndarray
    curvature: float


def descent(part: Part, frame: Frame, loss: Loss, width: float, phi: np.ndarray) -> Descent:
    """The kernel of a step from phi (m,); at a corner E psi' is told by residuals up to ``width``
    times the slopes.
    """
    C = frame.centred(part)
    r, w = frame.residual(part, C, phi), part.w
    v = loss.slope(r)
    near = (loss.smoothed(width) if loss.is_corner else loss).curved(r)
    curvature = np.count_nonzero(near) if w is None else np.dot(w, near)
    adjoint = frame.adjoint(C, v if w is None else w * v)
    return Descent(adjoint, float(curvature / width if loss.is_corner else curvature))
