"""Where columns of X are dependent: the independent ones, in two more passes."""

from __future__ import annotations

import numpy as np

from ..data.frame import Frame
from ..data.independent import Independent, find_independent
from ..data.rows import LARGE_RATIO_OF_UNITS
from ..data.source import Refused, Source, sweep
from .least_squares import NormalEquations, normal_equations


def independent_columns(
    source: Source, frame: Frame, sums: NormalEquations | None = None
) -> Independent:
    """The columns of all rows that the others follow from; Refused where they cannot be told.

    ``sums`` are the normal equations of all rows in ``frame``, if they are known.
    """
    with np.errstate(all="ignore"):
        gram = (sweep(source, normal_equations, frame) if sums is None else sums).gram
    if not np.all(np.isfinite(gram)):
        raise Refused("X has values that are not finite, or too large to be squared.")
    shift = np.zeros(source.n_features) if frame.shift is None else frame.shift
    found = find_independent(source, gram, shift, frame.inverse_scale)
    if found is None:
        raise Refused("Columns of X are nearly dependent, but not to the last digit.")
    size = np.abs(found.B[found.B != 0.0])
    if size.max(initial=0.0) > LARGE_RATIO_OF_UNITS * size.min(initial=np.inf):
        raise Refused("Dependent columns of X are in units too far apart.")
    return found
