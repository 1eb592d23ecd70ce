"""Rows that are present, of an array that has others: they are copied when they are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from .blocks import Blocks, NotFiniteError, rows_of

# Entries of an array, 8 MB of float64, of which a copy costs less than reading by rows.
SMALL = 2**20


class Present:
    """The rows ``places`` (k,), ascending, of a 2-D array X, as an array of its own; X may be a
    memory map.
    """

    def __init__(self, X: np.ndarray, places: np.ndarray):
        self.X, self.places = X, places
        self.shape, self.dtype, self.flags = (len(places), X.shape[1]), X.dtype, X.flags
        self.size = len(places) * X.shape[1]

    def __getitem__(self, index: np.ndarray | slice) -> np.ndarray:
        return rows_of(self.X, self.places[index])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


def rows_where(X: Any, present: np.ndarray) -> Any:
    """The rows of X (n, p; dense or CSR) with True in ``present`` (n,)."""
    if isinstance(X, np.ndarray) and X.size > SMALL:
        return Present(X, np.flatnonzero(present))
    return X[present]


def repeated(y: np.ndarray, k: int) -> np.ndarray:
    """Targets Y (n, k) that are all y (n,), which is not copied."""
    return np.broadcast_to(y[:, None], (len(y), k))


def is_repeated(Y: np.ndarray) -> bool:
    """Whether the targets Y (n, k) are one, as ``repeated`` makes it."""
    return Y.shape[1] > 1 and Y.strides[1] == 0


def targets_where(Y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The targets Y (n, k) of some ``rows``, an index or bool array; one that is repeated is so."""
    return repeated(Y[rows, 0], Y.shape[1]) if is_repeated(Y) else Y[rows]


def in_memory(X: Any) -> Any:
    """X itself, or the rows that are present as one array."""
    return X[:] if isinstance(X, Present) else X


def check_finite(X: Any) -> None:
    """NotFiniteError if an entry of X, dense and of any size, is not finite."""
    for _, block in Blocks(X):
        if not np.all(np.isfinite(block)):
            raise NotFiniteError
