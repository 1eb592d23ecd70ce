"""Rows that are not in memory: fitted in passes, or brought into memory where they are few."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..data.dask import A_SAMPLE, memory_for_entries
from ..data.frame import SAMPLE
from ..data.source import Refused
from ..passes.pilot import usual_sample
from ..problem.duality import beyond
from ..problem.losses import Loss
from .at_knot import TOGETHER, check_worth, in_passes
from .at_scale import Ways, at_scale
from .fit import check_size, fit
from .specification import Fit, Specification, together

# Entries of X, 32 MB of float64, up to which rows are brought into memory: a pass costs more.
FEW_ENTRIES = 2**22


def fit_beyond_memory(source: Any, spec: Specification, start: Any) -> Fit:
    """The fit of all targets of a source that is not in memory; ``start`` as in ``fit``.

    ValueError where passes cannot, and memory has no room for all rows.
    """
    check_size(source.n_rows, source.n_features)
    if source.n_entries <= FEW_ENTRIES:
        return _in_memory(source, spec, start)
    try:
        return _in_passes(source, spec, start)
    except Refused as reason:
        if source.n_entries > memory_for_entries():
            raise ValueError(
                f"X has {source.n_rows:,} rows and {source.n_features:,} columns on Dask, too many "
                f"for memory, and they cannot be fitted in passes: {_why(reason, spec)} "
                f"Change that, or fit {A_SAMPLE}"
            ) from None
        if spec.tell:
            spec.tell(f"into memory: {reason}", source.n_rows)
        found = _in_memory(source, spec, start)
        return replace(found, work=replace(found.work, refused=str(reason)))


def _why(reason: Refused, spec: Specification) -> str:
    return str(reason) or f"solver={spec.solver!r} needs all rows in memory."


def sample_size(loss: Loss) -> Any:
    """The function of n and m that tells how many rows are drawn at the first look."""
    return usual_sample if loss.is_bounded else few_rows


def few_rows(n: int, m: int) -> int:
    """Rows that tell the size of columns."""
    return SAMPLE


def outside(X, Y, coef, intercept, losses) -> np.ndarray:
    """Which rows are beyond a knot, (n, k)."""
    targets = zip(Y.T, coef, intercept, losses, strict=True)
    return np.column_stack([beyond(X, y, b, b0, loss) for y, b, b0, loss in targets])


def _in_memory(source: Any, spec: Specification, start: Any) -> Fit:
    """All rows at once."""
    part = source.take(slice(None))
    found = fit(part.X, np.atleast_2d(part.y).T, part.w, spec, start)
    return replace(found, work=replace(found.work, gathered=True))


def _in_passes(source: Any, spec: Specification, start: Any) -> Fit:
    check_worth((source.n_rows, source.n_features), spec)
    if spec.rule is None:
        return in_passes(source.groups(TOGETHER), spec, start)
    return together([at_scale(_ways(one), spec) for one in source.groups(1)])


def _ways(source: Any) -> Ways:
    """Those of rows that are not in memory, for one target."""

    def in_memory_only(*arguments: Any) -> Any:
        raise Refused("The scale of the residuals is 0, or may be: most rows are fitted exactly.")

    def at_knot(spec: Specification, start: Any) -> Fit:
        nonlocal source
        found, source = in_passes([source], spec, start), source.again()
        return found

    return Ways(
        n_rows=source.n_rows,
        at_knot=at_knot,
        vanishing=in_memory_only,
        spread=in_memory_only,
    )
