"""The precision of float64."""

from __future__ import annotations

import numpy as np

# The distance from 1 to the next number: 2^-52, twice the largest relative rounding.
EPS = np.finfo(np.float64).eps
