"""Huber's loss at many knots, for all rows or for some of them, at the cost of a few passes over the data.

About one phi0, not far from all the minimisers wanted, each row has a residual r0 and a size h, so that

    abs(z_i'eta) <= h_i norm(eta),     h_i^2 = z_i'M^-1 z_i,     norm(eta)^2 = eta'M eta,

for any positive definite M; here it is the Gram matrix of a sample. So wherever phi = phi0 + eta with norm(eta) <= c,
a row with abs(abs(r0_i) - d) > h_i c is in the zone it has at phi0: it is settled without another look at it. What
the settled rows add comes from a table made in one pass: sums over the rows with abs(r0) between one knot and
the next, from which those for every knot follow. Some of the rows, such as the training rows of a fold, have the
table of all rows less that of the others.

The few rows left open are gathered once for each knot, and Newton's method from the solution at the last knot takes
two or three steps on them. Its end is the exact minimiser if norm(eta) <= c; if not, c grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.stream import LEAST, Stream, spread_out
from ..data.threads import in_parallel
from ..numerics import linalg
from ..problem.solution import Options, Work
from ..solvers.continuation import quantile
from ..solvers.newton import Hessian, newton
from .pilot import Pilot
from .reduction import reduced_problem
from .settling import INNER, KEPT, Settled

OPEN = 2**16  # entries of Z up to which all rows are kept open
SAMPLE = 40  # rows per column of the sample that M is made of
CHUNK = 2**12  # rows that are read at a time
PARTS = 16  # of the rows, for so many threads at most
FIRST = 2.0  # c, in standard errors, to begin with
MARGIN = 1.25  # c, relative to the last norm(eta)
MOST = 50  # steps for a knot
NEAR = 1e-9  # knots from it, a row may hold in one direction only
GOOD = 1e-6  # condition from which a solution is the only one, and has its digits
ROUNDS = 8  # of enlarging c
KNOWN = 1e-3  # of the Gram matrix of all rows is left of a column in some of them, with that many digits less


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Sums by interval k, in which knots[k - 1] < abs(r0) <= knots[k], of w z z', w z r0, w z sign(r0) and of
    w times r0^2, abs(r0) and 1: (K + 1, m, m), (K + 1, m, 2) and (K + 1, 3)."""

    square: np.ndarray
    linear: np.ndarray
    constant: np.ndarray

    def less(self, other: Table) -> Table:
        return Table(self.square - other.square, self.linear - other.linear, self.constant - other.constant)

    def up_to(self) -> Table:
        """The sums over the first k + 1 intervals, and, in the last place, over all."""
        return Table(*(np.cumsum(part, axis=0) for part in (self.square, self.linear, self.constant)))


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """phi (m,) at one knot for some of the rows, and what proves it."""

    phi: np.ndarray
    pair: object
    problem: object
    settled: Settled
    unit: float
    work: Work


