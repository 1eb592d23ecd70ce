"""Independent columns: those of X that all others are combinations of.

Ordinary tables have dependent columns: all levels of a factor beside an intercept, a constant, a
copy, a total beside its parts. With the kept columns X_I the others are

    X_D = X_I J + 1 c'          (c = 0 without an intercept),

so that X b and X_I a, with a = b_I + J b_D, are the same but for a constant.

*Which columns.* Cholesky's factorisation with pivots, of the Gram matrix of centred columns of unit
size, keeps them and gives a first J. But a Gram matrix does not tell a dependent column from one
that is nearly so. The rows do, in one pass: in each of them X_D - X_I J - 1 c' has to be rounding
of its terms. A column that is only nearly dependent is not left out here.

*The way back.* Of all b with b_I + J b_D = a the one of least norm is in the range of [I, J]':

    (I + J J') b_I = a,     b_D = J'b_I.

Columns may be in very different units, and the small entries of b have to be as right as the large
ones. They are if J has no large entries: so a column that takes part in another one with more than
``EXCHANGE`` of its own is exchanged for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..numerics import linalg
from ..numerics.precision import EPS
from .blocks import BLOCK, product
from .source import Part, Source, sweep

# Squared distance from the span of the kept columns, for columns of unit size, up to which a column
# may be dependent. Far above the rounding of a Gram matrix, and so small that those kept are
# well-conditioned.
NEAR = 1e-8
# What the rounding of X and of the sum may leave of X_D - X_I J - 1 c', in roundings of its terms:
# in any row, and as a root mean square. Rounded sums of 30 columns leave 2.6 and 0.9 (measured).
ROUNDED, ROUNDED_MEAN = 4.0, 1.2
# A column is exchanged for one in which it has a larger coefficient, in the units of the data,
EXCHANGE = 2.0
# if it is at least this part of that column: the kept ones stay well-conditioned.
SUBSTANTIAL = 1e-2
# A coefficient of columns of unit size that is nothing but rounding of the Gram matrix; refined
# ones are better by far.
DUST, REFINED_DUST = 1e-7, 1e-13
TINY = np.finfo(np.float64).tiny
REFINEMENTS = 3  # each leaves a hundredth of the error, or less: more cannot help


@dataclass(frozen=True, slots=True, eq=False)
class Independent:
    """X_D = X_I J + 1 c' for the columns D = ``others`` (d,) and I = ``kept`` (r,), ascending.

    ``shift`` (p,) is such that X_D - shift_D = (X_I - shift_I) J. In the units of ``scale_I``,
    a = phi / scale_I, and b = B phi, B (p, r). ``n_passes`` over the rows have proved it.
    """

    kept: np.ndarray
    others: np.ndarray
    J: np.ndarray
    shift: np.ndarray
    B: np.ndarray
    n_passes: int

    def slopes(self, b: np.ndarray) -> np.ndarray:
        """a (r,) of any b (p,)."""
        return b[self.kept] + self.J @ b[self.others]


def find_independent(
    source: Source, gram: np.ndarray, shift: np.ndarray, inverse_scale: np.ndarray
) -> Independent | None:
    """The independent columns of all rows; None if some are nearly dependent, and not more.

    ``gram`` (m, m) is Z'diag(w)Z of all rows for Z = [(X - shift) / scale, 1], shift and scale
    (p,); there is an intercept, the last column, where m = p + 1. ``source`` is read once, up to
    four times where J needs refinement.
    """
    p = len(inverse_scale)
    with np.errstate(all="ignore"):  # what is not finite is no proof
        kept, J = _chosen(gram, p, inverse_scale)
        others = np.setdiff1d(np.arange(p), kept)
        found = _proved(source, gram, kept, others, J, shift, inverse_scale)
    if found is None:
        return None
    J, c, n_passes = found
    shift = shift.copy()
    shift[others] = c + shift[kept] @ J
    B = _least_norm(kept, others, J, inverse_scale[kept])
    return Independent(kept, others, J, shift, B, n_passes)


def split(gram: np.ndarray, p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(kept (r,), others (d,), M (r, d)), Z_D = Z_I M but for a constant, as far as ``gram`` tells.

    ``gram`` (m, m) is that of Z = [columns, 1], with the ones if m = p + 1.
    """
    G = gram[:p, :p]
    if len(gram) > p:  # of the columns less their means
        G = G - np.outer(gram[:p, p], gram[:p, p]) / gram[p, p]
    size = np.sqrt(np.maximum(np.diag(G), 0.0))
    constant = size**2 <= NEAR * np.diag(gram)[:p]
    size = np.where(constant, 1.0, size)
    G = np.where(constant | constant[:, None], 0.0, G / size[:, None] / size)
    U, order, rank, _ = linalg.lapack.dpstrf(G, tol=NEAR)
    order -= 1
    kept, others = order[:rank], order[rank:]
    M, _ = linalg.lapack.dtrtrs(U[:rank, :rank], U[:rank, rank:]) if rank else (U[:0, :], 0)
    M = M * size[others] / size[kept, None]
    by_number, others_by_number = np.argsort(kept), np.argsort(others)
    return kept[by_number], others[others_by_number], M[by_number][:, others_by_number]


