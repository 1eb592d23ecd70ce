"""What is computed on Dask only when it is asked for: predictions, and which rows are outliers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from .blocks import NotFiniteError, fitted_values
from .dask import Layout, Table, is_frame, read, stored, with_whole_rows


def told_of_rows(table: Table, lengths: list[int], function: Callable, *arguments: Any) -> Any:
    """function(X, y, *arguments) of every part as it was given, an array of bool with the rows of
    X; y is (n, k). ``lengths`` are the numbers of rows of the parts.
    """
    import dask.array as da
    from dask.delayed import delayed

    layout, columns = delayed(table.layout, traverse=False), table.layout.y_shape
    parts = zip(table.rows, lengths, strict=True)
    tasks = [(delayed(of_part)(layout, function, arguments, rows), n) for rows, n in parts]
    return da.concatenate([da.from_delayed(task, (n, *columns), dtype=bool) for task, n in tasks])


def of_part(layout: Layout, function: Callable, arguments: tuple, rows: tuple) -> Any:
    """The task of ``told_of_rows``."""
    X, y, _ = read(layout, rows)
    found = function(X, y.reshape(len(y), -1), *arguments)
    return found if y.ndim == 2 else found[:, 0]


def predicted(X: Any, dtype: np.dtype, coef: np.ndarray, intercept: Any) -> Any:
    """X coef' + intercept, lazy, with the rows of X: an array, or a series or frame with its index.

    coef (p,) or (k, p) and intercept, a number or (k,).
    """
    if is_frame(X):
        meta = _predicted_of_frame(X._meta, dtype, coef, intercept)
        return X.map_partitions(_predicted_of_frame, dtype, coef, intercept, meta=meta)
    X = with_whole_rows(X)
    several = np.atleast_2d(coef), np.atleast_1d(intercept)
    meta = _predicted(np.empty((0, X.shape[1])), dtype, *several)
    chunks = X.chunks[0], (meta.shape[1],)
    found = X.map_blocks(_predicted, dtype, *several, dtype=meta.dtype, meta=meta, chunks=chunks)
    return found if coef.ndim == 2 else found[:, 0]


def _predicted(X: Any, dtype: np.dtype, coef: np.ndarray, intercept: Any) -> np.ndarray:
    X = stored(X, dtype)
    try:
        if sparse.issparse(X) and not np.isfinite(X.data).all():
            raise NotFiniteError
        return fitted_values(X, coef, intercept)
    except NotFiniteError:
        raise ValueError("X has a NaN or an infinite entry in a part.") from None


def _predicted_of_frame(X: Any, dtype: np.dtype, coef: np.ndarray, intercept: Any) -> Any:
    values = _predicted(X, dtype, coef, intercept)
    no_columns = X.iloc[:, :0]
    if values.ndim == 1:
        return no_columns.assign(predicted=values)["predicted"].rename(None)
    return no_columns.assign(**{str(k): values[:, k] for k in range(values.shape[1])})
