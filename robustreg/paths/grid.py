"""Huber's loss on a grid of knots, for all rows and for folds of them.

That is what cross-validation and a path need.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.arrays import make_source
from ..data.frame import make_frame
from ..data.source import Dependent, Refused, sweep
from ..fitting.at_knot import beyond_of, rows_of_all
from ..fitting.fit import fit
from ..fitting.scale import NORMAL_QUARTILE, weighted_median
from ..fitting.specification import Specification
from ..fitting.target import typical
from ..passes.all_rows import all_rows
from ..passes.dependence import independent_columns
from ..passes.gap import proved
from ..passes.many_knots import Neighbourhood, Solved, neighbourhood, solutions
from ..passes.reduction import DISTANT
from ..passes.settling import verify
from ..problem.losses import ABSOLUTE, SQUARED, huber
from ..problem.solution import Status

# Candidates, in scales of the residuals under the absolute loss: from nearly that loss
LEAST_DELTA = 0.05
# (the joint scale needs delta > 1)
LEAST_JOINT_DELTA = 1.05
# to nearly least squares.
MOST_DELTA = 10.0
# Share of the terms of a residual, or of typical ones: a smaller residual is rounding. A safe
# margin.
ROUNDING = 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Solutions at the points of a grid, ``n_deltas``, for several sets of rows, ``n_sets``.

    ``coef`` is (n_sets, n_deltas, p); ``intercept``, ``scale``, and whether the solution is
    ``exact``, (n_sets, n_deltas). ``objective``, ``gap`` and ``n_outliers`` (n_deltas,) are those
    of the first set.
    """

    coef: np.ndarray
    intercept: np.ndarray
    scale: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    n_outliers: np.ndarray
    exact: np.ndarray


def on_grid(
    X: Any,
    y: np.ndarray,
    spec: Specification,
    deltas: np.ndarray,
    sets: list,
    base: tuple[np.ndarray, float] | None = None,
) -> Grid:
    """Solve at ``deltas`` (n_deltas,), ascending, for each of ``sets``.

    A set is weights (n,) >= 0, or None for ones. ``deltas`` are knots or, if the specification has
    a rule, multiples of the scale. Rows without weight in the first set have none in any. About
    ``base`` (b, b0), near all of the solutions (None: that for the middle knot), those of dense
    data come from a few passes over all rows; those that this does not find, and all others, are
    fits of their own.
    """
    tell, spec = spec.tell or (lambda *step: None), replace(spec, tell=None)
    if sets[0] is not None and not sets[0].all():
        kept = sets[0] > 0.0
        X, y, sets = X[kept], y[kept], [w[kept] for w in sets]
    task = GridTask(X, y, spec, deltas, sets, tell)
    shape = n_sets, n_deltas = len(sets), len(deltas)
    grid = Grid(
        coef=np.empty((*shape, X.shape[1])),
        intercept=np.empty(shape),
        scale=np.ones(shape),
        objective=np.empty(n_deltas),
        gap=np.empty(n_deltas),
        n_outliers=np.zeros(n_deltas, dtype=np.int64),
        exact=np.ones(shape, dtype=bool),
    )
    done = np.zeros(shape, dtype=bool)
    if spec.has_knots and spec.rule is None:
        with suppress(Refused):  # what is not done is done one by one
            _from_passes(grid, done, task, base)
    for i in range(n_sets):
        if not done[i].all():
            _one_by_one(grid, done[i], task, i)
    return grid


@dataclass(frozen=True, slots=True, eq=False)
class GridTask:
    """What is asked of a grid; see ``on_grid``."""

    X: Any
    y: np.ndarray
    spec: Specification
    deltas: np.ndarray
    sets: list
    tell: Callable


