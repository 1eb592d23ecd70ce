"""The kernel of a step of Newton's method on the gradient of all rows (``nearer.py``)."""

from __future__ import annotations

import numpy as np

from ..data.frame import Frame
from ..data.source import Part
from ..problem.losses import Loss


def descent(part: Part, frame: Frame, loss: Loss, phi: np.ndarray) -> np.ndarray:
    """Z'(w psi(r)) (m,) at phi (m,)."""
    C = frame.centred(part)
    v = loss.slope(frame.residual(part, C, phi))
    return frame.adjoint(C, v if part.w is None else part.w * v)
