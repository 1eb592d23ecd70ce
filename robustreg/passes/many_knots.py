"""Huber's loss at many knots, for all rows or for some of them, at the cost of a few passes over
the data.

About one phi0, not far from all the minimisers wanted, each row has a residual r0 and a lever, so
that

    abs(z_i'eta) <= lever_i norm(eta),     lever_i^2 = z_i'M^-1 z_i,     norm(eta)^2 = eta'M eta,

for any positive definite M; here it is the Gram matrix of a sample. So wherever phi = phi0 + eta
with norm(eta) <= radius, a row with abs(abs(r0_i) - d) > lever_i radius is in the zone it has at
phi0: it is settled without another look at it. What the settled rows add comes from a table made in
one pass: sums over the rows with abs(r0) between one knot and the next, from which those for every
knot follow. Some of the rows, such as the training rows of a fold, have the table of all rows less
that of the others.

The few rows left open are gathered once for each knot, and Newton's method from the solution at the
last knot takes two or three steps on them. Its end is the exact minimiser if norm(eta) <= radius;
if not, the radius grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ..data.frame import Frame
from ..data.rows import dense_rows
from ..data.source import Dependent, Part, Refused, Sums, spread_out, sweep
from ..data.threads import in_parallel
from ..numerics import linalg
from ..problem.losses import huber
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Tally
from ..solvers.continuation import quantile
from ..solvers.newton import Hessian, newton
from .all_rows import AllRows
from .pilot import Pilot
from .reduction import Reduced, reduced_problem

OPEN_ENTRIES = 2**16  # entries of Z up to which all rows are kept open
SAMPLE = 40  # rows per column of the sample that M is made of
CHUNK = 2**12  # rows of a subset that are read at a time
FIRST = 2.0  # the radius, in standard errors, to begin with
MARGIN = 1.25  # the radius, relative to the last norm(eta)
STEPS = 50  # of Newton's method for a knot, at most
NEAR = 1e-9  # knots from a knot: so near a row may hold in one direction only
# Least reciprocal condition number of a Hessian: from there a solution is the only one, and has its
# digits.
WELL_CONDITIONED = 1e-6
ROUNDS = 8  # of enlarging the radius, at most
# A difference of Gram matrices counts as known where 1e-3 of the diagonal is left: the digits that
# cancel are lost, here 3 of 16. Below it the sums are made from the rows.
GRAM_LEFT = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Table(Sums):
    """Sums by interval k, in which knots[k - 1] < abs(r0) <= knots[k].

    ``square`` (n_knots + 1, m, m) of w z z'; ``linear`` (n_knots + 1, m, 2) of w z r0 and w z
    sign(r0); ``constant`` (n_knots + 1, 3) of w times r0^2, abs(r0) and 1. ``r`` and ``lever`` list
    r0 and the levers, block by block.
    """

    square: np.ndarray
    linear: np.ndarray
    constant: np.ndarray
    r: list
    lever: list

    def less(self, other: Table) -> Table:
        return Table(
            self.square - other.square,
            self.linear - other.linear,
            self.constant - other.constant,
            [],
            [],
        )

    def up_to(self) -> Table:
        """The sums over the first k + 1 intervals, and, in the last place, over all."""
        sums = (self.square, self.linear, self.constant)
        square, linear, constant = (np.cumsum(part, axis=0) for part in sums)
        return Table(square, linear, constant, [], [])


def tabulate(
    part: Part, frame: Frame, base: np.ndarray, knots: np.ndarray, inverse_root: np.ndarray
) -> Table:
    """The kernel of the table about ``base`` (m,); ``inverse_root`` is K (m, m) with K M K' = I."""
    C = frame.centred(part)
    r, Z = frame.residual(part, C, base), frame.rows(C)
    reach = np.dot(Z, inverse_root.T)
    lever = np.sqrt(np.einsum("ij,ij->i", reach, reach))
    return replace(_sums(Z, r, part.w, knots), r=[r], lever=[lever])


