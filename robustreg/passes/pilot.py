"""Where row reduction starts: near the minimiser, from a sample, or at least squares if all rows are few.

With a sample of k rows the absolute loss has s = sqrt(m / k) / (2 f), f the density of residuals at 0, and a
band of WIDTH s keeps about 2 WIDTH s f n = WIDTH n sqrt(m / k) rows, whatever the noise. With a kept row COST
times as dear as one of the sample the sum is smallest for k = (COST WIDTH / 2)^(2/3) n^(2/3) m^(1/3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.rows import Rows, dense_rows
from ..data.stream import LEAST, Stream, spread_out
from ..numerics import linalg
from ..problem.losses import Absolute
from ..problem.problem import Problem, Quadratic
from ..problem.solution import Work
from ..solvers.continuation import FAR, NEARBY, approach, quantile

WIDTH = 3.5  # rows are settled so many times s from a knot, and a little more
COST = 3.0  # of a kept row, in time and in memory, relative to one of the sample
TINY = 1e-6  # a knot, relative to y, that is no longer large beside the rounding of every residual
CLIPPED = 1e3  # typical targets, beyond which a pilot need not look
FEW = 16  # the part of the sample that the pilot begins with
RARE = 20  # rows of a sample that know a column
HEAVY = 3.0  # a row is heavy from so many times the norm of others


@dataclass(frozen=True, slots=True, eq=False)
class Pilot:
    """phi (m,), with a ``typical`` residual.

    ``s`` is how far fitted values are from those of the minimiser of all rows, root mean square; ``reach`` the norm
    of most rows, or None if there are none much larger; ``rare`` the columns that a sample does not know, as they
    are not 0 in a few rows only; ``gram`` the sample's Z'WZ (m, m) and its ``factor``. ``rows`` is None, unless
    the sample was all rows.
    """

    phi: np.ndarray
    typical: float
    gram: np.ndarray
    factor: linalg.Factor
    s: float = 0.0
    reach: float | None = None
    rare: np.ndarray | None = None
    rows: Rows | None = None

    @property
    def band(self) -> float:
        """How far from a knot rows are settled: s is a mean over pilots, and one of them varies by 1 / sqrt(2 m)."""
        return WIDTH * self.s * (1.0 + 1.5 / np.sqrt(2.0 * len(self.phi)))


def pilot(stream: Stream, knot, alpha) -> Pilot | None:
    """From a sample; None if it has no full rank, or the knot is tiny."""
    n, m, work = stream.n_rows, stream.n_cols, Work()  # iterations are those of the core
    size = int((0.5 * COST * WIDTH) ** (2 / 3) * n ** (2 / 3) * m ** (1 / 3))
    Z, y, w, unit = _rows(stream, spread_out(n, size))
    if not unit or 0.0 < knot < TINY * unit:
        return None
    L, none = stream.penalty_root(alpha / stream.weight * (1.0 if knot else unit)), np.zeros(m)
    few = spread_out(len(y), max(len(y) // FEW, 40 * m))
    rows = dense_rows(Z[few], y[few], w[few])
    problem = Problem(rows, Absolute(), Quadratic(np.sqrt(rows.w.sum()) * L, none))
    ridge = linalg.factor_shifted(rows.gram_all + problem.quadratic.G, np.diag(np.diag(rows.gram_all) + 1.0))
    phi, _ = approach(problem, ridge.solve(rows.adjoint(rows.w * rows.y)), knot / unit, FAR, work)
    rows = dense_rows(Z, y, w)
    if not rows.factor.sound:
        return None
    problem = Problem(rows, Absolute(), Quadratic(np.sqrt(w.sum()) * L, none))
    phi, s = approach(problem, phi, knot / unit, NEARBY, work)
    if not (s > 0.0 and np.all(np.isfinite(phi))):
        return None
    typical = unit * quantile(np.abs(rows.residual(phi)), 0.5)
    rare = _rare(Z[:, : stream.columns.n_cols])
    return Pilot(unit * phi, typical, rows.gram_all, rows.factor, unit * s, _reach(Z), rare)


def least_squares(stream: Stream, knot, alpha) -> Pilot | None:
    """Of all rows; None if they are ill-conditioned, or the knot is tiny."""
    Z, y, w, unit = _rows(stream, np.arange(stream.n_rows))
    if not unit or 0.0 < knot < TINY * unit:
        return None
    rows = dense_rows(Z, y, w)
    if not rows.factor.sound:
        return None
    L = stream.penalty_root(alpha)
    factor = linalg.factor(rows.gram_all + L.T @ L) if alpha else rows.factor
    phi = factor.solve(rows.adjoint(w * y))
    typical = unit * quantile(np.abs(y - np.dot(Z, phi)), 0.5)
    return Pilot(unit * phi, typical, rows.gram_all, rows.factor, rows=rows)


def _reach(Z):
    square = np.einsum("ij,ij->i", Z, Z)
    most = quantile(square, 0.75)
    return float(np.sqrt(most)) if square.max() > HEAVY**2 * most else None


def _rare(Z):
    count = np.count_nonzero(Z[: 2 * RARE], axis=0)  # most columns are known after a look
    rare = np.flatnonzero(count < RARE)
    return rare[np.count_nonzero(Z[:, rare], axis=0) < RARE]


def _rows(stream, index):
    """(Z, y / unit, w, unit) of some rows, targets far away clipped; unit is 0 if that cannot be."""
    Z, y, w = stream.take(index, np.zeros(stream.n_cols))
    size = np.abs(y)
    unit = quantile(size, 0.5)
    if not LEAST < unit < 1.0 / LEAST:
        return Z, y, w, 0.0
    unit = 2.0 ** np.frexp(unit)[1]
    return Z, np.clip(y / unit, -CLIPPED, CLIPPED) if size.max() > CLIPPED * unit else y / unit, w, unit
