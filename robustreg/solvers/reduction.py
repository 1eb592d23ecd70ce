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

A band of WIDTH s keeps about 2 WIDTH s f n rows where f is the density of residuals at the knot: for the absolute
loss, s = sqrt(m / k) / (2 f) with a sample of k, that is WIDTH n sqrt(m / k), whatever the noise. The sum of
that and of k is smallest for k = (WIDTH / 2)^(2/3) n^(2/3) m^(1/3).

Whatever goes wrong (a sample without full rank, too many kept rows, no certificate) ends in None: the direct
solver takes over.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import linalg
from ..columns import DenseColumns, power_of_two
from ..losses import Absolute, Huber
from ..problem import Problem, Quadratic
from ..rows import Rows, dense_rows
from ..solution import Options, Pair, Streamed, Work
from ..stream import INNER, KEPT, LEAST, Settled, Stream, spread_out
from .canonical import Choice, canonical
from .continuation import FAR, NEARBY, approach
from .huber import from_near as huber_from_near
from .mae import from_near as mae_from_near

EPS = np.finfo(np.float64).eps
WIDTH = 3.5  # rows are settled so many times s from a knot, and a little more
CLIPPED = 1e3  # typical targets, beyond which the pilot need not look
FEW = 16  # the part of the sample that the pilot begins with
RARE = 20  # rows of a sample that know a column
HEAVY = 3.0  # a row is heavy from so many times the norm of others
OPENED = 0.1  # of s is what opening a few rows may change
PILOTS = 2  # before the direct solver takes over
DISTANT = 1e4  # typical residuals beyond which a row's distance does not count in the gap
ROUNDS = 6  # of the core
MANY = 0.1  # of the kept rows found wrong: the pilot was bad, and the last solution is a better one
PROVED = 1e-10
AT_BOUND = 1e-9  # an exact dual is either rounding away from its bound or well inside


def reduced(stream: Stream, knot: float, alpha: float, options: Options) -> Streamed | None:
    """Minimise over all rows; ``knot`` is 0 for the absolute loss. None if reduction does not help."""
    work = Work()
    with np.errstate(all="ignore"):  # what is not finite is found at the end of a pass
        guess = pilot(stream, knot)
        if guess is None:
            return None
        base, s, typical, sample = guess
        reach, rare = _reach(sample), _rare(sample, stream.columns.n_cols)
        settled, piloted = _settled(stream, base, knot, s, reach, rare, work), 1
        near, off = np.zeros(stream.n_cols), s  # where the core starts, from base, and how far off that is
        for _ in range(ROUNDS):
            if settled is None:
                return None
            problem, unit = _reduced_problem(stream, settled, base, knot, alpha, sample)
            solve = huber_from_near if knot else mae_from_near
            pair = solve(problem, near / unit, off / unit, options, work)
            choice = None if pair is None else _chosen(stream, problem, pair, base / unit)
            if choice is None:
                return None
            phi = unit * choice.phi
            seen = stream.verify(phi, knot, settled.zone, DISTANT * typical + knot)
            work.n_passes += 1
            options.report(f"pass {work.n_passes}: {len(settled.index)} rows kept, {len(seen.wrong)} settled wrongly")
            if not len(seen.wrong):
                return _proved(
                    stream, settled, problem, pair.u, (phi - base) / unit, unit, phi, choice.unique, seen, alpha, work
                )
            work.n_fixups += 1
            if len(seen.wrong) <= MANY * len(settled.index):
                settled = _opened(settled, seen.wrong, *stream.take(seen.wrong, base), knot)
                near, off = phi - base, OPENED * s
            elif piloted < PILOTS:
                base, piloted, near, off = phi, piloted + 1, np.zeros(stream.n_cols), s
                settled = _settled(stream, phi, knot, s, reach, rare, work)
            else:
                return None
    return None


