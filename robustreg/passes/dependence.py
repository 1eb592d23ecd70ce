"""Where columns of X are dependent: the frame of the independent ones, in two more passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.independent import find_independent
from ..data.source import Refused, sweep
from .all_rows import AllRows
from .least_squares import normal_equations

PASSES_FOR_INDEPENDENCE = 2  # for the Gram matrix and for the proof, rarely more


def with_independent_columns(problem: AllRows, gram: np.ndarray | None = None) -> AllRows:
    """The problem in which Z has the independent columns alone; Refused where they cannot be told.

    ``gram`` (m, m) is Z'diag(w)Z of all rows, if it is known.
    """
    source, frame = problem.source, problem.frame
    with np.errstate(all="ignore"):
        of_all = sweep(source, normal_equations, frame).gram if gram is None else gram
    if not np.all(np.isfinite(of_all)):
        raise Refused("X has values that are not finite, or too large to be squared.")
    shift = np.zeros(source.n_features) if frame.shift is None else frame.shift
    found = find_independent(source, of_all, shift, frame.inverse_scale)
    if found is None:
        raise Refused("Columns of X are nearly dependent, but not to the last digit.")
    return replace(problem, frame=replace(frame, independent=found))
