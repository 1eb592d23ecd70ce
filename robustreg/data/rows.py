"""Rows: the data as the solvers see them, behind a few verbs.

The only file that knows about intercept, weights, centring, scaling, dtype and rank. In it

    y = (y_raw - y_shift) / y_scale,    Z = [(X - shift) / scale @ T, 1]   (n x m),

with a column of ones if there is an intercept. T is the identity, unless the standardised columns
are rank deficient or so ill-conditioned that their Gram matrix would lose too much: then it comes from
their singular value decomposition and leaves r = rank orthonormal columns. Either way the solvers meet
m well-conditioned, linearly independent columns, and

    b = y_scale * B phi[:r],   b0 = y_shift + y_scale * phi[r] - shift'b,     B = diag(1 / scale) T.

The columns of B lie in the raw row space, so that b is the least-norm vector with its fitted values. As
scales are powers of two, X B is Z T to the last digit: what holds for phi holds for b.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from ..numerics import linalg
from .blocks import BLOCK
from .columns import DenseColumns, SparseColumns

EPS = np.finfo(np.float64).eps
LARGEST_PENALTY = 1e150  # its square is still finite
SAMPLE = 1000  # rows that tell where the middle of y is


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n weighted rows; see the module for the notation.

    Attributes: ``w`` (n,) positive, the largest in [1, 2); ``y`` (n,); ``rank`` r, the number of
    linearly independent columns of X (centred, if there is an intercept); ``B`` (p, r);
    ``basis`` T (p, r) or None; ``gram_all`` Z'WZ (m, m) and its ``factor``; ``orthogonal`` whether
    the orthogonal fallback was needed.
    """

    columns: DenseColumns | SparseColumns
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

    @property
    def n_rows(self) -> int:
        return len(self.w)

    @property
    def n_cols(self) -> int:
        """m: rank, plus one for the intercept."""
        return self.rank + self.intercept

    @property
    def delicate(self) -> bool:
        """Whether float64 is near its limits: nearly dependent columns, or units or weights decades apart."""
        scale = self.B[self.B != 0.0]
        return self.orthogonal and bool(
            np.abs(self.basis).max(initial=0.0) > 1e3
            or np.abs(scale).max(initial=0.0) > 1e8 * np.abs(scale).min(initial=np.inf)
            or self.w.max() > 1e6 * self.w.min()
        )

    # -- passes -------------------------------------------------------------------------------
    def fitted(self, phi):
        """Z phi, (n,)."""
        slopes = phi[: self.rank]
        out = self.columns.dot(slopes if self.basis is None else self.basis @ slopes)
        return out + phi[-1] if self.intercept else out

    def residual(self, phi):
        """r = y - Z phi, (n,)."""
        return self.y - self.fitted(phi)

    @property
    def typical(self) -> float:
        """The size of y, where it is not zero: a median, of some rows."""
        size = np.abs(self.y[:: 1 + len(self.y) // SAMPLE])
        return float(np.median(size[size > 0.0])) if size.any() else float(np.abs(self.y).max())

    def magnitude(self, phi):
        """abs(y) + abs(Z) abs(phi), the size of the terms that a residual is the difference of, (n,)."""
        slopes = phi[: self.rank]
        slopes = slopes if self.basis is None else self.basis @ slopes
        out = np.abs(self.y) + self.columns.magnitude(np.abs(slopes))
        return out + abs(phi[-1]) if self.intercept else out

    def adjoint(self, v):
        """Z'v, (m,)."""
        slopes = self.columns.tdot(v)
        if self.basis is not None:
            slopes = self.basis.T @ slopes
        return np.append(slopes, v.sum()) if self.intercept else slopes

    def adjoint_bound(self, e):
        """More than abs(Z'We) for any signs of e, (m,); Cauchy-Schwarz, as a pass would cost more."""
        size = np.ones(self.rank) if self.basis is None else np.abs(self.basis).sum(axis=0)
        size = np.append(size, 1.0) if self.intercept else size
        return np.sqrt(self.w.sum() * (self.w @ np.square(e))) * size

    def gram(self, q):
        """Z' diag(q) Z for q >= 0, (m, m)."""
        T = self.basis if self.by_block else None
        G = self.columns.gram(q, T)
        if self.basis is not None and T is None:
            G = self.basis.T @ G @ self.basis
        if not self.intercept:
            return G
        edge = self.adjoint(q)
        return np.block([[G, edge[:-1, None]], [edge[None, :]]])

    def triangle(self, q):
        """R with R'R = Z' diag(q) Z by Householder reflections: as accurate as a QR of all rows."""
        R, live = np.zeros((0, self.n_cols)), np.flatnonzero(q)
        if len(live) <= max(4 * self.n_cols, BLOCK // max(1, self.n_cols)):
            return np.linalg.qr(self.take(live) * np.sqrt(q[live])[:, None], mode="r")
        for rows, block in self.columns.blocks():
            live = q[rows] > 0.0
            if live.any():
                block = self._finish(block[live]) * np.sqrt(q[rows][live])[:, None]
                R = np.linalg.qr(np.vstack([R, block]), mode="r")
        return R

    def take(self, index):
        """The rows ``index`` of Z, dense (k, m)."""
        return self._finish(self.columns.take(index))

    def subset(self, index) -> Rows:
        """The rows ``index`` as rows of their own, with the same coordinates; y is not centred again."""
        return dense_rows(self.take(index), self.y[index], self.w[index], self.B, self.gram_all, self.factor)

    def _finish(self, block):
        if self.basis is not None:
            block = block @ self.basis
        return np.column_stack([block, np.ones(len(block))]) if self.intercept else block

    # -- coordinates --------------------------------------------------------------------------
    def penalty_root(self, strength):
        """L with ||L phi||^2 = strength * ||B phi[:r]||^2; without rows for strength 0."""
        if not strength:
            return np.zeros((0, self.n_cols))
        L = np.zeros((len(self.B), self.n_cols))
        with np.errstate(over="ignore", invalid="ignore"):
            L[:, : self.rank] = np.sqrt(strength) * self.B
        if not np.abs(L).max(initial=0.0) < LARGEST_PENALTY:
            raise ValueError(
                "The penalty overflows float64: alpha is too large for columns as small as those of X, "
                "or for y as large. Rescale them, or lower alpha."
            )
        return L

    def stiffness(self, alpha) -> float:
        """The largest curvature of the penalty alpha, relative to that of the squared loss."""
        return float(np.square(min(np.sqrt(alpha) * np.abs(self.B).max(initial=0.0), LARGEST_PENALTY)))

    def raw(self, phi, u, noise, alpha):
        """(b, b0) in the units of the data, for the dual u (n,), known up to ``noise``, of phi under alpha.

        Raises ValueError if they overflow. At a minimiser W alpha b = X'Wu. Where the penalty is stiff this
        is the better way to a small coefficient, which B phi may lose among larger terms.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            b, scale = self.B @ phi[: self.rank], self.columns.inverse_scale
            if alpha and self.basis is not None:
                W = self.w.sum()
                per_b = 1.0 / (np.where(scale > 0.0, scale, 1.0) * alpha * W)
                dual = self.columns.tdot(self.w * u) * per_b
                dual_error = np.sqrt(W * (self.w @ np.square(noise))) * per_b
                unseen = 8.0 * EPS * scale  # changes that no residual sees, for y of size 1
                better = (dual_error <= np.minimum(unseen, 1e-9 * np.abs(dual))) & (np.abs(dual - b) <= unseen)
                b = np.where(better, dual, b)
            b = b * self.y_scale
            b0 = self.y_shift + self.y_scale * phi[-1] - self.columns.shift @ b if self.intercept else 0.0
        if not (np.all(np.isfinite(b)) and np.isfinite(b0)):
            raise ValueError(
                "The coefficients overflow float64: the units of y are too large for those of X. Rescale X or y."
            )
        return b, float(b0)

    def from_raw(self, b, b0):
        """phi nearest to raw coefficients (b, b0): the inverse of ``raw`` on the row space."""
        slopes = np.linalg.lstsq(self.B, b / self.y_scale, rcond=None)[0] if self.rank else np.zeros(0)
        if not self.intercept:
            return slopes
        level = (b0 - self.y_shift + self.columns.shift @ b) / self.y_scale
        return np.append(slopes, level)

    def with_target(self, y):
        """The same rows with raw target y (n,), centred (with an intercept) and scaled.

        Centred at a median, not a mean: one value far away must not cost the others their digits.
        """
        peak = np.abs(y).max()
        shift = _middle(y, self.w) if self.intercept else 0.0
        with np.errstate(over="ignore"):
            y = y - shift
        size = np.abs(y).max()
        if not np.isfinite(size):
            raise ValueError(f"y has entries as large as {peak:.3g}, too large to compute with; rescale y.")
        if self.intercept and size <= 4 * EPS * peak:  # a constant, up to the rounding of its mean
            return replace(self, y=np.zeros(len(y)), y_shift=shift, y_scale=1.0)
        scale = float(2.0 ** max(np.frexp(size)[1] - 1, -1021)) if size else 1.0
        return replace(self, y=y / scale, y_shift=shift, y_scale=scale)


def _middle(y, w) -> float:
    """A median of y; of all rows with their weights, if those differ much, else of some rows."""
    if w.max() <= 100.0 * w.min():
        return float(np.median(y[:: 1 + len(y) // SAMPLE]))
    order = np.argsort(y)
    half = np.searchsorted(np.cumsum(w[order]), 0.5 * w.sum())
    return float(y[order[min(half, len(y) - 1)]])


def make_rows(X, w, fit_intercept) -> Rows:
    """Rows of X (n, p; dense or CSR) with positive weights w (n,), without a target yet."""
    w = np.ldexp(w, 1 - np.frexp(w.max())[1])
    kind = SparseColumns if sparse.issparse(X) else DenseColumns.standardised
    plain = _plain_rows(kind(X, w, fit_intercept), w, fit_intercept)
    if plain.rank <= len(w) and (factor := linalg.factor(G := plain.gram(w))).sound:
        return replace(plain, B=np.diag(plain.columns.inverse_scale), gram_all=G, factor=factor)
    # Every dense column is centred now, however small its mean: a combination may have a small spread.
    rows = _orthogonal(_plain_rows(kind(X, w, fit_intercept, offset=0.0), w, fit_intercept))
    G = rows.gram(w)
    return replace(rows, gram_all=G, factor=linalg.factor(G))


def dense_rows(Z, y, w, B=None, gram_all=None, factor=None) -> Rows:
    """Rows of a given Z (n, m), whose columns have about unit size, with b = B phi[: B.shape[1]]."""
    m = Z.shape[1]
    columns = DenseColumns(Z, np.zeros(m), np.ones(m), None)
    gram_all = columns.gram(w) if gram_all is None else gram_all
    factor = linalg.factor(gram_all) if factor is None else factor
    B = np.eye(m) if B is None else np.column_stack([B, np.zeros((len(B), m - B.shape[1]))])
    return Rows(
        columns=columns, w=w, intercept=False, rank=m, B=B, basis=None, by_block=False, gram_all=gram_all,
        factor=factor, orthogonal=False, y=y, y_shift=0.0, y_scale=1.0,
    )  # fmt: skip


def _plain_rows(columns, w, intercept) -> Rows:
    """Rows in the standardised columns themselves, before any factorisation."""
    p = columns.n_cols
    return Rows(
        columns=columns, w=w, intercept=intercept, rank=p, B=np.zeros((0, p)), basis=None,
        by_block=False, gram_all=np.zeros((0, 0)), factor=linalg.factor(np.zeros((0, 0))),
        orthogonal=False, y=np.zeros(0), y_shift=0.0, y_scale=1.0,
    )  # fmt: skip


def _orthogonal(plain: Rows) -> Rows:
    """The same rows in a basis in which their columns are orthonormal.

    In two steps, T = T1 T2, since weights over many decades have no say in the rank: the singular vectors
    of the columns, scaled to equal size and with all rows alike, then those of the weighted rows in that
    basis.
    """
    inverse_scale = plain.columns.inverse_scale
    R = _slopes(plain, np.ones(plain.n_rows))
    size = np.linalg.norm(R, axis=0)
    varying = (inverse_scale != 0.0) & (size > 0.0)
    size = size[varying]
    # The last place of the data, relative to the size of a column: below it columns are not told apart.
    noise = EPS * plain.columns.peak[varying] * inverse_scale[varying] * np.sqrt(plain.n_rows) / size
    S = linalg.spectrum(R[:, varying] / size, noise, full=False)
    T = np.zeros((len(inverse_scale), S.rank))
    if S.rank == np.count_nonzero(varying):
        T[varying] = S.V / S.sigma / size[:, None]
    elif S.rank:
        T[varying] = linalg.least_norm(S, inverse_scale[varying] / size) / inverse_scale[varying, None]
    rows = replace(plain, rank=S.rank, basis=T, orthogonal=True)
    if S.rank:
        _, sigma, Vt = np.linalg.svd(_slopes(rows, plain.w / plain.w.sum()))
        T = T @ (Vt.T / sigma)
        # Of all such bases the one in which the penalty is diagonal.
        T = T @ np.linalg.svd(inverse_scale[:, None] * T, full_matrices=False)[2].T
    # Z T first: where T'(Z'WZ)T would cancel, and where the p x p Gram matrix would cost more.
    by_block = np.abs(T).max(initial=0.0) > 1e5 or 2 * S.rank < len(inverse_scale)
    return replace(rows, B=inverse_scale[:, None] * T, basis=T, by_block=bool(by_block))


def _slopes(rows, q):
    """R with R'R = Z'diag(q)Z of the columns of Z without the intercept, less their means if there is one."""
    R = rows.triangle(q)
    return np.linalg.qr(R[:, [-1, *range(R.shape[1] - 1)]], mode="r")[1:, 1:] if rows.intercept else R
