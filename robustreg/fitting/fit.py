"""From checked data to fitted numbers: absent rows, the scale, and the way to solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..data.present import check_finite, is_repeated, rows_where, targets_where
from ..data.repeats import Merged, merged
from ..numerics.memory import physical_memory
from ..problem.duality import beyond
from .at_knot import at_knot, rows_of_all
from .at_scale import Ways, at_scale
from .specification import Fit, Specification, together
from .vanishing import vanishing

# Matrices as large as the Gram matrix that every fit holds at least: it and its factor.
LARGE_MATRICES = 2


def fit(X, Y, w, spec: Specification, start=None, rows: Callable | None = None) -> Fit:
    """Fit X (n, p; dense or CSR) to each column of Y (n, k) with weights w (n,) >= 0 or None for
    ones.

    ``start`` is None or (coef (k, p), intercept (k,)) to start from; ``rows()``, if given,
    are those of X and w for the direct way, w > 0.
    """
    check_size(*X.shape)
    # A row of weight zero is absent from everything, the rank included.
    if w is not None and not w.all():
        present = w > 0.0
        absent = rows_where(X, ~present)
        if isinstance(X, np.ndarray) and X.dtype.kind == "f":
            check_finite(absent)
        found = fit(rows_where(X, present), targets_where(Y, present), w[present], spec, start)
        return _with_absent_rows(found, absent, targets_where(Y, ~present), present)
    if rows is None and spec.solver == "auto" and spec.loss.is_bounded:
        distinct = merged(X, Y[:, :1] if is_repeated(Y) else Y, w)
        if distinct is not None:
            return _with_repeats(X, Y, distinct, spec, start)
    rows = rows or rows_of_all(X, w, spec)
    if spec.rule is None:
        return at_knot(X, Y, w, spec, start, rows)
    return together([at_scale(_ways(X, y[:, None], w, rows), spec) for y in Y.T])


def _ways(X, y, w, rows: Callable) -> Ways:
    """Those of rows in memory, for y (n, 1)."""
    return Ways(
        n_rows=len(y),
        at_knot=lambda spec, start: at_knot(X, y, w, spec, start, rows),
        vanishing=lambda spec: vanishing(X, y, w, spec, rows),
        spread=lambda centred: float(np.abs(y - (np.median(y) if centred else 0.0)).max()),
    )


def check_size(n: int, p: int) -> None:
    """MemoryError, before any work, if the matrices of a fit of X (n, p) cannot be held."""
    k, memory = min(n, p), physical_memory()
    if LARGE_MATRICES * 8.0 * k * p > memory:
        raise MemoryError(
            f"X has {n:,} rows and {p:,} columns: a fit holds {LARGE_MATRICES} matrices of {k:,} x "
            f"{p:,} numbers, {8e-9 * k * p:,.0f} GB each, and this machine has "
            f"{1e-9 * memory:,.0f} GB. Leave columns out, or combine them, as with SelectKBest or "
            "TruncatedSVD of scikit-learn."
        )


def _with_repeats(X, Y, distinct: Merged, spec: Specification, start) -> Fit:
    """The fit of the distinct rows, with outliers for all rows."""
    first, n_repeats = distinct.first, len(Y) - len(distinct.first)
    if spec.tell:
        spec.tell(f"{n_repeats} rows are repeats of others", len(first))
    found = fit(X[first], targets_where(Y, first), distinct.w, spec, start)
    outliers = None if found.outliers is None else found.outliers[distinct.group]
    return replace(found, outliers=outliers, work=replace(found.work, n_repeats=n_repeats))


def _with_absent_rows(found: Fit, X, Y, present) -> Fit:
    """The same fit, with outliers for the rows of weight zero, X (j, p) and Y (j, k), too."""
    if found.outliers is None:
        return found
    outliers = np.empty((len(present), len(found.losses)), dtype=bool)
    outliers[present] = found.outliers
    for k, loss in enumerate(found.losses):
        outliers[~present, k] = beyond(X, Y[:, k], found.coef[k], found.intercept[k], loss)
    return replace(found, outliers=outliers)
