"""Rows: the data as the solvers see them, behind a few verbs.

The coordinates of the direct way, as ``frame.py`` has those of passes. In it

    y = (y_raw - y_shift) / y_scale,    Z = [(X - shift) / scale @ T, 1]   (n x m),

with a column of ones if there is an intercept. T is the identity, unless the standardised columns
are rank deficient or so ill-conditioned that their Gram matrix would lose too much: then it comes
from their singular value decomposition and leaves ``rank`` orthonormal columns. Either way the
solvers meet m well-conditioned, linearly independent columns, and

    b  = y_scale * B phi[:rank],                        B = diag(1 / scale) T,
    b0 = y_shift + y_scale * phi[rank] - shift'b.

Where columns of X depend on others to the last digit, Z has the independent ones only, and B is the
way back from those (``independent.py``). Where there are at least as many columns as rows the
coordinates are fitted values, and Z is known without T (``spanned.py``). B is right to some digits
then, and ``raw`` to all.

The columns of B lie in the raw row space, so that b is the least-norm vector with its fitted
values. As scales are powers of two, X B is Z T to the last digit: what holds for phi holds for b.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..numerics import linalg
from ..numerics.order import median
from ..numerics.precision import EPS
from .blocks import BLOCK
from .columns import LEAST_EXPONENT, DenseColumns, SparseColumns
from .csr import CsrColumns
from .independent import Independent
from .spanned import ROUNDS, Spanned

SAMPLE = 1000  # rows that tell where the middle of y is
# Roundings of the largest y: an y with less spread is a constant.
CONSTANT = 4.0 * EPS
# Ratio of the largest weight to the least, up to which a median may leave the weights out.
EVEN_WEIGHTS = 100.0
# ``delicate``: from here on results of float64 are checked in other ways. Safe margins.
# Entry of T: columns of size 1 that are nearly dependent, by three digits.
LARGE_COMBINATION = 1e3
# Ratio of the largest entry of B to the least: half the digits of float64.
LARGE_RATIO_OF_UNITS = 1e8
# Ratio of the largest weight to the least.
LARGE_RATIO_OF_WEIGHTS = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n weighted rows; see the module for the notation.

    Attributes: ``w`` (n,) positive, the largest in [1, 2); ``y`` (n,); ``rank``, the number of
    linearly independent columns of X (centred, if there is an intercept); ``B`` (p, rank);
    ``basis``, T (p, rank), or None for the identity; ``by_block``, whether T is applied to blocks
    of rows before they are multiplied; ``gram_all``, Z'diag(w)Z (m, m), and its ``factor``;
    ``orthogonal``, whether the orthogonal fallback was needed; ``independent``, the columns of X
    that Z has, or None for all; ``spanned``, Z without the column of ones where it is made of
    fitted values, else None; ``terms`` (n,), the size of what y itself was rounded from, if y is
    the residual of another fit; ``faint`` (p, k) or None, what T has for the directions that were
    left out though they are not quite dependent (``linalg.Spectrum``).
    """

    columns: DenseColumns | SparseColumns | CsrColumns
    w: np.ndarray
    intercept: bool
    rank: int
    B: np.ndarray
    basis: np.ndarray | None
    by_block: bool
    gram_all: np.ndarray
    factor: linalg.Factor
    orthogonal: bool
    y: np.ndarray
    y_shift: float
    y_scale: float
    independent: Independent | None = None
    spanned: Spanned | None = None
    terms: np.ndarray | None = None
    faint: np.ndarray | None = None

    @property
    def n_faint(self) -> int:
        """Directions that were left out though they are not quite dependent."""
        return 0 if self.faint is None else self.faint.shape[1]

    @property
    def n_rows(self) -> int:
        return len(self.w)

    @property
    def n_cols(self) -> int:
        """m: rank, plus one for the intercept."""
        return self.rank + self.intercept

    @property
    def kept(self) -> slice | np.ndarray:
        """The columns of X that Z has."""
        return slice(None) if self.independent is None else self.independent.kept

    @property
    def shift(self) -> np.ndarray:
        """What is subtracted from all columns of X, (p,)."""
        return self.columns.shift if self.independent is None else self.independent.shift

    @property
    def has_own_columns(self) -> bool:
        """Whether the columns of Z are those of X, each with a coefficient of its own: B is
        diagonal.
        """
        return self.basis is None and self.independent is None

    @property
    def is_sparse(self) -> bool:
        """Whether Gram matrices cost little, and copies of rows as dense ones much."""
        return self.basis is None and not isinstance(self.columns, DenseColumns)

    @property
    def delicate(self) -> bool:
        """Whether float64 is near its limits.

        Columns are nearly dependent, or units or weights many decades apart.
        """
        if self.has_own_columns:
            return False
        size, nearly = np.abs(self.B[self.B != 0.0]), False
        if self.orthogonal and self.basis is not None:
            nearly = np.abs(self.basis).max(initial=0.0) > LARGE_COMBINATION
        return bool(
            nearly
            or size.max(initial=0.0) > LARGE_RATIO_OF_UNITS * size.min(initial=np.inf)
            or self.w.max() > LARGE_RATIO_OF_WEIGHTS * self.w.min()
        )

    # -- passes -------------------------------------------------------------------------------
    def fitted(self, phi: np.ndarray) -> np.ndarray:
        """Z phi, (n,)."""
        slopes = phi[: self.rank]
        if self.spanned is not None:
            out = self.spanned.dot(slopes)
        else:
            out = self.columns.dot(slopes if self.basis is None else self.basis @ slopes)
        return out + phi[-1] if self.intercept else out

    def residual(self, phi: np.ndarray) -> np.ndarray:
        """r = y - Z phi, (n,)."""
        return self.y - self.fitted(phi)

    @property
    def typical(self) -> float:
        """The size of y, where it is not zero: a median, of some rows."""
        size = np.abs(self.y[:: 1 + len(self.y) // SAMPLE])
        return float(np.median(size[size > 0.0])) if size.any() else float(np.abs(self.y).max())

    def magnitude(self, phi: np.ndarray) -> np.ndarray:
        """abs(y) + abs(Z) abs(phi), (n,), and ``terms``: the size of what makes a residual."""
        slopes = phi[: self.rank]
        if self.spanned is not None:
            out = np.abs(self.y) + self.spanned.magnitude(np.abs(slopes))
        else:
            slopes = slopes if self.basis is None else self.basis @ slopes
            out = np.abs(self.y) + self.columns.magnitude(np.abs(slopes))
        if self.terms is not None:
            out += self.terms
        return out + abs(phi[-1]) if self.intercept else out

    def adjoint(self, v: np.ndarray) -> np.ndarray:
        """Z'v, (m,)."""
        if self.spanned is not None:
            slopes = self.spanned.tdot(v)
        else:
            slopes = self.columns.tdot(v)
            slopes = slopes if self.basis is None else self.basis.T @ slopes
        return np.append(slopes, v.sum()) if self.intercept else slopes

    def adjoint_bound(self, e: np.ndarray) -> np.ndarray:
        """More than abs(Z'(w e)) for any signs of e (n,), (m,).

        By Cauchy and Schwarz, as a pass would cost more. Columns have sizes from 1 to 2.
        """
        if self.spanned is not None:
            size = np.sqrt(np.diag(self.gram_all)[: self.rank] / self.w.sum())
        else:
            size = np.ones(self.rank) if self.basis is None else np.abs(self.basis).sum(axis=0)
        size = 2.0 * size
        size = np.append(size, 1.0) if self.intercept else size
        return np.sqrt(self.w.sum() * (self.w @ np.square(e))) * size

    def gram(self, q: np.ndarray) -> np.ndarray:
        """Z' diag(q) Z for q >= 0, (m, m)."""
        if self.spanned is not None:
            M = self.spanned.gram(q)
        else:
            T = self.basis if self.by_block else None
            M = self.columns.gram(q, T)
            M = M if self.basis is None or self.by_block else self.basis.T @ M @ self.basis
        if not self.intercept:
            return M
        edge = self.adjoint(q)
        return np.block([[M, edge[:-1, None]], [edge[None, :]]])

    def normal_equations(
        self, q: np.ndarray, root: np.ndarray | None = None
    ) -> linalg.Factor | WideFactor | linalg.Spectrum:
        """What solves (Z'diag(q)Z + root'root) x = b: a Cholesky factor if that is sound, else the
        spectrum of both, one below the other; ``root`` (k, m) is nothing if it is None.
        """
        more = np.zeros((0, self.n_cols)) if root is None else root
        if self.n_rows + len(more) >= self.n_cols:
            if (result := linalg.factor(self.gram(q) + more.T @ more)).sound:
                return result
        elif self.is_sparse and self.n_rows and root is None:
            root = np.sqrt(q)
            products = self.columns.products_of_rows(np.ones(self.rank)) + self.intercept
            if (of_rows := linalg.factor(root[:, None] * products * root)).sound:
                return WideFactor(self, root, of_rows)
        triangle = np.asarray(self.triangle(q))
        return linalg.spectrum(linalg.triangle_of(np.vstack([triangle, more])))

    def triangle(self, q: np.ndarray) -> np.ndarray:
        """R with R'R = Z' diag(q) Z by reflections: as accurate as a QR of all rows."""
        R, live = np.zeros((0, self.n_cols)), np.flatnonzero(q)
        if len(live) <= max(4 * self.n_cols, BLOCK // max(1, self.n_cols)):
            return linalg.triangle_of(self.take(live) * np.sqrt(q[live])[:, None])
        held, count = [R], 0
        for rows, block in self.columns.blocks():
            live = q[rows] > 0.0
            held.append(self._finish(block[live]) * np.sqrt(q[rows][live])[:, None])
            count += len(held[-1])
            if count >= self.n_cols:  # fewer rows at a time would cost as much
                held, count = [linalg.triangle_of(np.vstack(held))], 0
        return linalg.triangle_of(np.vstack(held)) if count else held[0]

    def with_faint(self) -> Rows:
        """Rows with the directions that were left out as further columns, the last ones."""
        assert self.faint is not None
        F = np.column_stack([self.columns.dot(t) for t in self.faint.T])
        F = F - (self.w @ F) / self.w.sum() if self.intercept else F
        size = np.sqrt(self.w @ np.square(F) / self.w.sum())
        size = np.where(size > 0.0, size, 1.0)
        own = np.zeros((len(self.B), self.n_cols))
        own[:, : self.rank] = self.B
        of_faint = self.columns.inverse_scale[:, None] * self.faint / size
        Z = np.column_stack([self.take(slice(None)), F / size])
        rows = dense_rows(Z, self.y, self.w, np.column_stack([own, of_faint]))
        return replace(rows, terms=self.terms)

    def take(self, index: Any) -> np.ndarray:
        """The rows ``index`` of Z, dense (k, m)."""
        if self.spanned is not None:
            return self._with_ones(self.spanned.take(index))
        return self._finish(self.columns.take(index))

    def subset(self, index: np.ndarray) -> Rows:
        """The rows ``index`` as rows of their own, in the same coordinates.

        y is not centred again. Sparse rows stay sparse, if they have no basis.
        """
        columns, w, y = self.columns, self.w[index], self.y[index]
        if self.basis is None and not isinstance(columns, DenseColumns):
            rows = replace(self, columns=columns.subset(index), w=w, y=y)
        else:
            rows = dense_rows(self.take(index), y, w, self.B, self.gram_all, self.factor)
        return rows if self.terms is None else replace(rows, terms=self.terms[index])

    def _finish(self, block: np.ndarray) -> np.ndarray:
        """The rows of Z for a block of the standardised columns."""
        if self.basis is not None:
            block = block @ self.basis
        return self._with_ones(block)

    def _with_ones(self, block: np.ndarray) -> np.ndarray:
        return np.column_stack([block, np.ones(len(block))]) if self.intercept else block

    # -- coordinates --------------------------------------------------------------------------
    def raw(self, phi: np.ndarray, slopes: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """(b (p,), b0) in the units of the data.

        ``slopes`` (p,) are B phi, if they are known to more digits. Raises ValueError if b or b0
        overflow.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            slopes = self.slopes(phi) if slopes is None else slopes
            b, b0 = self.y_scale * slopes, 0.0
            if self.intercept:
                level = phi[-1]
                if self.spanned is not None:
                    level = level + self._lacking(phi, slopes)[-1]
                b0 = self.y_shift + self.y_scale * level - self.shift @ b
        if not (np.all(np.isfinite(b)) and np.isfinite(b0)):
            raise ValueError(
                "The coefficients overflow float64: the units of y are too large for those of X. "
                "Rescale X or y."
            )
        return b, float(b0)

    def slopes(self, phi: np.ndarray) -> np.ndarray:
        """B phi, (p,), to the digits of its fitted values."""
        slopes, last = self.B @ phi[: self.rank], np.inf
        if self.spanned is None:
            return slopes
        for _ in range(ROUNDS):
            step = self.B @ self._lacking(phi, slopes)[: self.rank]
            size = np.linalg.norm(step)
            if not size < last / 4.0:  # rounding is what is left
                break
            slopes, last = slopes + step, size
        return slopes

    def _lacking(self, phi: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """What coefficients (p,) and the level of phi lack of the fitted values of phi, (m,)."""
        assert self.spanned is not None
        return self.spanned.coordinates(
            self.spanned.dot(phi[: self.rank]) - self._of_slopes(slopes)
        )

    def _of_slopes(self, slopes: np.ndarray) -> np.ndarray:
        """(X - shift) slopes, (n,)."""
        scale = self.columns.inverse_scale
        return self.columns.dot(
            np.divide(slopes, scale, out=np.zeros(len(scale)), where=scale > 0.0)
        )

    def from_raw(self, b: np.ndarray, b0: float) -> np.ndarray:
        """phi nearest to raw coefficients (b, b0): the inverse of ``raw`` on the row space."""
        if self.spanned is not None:
            level = (b0 - self.y_shift + self.shift @ b) / self.y_scale
            return self.spanned.coordinates(self._of_slopes(b / self.y_scale) + level)
        # The columns of a basis are well-conditioned without the scales.
        scale = self.columns.inverse_scale
        a = b if self.independent is None else self.independent.slopes(b)
        slopes = np.divide(a, self.y_scale * scale, out=np.zeros(len(a)), where=scale > 0.0)
        if self.basis is not None:
            slopes = np.linalg.lstsq(self.basis, slopes, rcond=None)[0]
        if not self.intercept:
            return slopes
        level = (b0 - self.y_shift + self.shift @ b) / self.y_scale
        return np.append(slopes, level)

    def with_target(self, y: np.ndarray) -> Rows:
        """The same rows with raw target y (n,), centred (with an intercept) and scaled.

        Centred at a median, not a mean: one value far away must not cost the others their digits.
        """
        peak = np.abs(y).max()
        shift = _middle(y, self.w) if self.intercept else 0.0
        with np.errstate(over="ignore"):
            y = y - shift
        size = np.abs(y).max()
        if not np.isfinite(size):
            raise ValueError(
                f"y has entries as large as {peak:.3g}, too large to compute with; rescale y."
            )
        if self.intercept and size <= CONSTANT * peak:  # a constant, up to the rounding of its mean
            return replace(self, y=np.zeros(len(y)), y_shift=shift, y_scale=1.0)
        scale = float(2.0 ** max(np.frexp(size)[1] - 1, LEAST_EXPONENT)) if size else 1.0
        return replace(self, y=y / scale, y_shift=shift, y_scale=scale)


@dataclass(frozen=True, slots=True, eq=False)
class WideFactor:
    """What solves (A'A) x = b with least norm for A = diag(root) Z, of fewer rows than columns and
    all of them independent: x = A'(A A')^-2 A b, from the factor of A A'.
    """

    rows: Rows
    root: np.ndarray
    of_rows: linalg.Factor

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x (m,), for b (m,) in the row space."""
        inner = self.of_rows.solve(self.of_rows.solve(self.root * self.rows.fitted(b)))
        return self.rows.adjoint(self.root * inner)

    @property
    def N(self) -> np.ndarray:
        """An orthonormal basis of the null space, (m, m - k)."""
        Q, _ = np.linalg.qr(self.rows.take(slice(None)).T, mode="complete")
        return Q[:, self.rows.n_rows :]


def _middle(y: np.ndarray, w: np.ndarray) -> float:
    """A median of y: of all rows with their weights if those differ much, or of some rows."""
    if w.max() <= EVEN_WEIGHTS * w.min():
        return median(y[:: 1 + len(y) // SAMPLE])
    order = np.argsort(y)
    half = np.searchsorted(np.cumsum(w[order]), 0.5 * w.sum())
    return float(y[order[min(half, len(y) - 1)]])


def dense_rows(
    Z: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    B: np.ndarray | None = None,
    gram_all: np.ndarray | None = None,
    factor: linalg.Factor | None = None,
) -> Rows:
    """Rows of a given Z (n, m), whose columns have about unit size.

    They have b = B phi[: B.shape[1]], and b = phi without B.
    """
    m = Z.shape[1]
    columns = DenseColumns.given(Z)
    gram_all = columns.gram(w) if gram_all is None else gram_all
    factor = linalg.factor(gram_all) if factor is None else factor
    B = np.eye(m) if B is None else np.column_stack([B, np.zeros((len(B), m - B.shape[1]))])
    return Rows(
        columns=columns, w=w, intercept=False, rank=m, B=B, basis=None, by_block=False,
        gram_all=gram_all, factor=factor, orthogonal=False, y=y, y_shift=0.0, y_scale=1.0,
    )  # fmt: skip


def plain_rows(
    columns: DenseColumns | SparseColumns | CsrColumns, w: np.ndarray, intercept: bool
) -> Rows:
    """Rows in the standardised columns themselves, before any factorisation."""
    p = columns.n_cols
    return Rows(
        columns=columns, w=w, intercept=intercept, rank=p, B=np.zeros((0, p)), basis=None,
        by_block=False, gram_all=np.zeros((0, 0)), factor=linalg.factor(np.zeros((0, 0))),
        orthogonal=False, y=np.zeros(0), y_shift=0.0, y_scale=1.0,
    )  # fmt: skip
