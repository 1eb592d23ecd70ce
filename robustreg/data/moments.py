"""The moments of rows: what least squares wants to know of them, of any number of rows as much.

Of rows a_i = (x_i, y_i), (q,), with weights w_i they are the total weight W, the mean and the
centred sum of products S, which are merged by Chan's formulas (Chan, Golub & LeVeque 1983, Am.
Stat. 37:242). Here S is held by its root: R is the triangular factor of the rows

    sqrt(w_i) [1, a_i - shift],         R'R = sum of their products,

so that a column of 1e200 does not overflow when it is squared, and columns that are dependent but
for rounding, 1e-16, are told from those that are nearly so, 1e-9, whose squares are the same in
float64. The first row of R is sqrt(W) [1, mean - shift], the others are the root of S. Another
shift changes the first row only, and the moments of more rows are those of one R below the other.
Each of these steps is an orthogonal transformation, as backward stable as a QR factorisation of
all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from ..numerics import linalg
from .blocks import dense
from .csr import slices
from .source import Part


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of rows with the total ``weight`` > 0: R (q + 1, q + 1) about ``shift`` (q,), as in the
    module; the least and largest entries of the columns, ``low`` and ``high`` (q,); ``depth``, how
    many factorisations followed each other.
    """

    weight: float
    shift: np.ndarray
    R: np.ndarray
    low: np.ndarray
    high: np.ndarray
    depth: int = 1

    @property
    def mean(self) -> np.ndarray:
        """The weighted means of the columns, (q,)."""
        return self.shift + self.R[0, 1:] / self.R[0, 0]

    def about(self, shift: np.ndarray) -> np.ndarray:
        """R (q + 1, q + 1) about another shift (q,)."""
        R = self.R.copy()
        R[0, 1:] += R[0, 0] * (self.shift - shift)
        return R

    def root(self, centred: bool) -> np.ndarray:
        """The triangular root (q, q) of the products of the columns, less their means if
        ``centred``.
        """
        if centred:
            return self.R[1:, 1:]
        return _triangle(self.about(np.zeros(len(self.shift)))[:, 1:])

    def __add__(self, other: Moments) -> Moments:
        weight = self.weight + other.weight
        shift = self.mean + (other.mean - self.mean) * (other.weight / weight)
        return Moments(
            weight,
            shift,
            _triangle(np.vstack([self.about(shift), other.about(shift)])),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            max(self.depth, other.depth) + 1,
        )


def moments(part: Part) -> Moments:
    """The kernel of the pass: the moments of X and y beside it, of rows with weights > 0."""
    n, p = part.X.shape
    if isinstance(part.X, np.ndarray):
        return _of_block(part, slice(0, n))
    return reduce(add, (_of_block(part, rows) for rows in slices(n, p)))  # they become dense


def _of_block(part: Part, rows: slice) -> Moments:
    y, w = np.atleast_2d(part.y)[:, rows], part.weights[rows]
    weight = float(w.sum())
    A = np.column_stack([np.ones(len(w)), dense(part.X[rows]), y.T])
    columns = A[:, 1:]
    low, high = columns.min(axis=0), columns.max(axis=0)
    shift = np.clip((w / weight) @ columns, low, high)
    columns -= shift
    A *= np.sqrt(w)[:, None]
    return Moments(weight, shift, _triangle(A), low, high)


def _triangle(A: np.ndarray) -> np.ndarray:
    """The triangular R (q, q) with R'R = A'A, whatever the number of rows of A (k, q)."""
    R = linalg.triangle_of(A)
    return (
        R if len(R) == R.shape[1] else np.vstack([R, np.zeros((R.shape[1] - len(R), R.shape[1]))])
    )