def _chosen(gram, p: int, inverse_scale) -> tuple[np.ndarray, np.ndarray]:
    """(kept (r,), J (r, d)): columns exchanged until J has no large entries, and rounded."""
    kept, others, M = split(gram, p)
    kept, others = kept.copy(), others.copy()
    for _ in range(len(kept)):
        J = M * inverse_scale[kept, None] / inverse_scale[others]
        size = np.where(np.abs(M) >= SUBSTANTIAL, np.abs(J), 0.0)
        if not size.max(initial=0.0) > EXCHANGE:
            break
        i, j = np.unravel_index(np.argmax(size), size.shape)
        pivot, row, column = M[i, j], M[i] / M[i, j], M[:, j].copy()
        M = M - np.outer(column, row)
        M[:, j], M[i] = -column / pivot, row
        M[i, j] = 1.0 / pivot
        kept[i], others[j] = others[j], kept[i]
    M = np.where(np.abs(M) > DUST, M, 0.0)
    J = M * inverse_scale[kept, None] / inverse_scale[others]
    whole = np.rint(J)
    J = np.where((whole != 0.0) & (np.abs(J - whole) <= DUST * np.abs(J)), whole, J)
    return np.sort(kept), J[np.argsort(kept)][:, np.argsort(others)]


def _proved(source: Source, gram, kept, others, J, shift, inverse_scale):
    """(J (r, d), c (d,), passes), refined until the rows prove it; None if they do not."""
    p, intercept = len(inverse_scale), len(gram) > len(inverse_scale)
    if not len(others):
        return J, np.zeros(0), 0
    inner = np.append(kept, p) if intercept else kept
    factor, c = linalg.factor(gram[np.ix_(inner, inner)]), np.zeros(len(others))
    if not factor.sound:
        return None
    if intercept:  # as it is in one row
        c = -product(source.take(slice(0, 1)).X, _combination(kept, others, J, p))[0]
    unit = inverse_scale[kept, None]
    for k in range(1 + REFINEMENTS):
        seen = sweep(source, leftover, _combination(kept, others, J, p), c)
        mean = np.sqrt(seen.square / np.maximum(seen.size, TINY))
        if np.all((seen.worst <= ROUNDED * EPS) & (mean <= ROUNDED_MEAN * EPS)):
            return J, c, k + 1
        adjoint = unit * (seen.adjoint[kept] - np.outer(shift[kept], seen.total))
        step = factor.solve(np.vstack([adjoint, seen.total]) if intercept else adjoint)
        change = unit * step[: len(kept)]
        J = J + change
        J = np.where(np.abs(J) * inverse_scale[others] > REFINED_DUST * unit, J, 0.0)
        if intercept:
            c = c + step[-1] - shift[kept] @ change
            c = np.where(np.abs(c) * inverse_scale[others] > REFINED_DUST, c, 0.0)
    return None


def _combination(kept, others, J, p: int) -> np.ndarray:
    """N (p, d) with X N = X_I J - X_D."""
    N = np.zeros((p, len(others)))
    N[kept] = J
    N[others, np.arange(len(others))] = -1.0
    return N


@dataclass(frozen=True, slots=True, eq=False)
class Leftover:
    """Of E = X_D - X_I J - 1 c', (n, d): the ``worst`` entry of each column relative to its terms
    (d,), the sums of squares of entries, ``square``, and of their terms, ``size`` (d,); X'(w E),
    the ``adjoint`` (p, d), and its ``total`` 1'(w E) (d,).
    """

    worst: np.ndarray
    square: np.ndarray
    size: np.ndarray
    adjoint: np.ndarray
    total: np.ndarray

    def __add__(self, other: Leftover) -> Leftover:
        return Leftover(
            np.maximum(self.worst, other.worst),
            self.square + other.square,
            self.size + other.size,
            self.adjoint + other.adjoint,
            self.total + other.total,
        )


def leftover(part: Part, N: np.ndarray, c: np.ndarray) -> Leftover:
    """The kernel of the pass that proves J: N (p, d) has X N = X_I J - X_D."""
    X, step = part.X, max(1, BLOCK // len(part.y))
    worst, square, size, total = np.empty((4, len(c)))
    adjoint = np.empty(N.shape)
    for start in range(0, len(c), step):
        some = slice(start, start + step)
        E = -(product(X, N[:, some]) + c[some])
        terms = product(abs(X), np.abs(N[:, some])) + np.abs(c[some])
        bad = np.divide(np.abs(E), terms, out=np.zeros_like(E), where=E != 0.0)
        worst[some] = bad.max(axis=0)
        square[some], size[some] = np.square(E).sum(axis=0), np.square(terms).sum(axis=0)
        E = E if part.w is None else E * part.w[:, None]
        adjoint[:, some], total[some] = product(X.T, E), E.sum(axis=0)
    return Leftover(worst, square, size, adjoint, total)


def _least_norm(kept, others, J, inverse_scale) -> np.ndarray:
    """B (p, r) of the module, for the ``inverse_scale`` (r,) of the kept columns."""
    B = np.zeros((len(kept) + len(others), len(kept)))
    own = np.diag(inverse_scale)
    if len(others):  # (I + J J')^-1 = I - J (I + J'J)^-1 J'
        inner = np.eye(len(others)) + J.T @ J
        own = own - J @ np.linalg.solve(inner, J.T * inverse_scale)
    B[kept] = own
    B[others] = J.T @ own
    return B
