"""From X to rows: which coordinates the direct way has for it.

In the order in which they are tried, by what each costs:

    fitted values          at least as many columns as rows (``spanned.py``)
    standardised columns   where their Gram matrix is sound
    independent ones       where the others follow from them to the last digit (``independent.py``)
    orthogonal ones        singular vectors, where columns are nearly dependent
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from ..numerics import linalg
from ..numerics.precision import EPS
from .arrays import make_source
from .columns import DenseColumns, SparseColumns
from .independent import find_independent
from .rows import Rows, plain_rows
from .spanned import span_of

# Entry of T, from which T'(Z'diag(q)Z)T would lose ten digits, as it grows with the square: Z T is
# formed first then, which costs more.
CANCELS = 1e5


def make_rows(X: Any, w: np.ndarray, fit_intercept: bool) -> Rows:
    """Rows of X (n, p; dense or CSR) with positive weights w (n,), without a target yet."""
    w = np.ldexp(w, 1 - np.frexp(w.max())[1])
    kind = SparseColumns if sparse.issparse(X) else DenseColumns.standardised
    if X.shape[1] + fit_intercept > len(w):
        columns = kind(X, w, fit_intercept, offset=0.0)
        if rows := _spanned(plain_rows(columns, w, fit_intercept)):
            return rows
    plain = plain_rows(kind(X, w, fit_intercept), w, fit_intercept)
    if plain.rank <= len(w):
        M = plain.gram(w)
        if (factor := linalg.factor(M)).sound:
            return replace(plain, B=np.diag(plain.columns.inverse_scale), gram_all=M, factor=factor)
        if (found := _independent(X, w, plain.columns, M)) and found.factor.sound:
            return found
    # Every dense column is centred now, however small its mean: a combination of columns may have a
    # small spread.
    rows = _orthogonal(plain_rows(kind(X, w, fit_intercept, offset=0.0), w, fit_intercept))
    M = rows.gram(w)
    return replace(rows, gram_all=M, factor=linalg.factor(M))


def _independent(X: Any, w: np.ndarray, columns: Any, M: np.ndarray) -> Rows | None:
    """Rows of the independent columns of X; None if some are nearly dependent.

    M is Z'diag(w)Z (m, m) for all ``columns``, with an intercept if m = p + 1.
    """
    inverse_scale = np.where(columns.inverse_scale > 0.0, columns.inverse_scale, 1.0)
    found = find_independent(make_source(X, w, w), M, columns.shift, inverse_scale)
    if found is None:
        return None
    rows = plain_rows(columns.some(found.kept), w, len(M) > columns.n_cols)
    M = rows.gram(w)
    return replace(rows, B=found.B, gram_all=M, factor=linalg.factor(M), independent=found)


def _spanned(plain: Rows) -> Rows | None:
    """The same rows in fitted values as coordinates; None if they depend on each other."""
    if not (span := span_of(plain.columns, plain.w, plain.intercept)):
        return None
    rank = len(span.coordinates.keep)
    rows = replace(plain, rank=rank, B=span.B, basis=span.T, spanned=span.coordinates)
    factor = linalg.factor(M := rows.gram(plain.w))
    return replace(rows, gram_all=M, factor=factor) if factor.sound else None


def _orthogonal(plain: Rows) -> Rows:
    """The same rows in a basis T in which their columns are orthonormal.

    In two steps, since weights over many decades have no say in the rank: the singular vectors of
    the columns, scaled to equal size and with all rows alike, then those of the weighted rows in
    that basis.
    """
    inverse_scale = plain.columns.inverse_scale
    T, rank, faint = _basis_of_equal_rows(plain)
    rows = replace(plain, rank=rank, basis=T, orthogonal=True, faint=faint)
    if rank:
        _, sigma, Vt = np.linalg.svd(_slopes(rows, plain.w / plain.w.sum()))
        T = T @ (Vt.T / sigma)
        # Of all such bases the one in which the penalty is diagonal.
        T = T @ np.linalg.svd(inverse_scale[:, None] * T, full_matrices=False)[2].T
    # Z T first: where T'(Z'diag(q)Z)T would cancel, and where the p x p Gram matrix would cost
    # more.
    by_block = np.abs(T).max(initial=0.0) > CANCELS or 2 * rank < len(inverse_scale)
    return replace(rows, B=inverse_scale[:, None] * T, basis=T, by_block=bool(by_block))


def _basis_of_equal_rows(plain: Rows) -> tuple[np.ndarray, int, np.ndarray | None]:
    """(T (p, rank), rank, ``faint``), by the rank rule for rows that all have the same weight."""
    inverse_scale = plain.columns.inverse_scale
    R = _slopes(plain, np.ones(plain.n_rows))
    size = np.linalg.norm(R, axis=0)
    varying = (inverse_scale != 0.0) & (size > 0.0)
    size, scale = size[varying], inverse_scale[varying]
    # The last place of the data, relative to the size of a column: columns are not told apart
    # below it.
    noise = EPS * plain.columns.peak[varying] * scale * np.sqrt(plain.n_rows) / size
    spectrum = linalg.spectrum(R[:, varying] / size, noise, full=False)
    T = np.zeros((len(inverse_scale), spectrum.rank))
    if spectrum.rank == np.count_nonzero(varying):
        T[varying] = spectrum.V / spectrum.sigma / size[:, None]
    elif spectrum.rank:
        T[varying] = linalg.least_norm(spectrum, scale / size) / scale[:, None]
    if not spectrum.faint.size:
        return T, spectrum.rank, None
    faint = np.zeros((len(inverse_scale), spectrum.faint.shape[1]))
    faint[varying] = spectrum.faint / size[:, None]
    return T, spectrum.rank, faint


def _slopes(rows: Rows, q: np.ndarray) -> np.ndarray:
    """R with R'R = Z'diag(q)Z, for the columns of Z without the intercept.

    If there is an intercept the columns are taken less their means.
    """
    R = rows.triangle(q)
    if not rows.intercept:
        return R
    # The intercept first: below its row R is that of the centred columns.
    return linalg.triangle_of(R[:, [-1, *range(R.shape[1] - 1)]])[1:, 1:]