def pilot(stream: Stream, knot):
    """(phi0, s, a typical residual, the sample's Rows) or None."""
    n, m, work = stream.n_rows, stream.n_cols, Work()  # iterations are those of the core
    size = int((0.5 * WIDTH) ** (2 / 3) * n ** (2 / 3) * m ** (1 / 3))
    Z, y, w = stream.take(spread_out(n, size), np.zeros(m))
    unit = float(power_of_two(np.median(np.abs(y))))
    if not (np.all(np.isfinite(Z)) and LEAST < unit < 1.0 / LEAST):
        return None
    y = np.clip(y / unit, -CLIPPED, CLIPPED)
    nothing = Quadratic(np.zeros((0, m)), np.zeros(m))
    few = spread_out(len(y), max(len(y) // FEW, 40 * m))
    rows = dense_rows(Z[few], y[few], w[few])
    start = linalg.factor_shifted(rows.gram_all, np.diag(np.diag(rows.gram_all) + 1.0))
    phi, _ = approach(
        Problem(rows, Absolute(), nothing), start.solve(rows.adjoint(rows.w * rows.y)), knot / unit, FAR, work
    )
    rows = dense_rows(Z, y, w)
    if not rows.factor.sound:
        return None
    phi, s = approach(Problem(rows, Absolute(), nothing), phi, knot / unit, NEARBY, work)
    if not (s > 0.0 and np.all(np.isfinite(phi))):
        return None
    return unit * phi, unit * s, unit * np.median(np.abs(rows.residual(phi))), rows


def band(s, m):
    """How far from a knot rows are settled: s is a mean over pilots, and one of them varies by 1 / sqrt(2 m)."""
    return WIDTH * s * (1.0 + 1.5 / np.sqrt(2.0 * m))


def _reach(sample: Rows):
    """The norm of most rows of a sample, or None if there are none much larger."""
    Z = sample.columns.inner.X
    norm = np.sqrt(np.einsum("ij,ij->i", Z, Z))
    most = np.quantile(norm, 0.75)
    return most if norm.max() > HEAVY * most else None


def _rare(sample: Rows, p):
    """Columns of a sample, the first p, that are not 0 in a few rows only, which does not tell their coefficients."""
    Z = sample.columns.inner.X[:, :p]
    count = np.count_nonzero(Z[: 2 * RARE], axis=0)  # most columns are known after a look
    rare = np.flatnonzero(count < RARE)
    return rare[np.count_nonzero(Z[:, rare], axis=0) < RARE]


def _settled(stream: Stream, phi, knot, s, reach, rare, work) -> Settled | None:
    settled = stream.settle(phi, knot, band(s, stream.n_cols), reach, rare, stream.n_rows // 2)
    work.n_passes += 1
    work.n_kept = len(settled.index)
    kept_all = len(settled.Z) == len(settled.index)
    return settled if kept_all and np.isfinite(settled.c) and np.all(np.isfinite(settled.r)) else None


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


def _reduced_problem(stream: Stream, settled: Settled, base, knot, alpha, sample) -> tuple[Problem, float]:
    """(problem, unit): that of the kept rows for eta, phi = base + unit * eta, in residuals of size 1."""
    unit = float(power_of_two(np.abs(settled.r).max(initial=0.0)))
    size = unit if knot else 1.0
    rows = dense_rows(settled.Z, settled.r / unit, settled.w, None, sample.gram_all, sample.factor)
    L = stream.penalty_root(alpha * unit / size)
    h, c = settled.h / size - L.T @ (L @ (base / unit)), settled.c / (size * unit)
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


def _proved(stream, settled, problem, u, eta, unit, phi, unique, seen, alpha, work) -> Streamed | None:
    """One more step on the gradient of all rows, and the duality gap before it; None without a proof.

    From u, the slopes psi(r), a dual point with Z'Wu = W alpha B'B phi is made by changing the rows inside
    their bounds. Shrunk into its box, by a factor of at least 1 - ``outside``, it proves the gap, since D is
    concave and D(0) = 0.
    """
    rows, loss = problem.rows, problem.loss
    r, L = unit * rows.residual(eta), stream.penalty_root(alpha)
    missing, excess = seen.adjoint - L.T @ (L @ phi), 0.0
    if loss.knot:
        factor = linalg.factor(settled.G + rows.gram(rows.w * loss.curved(r / unit)) + L.T @ L)
        if not factor.sound:
            return None
        step = factor.solve(missing)
        decrement = step @ missing  # twice what the step gains, and so what the dual point lacks
        outside = np.sqrt(decrement / (1.0 if stream.w is None else stream.w.min())) / (unit * loss.knot)
    else:
        S = np.flatnonzero(np.abs(u) < 1.0 - AT_BOUND)
        missing += rows.adjoint(rows.w * u)
        outside = np.abs(u).max(initial=1.0) - 1.0
        Z, r, w, u, y = settled.Z[S], r[S], rows.w[S], u[S], stream.y[settled.index[S]] - stream.y_shift
        normal = linalg.normal_equations(np.sqrt(w)[:, None] * Z)
        u = u - Z @ normal.solve(missing)
        step, decrement = normal.solve(Z.T @ (w * r)), 0.0
        outside = max(np.abs(u).max(initial=1.0) - 1.0, outside)
        noise = 4.0 * EPS * (np.abs(y) + np.abs(Z) @ np.abs(phi))
        excess = w @ np.where(np.abs(r) <= noise, 0.0, np.abs(r) - r * u)
    gap = (excess + 0.5 * decrement) / seen.near + outside
    if not gap <= PROVED:
        return None
    objective = seen.cost + 0.5 * np.sum(np.square(L @ phi)) - 0.5 * decrement
    return Streamed(phi + step, objective / stream.weight, gap, unique, seen.beyond, work)
