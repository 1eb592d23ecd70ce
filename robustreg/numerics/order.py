"""Order statistics that do not overflow."""

from __future__ import annotations

import numpy as np


def median(x: np.ndarray) -> float:
    """The median of x (n,), n > 0; for even n the middle of two numbers, however large they are."""
    n = len(x)
    low, high = (n - 1) // 2, n // 2
    part = np.partition(x, (low, high))
    with np.errstate(over="ignore"):
        middle = 0.5 * (part[low] + part[high])
    return float(middle if np.isfinite(middle) else 0.5 * part[low] + 0.5 * part[high])