def _sums(Z: np.ndarray, r: np.ndarray, w: np.ndarray | None, knots: np.ndarray) -> Table:
    """The table of rows Z (k, m) with residuals r0 (k,) and weights w (k,) or None."""
    # 1. Rows in the order of their intervals.
    interval = np.searchsorted(knots, np.abs(r))
    order = np.argsort(interval, kind="stable")
    edges = np.searchsorted(interval[order], np.arange(len(knots) + 2))
    Z, r0 = Z[order], r[order]
    weighted = Z if w is None else Z * w[order][:, None]
    w = np.ones(len(r)) if w is None else w[order]
    # 2. Their sums.
    pulls = np.column_stack([w * r0, w * np.sign(r0)])
    numbers = np.column_stack([w * r0 * r0, w * np.abs(r0), w])
    n_knots, m = len(knots), Z.shape[1]
    square, linear = np.zeros((n_knots + 1, m, m)), np.zeros((n_knots + 1, m, 2))
    constant = np.zeros((n_knots + 1, 3))
    for k in np.flatnonzero(np.diff(edges)):
        here = slice(edges[k], edges[k + 1])
        square[k] = np.dot(Z[here].T, weighted[here])
        linear[k] = np.dot(Z[here].T, pulls[here])
        constant[k] = numbers[here].sum(axis=0)
    return Table(square, linear, constant, [], [])


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """All rows about ``start.phi``, for ``knots`` (n_knots,) that ascend, in the units of
    problem.frame.

    Few rows are all kept open: then ``Z`` (n, m) has them, and ``table`` and ``lever`` are None.
    """

    problem: AllRows
    start: Pilot
    knots: np.ndarray
    r: np.ndarray
    lever: np.ndarray | None
    Z: np.ndarray | None
    table: Table | None


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """phi (m,) at one knot for some of the rows, and what proves it."""

    phi: np.ndarray
    pair: Pair
    small: Problem
    left: Reduced
    tally: Tally


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """Rows with weights ``w`` (n,) >= 0, their table (None where all rows are open), and the last
    eta (m,).
    """

    w: np.ndarray
    table: Table | None
    eta: np.ndarray


def neighbourhood(problem: AllRows, b: np.ndarray, b0: float, deltas: np.ndarray) -> Neighbourhood:
    """About (b, b0), for ``deltas`` (n_knots,) that ascend, all in the units of the data; Refused
    where M is singular.
    """
    source = problem.source
    n, m = source.n_rows, problem.frame.n_cols
    if source.is_sparse:
        raise Refused("Many knots at once need a dense X.")
    # 1. M, and the size of residuals, from a sample.
    phi0 = problem.frame.from_raw(b, b0)
    Z, r, w = problem.frame.take(source, spread_out(n, SAMPLE * m), phi0)
    gram = Z.T @ (Z * (w * (n / len(r)))[:, None])
    factor, typical = linalg.factor(gram), quantile(np.abs(r), 0.5)
    if not factor.sound:
        reason = "The columns of X are dependent, or nearly so, in a sample of the rows."
        raise Refused(reason) if problem.frame.independent else Dependent(reason)
    if not typical > 0.0:
        raise Refused("Most rows of a sample are fitted exactly.")
    finer = problem.in_units(typical)
    size = finer.frame.y_scale / problem.frame.y_scale
    start = Pilot(phi0, typical, gram, factor).in_units(size)
    knots = deltas / finer.frame.y_scale
    # 2. All rows.
    if n * m <= OPEN_ENTRIES:
        Z, r, _ = finer.frame.take(source, slice(None), start.phi)
        return Neighbourhood(finer, start, knots, r, None, Z, None)
    inverse_root = _inverse_root(gram)
    table = sweep(source, tabulate, finer.frame, start.phi, knots, inverse_root)
    r, lever = np.concatenate(table.r), np.concatenate(table.lever)
    return Neighbourhood(finer, start, knots, r, lever, None, replace(table, r=[], lever=[]))


def solutions(near: Neighbourhood, alpha: float, sets: list) -> Iterator[tuple[int, list]]:
    """For each knot, the largest first, (its number, a list of a Solved or None for each of
    ``sets``).

    A set is weights (n,) >= 0, or None for all rows. None says that the minimiser is not unique, or
    was not found.
    """
    subsets = [_subset(near, w) for w in sets]
    radius = FIRST * near.start.typical * np.sqrt(near.problem.frame.n_cols)
    for k in range(len(near.knots) - 1, -1, -1):
        found: list = [None] * len(subsets)
        for _ in range(ROUNDS):
            trial = _at(near, k, radius, alpha, subsets)
            eta = [
                s.eta if f is None else f.phi - near.start.phi
                for s, f in zip(subsets, trial, strict=True)
            ]
            far = max((_norm(near, e) for e in eta), default=0.0)
            subsets = [replace(s, eta=e) for s, e in zip(subsets, eta, strict=True)]
            last, radius = radius, MARGIN * far
            if near.lever is None or far <= last:
                found = trial
                break
        yield k, found


def _at(near: Neighbourhood, k: int, radius: float, alpha: float, subsets: list[Subset]) -> list:
    """A Solved or None for each subset at knot k, if the solutions are within the radius of the
    start.
    """
    # 1. The rows that may change their zone within the radius.
    if near.lever is None:
        index, Z, r = np.arange(len(near.r)), near.Z, near.r
    else:
        index = np.flatnonzero(np.abs(np.abs(near.r) - near.knots[k]) <= near.lever * radius)
        Z, _, _ = near.problem.frame.take(near.problem.source, index)
        r = near.r[index]
    inner = np.abs(r) <= near.knots[k]
    # 2. Each subset with its sums of the others.
    found = []
    for subset, gram in zip(subsets, _grams(subsets, index, Z, inner), strict=True):
        if near.lever is not None and subset.table is None:
            found.append(None)
            continue
        left = _left(near, k, subset, index, Z, r, gram)
        found.append(_solved(near, k, alpha, subset, left, inner, gram))
    return found


