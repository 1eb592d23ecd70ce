"""Row reduction: absolute and Huber loss on many rows at the cost of two or three passes over them.

A row whose zone at the minimiser is known adds a fixed quadratic, so that all such rows add up to one (G, h, c).

    1. pilot   phi0 from a sample of about n^(2/3) m^(1/3) rows, and how far off it is, s, by the usual asymptotics;
    2. settle  one pass: rows further than WIDTH * s from a knot go to (G, h, c), the others are kept;
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

from dataclasses import dataclass, replace

import numpy as np

from .. import linalg
from ..columns import power_of_two
from ..losses import Absolute, Huber
from ..problem import Problem, Quadratic
from ..rows import dense_rows
from ..solution import Options, Streamed, Work
from ..stream import INNER, Settled, Stream, spread_out
from .continuation import approach
from .mae import from_near
from .mse import least_squares
from .newton import newton

EPS = np.finfo(np.float64).eps
WIDTH = 4.0  # rows are settled so many times s from a knot
FAR = 1e4  # typical residuals beyond which a row's distance does not count in the gap
FIXUPS = 4
AT_BOUND = 1e-9  # an exact dual is either rounding away from its bound or well inside


@dataclass(frozen=True, slots=True, eq=False)
class _Core:
    """The reduced problem about phi0: phi = phi0 + unit * eta."""

    problem: Problem
    unit: float


def reduced(stream: Stream, knot: float, alpha: float, options: Options) -> Streamed | None:
    """Minimise over all rows; ``knot`` is 0 for the absolute loss. None if reduction does not help."""
    work = Work()
    with np.errstate(all="ignore"):  # what is not finite is found at the end of a pass
        guess = pilot(stream, knot, alpha, work)
        if guess is None:
            return None
        base, s, typical = guess
        settled = _settled(stream, base, knot, s, work)
        for _ in range(FIXUPS):
            if settled is None:
                return None
            core = _core(stream, settled, base, knot, alpha)
            eta, u = _solved(core, WIDTH * s if not knot else s, options, work)
            if eta is None:
                return None
            phi = base + core.unit * eta
            seen = stream.verify(phi, knot, settled.zone, FAR * typical + knot)
            work.n_passes += 1
            if not len(seen.wrong):
                return _finished(stream, settled, phi, u, seen, knot, alpha, work)
            work.n_fixups += 1
            if len(seen.wrong) > 0.1 * len(settled.index):
                base, settled = phi, _settled(stream, phi, knot, s, work)
            else:
                settled = _opened(settled, seen.wrong, *stream.take(seen.wrong, base), knot)
    return None


def pilot(stream: Stream, knot, alpha, work):
    """(phi0, s, a typical residual) from a sample, or None."""
    n, m = stream.n_rows, stream.n_cols
    size = int((0.5 * WIDTH) ** (2 / 3) * n ** (2 / 3) * m ** (1 / 3))
    Z, y, w = stream.take(spread_out(n, min(size, n)), np.zeros(m))
    spread = np.median(np.abs(y))
    if not (np.all(np.isfinite(Z)) and 1e-90 < spread < 1e90):
        return None
    unit = float(power_of_two(spread))
    y = np.clip(y / unit, -1e3, 1e3)
    W = w.sum() if alpha else 0.0
    few = spread_out(len(y), max(len(y) // 16, 40 * m))
    quadratic = Quadratic(np.zeros((0, m)), np.zeros(m))
    phi = np.zeros(m)
    for index, steps in ((few, 6), (slice(None), 3)):
        rows = dense_rows(Z[index], y[index], w[index], _B(stream))
        if not rows.factor.sound and index is not few:
            return None
        if index is few:
            phi = linalg.factor_shifted(rows.gram_all, np.diag(np.diag(rows.gram_all) + 1e-3)).solve(rows.adjoint(rows.w * rows.y))
        phi, s = approach(Problem(rows, Absolute(), quadratic), phi, knot / unit, steps, work)
    typical = np.median(np.abs(rows.residual(phi)))
    return unit * phi, unit * s, unit * typical


def _B(stream: Stream):
    return np.diag(stream.columns.inverse_scale)


def _settled(stream: Stream, phi, knot, s, work) -> Settled | None:
    settled = stream.settle(phi, knot, WIDTH * s)
    work.n_passes += 1
    work.n_kept = len(settled.index)
    if 2 * len(settled.index) > stream.n_rows or not np.isfinite(settled.c) or not np.all(np.isfinite(settled.r)):
        return None
    return settled


def _opened(settled: Settled, index, Z, r, w, knot) -> Settled:
    """The same with rows ``index`` kept, that had been settled; Z, r and w are theirs at phi0."""
    zone = settled.zone[index]
    inner = zone == INNER
    v = np.where(inner, r, zone * (knot or 1.0))
    cost = v * (r - 0.5 * v) if knot else v * r
    settled.zone[index] = 0
    ZQ = Z[inner]
    return replace(
        settled,
        G=settled.G if settled.G is None else settled.G - (ZQ.T * w[inner]) @ ZQ,
        h=settled.h - Z.T @ (w * v),
        c=settled.c - w @ cost,
        index=np.append(settled.index, index),
        Z=np.vstack([settled.Z, Z]),
        r=np.append(settled.r, r),
        w=np.append(settled.w, w),
    )


def _core(stream: Stream, settled: Settled, base, knot, alpha) -> _Core:
    unit = float(power_of_two(np.abs(settled.r).max(initial=0.0)))
    rows = dense_rows(settled.Z, settled.r / unit, settled.w, _B(stream))
    strength = alpha * stream.weight * (1.0 if knot else unit)
    L = rows.penalty_root(strength)
    h, c = (settled.h, settled.c) if not knot else (settled.h / unit, settled.c / unit**2)
    if not knot:
        c = c / unit
    h = h - L.T @ (L @ (base / unit))
    loss = Huber(knot / unit) if knot else Absolute()
    return _Core(Problem(rows, loss, Quadratic(L, h, c, settled.G)), unit)


def _solved(core: _Core, s, options, work):
    """(eta, u) of the kept rows, or (None, None)."""
    problem = core.problem
    eta = np.zeros(problem.rows.n_cols)
    if isinstance(problem.loss, Absolute):
        pair = from_near(problem, eta, 0.25 * s / core.unit, options, work)
    else:
        pair = newton(problem, eta, problem.rows.y, options, work, most=50, enough=0.0)
        pair = None if pair.exhausted else pair
    return (None, None) if pair is None else (pair.phi, pair.u)


def _finished(stream, settled, phi, u, seen, knot, alpha, work) -> Streamed | None:
    """One more step on all rows' gradient, and the duality gap before it.

    From u = psi(r) a dual point with Z'Wu = W alpha B'B phi is made by a change Z step of the rows
    inside their bounds; shrunk into its box it proves the gap below, as D is concave and D(0) = 0.
    """
    L = np.sqrt(alpha * stream.weight) * np.eye(stream.columns.n_cols, stream.n_cols)
    L[:, : stream.columns.n_cols] *= stream.columns.inverse_scale
    penalty = L.T @ (L @ phi)
    W = stream.weight
    if knot:
        Z, r, w = stream.take(settled.index, phi)
        inner = np.abs(r) <= knot
        H = settled.G + (Z[inner].T * w[inner]) @ Z[inner] + L.T @ L
        factor = linalg.factor(H)
        if not factor.sound:
            return None
        missing = seen.adjoint - penalty
        step = factor.solve(missing)
        decrement = step @ missing
        outside = np.sqrt(decrement / (1.0 if stream.w is None else stream.w.min())) / knot
        gap = decrement / (2.0 * seen.near) + outside
    else:
        S = np.abs(u) < 1.0 - AT_BOUND
        Z, r, w = stream.take(settled.index[S], phi)
        factor = linalg.factor(Z.T @ Z + (L.T @ L if alpha else 0.0))
        if not factor.sound:
            return None
        missing = seen.adjoint + settled.Z.T @ (settled.w * u) - penalty
        u_S = u[S] - (Z @ linalg.factor((Z.T * w) @ Z).solve(missing) if len(Z) else 0.0)
        outside = max(np.abs(u_S).max(initial=0.0), np.abs(u).max()) - 1.0
        noise = 4.0 * EPS * (np.abs(stream.y[settled.index[S]] - stream.y_shift) + np.abs(Z) @ np.abs(phi))
        excess = w @ np.where(np.abs(r) <= noise, 0.0, np.abs(r) - np.sign(r) * u_S * np.abs(r))
        step = factor.solve(Z.T @ r) if not alpha else np.zeros(len(phi))
        decrement = 0.0
        gap = (excess / seen.near) + max(outside, 0.0)
    total = seen.cost + 0.5 * phi @ penalty
    if not gap <= 1e-10:
        return None
    return Streamed(phi + step, (total - 0.5 * decrement) / W, gap, seen.beyond, work)
