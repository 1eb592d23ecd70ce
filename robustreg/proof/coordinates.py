"""The coordinates of a proof: a shift and a scale for each column of X.

They come from some rows, and one pass over all rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from .design import Design, border

# Rows that tell shift and scale.
SAMPLE_ROWS = 2000
# Share of the root mean square: a column with a smaller mean is not shifted, which saves a copy.
OFF_CENTRE = 0.5
# Share of its largest entry: a column with less spread in the sample is scaled by that entry.
LEAST_SPREAD = 1e-12
# The largest number, and its inverse the smallest, whose squares times weights are sure to add up
# within float64.
LARGEST = 1e60
# Entries up to which a sparse X is made dense: 8 MB.
SMALL_ENTRIES = 2**20


class NotFiniteError(ValueError):
    """X has a NaN or an infinite entry."""


def make_design(X: Any, intercept: bool) -> Design:
    """The rows of A for X (n, p): dense, a memory map, or CSR.

    NotFiniteError if an entry is not finite.
    """
    if sparse.issparse(X):
        X = X.toarray() if X.shape[0] * X.shape[1] <= SMALL_ENTRIES else _canonical(X)
    first = _from_sample(X, intercept)
    design = _counted(first)
    if _in_range(design.peak) and np.all(design.peak <= LARGEST * design.scale):
        return design
    # The bound on the largest entries is not good enough: look at them.
    peak = largest_entries(design)
    if not np.all(np.isfinite(peak)):
        raise NotFiniteError
    if not _in_range(peak):
        return _in_units(X, peak, intercept)
    if np.all(peak <= LARGEST * design.scale):
        return design
    # A column has entries that the sample does not know of.
    return _counted(replace(first, scale=_power_of_two(peak)))


def _canonical(X: Any) -> Any:
    """A CSR X in float64, with one number for each entry."""
    X = sparse.csr_array(X, dtype=np.float64)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _from_sample(X: Any, intercept: bool) -> Design:
    """Coordinates as some rows tell them, before all rows are seen."""
    n, p = X.shape
    some = X[:: 1 + (n - 1) // SAMPLE_ROWS]
    some = np.asarray(some.toarray() if sparse.issparse(some) else some, dtype=np.float64)
    largest = np.abs(some).max(axis=0)
    relative = some / np.where(largest > 0.0, largest, 1.0)  # so that no sum overflows
    mean, size = (
        relative.mean(axis=0) * largest,
        np.sqrt(np.square(relative).mean(axis=0)) * largest,
    )
    far = (np.abs(mean) > OFF_CENTRE * size) & intercept & (not sparse.issparse(X))
    shift = np.where(far, mean, 0.0)
    spread = np.abs(some - shift).max(axis=0)
    scale = _power_of_two(np.where(spread > LEAST_SPREAD * largest, spread, largest))
    unit = np.zeros(p, dtype=np.int64)
    return Design(
        X, unit, shift if far.any() else None, scale, intercept, largest, np.zeros((0, 0))
    )


def _counted(design: Design) -> Design:
    """The design with its Gram matrix, and a bound on the largest entries from the squares in each
    block.
    """

    def kernel(rows: slice, block: Any) -> tuple[np.ndarray, np.ndarray]:
        sums = border(block, None)
        return np.diag(sums)[:-1], sums

    def add(total: tuple, more: tuple) -> tuple:
        return np.maximum(total[0], more[0]), total[1] + more[1]

    largest, sums = design.sweep(kernel, add)
    bound = np.sqrt(largest) + (0.0 if design.shift is None else np.abs(design.shift))
    return replace(design, peak=np.maximum(bound, design.peak), gram_of_ones=design.bordered(sums))


def largest_entries(design: Design) -> np.ndarray:
    """The largest abs(X) of each column, (p,), in one pass."""

    def kernel(rows: slice, block: Any) -> np.ndarray:
        X = design.X[rows]
        if sparse.issparse(X):
            return abs(X).max(axis=0).toarray().ravel()
        return np.maximum(X.max(axis=0), -X.min(axis=0))

    return np.asarray(design.sweep(kernel, np.maximum), dtype=np.float64)


def _in_range(peak: np.ndarray) -> bool:
    """Whether squares of the entries stay within float64; a column of zeros has none."""
    used = peak[peak != 0.0]
    return bool(np.all((used < LARGEST) & (used > 1.0 / LARGEST)))


def _in_units(X: Any, peak: np.ndarray, intercept: bool) -> Design:
    """A for a copy of X whose columns have been divided by powers of two, so that their largest
    entry is near 1.
    """
    unit = np.where(peak > 0.0, np.frexp(peak)[1], 0).astype(np.int64)
    if sparse.issparse(X):
        X = sparse.csr_array(
            (np.ldexp(X.data, -unit[X.indices]), X.indices, X.indptr), shape=X.shape
        )
    else:
        X = np.ldexp(np.asarray(X, dtype=np.float64), -unit)
    return replace(make_design(X, intercept), unit=unit)


def _power_of_two(x: np.ndarray) -> np.ndarray:
    """The power of two above x > 0; 1 for x = 0."""
    return np.where(x > 0.0, np.ldexp(1.0, np.clip(np.frexp(x)[1], -1000, 1000)), 1.0)
