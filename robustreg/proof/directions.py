"""Which directions of the coefficients X determines.

A direction counts if its fitted values are larger than what a change of X in the last places of its
numbers can make of them: the rule that ``rank_`` of a fit follows, too. What is proved holds for all
coefficients that differ from the judged ones in directions that count. Where the other directions do not
change any fitted value, exactly, it holds for all coefficients: of dummies that sum to the intercept, of
repeated and of constant columns. ``left_out`` is the number of those of which that is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import qr
from scipy.linalg.lapack import dpstrf

from .coordinates import largest_entries
from .design import EPS, MOST_DENSE, Design

# Smallest eigenvalue of A'A with columns of size 1: above it no direction is near the rounding of A'A.
WELL_CONDITIONED = 1e-6
# The same of a large sparse X, of which A'A is all there is: well above the rounding of A'A.
INDEPENDENT = 1e-10
# Last places of its largest entry: a column with less spread is a constant.
CONSTANT = 4.0
# Share of the largest singular value, for each column: a smaller one is rounding of the factorisation.
RANK = 10.0 * EPS
# Integers up to which a sum of a few products rounds nothing in float64.
LARGEST_INTEGER = 2.0**31


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """The directions that count; see the module.

    They are T c for T (m, r), or those of the columns ``columns`` of X with the intercept, or all where both
    are None. ``all_count`` says whether they are all there are.
    """

    T: np.ndarray | None
    columns: np.ndarray | None
    all_count: bool
    left_out: int


def directions(design: Design) -> Directions:
    """The directions that count, whatever the weights; in up to three passes where X is ill-conditioned."""
    G = design.gram_of_ones
    size = np.sqrt(np.diag(G))
    if _well_conditioned(G, size, _places(design, design.peak)):
        return Directions(None, None, True, 0)
    places = _places(design, largest_entries(design))
    if _well_conditioned(G, size, places):
        return Directions(None, None, True, 0)
    varies = size > CONSTANT * places
    if design.is_sparse and design.n_cols > MOST_DENSE:
        return _by_columns(design, varies)
    return _by_singular_values(design, size, places, np.flatnonzero(varies))


def _places(design: Design, peak):
    """The last place of the largest entry of each column of A, as it adds up over the rows, (m,)."""
    return EPS * np.append(peak / design.scale, np.zeros(int(design.intercept))) * np.sqrt(design.n_rows)


def _well_conditioned(G, size, places):
    """Whether all directions count, and are far from not doing so."""
    if not np.all(size > CONSTANT * places):
        return False
    smallest = float(np.linalg.eigvalsh(G / size / size[:, None])[0]) if len(G) else 1.0
    return smallest > max(WELL_CONDITIONED, np.square(2.0 * np.linalg.norm(places / size)))


def _by_singular_values(design: Design, size, places, varies):
    """Orthonormal directions of the columns ``varies`` of A, scaled to size 1, by their singular values."""
    R, m = design.triangle(np.ones(design.n_rows)), design.n_cols
    scaled = R[:, varies] / size[varies]
    _, sigma, Vt = np.linalg.svd(scaled, full_matrices=False)
    blurred = np.linalg.norm(Vt * (places[varies] / size[varies]), axis=1)
    counts = sigma > np.maximum(RANK * m * sigma.max(initial=0.0), 2.0 * blurred)
    T = np.zeros((m, np.count_nonzero(counts)))
    T[varies] = Vt[counts].T / sigma[counts] / size[varies, None] * np.sqrt(design.n_rows)
    if T.shape[1] == m:
        return Directions(T, None, True, 0)
    kept, others = _split(_independent_columns(design, scaled, varies, T.shape[1]), m)
    M = np.linalg.lstsq(R[:, kept] / size[kept], R[:, others], rcond=None)[0] / size[kept, None]
    return Directions(T, None, False, _not_exact(design, kept, others, M))


def _independent_columns(design: Design, scaled, varies, rank):
    """``rank`` independent columns of A, the intercept among them; ``scaled`` is R of the columns ``varies``."""
    if not design.intercept:
        return varies[qr(scaled, mode="r", pivoting=True)[1][:rank]]
    # The intercept first: below its row R is that of the centred columns.
    centred = np.linalg.qr(scaled[:, np.append(len(varies) - 1, np.arange(len(varies) - 1))], mode="r")[1:, 1:]
    return np.append(varies[qr(centred, mode="r", pivoting=True)[1][: rank - 1]], design.n_cols - 1)


def _by_columns(design: Design, varies):
    """The columns of X that count beside the intercept, by pivoted Cholesky of X'X, centred and scaled."""
    G, p = design.gram_of_ones, len(design.scale)
    if design.intercept:
        G = G - np.outer(G[:, p], G[:, p]) / G[p, p]
    varies = varies[:p] & (np.diag(G)[:p] > INDEPENDENT * np.diag(design.gram_of_ones)[:p])
    inside = np.flatnonzero(varies)
    size = np.sqrt(np.diag(G))[inside]
    _, pivots, rank, _ = dpstrf(G[np.ix_(inside, inside)] / size / size[:, None], tol=INDEPENDENT)
    columns, others = _split(inside[pivots[:rank] - 1], p)
    if not len(others):
        return Directions(None, None, True, 0)
    M = np.linalg.solve(G[np.ix_(columns, columns)], G[np.ix_(columns, others)])
    if not design.intercept:
        return Directions(None, columns, False, _not_exact(design, columns, others, M))
    with_intercept = np.vstack([M, np.zeros(len(others))])
    return Directions(None, columns, False, _not_exact(design, np.append(columns, p), others, with_intercept))


