"""Row reduction: absolute and Huber loss on many rows at the cost of two or three passes over them.

A row whose zone at the minimiser is known adds a fixed quadratic, so that all such rows add up to one (G, h, c).

    1. pilot   phi0 from a sample of about n^(2/3) m^(1/3) rows, and how far off it is, s, by the usual asymptotics;
    2. settle  one pass: rows further than a few s from a knot go to (G, h, c), the others are kept;
    3. core    the kept rows and (G, h, c), solved exactly;
    4. verify  one pass: is every settled row in its zone? Where not, it is opened, and 3 is repeated.

f has then the gradient of the reduced problem, zero, so that by convexity its minimiser is that of all rows:
nothing random is left in the answer. The idea is that of Portnoy & Koenker 1997 (Stat. Sci. 12:279); here
settled rows are not merged to two rows far away but to the linear term that they are, there are two knots as well
as one, and the last pass gives the gradient and the duality gap of all the rows.

Whatever goes wrong (a sample without full rank, too many kept rows, no certificate) ends in None: the direct
solver takes over.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.columns import DenseColumns
from ..data.rows import dense_rows
from ..data.stream import Stream
from ..numerics import linalg
from ..problem.losses import Absolute, Huber
from ..problem.problem import Problem, Quadratic
from ..problem.solution import Options, Pair, Streamed, Work
from ..solvers import huber, mae
from ..solvers.canonical import Choice, canonical
from .pilot import Pilot, least_squares, pilot
from .settling import INNER, KEPT, Settled, settle, verify

EPS = np.finfo(np.float64).eps
TALL, MAE_TALL = 900, 300  # rows per column from which a sample is worth it; of fewer, all are kept open,
OPEN = 2**20  # up to so many entries of Z, which are copied
OPENED = 0.1  # of s is what opening a few rows may change
DISTANT = 1e4  # typical residuals beyond which a row's distance does not count in the gap
ROUNDS = 6  # of the core
MANY = 0.1  # of the kept rows found wrong: the pilot was bad, and the last solution is a better one
PROVED = 1e-10
NEAR = 1e-6  # knots from it, a row is looked at closely
AT_BOUND = 1e-9  # an exact dual is either rounding away from its bound or well inside


def reduced(stream: Stream, knot: float, alpha: float, options: Options) -> Streamed | None:
    """Minimise over all rows; ``knot`` is 0 for the absolute loss. None if that is not so simple.

    Where there is a sample, it is a better start than that of the options.
    """
    n, m, work = stream.n_rows, stream.n_cols, Work()
    few = n <= (TALL if knot else MAE_TALL) * m
    if few and n * m > OPEN:
        return None
    with np.errstate(all="ignore"):  # what is not finite is found at the end of a pass
        start = least_squares(stream, knot, alpha) if few else pilot(stream, knot, alpha)
        if start is None:
            return None
        settled = _all_open(stream, start) if few else _settled(stream, start, knot, options, work)
        near, off = np.zeros(m), start.s  # where the core starts, from start.phi, and how far off that is
        for _ in range(ROUNDS):
            if settled is None:
                return None
            problem, unit = reduced_problem(stream, settled, start, knot, alpha)
            if start.rows is not None:
                from_far = huber.from_far if knot else mae.from_far
                pair = from_far(problem, *_nearer(problem, options, start.phi, unit), options, work)
            else:
                from_near = huber.from_near if knot else mae.from_near
                pair = from_near(problem, near / unit, off / unit, options, work)
            choice = None if pair is None else _chosen(stream, problem, pair, start.phi / unit)
            if choice is None:
                return None
            phi = unit * choice.phi
            seen = verify(stream, phi, knot, settled.zone, DISTANT * start.typical + knot)
            work.n_passes += 1
            step, n_kept = f"pass {work.n_passes}: verify", len(settled.index)
            if not len(seen.wrong):
                pair = replace(pair, phi=phi)
                streamed = proved(stream, settled, problem, unit, pair, choice.unique, seen, alpha, work)
                options.report(step, n_kept, streamed.gap if streamed else np.nan)
                return streamed
            options.report(f"{step}, {len(seen.wrong)} to open", n_kept)
            work.n_fixups += 1
            if len(seen.wrong) <= MANY * len(settled.index):
                settled = _opened(settled, seen.wrong, *stream.take(seen.wrong, start.phi), knot)
                near, off = phi - start.phi, OPENED * start.s
            elif work.n_fixups == 1:
                start, near = replace(start, phi=phi), np.zeros(m)
                settled = _settled(stream, start, knot, options, work)
            else:
                return None
    return None


def _nearer(problem: Problem, options: Options, base, unit):
    """(eta, r): least squares, eta = 0, or the start of the options if its value is lower."""
    eta, r = np.zeros(len(base)), problem.rows.y
    if options.start is not None:
        other = (options.start - base) / unit
        moved = problem.rows.residual(other)
        if problem.value(moved, other) < problem.value(r, eta):
            return other, moved
    return eta, r


def _all_open(stream: Stream, start: Pilot) -> Settled:
    rows, n, m = start.rows, stream.n_rows, stream.n_cols
    r = stream.y - stream.y_shift - np.dot(rows.columns.inner.X, start.phi)
    zone = np.full(n, KEPT, dtype=np.int8)
    return Settled(None, np.zeros(m), 0.0, zone, np.arange(n), rows.columns.inner.X, r, rows.w)


def _settled(stream: Stream, start: Pilot, knot, options: Options, work) -> Settled | None:
    most = stream.n_rows // 2
    settled = settle(stream, start.phi, knot, start.band, start.reach, start.rare, most)
    work.n_passes += 1
    work.n_kept = len(settled.index)
    options.report(f"pass {work.n_passes}: settle", work.n_kept)
    some = 0 < work.n_kept <= most and len(settled.Z) == work.n_kept
    return settled if some and np.isfinite(settled.c) and np.all(np.isfinite(settled.r)) else None


def _opened(settled: Settled, index, Z, r, w, knot) -> Settled:
    """The same with rows ``index`` kept, that had been settled; Z, r and w are theirs at phi0."""
    zone = settled.zone[index]
    inner = zone == INNER
    v = np.where(inner, r, zone * (knot or 1.0))
    cost = v * (r - 0.5 * v) if knot else v * r
    settled.zone[index] = KEPT
    return replace(
        settled,
        G=np.dot(Z[inner].T, Z[inner] * -w[inner, None]) + settled.G if knot else None,
        h=settled.h - Z.T @ (w * v),
        c=settled.c - w @ cost,
        index=np.append(settled.index, index),
        Z=np.vstack([settled.Z, Z]),
        r=np.append(settled.r, r),
        w=np.append(settled.w, w),
    )


def reduced_problem(stream: Stream, settled: Settled, start: Pilot, knot, alpha) -> tuple[Problem, float]:
    """(problem, unit): that of the kept rows for eta, phi = start.phi + unit * eta, in residuals of size 1."""
    unit = 2.0 ** float(np.frexp(np.abs(settled.r).max(initial=0.0))[1])
    size = unit if knot else 1.0
    if start.rows is not None:
        rows = replace(start.rows, y=settled.r / unit)
    else:
        rows = dense_rows(settled.Z, settled.r / unit, settled.w, None, start.gram, start.factor)
    L = stream.penalty_root(alpha * unit / size)
    h, c = settled.h / size - L.T @ (L @ (start.phi / unit)), settled.c / (size * unit)
    return Problem(rows, Huber(knot / unit) if knot else Absolute(), Quadratic(L, h, c, settled.G)), unit


def _chosen(stream: Stream, problem: Problem, pair: Pair, base) -> Choice | None:
    """The canonical phi = base + eta in units of the problem, among all that its dual allows; None if not found.

    It is that of all rows if they keep their side: a constraint that holds without being asked for changes nothing.
    """
    rows, S = problem.rows, np.abs(pair.u) < problem.loss.bound * (1.0 - AT_BOUND)
    Z, p = rows.columns.inner.X, stream.columns.n_cols
    if problem.loss.knot or linalg.factor(np.dot(Z[S].T, Z[S]) + problem.quadratic.G).sound:
        return Choice(base + pair.phi, True)
    if not S.any():  # the interval of the intercept may end at a settled row
        return None
    slopes = DenseColumns(Z[:, :p], np.zeros(p), np.ones(p), None)
    rows = replace(rows, columns=slopes, intercept=stream.intercept, rank=p,
                   B=np.diag(stream.columns.inverse_scale), y=rows.y + np.dot(Z, base))  # fmt: skip
    choice = canonical(replace(problem, rows=rows), replace(pair, phi=base + pair.phi))
    return choice if choice.canonical else None


def proved(stream, settled, problem, unit, pair: Pair, unique, seen, alpha, work) -> Streamed | None:
    """One more step on the gradient of all rows, and the duality gap before it; None without a proof.

    ``pair`` is (phi, u), phi in units of y. From u, the slopes psi(r), a dual point with Z'Wu = W alpha B'B phi
    is made by changing the rows inside their bounds. Shrunk into its box, by a factor of at least
    1 - ``outside``, it proves the gap, since D is concave and D(0) = 0.
    """
    phi, u, rows, knot = pair.phi, pair.u, problem.rows, unit * problem.loss.knot
    Z, w, y, L = settled.Z, settled.w, stream.y[settled.index] - stream.y_shift, stream.penalty_root(alpha)
    r = y - np.dot(Z, phi)
    missing, excess = seen.adjoint - L.T @ (L @ phi), 0.0
    if knot:
        inside = knot - np.abs(r)
        near = np.flatnonzero(np.abs(inside) <= NEAR * knot)
        inside[near] -= AT_BOUND * knot + _noise(y[near], Z[near], phi)
        factor = linalg.factor(rows.gram(w * (inside > 0.0)) + problem.quadratic.G)
        if not factor.sound:  # not unique: rows at the knot hold in one direction only
            return None
        step = factor.solve(missing)
        decrement = step @ missing  # twice what the step gains, and so what the dual point lacks
        outside = np.sqrt(decrement / (1.0 if stream.w is None else stream.w.min())) / knot
    else:
        S = np.flatnonzero(np.abs(u) < 1.0 - AT_BOUND)
        missing += rows.adjoint(w * u)
        normal = linalg.normal_equations(np.sqrt(w[S])[:, None] * Z[S])
        change, u = Z[S] @ normal.solve(missing), u.copy()
        u[S] -= change
        step, decrement = (np.zeros(len(phi)) if alpha else normal.solve(Z[S].T @ (w * r)[S])), 0.0
        # What S cannot take costs what the penalty makes of it, or the dual point is not quite feasible.
        missing, curvature = np.abs(missing - Z[S].T @ (w[S] * change)), np.square(L).sum(axis=0)
        costs = missing * (np.abs(phi) + seen.near / stream.weight)
        excess = np.sum(np.where(curvature > 0.0, 0.5 * np.square(missing) / curvature, costs))
        outside = np.abs(u).max(initial=1.0) - 1.0
        doubtful = np.flatnonzero(r * u < np.abs(r) * (1.0 - AT_BOUND))
        noise = _noise(y[doubtful], Z[doubtful], phi)
        r, u, w = r[doubtful], u[doubtful], w[doubtful]
        excess += w @ np.where(np.abs(r) <= noise, 0.0, np.abs(r) - r * u)
    gap = (excess + 0.5 * decrement) / seen.near + outside
    if not gap <= PROVED:
        return None
    objective = seen.cost + 0.5 * np.sum(np.square(L @ phi)) - 0.5 * decrement
    return Streamed(phi + step, objective / stream.weight, float(gap), unique, seen.beyond, work)


def _noise(y, Z, phi):
    """How far off residuals may be only because float64 rounds the terms they are made of."""
    return 4.0 * EPS * (np.abs(y) + np.abs(Z) @ np.abs(phi))