def _from_passes(
    grid: Grid, done: np.ndarray, task: GridTask, base: tuple[np.ndarray, float] | None
) -> None:
    """Fill in what is found in a few passes over all rows; Refused where there can be none."""
    spec, deltas, sets = task.spec, task.deltas, task.sets
    if base is None:
        middle = replace(spec, loss=huber(float(deltas[len(deltas) // 2])))
        found = fit(task.X, task.y[:, None], sets[0], middle)
        base = found.coef[0], found.intercept[0]
    b, b0 = base
    source = make_source(task.X, task.y, sets[0])
    with np.errstate(all="ignore"):
        frame = make_frame(source, spec.fit_intercept)
        problem = all_rows(source, frame, huber(float(deltas[0])), spec.alpha)
        try:
            near = neighbourhood(problem, b, b0, deltas)
        except Dependent:
            frame = replace(frame, independent=independent_columns(source, frame))
            near = neighbourhood(replace(problem, frame=frame), b, b0, deltas)
        for k, found in solutions(near, spec.alpha, [None, *sets[1:]]):
            for i, solved in enumerate(found):
                phi = None if solved is None else solved.phi
                if i == 0 and solved is not None:
                    phi = _certified(grid, k, near, solved, task)
                if phi is not None and np.all(np.isfinite(phi)):
                    grid.coef[i, k], grid.intercept[i, k] = near.problem.frame.raw(phi)
                    done[i, k] = True
            if count := int(done[:, k].sum()):
                kept = max(len(solved.left.index) for solved in found if solved is not None)
                gap = grid.gap[k] if done[0, k] else math.nan
                task.tell(f"delta {deltas[k]:.4g}, {count} of {len(sets)} sets", kept, gap, count)


def _certified(
    grid: Grid, k: int, near: Neighbourhood, solved: Solved, task: GridTask
) -> np.ndarray | None:
    """phi (m,) with its proof, from one more pass over all rows; None without one."""
    source = near.problem.source
    problem = replace(near.problem, loss=huber(near.knots[k]))
    far = DISTANT * near.start.typical + near.knots[k]
    none = np.zeros(0, dtype=np.int64)
    seen = sweep(source, verify, problem.frame, problem.loss, solved.phi, far, None, none)
    pair = replace(solved.pair, phi=solved.phi)
    try:
        outcome = proved(problem, solved.left, solved.small, pair, True, seen, solved.tally)
    except Refused:
        return None
    if not outcome.gap <= task.spec.tol:
        return None
    b, b0 = outcome.frame.raw(outcome.phi)
    grid.objective[k], grid.gap[k] = outcome.objective, outcome.gap
    grid.n_outliers[k] = beyond_of(source, outcome, b, b0, huber(task.deltas[k])).sum()
    return outcome.phi


def _one_by_one(grid: Grid, done: np.ndarray, task: GridTask, i: int) -> None:
    """Fill in the others for the set i, from the largest down, each from the last.

    All share their rows. Of training sets the last digits are not wanted: nothing but scores is
    made of them.
    """
    w, spec = task.sets[i], replace(task.spec, last_digits=i == 0)
    present = slice(None) if w is None or w.all() else w > 0.0
    X, y, w = task.X[present], task.y[present][:, None], w if w is None else w[present]
    rows, start = rows_of_all(X, w, spec), None
    for k in range(len(task.deltas) - 1, -1, -1):
        if not done[k]:
            delta = float(task.deltas[k])
            rule = None if spec.rule is None else replace(spec.rule, delta=delta)
            loss = huber(delta) if spec.has_knots else spec.loss
            found = fit(X, y, w, replace(spec, loss=loss, rule=rule), start, rows)
            grid.coef[i, k], grid.intercept[i, k] = found.coef[0], found.intercept[0]
            if found.scale is not None:
                grid.scale[i, k] = found.scale[0]
            exact = found.statuses <= {Status.EXACT, Status.NO_SCALE}
            grid.exact[i, k] = exact and found.gap[0] <= spec.tol
            task.tell(f"delta {delta:.4g}, set {i}", len(y), float(found.gap[0]), 1)
            if i == 0:
                grid.objective[k], grid.gap[k] = found.objective[0], found.gap[0]
                grid.n_outliers[k] = 0 if found.outliers is None else found.outliers.sum()
        start = grid.coef[i, k][None], grid.intercept[i, k][None]


def candidates(
    X: Any, y: np.ndarray, w: np.ndarray | None, spec: Specification, count: int
) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """(``count`` deltas, ascending; (b, b0) near all of their fits).

    The deltas go from nearly the absolute loss to least squares. They are apart by a constant
    factor, from LEAST_DELTA times the scale of the residuals under the absolute loss to MOST_DELTA
    times; at the last one no residual of least squares is outside, even if that is far beyond.
    They are multiples of the scale if there is a rule for it.
    """
    flat = replace(spec, loss=ABSOLUTE, alpha=0.0, rule=None)
    absolute = fit(X, y[:, None], w, flat)
    start = absolute.coef, absolute.intercept
    squared = fit(X, y[:, None], w, replace(flat, loss=SQUARED), start)
    base = absolute.coef[0], absolute.intercept[0]
    s = _scale(X, y, w, *base)
    least = LEAST_JOINT_DELTA if spec.rule and spec.rule.joint else LEAST_DELTA
    top = max(np.abs(y - X @ squared.coef[0] - squared.intercept[0]).max() / s, 2.0 * least)
    deltas = np.geomspace(least, min(top, MOST_DELTA), count)
    deltas[-1] = top
    return deltas if spec.rule else deltas * s, base


def _scale(X: Any, y: np.ndarray, w: np.ndarray | None, b: np.ndarray, b0: float) -> float:
    """The scale of the residuals of (b, b0), a fit with the absolute loss; positive.

    A median of those that are not 0: such a fit goes through a row for each coefficient, which
    says nothing about the others (Maronna, Martin & Yohai 2006, Robust Statistics, 4.4.2). Where
    all are 0, that of y is taken.
    """
    size = np.abs(y - X @ b - b0)
    terms = np.abs(y) + abs(X) @ np.abs(b) + abs(b0)
    left = size > ROUNDING * np.maximum(terms, np.median(terms))
    if not left.any():
        return typical(y) or 1.0
    return weighted_median(size[left], None if w is None else w[left]) / NORMAL_QUARTILE
