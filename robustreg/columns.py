"""How the columns of X are stored, centred and scaled: dense by blocks of rows, or sparse.

Z = (X - shift) / scale stands for the n x p matrix that the solvers see. It is never formed whole
(unless it fits into one block): each verb streams over blocks of rows, converting to float64 there.
Subtracting first and scaling by a power of two afterwards rounds each entry once, so that a column
with a large offset loses nothing that its data still hold. A column whose mean is of the size of its
spread needs no shift; if none does, X is used as it is and the scales go to the other factor, which is
the same but for the cost.

    peak           the largest abs(X) of each column   (p,)
    dot(beta)      Z beta                        (n,)
    magnitude(b)   abs(Z) b, for b >= 0          (n,)
    tdot(v)        Z'v                           (p,)
    gram(q, T)     (Z T)' diag(q) (Z T)          q >= 0; rows with q = 0 are skipped
    take(index)    the rows index of Z           dense
    blocks()       (slice, rows of Z) in order   dense, each of about BLOCK entries

Sparse columns are split: a column that is mostly zeros stays sparse and is not shifted (its mean is
then at most its standard deviation, so that the shift would gain nothing), and a column that is
mostly not zero is held dense, where it can be shifted.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

EPS = np.finfo(np.float64).eps
BLOCK = 2**18  # entries of one block: 2 MB of float64, which stays in a core's cache
OFFSET = 4.0  # a mean up to so many standard deviations costs a factor of 17 in conditioning: no digit
MODERATE = 2.0**300  # scales that neither overflow nor underflow when they are moved or squared
LARGEST = 2.0**1022  # a column beyond it could overflow when it is centred


class DenseColumns:
    """Columns of a 2-D array of any real dtype and order; the array is only read."""

    def __init__(self, X, w, centre, offset=OFFSET):
        self.X = X
        self.n_rows, self.n_cols = X.shape
        self.step = max(16, BLOCK // max(1, self.n_cols))
        self.shift, self.inverse_scale, self.peak = self._standardise(w / w.sum(), centre, offset)
        varying = self.inverse_scale[self.inverse_scale != 0.0]
        moderate = np.all((varying < MODERATE) & (varying > 1.0 / MODERATE))
        # Scales applied to the other factor; then the blocks are those of X itself.
        self.outer = self.inverse_scale if moderate and not self.shift.any() else None
        self._whole = self._block(slice(None)) if self.n_rows <= self.step and self.outer is None else None

    def _raw_blocks(self):
        for start in range(0, self.n_rows, self.step):
            rows = slice(start, min(start + self.step, self.n_rows))
            yield rows, np.asarray(self.X[rows], dtype=np.float64)

    def _standardise(self, share, centre, offset):
        """Weighted means and root mean squares about them; both as safe from overflow as X is."""
        low, high = np.full((2, self.n_cols), [[np.inf], [-np.inf]])
        mean = np.zeros(self.n_cols)
        for rows, block in self._raw_blocks():
            np.minimum(low, block.min(axis=0), out=low)
            np.maximum(high, block.max(axis=0), out=high)
            with np.errstate(over="ignore", invalid="ignore"):  # such columns are refused below
                mean += share[rows] @ block
        peak = np.maximum(np.abs(low), np.abs(high))
        if np.any(peak > LARGEST):
            raise ValueError(
                f"X has entries as large as {peak.max():.3g}, too close to the largest float64 "
                "to compute with; rescale that column."
            )
        mean = np.clip(mean, low, high) if centre else np.zeros(self.n_cols)
        unit = _power_of_two(peak)
        square = np.zeros(self.n_cols)
        for rows, block in self._raw_blocks():
            square += share[rows] @ np.square((block - mean) / unit)
        spread = np.sqrt(square)
        # A centred column that varies by a few units in its last place only is a constant.
        empty = high - low <= 4 * EPS * peak if centre else peak == 0.0
        spread = np.where(spread > 0.0, spread, np.where(empty, 0.0, (high - low) / unit))  # lost: weights near 0
        shift = np.where(empty | (np.abs(mean) / unit > offset * spread), mean, 0.0)
        spread = np.hypot(spread, (mean - shift) / unit)
        inverse = _reciprocal(unit * _power_of_two(np.where(empty, 1.0, spread)))
        return shift, np.where(empty, 0.0, inverse), peak

    def _block(self, rows):
        return (np.asarray(self.X[rows], dtype=np.float64) - self.shift) * self.inverse_scale

    def blocks(self):
        if self._whole is not None:
            yield slice(0, self.n_rows), self._whole
            return
        for rows, block in self._raw_blocks():
            yield rows, (block - self.shift) * self.inverse_scale

    def _inner_blocks(self):
        """Blocks of the factor beside ``outer``: X itself, or Z."""
        return self.blocks() if self.outer is None else self._raw_blocks()

    def _outer(self, beta):
        return beta if self.outer is None else self.outer * beta

    def dot(self, beta):
        out, beta = np.empty(self.n_rows), self._outer(beta)
        for rows, block in self._inner_blocks():
            out[rows] = block @ beta
        return out

    def magnitude(self, beta):
        out, beta = np.empty(self.n_rows), self._outer(beta)
        for rows, block in self._inner_blocks():
            out[rows] = np.abs(block) @ beta
        return out

    def tdot(self, v):
        return self._outer(sum((v[rows] @ block for rows, block in self._inner_blocks()), np.zeros(self.n_cols)))

    def gram(self, q, T=None):
        if self.outer is None:
            return gram_of_blocks(self.blocks(), q, T, self.n_cols)
        if T is not None:
            return gram_of_blocks(self._raw_blocks(), q, self.outer[:, None] * T, self.n_cols)
        return self.outer[:, None] * gram_of_blocks(self._raw_blocks(), q, None, self.n_cols) * self.outer

    def take(self, index):
        if self._whole is not None:
            return self._whole[index]
        return self._block(index)


class SparseColumns:
    """Columns of a SciPy sparse matrix or array in CSR form."""

    def __init__(self, X, w, centre, offset=OFFSET):
        self.n_rows, self.n_cols = X.shape
        self.step = max(16, BLOCK // max(1, self.n_cols))
        share = w / w.sum()
        X = X.astype(np.float64)
        filled = share @ sparse.csr_array((np.ones(X.nnz), X.indices, X.indptr), shape=X.shape)
        self.full = np.flatnonzero(filled > 0.5)
        self.thin = np.flatnonzero(filled <= 0.5)
        self.dense = DenseColumns(X[:, self.full].toarray(), w, centre, offset)
        self.shift = np.zeros(self.n_cols)
        self.shift[self.full] = self.dense.shift
        self.inverse_scale = np.empty(self.n_cols)
        self.inverse_scale[self.full] = self.dense.inverse_scale
        self.peak = np.empty(self.n_cols)
        self.peak[self.full] = self.dense.peak
        thin = sparse.csr_array(X[:, self.thin])
        self.inverse_scale[self.thin], self.peak[self.thin] = self._inverse_scale(thin, share)
        self.sparse = sparse.csr_array(thin.multiply(self.inverse_scale[self.thin][None, :]))

    @staticmethod
    def _inverse_scale(thin, share):
        peak = np.zeros(thin.shape[1])
        np.maximum.at(peak, thin.indices, np.abs(thin.data))
        if np.any(peak > LARGEST):
            raise ValueError(
                f"X has entries as large as {peak.max():.3g}, too close to the largest float64 "
                "to compute with; rescale that column."
            )
        unit = _power_of_two(peak)
        relative = sparse.csr_array(
            (np.square(thin.data / unit[thin.indices]), thin.indices, thin.indptr), shape=thin.shape
        )
        spread = np.sqrt(share @ relative)
        inverse = _reciprocal(unit * _power_of_two(np.where(spread == 0.0, 1.0, spread)))
        return np.where(spread == 0.0, 0.0, inverse), peak

    def blocks(self):
        for start in range(0, self.n_rows, self.step):
            rows = slice(start, min(start + self.step, self.n_rows))
            yield rows, self.take(rows)

    def dot(self, beta):
        return self.sparse @ beta[self.thin] + self.dense.dot(beta[self.full])

    def magnitude(self, beta):
        return abs(self.sparse) @ beta[self.thin] + self.dense.magnitude(beta[self.full])

    def tdot(self, v):
        out = np.empty(self.n_cols)
        out[self.thin] = v @ self.sparse
        out[self.full] = self.dense.tdot(v)
        return out

    def gram(self, q, T=None):
        if T is not None:
            return gram_of_blocks(self.blocks(), q, T, self.n_cols)
        G = np.empty((self.n_cols, self.n_cols))
        weighted = sparse.csr_array(self.sparse.multiply(q[:, None]))
        G[np.ix_(self.thin, self.thin)] = (self.sparse.T @ weighted).toarray()
        G[np.ix_(self.full, self.full)] = self.dense.gram(q)
        cross = np.zeros((len(self.thin), len(self.full)))
        for rows, block in self.dense.blocks():
            cross += weighted[rows].T @ block
        G[np.ix_(self.thin, self.full)] = cross
        G[np.ix_(self.full, self.thin)] = cross.T
        return G

    def take(self, index):
        out = np.empty(
            (len(range(*index.indices(self.n_rows))), self.n_cols)
            if isinstance(index, slice)
            else (len(index), self.n_cols)
        )
        out[:, self.thin] = self.sparse[index].toarray()
        out[:, self.full] = self.dense.take(index)
        return out


def gram_of_blocks(blocks, q, T, n_cols):
    """(Z T)' diag(q) (Z T), one product of a block with its own transpose at a time."""
    size = n_cols if T is None else T.shape[1]
    G = np.zeros((size, size))
    for rows, block in blocks:
        root = np.sqrt(q[rows])
        live = root > 0.0
        if np.count_nonzero(live) < 0.75 * len(root):
            block, root = block[live], root[live]
        if T is not None:
            block = block @ T
        block = block * root[:, None]
        G += block.T @ block
    return G


def _reciprocal(x):
    """1 / x, kept finite."""
    return 1.0 / np.maximum(x, 2.0**-1021)


def _power_of_two(x):
    """The power of two at or below x > 0 (1 for x = 0), kept where its reciprocal is finite."""
    _, exponent = np.frexp(x)
    return np.where(x > 0.0, np.ldexp(1.0, np.maximum(exponent - 1, -1021)), 1.0)