def _split(kept, m):
    """(kept, the other columns of m), ascending."""
    return np.sort(kept), np.setdiff1d(np.arange(m), kept)


def _not_exact(design: Design, kept, others, M) -> int:
    """How many columns ``others`` of [X, 1] are not known to be combinations of ``kept``, in one pass.

    M (len(kept), len(others)) has the combinations, nearly; N are the nearest with whole numbers, and a
    constant, which needs the intercept. For whole numbers in X no product or sum below is rounded, so that
    equal means equal. A constant column, and one that is another or minus another, need no whole numbers.
    """
    raw = np.append(design.scale, 1.0)[: design.n_cols]
    N = np.rint(M * raw[others] / raw[kept, None])
    constant = np.zeros((1, len(others)))
    if design.intercept:  # always the last of those kept
        N[-1] = 0.0
        first = _rows(design, slice(0, 1))
        constant = _columns(first, others) - first[:, kept] @ N
    terms = np.abs(N).sum(axis=0)
    simple = (terms == 0.0) | ((terms == 1.0) & (constant[0] == 0.0))

    def kernel(rows, block):
        X = _rows(design, rows)
        whole = _whole_columns(X)
        whole = whole[others] & np.all(whole[kept, None] | (N == 0.0), axis=0)
        return (whole | simple) & np.all(_columns(X, others) == X[:, kept] @ N + constant, axis=0)

    return int(np.count_nonzero(~design.sweep(kernel, np.logical_and)))


def _rows(design: Design, rows):
    """Rows of [X, 1] with the numbers of the data, dense or CSR."""
    X, k = design.X[rows], rows.stop - rows.start
    if design.is_sparse:
        return sparse.hstack([X, np.ones((k, 1))], format="csr") if design.intercept else X
    X = np.asarray(X, dtype=np.float64)
    return np.column_stack([X, np.ones(k)]) if design.intercept else X


def _columns(X, index):
    return X[:, index].toarray() if sparse.issparse(X) else X[:, index]


def _whole_columns(X):
    """Which columns hold whole numbers small enough for exact sums."""
    values = X.data if sparse.issparse(X) else X
    whole = (np.rint(values) == values) & (np.abs(values) <= LARGEST_INTEGER)
    if not sparse.issparse(X):
        return np.all(whole, axis=0)
    columns = np.ones(X.shape[1], dtype=bool)
    columns[X.tocsr().indices[~whole]] = False
    return columns
