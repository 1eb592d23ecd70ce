"""Huber's loss on a grid of knots, for all rows and for folds of them: what cross-validation and a path need."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..data.stream import make_stream
from ..fitting.fit import fit
from ..fitting.scale import NORMAL_QUARTILE, weighted_median
from ..fitting.specification import Specification
from ..fitting.target import typical
from ..passes.many_knots import Knots, Solved
from ..passes.reduction import DISTANT, proved
from ..passes.settling import verify
from ..problem.solution import Status

LEAST, LEAST_JOINT, MOST = 0.05, 1.05, 10.0  # candidates, in scales of the residuals; the joint scale needs delta > 1
ROUNDING = 1e-13  # of a residual, relative to y


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Solutions at K points of the grid for S sets of rows.

    ``coef`` (S, K, p), ``intercept``, ``scale`` and whether it is ``exact`` (S, K); of the first set ``objective``,
    ``gap`` and ``n_outliers`` (K,).
    """

    coef: np.ndarray
    intercept: np.ndarray
    scale: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    n_outliers: np.ndarray
    exact: np.ndarray


def on_grid(X, y, spec: Specification, deltas, sets, base=None) -> Grid:
    """Solve at ``deltas`` (K,), ascending, for each of ``sets``: weights (n,) >= 0, or None for ones.

    ``deltas`` are knots or, if the specification has a rule, multiples of the scale. Rows without weight in the first
    set have none in any. About ``base`` (b, b0), near all of the solutions (None: that for the middle knot), those of
    dense data come from a few passes over all rows; those that this does not find, and all others, are fits
    of their own.
    """
    tell, spec = spec.tell or (lambda *step: None), replace(spec, tell=None)
    if sets[0] is not None and not sets[0].all():
        kept = sets[0] > 0.0
        X, y, sets = X[kept], y[kept], [w[kept] for w in sets]
    S, K, p = len(sets), len(deltas), X.shape[1]
    grid = Grid(
        coef=np.empty((S, K, p)), intercept=np.empty((S, K)), scale=np.ones((S, K)), objective=np.empty(K),
        gap=np.empty(K), n_outliers=np.zeros(K, dtype=np.int64), exact=np.ones((S, K), dtype=bool),
    )  # fmt: skip
    done = np.zeros((S, K), dtype=bool)
    if spec.loss == "huber" and spec.rule is None and isinstance(X, np.ndarray):
        _from_passes(grid, done, X, y, spec, deltas, sets, base, tell)
    for s, w in enumerate(sets):
        if not done[s].all():
            _one_by_one(grid, done[s], X, y, spec, deltas, s, w, tell)
    return grid


def _from_passes(grid, done, X, y, spec, deltas, sets, base, tell):
    """Fill in what is found in a few passes over all rows."""
    if base is None:
        middle = fit(X, y[:, None], sets[0], replace(spec, knot=float(deltas[len(deltas) // 2])))
        base = middle.coef[0], middle.intercept[0]
    stream = make_stream(X, y, sets[0], spec.fit_intercept)
    if stream is None:
        return
    with np.errstate(all="ignore"):
        knots = Knots(stream, stream.from_raw(*base), deltas)
        if not knots.sound:
            return
        for k, found in knots.solve(np.full(len(deltas), spec.alpha), [None, *sets[1:]]):
            for s, solved in enumerate(found):
                phi = None if solved is None else solved.phi
                if s == 0 and solved is not None:
                    phi = _certified(grid, k, stream, knots, solved, spec)
                if phi is not None and np.all(np.isfinite(phi)):
                    grid.coef[s, k], grid.intercept[s, k] = stream.raw(phi)
                    done[s, k] = True
            if count := int(done[:, k].sum()):
                kept = max(len(solved.settled.index) for solved in found if solved is not None)
                gap = grid.gap[k] if done[0, k] else math.nan
                tell(f"delta {deltas[k]:.4g}, {count} of {len(sets)} sets", kept, gap, count)


def _certified(grid, k, stream, knots: Knots, solved: Solved, spec):
    """phi (m,) with its proof, from one more pass over all rows; None without one."""
    knot = knots.knots[k]
    zone = knots.zone(k, solved.settled)
    seen = verify(stream, solved.phi, knot, zone, DISTANT * knots.start.typical + knot)
    if len(seen.wrong):
        return None
    pair = replace(solved.pair, phi=solved.phi)
    streamed = proved(stream, solved.settled, solved.problem, solved.unit, pair, True, seen, spec.alpha, solved.work)
    if streamed is None or not streamed.gap <= spec.tol:
        return None
    grid.objective[k], grid.gap[k], grid.n_outliers[k] = streamed.objective, streamed.gap, seen.beyond.sum()
    return streamed.phi


def _one_by_one(grid, done, X, y, spec, deltas, s, w, tell):
    """Fill in the others for the set s, from the largest down, each from the last."""
    present = slice(None) if w is None or w.all() else w > 0.0
    X, y, w = X[present], y[present][:, None], w if w is None else w[present]
    start = None
    for k in range(len(deltas) - 1, -1, -1):
        if not done[k]:
            rule = None if spec.rule is None else replace(spec.rule, delta=deltas[k])
            found = fit(X, y, w, replace(spec, knot=deltas[k], rule=rule), start)
            grid.coef[s, k], grid.intercept[s, k] = found.coef[0], found.intercept[0]
            if found.scale is not None:
                grid.scale[s, k] = found.scale[0]
            grid.exact[s, k] = found.statuses <= {Status.EXACT, Status.NO_SCALE} and found.gap[0] <= spec.tol
            tell(f"delta {deltas[k]:.4g}, set {s}", len(y), float(found.gap[0]), 1)
            if s == 0:
                grid.objective[k], grid.gap[k] = found.objective[0], found.gap[0]
                grid.n_outliers[k] = 0 if found.outliers is None else found.outliers.sum()
        start = grid.coef[s, k][None], grid.intercept[s, k][None]


def candidates(X, y, w, spec: Specification, count):
    """(``count`` deltas, ascending, from nearly the absolute loss to least squares; (b, b0) near all of their fits).

    They are apart by a constant factor, from LEAST times the scale of the residuals under the absolute loss to MOST
    times; the last one is where no residual of least squares is outside, wherever that is. Multiples of the scale
    where there is a rule for it.
    """
    flat = replace(spec, loss="mae", alpha=0.0, rule=None)
    absolute = fit(X, y[:, None], w, flat)
    squared = fit(X, y[:, None], w, replace(flat, loss="mse"), (absolute.coef, absolute.intercept))
    base = absolute.coef[0], absolute.intercept[0]
    size = np.abs(y - X @ base[0] - base[1])
    s = weighted_median(size, w) / NORMAL_QUARTILE
    if s <= ROUNDING * np.abs(y).max():  # most rows are fitted exactly
        s = size.mean() if size.mean() > ROUNDING * np.abs(y).max() else typical(y) or 1.0
    least = LEAST_JOINT if spec.rule and spec.rule.joint else LEAST
    top = max(np.abs(y - X @ squared.coef[0] - squared.intercept[0]).max() / s, 2.0 * least)
    deltas = np.geomspace(least, min(top, MOST), count)
    deltas[-1] = top
    return deltas if spec.rule else deltas * s, base
