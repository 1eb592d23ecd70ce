"""Order statistics that do not overflow."""

from __future__ import annotations

import numpy as np

# Numbers from which a sample of SOME tells a range that has the median, and few others (measured).
MANY, SOME = 50_000, 2_000
# Share of the numbers on either side of the middle that the range has: five standard errors of the
# sample's median.
RANGE = 2.5 / np.sqrt(SOME)


def median(x: np.ndarray) -> float:
    """The median of x (n,), n > 0; for even n the middle of two numbers, however large they are."""
    n = len(x)
    low, high = (n - 1) // 2, n // 2
    if n >= MANY:
        below, x = _around_middle(x, low, high)
        low, high = low - below, high - below
    part = np.partition(x, (low, high))
    with np.errstate(over="ignore"):
        middle = 0.5 * (part[low] + part[high])
    return float(middle if np.isfinite(middle) else 0.5 * part[low] + 0.5 * part[high])


def _around_middle(x: np.ndarray, low: int, high: int) -> tuple[int, np.ndarray]:
    """(how many of x (n,) are less, those in a range that has places ``low`` and ``high`` of the
    sorted x); (0, x) where a sample does not tell it.
    """
    first, last = np.quantile(x[:: 1 + len(x) // SOME], (0.5 - RANGE, 0.5 + RANGE), method="lower")
    below = int(np.count_nonzero(x < first))
    inside = x[(x >= first) & (x <= last)]
    return (below, inside) if below <= low and high < below + len(inside) else (0, x)