class Knots:
    """All rows about phi0, for knots (K,) that ascend."""

    def __init__(self, stream: Stream, phi0, knots):
        n, m = stream.n_rows, stream.n_cols
        self.stream, self.phi0, self.knots = stream, phi0, knots
        Z, r, w = stream.take(spread_out(n, SAMPLE * m), phi0)
        gram = np.dot(Z.T, Z * (w * (n / len(r)))[:, None])
        factor = linalg.factor(gram)
        self.start = Pilot(phi0, quantile(np.abs(r), 0.5), gram, factor)
        self.sound = factor.sound and LEAST < self.start.typical < 1.0 / LEAST
        self.all_open = n * m <= OPEN
        if not self.sound:
            return
        if self.all_open:
            self.Z, self.r, _ = stream.take(np.arange(n), phi0)
            return
        self.r, self.h = np.empty(n), np.empty(n)
        self.table = self._table(np.arange(n), stream.w, fill=True)

    def _table(self, index, w, *, fill=False) -> Table:
        """The table of the rows ``index`` with weights w (n,) or None; with ``fill`` their r and h, too."""
        m, K, knots = self.stream.n_cols, len(self.knots), self.knots
        inverse = np.linalg.inv(np.linalg.cholesky(self.start.gram)).T if fill else None

        def part(i):
            square, linear, constant = np.zeros((K + 1, m, m)), np.zeros((K + 1, m, 2)), np.zeros((K + 1, 3))
            mine = index[len(index) * i // PARTS : len(index) * (i + 1) // PARTS]
            for start in range(0, len(mine), CHUNK):
                rows = mine[start : start + CHUNK]
                if fill:
                    Z, self.r[rows], _ = self.stream.take(rows, self.phi0)
                    self.h[rows] = np.sqrt(np.einsum("ij,ij->i", V := np.dot(Z, inverse), V))
                k = np.searchsorted(knots, np.abs(self.r[rows]))
                order = np.argsort(k, kind="stable")
                rows, edges = rows[order], np.searchsorted(k[order], np.arange(K + 2))
                Z = Z[order] if fill else self.stream.take(rows, np.zeros(m))[0]
                r = self.r[rows]
                wr, ws = (r, np.sign(r)) if w is None else (w[rows] * r, w[rows] * np.sign(r))
                pulls = np.column_stack([wr, ws])
                sums = np.column_stack([wr * r, ws * r, np.ones(len(r)) if w is None else w[rows]])
                weighted = Z if w is None else Z * w[rows][:, None]
                for k in np.flatnonzero(np.diff(edges)):
                    here = slice(edges[k], edges[k + 1])
                    square[k] += np.dot(Z[here].T, weighted[here])
                    linear[k] += np.dot(Z[here].T, pulls[here])
                    constant[k] += sums[here].sum(axis=0)
            return square, linear, constant

        return Table(*(sum(sums) for sums in zip(*in_parallel(part, PARTS), strict=True)))

    def tables(self, subsets):
        """The table of each subset, weights (n,) >= 0 or None for all rows."""
        for w in subsets:
            if w is None or self.all_open:
                yield None if self.all_open else self.table.up_to()
                continue
            others = (np.ones(len(w)) if self.stream.w is None else self.stream.w) - w
            table = self.table.less(self._table(np.flatnonzero(others), others))
            known = np.diag(table.square.sum(axis=0)) > KNOWN * np.diag(self.table.square.sum(axis=0))
            yield table.up_to() if known.all() else False

    def solve(self, alpha, subsets):
        """For each knot, the largest first, (its number, a list of a Solved or None for each subset).

        None says that the minimiser is not unique, or was not found. ``alpha`` (K,), one for each knot.
        """
        m, tables = self.stream.n_cols, list(self.tables(subsets))
        weights = [np.ones(self.stream.n_rows) if w is None else w for w in subsets]
        if subsets and subsets[0] is None and self.stream.w is not None:
            weights[0] = self.stream.w
        eta = [np.zeros(m) for _ in subsets]
        c = FIRST * self.start.typical * np.sqrt(m)
        for k in range(len(self.knots) - 1, -1, -1):
            for _ in range(ROUNDS):
                kept, Z, r = self._open(self.knots[k], c)
                inner = np.abs(r) <= self.knots[k]
                found = []
                for w, gram, table, last in zip(
                    weights, self._grams(weights, kept, Z, inner), tables, eta, strict=True
                ):
                    settled = table is not False and self._settled(k, w, table, kept, Z, r, gram)
                    found.append(self._solved(k, alpha[k], w, settled, inner, gram, last) if settled else None)
                eta = [last if s is None else s.phi - self.phi0 for s, last in zip(found, eta, strict=True)]
                far = max((np.sqrt(e @ self.start.gram @ e) for e in eta), default=0.0)
                if self.all_open or far <= c:
                    break
                c = MARGIN * far
            else:
                found = [None] * len(found)
            c = MARGIN * far
            yield k, found

    def _open(self, knot, c):
        """(index or None for all, Z, r) of the rows that may change their zone within c of phi0."""
        if self.all_open:
            return None, self.Z, self.r
        kept = np.flatnonzero(np.abs(np.abs(self.r) - knot) <= self.h * c)
        return kept, self.stream.take(kept, np.zeros(self.stream.n_cols))[0], self.r[kept]

    def _grams(self, weights, kept, Z, inner):
        """Z'WZ of the rows open and inner at phi0, for each of the weights (n,): the first, less the difference."""
        first, Z = None, Z[inner]
        index = np.flatnonzero(inner) if kept is None else kept[inner]
        for w in weights:
            w = w[index]
            if first is None:
                first, gram = w, np.dot(Z.T, Z * w[:, None])
                yield gram
                continue
            others = np.flatnonzero(first != w)
            few = Z[others]
            less = gram - np.dot(few.T, few * (first - w)[others, None])
            known = np.all(np.diag(less) > KNOWN * np.diag(gram))
            yield less if known else np.dot(Z.T, Z * w[:, None])

    def _solved(self, k, alpha, w, settled, inner, gram, eta) -> Solved | None:
        knot, work = self.knots[k], Work()
        weight = w.sum() / self.stream.weight
        problem, unit = reduced_problem(self.stream, settled, self.start, knot, alpha * weight)
        eta = eta / unit
        r, hessian = problem.rows.residual(eta), Hessian(problem, inner, gram)
        pair = newton(problem, eta, r, Options(MOST), work, MOST, enough=0.0, hessian=hessian)
        inside = problem.loss.knot - np.abs(problem.rows.residual(pair.phi)) > NEAR * problem.loss.knot
        if pair.exhausted or linalg.factor(hessian.of(inside)).rcond < GOOD:
            return None
        return Solved(self.phi0 + unit * pair.phi, pair, problem, settled, unit, work)

    def _settled(self, k, w, table, kept, Z, r, gram) -> Settled:
        """All rows but those kept, as sums at the knot k."""
        n, m, d = self.stream.n_rows, self.stream.n_cols, self.knots[k]
        if kept is None:
            return Settled(None, np.zeros(m), 0.0, None, np.arange(n), Z, r, w)
        w, v = w[kept], np.clip(r, -d, d)
        square, size, one = table.constant[k], *(table.constant[-1] - table.constant[k])[1:]
        cost = 0.5 * square[0] + d * (size - 0.5 * d * one)
        pull = table.linear[k][:, 0] + d * (table.linear[-1] - table.linear[k])[:, 1]
        return Settled(
            G=table.square[k] - gram, h=pull - Z.T @ (w * v), c=float(cost - w @ (v * (r - 0.5 * v))), zone=None,
            index=kept, Z=Z, r=r, w=w,
        )  # fmt: skip

    def zone(self, k, settled: Settled):
        """The zones of all rows at the knot k, as ``verify`` wants them."""
        zone = np.where(np.abs(self.r) <= self.knots[k], INNER, np.sign(self.r)).astype(np.int8)  # at phi0
        zone[settled.index] = KEPT
        return zone
