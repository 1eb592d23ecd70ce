"""X, y and weights on Dask, at the door: what is wrong with them is told as in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from . import parameters
from .data.dask import Table, chunks_of_columns, make_table, sketch
from .data.dask_source import BadPart, DaskSource, looked_at
from .inputs import CHECK, validated


def checked_table(estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Table:
    """The parts of X, y and weights, of which this sees no rows; ``reset``: X is that of a fit.

    ValueError or TypeError if what is known of them without their rows is wrong.
    """
    empty: Any = validated(
        estimator, sketch(X), None if y is None else "no_validation",  # pyright: ignore
        accept_sparse="csr", dtype=parameters.DTYPES, ensure_min_samples=0, reset=reset,
    )  # fmt: skip
    if (count := chunks_of_columns(X)) > 1:
        warnings.warn(
            f"X has {count} chunks of columns, which each pass puts together again; "
            "X.rechunk({1: -1}), and perhaps .persist(), does that once.",
            UserWarning,
            stacklevel=6 if reset else 5,  # the caller of fit, or of infer
        )
    return make_table(X, y, sample_weight, empty.dtype)


def checked_source(
    estimator: Any, table: Table, sample_size: Callable[[int, int], int]
) -> DaskSource:
    """The rows of a table as passes read them, after a pass that looks at all; ValueError or
    TypeError, with the number of the part, where some cannot be fitted.
    """
    try:
        source = looked_at(table, sample_size)
    except BadPart as bad:
        _check_part(estimator, table, bad.number)
        raise
    n = sum(source.lengths)
    if not n:  # the error for X without rows
        check_array(np.zeros((0, table.layout.n_features)))
    if not source.n_rows:  # the error for weights that are all 0
        parameters.weights(np.zeros(n), n)
    return source


def _check_part(estimator: Any, table: Table, number: int) -> None:
    """Raise what a fit in memory would for a part that cannot be fitted, with its number."""
    X, y, w = table.part(number)
    try:
        checked: Any = validated(estimator, X, y, **CHECK, reset=False)
        y = np.asarray(checked[1], dtype=np.float64)
        parameters.weights(w, len(y), or_none=True)
        if y.shape != (wanted := (len(y), *table.layout.y_shape)):
            raise ValueError(f"y must have the shape {wanted}; got {y.shape}.")
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} This is in part {number} of the rows.") from None
