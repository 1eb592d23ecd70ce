"""From checked data to fitted numbers: absent rows, the scale, and the way to solve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.blocks import NotFiniteError
from .at_knot import at_knot, rows_of_all
from .at_scale import at_scale
from .specification import Fit, Specification


def fit(X, Y, w, spec: Specification, start=None) -> Fit:
    """Fit X (n, p; dense or CSR) to each column of Y (n, k) with weights w (n,) >= 0 or None for ones.

    ``start`` is None or (coef (k, p), intercept (k,)) to start from.
    """
    if w is not None and not w.all():  # a row of weight zero is absent from everything, the rank included
        present = w > 0.0
        if isinstance(X, np.ndarray) and X.dtype.kind == "f" and not np.all(np.isfinite(X[~present])):
            raise NotFiniteError
        return _with_absent_rows(fit(X[present], Y[present], w[present], spec, start), X, Y, present)
    rows = rows_of_all(X, w, spec)
    if spec.rule is None:
        return at_knot(X, Y, w, spec, start, rows)
    return _together([at_scale(X, y[:, None], w, spec, rows) for y in Y.T])


def _together(fits) -> Fit:
    """One record for several targets."""
    return replace(
        fits[0],
        coef=np.concatenate([found.coef for found in fits]),
        intercept=np.concatenate([found.intercept for found in fits]),
        objective=np.concatenate([found.objective for found in fits]),
        gap=np.concatenate([found.gap for found in fits]),
        knot=np.concatenate([found.knot for found in fits]),
        scale=np.concatenate([found.scale for found in fits]),
        outliers=np.column_stack([found.outliers for found in fits]),
        unique=all(found.unique for found in fits),
        n_iter=max(found.n_iter for found in fits),
        statuses=frozenset().union(*(found.statuses for found in fits)),
    )


def _with_absent_rows(fitted: Fit, X, Y, present) -> Fit:
    """The same fit, with outliers for the rows of weight zero, too."""
    if fitted.outliers is None:
        return fitted
    outliers = np.abs(Y - X @ fitted.coef.T - fitted.intercept) > fitted.knot
    outliers[present] = fitted.outliers
    return replace(fitted, outliers=outliers)