def _solved(near, k, alpha, subset: Subset, left: Reduced, inner, gram) -> Solved | None:
    knot, tally, problem = near.knots[k], Tally(), near.problem
    share = subset.w.sum() / problem.source.weight
    small = reduced_problem(replace(problem, loss=huber(knot), alpha=alpha * share), left)
    r, hessian = small.rows.residual(subset.eta), Hessian(small, inner, gram)
    pair = newton(small, subset.eta, r, Options(STEPS), tally, STEPS, enough=0.0, hessian=hessian)
    inside = knot - np.abs(small.rows.residual(pair.phi)) > NEAR * knot
    if pair.exhausted or linalg.factor(hessian.of(inside)).rcond < WELL_CONDITIONED:
        return None
    return Solved(left.base + pair.phi, pair, small, left, tally)


def _left(near: Neighbourhood, k: int, subset: Subset, index, Z, r, gram) -> Reduced:
    """All rows of a subset but the open ones as sums at the knot k; ``gram`` is that of the open,
    inner rows.
    """
    base, d, none = near.start.phi, near.knots[k], np.zeros(0, dtype=np.int64)
    rows = dense_rows(Z, r, subset.w[index], None, near.start.gram, near.start.factor)
    if near.lever is None:
        return Reduced(None, base, None, np.zeros(len(base)), 0.0, index, rows, none)
    table, w, v = subset.table, subset.w[index], np.clip(r, -d, d)
    assert table is not None, "a subset without a table has no sums"
    size, one = (table.constant[-1] - table.constant[k])[1:]
    cost = 0.5 * table.constant[k][0] + d * (size - 0.5 * d * one)
    pull = table.linear[k][:, 0] + d * (table.linear[-1] - table.linear[k])[:, 1]
    settled = table.square[k] - gram
    h, c = pull - Z.T @ (w * v), cost - w @ (v * (r - 0.5 * v))
    return Reduced(None, base, settled, h, float(c), index, rows, none)


def _grams(subsets: list[Subset], index, Z, inner) -> Iterator[np.ndarray]:
    """Z'diag(w)Z of the rows open and inner at the start, for each subset: that of the first, less
    the difference.
    """
    Z, index = Z[inner], index[inner]
    first = subsets[0].w[index]
    gram = Z.T @ (Z * first[:, None])
    yield gram
    for subset in subsets[1:]:
        w = subset.w[index]
        others = np.flatnonzero(first != w)
        less = gram - Z[others].T @ (Z[others] * (first - w)[others, None])
        known = np.all(np.diag(less) > GRAM_LEFT * np.diag(gram))
        yield less if known else Z.T @ (Z * w[:, None])


def _subset(near: Neighbourhood, w: np.ndarray | None) -> Subset:
    """The rows with weights w (n,), None for all; without a table where too few digits of it are
    known.
    """
    source: Any = near.problem.source  # in memory
    zero = np.zeros(near.problem.frame.n_cols)
    all_weights = np.ones(source.n_rows) if source.w is None else source.w
    if near.table is None:
        return Subset(all_weights if w is None else w, None, zero)
    if w is None:
        return Subset(all_weights, near.table.up_to(), zero)
    table = near.table.less(_table_of_some(near, all_weights - w))
    left, whole = np.diag(table.square.sum(axis=0)), np.diag(near.table.square.sum(axis=0))
    return Subset(w, table.up_to() if np.all(left > GRAM_LEFT * whole) else None, zero)


def _table_of_some(near: Neighbourhood, w: np.ndarray) -> Table:
    """The table of the rows with weights w (n,), which may be negative, other than 0."""
    index = np.flatnonzero(w)
    edges = range(0, max(1, len(index)), CHUNK)

    def chunk(i):
        rows = index[edges[i] : edges[i] + CHUNK]
        Z, _, _ = near.problem.frame.take(near.problem.source, rows)
        # r0 as in the table of all rows, to the last bit.
        return _sums(Z, near.r[rows], w[rows], near.knots)

    return reduce(add, in_parallel(chunk, len(edges)))


def _norm(near: Neighbourhood, eta: np.ndarray) -> float:
    return float(np.sqrt(eta @ near.start.gram @ eta))


def _inverse_root(gram: np.ndarray) -> np.ndarray:
    """K (m, m) with K gram K' = I."""
    return np.linalg.inv(np.linalg.cholesky(gram))
