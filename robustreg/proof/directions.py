"""Which directions of the coefficients X determines.

A direction counts if its fitted values are larger than what a change of X in the last places of its
numbers can make of them: the rule that ``rank_`` of a fit follows, too. What is proved holds for
all coefficients that differ from the judged ones in directions that count. Where the other
directions do not change any fitted value, exactly, it holds for all coefficients: of dummies that
sum to the intercept, of repeated and of constant columns. ``left_out`` is the number of those of
which that is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack as scipy_lapack
from scipy.linalg import qr

from .coordinates import largest_entries
from .design import EPS, MOST_DENSE, Design

# Smallest eigenvalue of A'A with columns of size 1: above it no direction is near the rounding of
# A'A. A safe margin.
WELL_CONDITIONED = 1e-6
# The same of a large sparse X, of which A'A is all there is: still well above the rounding of A'A.
INDEPENDENT = 1e-10
# Last places of its largest entry: a column with less spread is a constant.
CONSTANT = 4.0
# Share of the largest singular value, for each column: a smaller one is rounding of the
# factorisation.
RANK = 10.0 * EPS
# The same, up to which a direction is doubtful, and asked of all rows.
DOUBTFUL = 1e-12
# What rounding leaves of a combination of columns that is 0, in parts of its terms: in any row, and
# as a root mean square. The rule of a fit, too.
ROUNDED, ROUNDED_MEAN = 4.0 * EPS, 1.2 * EPS
STEPS = 2  # that take what is left of other directions from a doubtful one
# Multiple of what the last places of X can make of a singular value: a smaller one is not told
# from 0.
BLURRED = 2.0
# Integers up to which a sum of a few products rounds nothing in float64.
LARGEST_INTEGER = 2.0**31
# Combinations of whole numbers have coefficients of whole numbers divided by it: of three columns
# a = b + 2 c each one may be the dependent one.
PARTS = 4.0

lapack: Any = scipy_lapack  # the stubs do not know of its functions


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """The directions that count; see the module.

    They are T xi for T (m, rank), or those of the columns ``columns`` of X with the intercept, or
    all where both are None. ``all_count`` says whether they are all there are.
    """

    T: np.ndarray | None
    columns: np.ndarray | None
    all_count: bool
    left_out: int


def directions(design: Design) -> Directions:
    """The directions that count, whatever the weights; up to three passes over the rows."""
    M = design.gram_of_ones
    size = np.sqrt(np.diag(M))
    # 1. Nothing to decide, as nearly always: by a bound on the largest entries, or by those.
    if _well_conditioned(M, size, _places(design, design.peak)):
        return Directions(None, None, True, 0)
    places = _places(design, largest_entries(design))
    if _well_conditioned(M, size, places):
        return Directions(None, None, True, 0)
    # 2. Columns that are not 0 to rounding, and of these the directions.
    varies = size > CONSTANT * places
    if design.is_sparse and design.n_cols > MOST_DENSE:
        return _by_columns(design, varies)
    return _by_singular_values(design, size, places, np.flatnonzero(varies))


def _places(design: Design, peak: np.ndarray) -> np.ndarray:
    """The last place of the largest entry of each column of A, as the rows add it up, (m,)."""
    largest = np.append(peak / design.scale, np.zeros(int(design.intercept)))
    return EPS * largest * np.sqrt(design.n_rows)


def _well_conditioned(M: np.ndarray, size: np.ndarray, places: np.ndarray) -> bool:
    """Whether all directions count, and are far from not doing so."""
    if not np.all(size > CONSTANT * places):
        return False
    smallest = float(np.linalg.eigvalsh(M / size / size[:, None])[0]) if len(M) else 1.0
    blurred = np.square(BLURRED * np.linalg.norm(places / size))
    return smallest > max(WELL_CONDITIONED, blurred)


def _by_singular_values(
    design: Design, size: np.ndarray, places: np.ndarray, varies: np.ndarray
) -> Directions:
    """Orthonormal directions of the columns ``varies`` of A, scaled to size 1, by an SVD."""
    R, m = design.triangle(np.ones(design.n_rows)), design.n_cols
    scaled = R[:, varies] / size[varies]
    _, sigma, Vt = np.linalg.svd(scaled, full_matrices=False)
    # What a change of X in its last places can make of each singular value.
    blurred = np.linalg.norm(Vt * (places[varies] / size[varies]), axis=1)
    counts = sigma > np.maximum(RANK * m * sigma.max(initial=0.0), BLURRED * blurred)
    T = np.zeros((m, len(sigma)))
    T[varies] = Vt.T / np.where(counts, sigma, 1.0) / size[varies, None] * np.sqrt(design.n_rows)
    # Of many rows the rounding of R adds up: the rows themselves tell.
    for k in np.flatnonzero(counts & (sigma <= DOUBTFUL * sigma.max(initial=0.0))):
        sure = counts & (sigma > DOUBTFUL * sigma.max())
        counts[k] = not _is_rounding(design, T[:, sure], T[:, k])
    T = T[:, counts]
    if T.shape[1] == m:
        return Directions(T, None, True, 0)
    # The other columns as combinations of independent ones, by least squares.
    kept, others = _split(_independent_columns(design, scaled, varies, T.shape[1]), m)
    of_scaled = np.linalg.lstsq(R[:, kept] / size[kept], R[:, others], rcond=None)[0]
    combinations = of_scaled / size[kept, None]
    return Directions(T, None, False, _not_exact(design, kept, others, combinations))


def _is_rounding(design: Design, T: np.ndarray, t: np.ndarray) -> bool:
    """Whether A t, t (m,) but for what T (m, k) takes of it, is the rounding of its terms in all
    rows. The columns of A T / sqrt(n) are orthonormal.
    """
    for _ in range(STEPS):
        fitted = design.product(t)
        t = t - T @ (T.T @ design.adjoint(fitted)) / design.n_rows
    fitted, terms = design.product(t), design.sizes(np.abs(t), None)
    mean = np.linalg.norm(fitted) / np.linalg.norm(terms)
    return bool(np.all(np.abs(fitted) <= ROUNDED * terms) and mean <= ROUNDED_MEAN)


def _independent_columns(
    design: Design, scaled: np.ndarray, varies: np.ndarray, rank: int
) -> np.ndarray:
    """``rank`` independent columns of A, the intercept among them.

    ``scaled`` is R of the columns ``varies``.
    """
    if not design.intercept:
        return varies[_pivots(scaled)[:rank]]
    # The intercept first: below its row R is that of the centred columns.
    last = len(varies) - 1
    intercept_first = scaled[:, np.append(last, np.arange(last))]
    triangle: Any = np.linalg.qr(intercept_first, mode="r")
    centred = triangle[1:, 1:]
    return np.append(varies[_pivots(centred)[: rank - 1]], design.n_cols - 1)


def _pivots(R: np.ndarray) -> np.ndarray:
    """The columns of R by size, each by what of it the ones before do not span."""
    found: Any = qr(R, mode="r", pivoting=True)  # the stubs do not know of the pivots
    return found[1]


def _by_columns(design: Design, varies: np.ndarray) -> Directions:
    """The columns of X that count beside the intercept.

    By a Cholesky factor, with pivots, of X'X, centred and scaled.
    """
    M, p = design.gram_of_ones, len(design.scale)
    if design.intercept:
        M = M - np.outer(M[:, p], M[:, p]) / M[p, p]
    varies = varies[:p] & (np.diag(M)[:p] > INDEPENDENT * np.diag(design.gram_of_ones)[:p])
    inside = np.flatnonzero(varies)
    size = np.sqrt(np.diag(M))[inside]
    scaled = M[np.ix_(inside, inside)] / size / size[:, None]
    _, pivots, rank, _ = lapack.dpstrf(scaled, tol=INDEPENDENT)
    columns, others = _split(inside[pivots[:rank] - 1], p)
    if not len(others):
        return Directions(None, None, True, 0)
    # The other columns as combinations of independent ones, by least squares.
    combinations = np.linalg.solve(M[np.ix_(columns, columns)], M[np.ix_(columns, others)])
    kept = columns
    if design.intercept:
        kept = np.append(columns, p)
        combinations = np.vstack([combinations, np.zeros(len(others))])
    return Directions(None, columns, False, _not_exact(design, kept, others, combinations))


def _split(kept: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """(kept, the other columns of m), ascending."""
    return np.sort(kept), np.setdiff1d(np.arange(m), kept)


def _not_exact(
    design: Design, kept: np.ndarray, others: np.ndarray, combinations: np.ndarray
) -> int:
    """How many columns ``others`` of [X, 1] are not known to be combinations of ``kept``.

    ``combinations`` (len(kept), len(others)) are nearly right. The nearest with quarters of whole
    numbers, and a constant, which needs the intercept, are checked in one pass. For whole numbers
    in X no product or sum below is rounded, so that equal means equal. A constant column, and one
    that is another or minus another, need no whole numbers.
    """
    # 1. The combinations for the numbers of the data, with quarters.
    raw = np.append(design.scale, 1.0)[: design.n_cols]
    nearest = np.rint(PARTS * combinations * raw[others] / raw[kept, None]) / PARTS
    constant = np.zeros((1, len(others)))
    if design.intercept:  # always the last of those kept
        nearest[-1] = 0.0
        first = _rows(design, slice(0, 1))
        constant = _columns(first, others) - first[:, kept] @ nearest
    terms = np.abs(nearest).sum(axis=0)
    alone = (np.count_nonzero(nearest, axis=0) == 1) & (terms == 1.0)
    simple = (terms == 0.0) | (alone & (constant[0] == 0.0))

    # 2. Whether they hold in all rows.
    def kernel(rows: slice, block: Any) -> np.ndarray:
        X = _rows(design, rows)
        whole = _whole_columns(X)
        whole = whole[others] & np.all(whole[kept, None] | (nearest == 0.0), axis=0)
        equal = np.all(_columns(X, others) == X[:, kept] @ nearest + constant, axis=0)
        return (whole | simple) & equal

    return int(np.count_nonzero(~design.sweep(kernel, np.logical_and)))


def _rows(design: Design, rows: slice) -> Any:
    """Rows (k, m) of [X, 1] with the numbers of the data, dense or CSR."""
    X, k = design.X[rows], rows.stop - rows.start
    if design.is_sparse:
        return sparse.hstack([X, np.ones((k, 1))], format="csr") if design.intercept else X
    X = np.asarray(X, dtype=np.float64)
    return np.column_stack([X, np.ones(k)]) if design.intercept else X


def _columns(X: Any, index: np.ndarray) -> np.ndarray:
    """The columns ``index`` of X, dense."""
    return X[:, index].toarray() if sparse.issparse(X) else X[:, index]


def _whole_columns(X: Any) -> np.ndarray:
    """Which columns hold whole numbers small enough for exact sums."""
    values = X.data if sparse.issparse(X) else X
    whole = (np.rint(values) == values) & (np.abs(values) <= LARGEST_INTEGER)
    if not sparse.issparse(X):
        return np.all(whole, axis=0)
    columns = np.ones(X.shape[1], dtype=bool)
    columns[X.tocsr().indices[~whole]] = False
    return columns
