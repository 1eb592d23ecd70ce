"""One fit for a given loss: in passes over the rows where that can be, else the direct way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.arrays import make_source
from ..data.frame import make_frames
from ..data.make_rows import make_rows
from ..data.present import in_memory, is_repeated, repeated
from ..data.source import Dependent, Refused, Source, sweep
from ..numerics.precision import EPS
from ..passes.all_rows import Outcome, all_rows
from ..passes.dependence import independent_columns
from ..passes.in_step import in_step
from ..passes.least_squares import least_squares
from ..passes.pilot import Levels
from ..passes.reduction import reduced
from ..passes.scale import scale_of_rows
from ..passes.settling import residuals
from ..problem.duality import beyond
from ..problem.losses import Loss
from ..problem.solution import Options, Status, Work
from .direct import direct
from .scale import Rule
from .specification import Fit, Specification, together
from .target import too_fine

# Targets that share their passes at most: the open rows of all of them are in memory at once.
TOGETHER = 16
# Levels of one target that do: their bands overlap, and they are commonly 19 or 21.
LEVELS_TOGETHER = 32
# Which way a fit goes: "auto" tries passes where they are worth it, "passes" tries them from 2 rows
# per column, "direct" never.
WAY: ContextVar[str] = ContextVar("robustreg_way", default="auto")

# From which passes are tried first (measured); for "passes" from LEAST_ROWS_PER_COLUMN.
ROWS_PER_COLUMN = 4
LEAST_ROWS_PER_COLUMN = 2
SOME = 2000  # rows that tell the size of a target
# Entries of X up to which least squares is refined to the last digit, which passes are not.
SMALL = 2**10


def at_knot(X, Y, w, spec: Specification, start, rows: Callable) -> Fit:
    """The fit for the loss of the specification; ``rows()`` are those of X and w, for the direct
    way.

    A target that passes refuse beside others is fitted alone. Squares are refused for what X is, so
    that all targets are.
    """
    several, worth = Y.shape[1] > 1 and spec.loss.is_bounded, False

    def alone(k: int) -> Fit:
        own = None if start is None else (start[0][k : k + 1], start[1][k : k + 1])
        return at_knot(X, Y[:, k : k + 1], w, spec.of(k), own, rows)

    try:
        check_worth(X.shape, spec)
        worth = True
        most = LEVELS_TOGETHER if spec.losses else TOGETHER
        some = (Y[:, first : first + most] for first in range(0, Y.shape[1], most))
        sources = (make_source(X, _targets(y), w) for y in some)
        return in_passes(sources, spec, start, alone if several else None)
    except Refused as reason:
        if worth and several:
            return together([alone(k) for k in range(Y.shape[1])])
        if spec.tell and str(reason):
            spec.tell(f"the direct way: {reason}", len(Y))
        found = direct(X, Y, w, spec, start, rows())
        return replace(found, work=replace(found.work, refused=str(reason)))


def rows_of_all(X, w, spec: Specification) -> Callable:
    """A function that makes the rows of X and w for the direct way, once."""

    @functools.cache
    def rows():
        w_of_all = np.ones(X.shape[0]) if w is None else w
        return make_rows(in_memory(X), w_of_all, spec.fit_intercept)

    return rows


def in_passes(
    sources: Iterable[Any],
    spec: Specification,
    start,
    alone: Callable[[int], Fit] | None = None,
) -> Fit:
    """The fit in two or three passes, which the targets of a source share.

    ``alone(k)`` is the fit of target number k where it is refused; without it the first that is
    refused ends all.
    """
    fits, first = [], 0
    for source in sources:
        some = slice(first, first + source.n_targets)
        starts = None if start is None else (start[0][some], start[1][some])
        given = replace(spec, losses=spec.losses[some])
        outcomes, more = _outcomes(source, given, starts)
        found, n_passes, others = [], more, []
        for k, outcome in enumerate(outcomes):
            try:
                found.append(_fit(source, k, outcome, given.of(k)))
                n_passes = max(n_passes, more + found[-1].work.n_passes)
            except Refused:
                if alone is None:
                    raise
                found.append(alone(first + k))
                others.append(found[-1].work.n_passes)
        found = together(found)
        work = replace(found.work, n_passes=n_passes + sum(others))
        fits.append(replace(found, work=work))
        first = some.stop
    return together(fits)


def _targets(Y: np.ndarray) -> np.ndarray:
    """Y (n, k) as a source has it: (k, n), or (n,) if it is one target; one that is repeated is not
    copied.
    """
    if Y.shape[1] == 1:
        return Y[:, 0]
    if is_repeated(Y):
        return repeated(np.ascontiguousarray(Y[:, 0]), Y.shape[1]).T
    return np.ascontiguousarray(Y.T)


def _outcomes(
    source: Source, spec: Specification, start
) -> tuple[Sequence[Outcome | Refused], int]:
    """(that of each target of the source, passes that told dependent columns)."""
    frames = make_frames(source, spec.fit_intercept)
    try:
        return _minimisers(source, frames, spec, start), 0
    except Dependent as told:
        sums, independent = told.sums, independent_columns(source, frames[0], told.sums)
    if spec.tell:
        d, p = len(independent.others), source.n_features
        spec.tell(f"{d} of {p} columns depend on the others", source.n_rows)
    frames = [replace(frame, independent=independent) for frame in frames]
    more = independent.n_passes + (sums is None)
    sums = None if sums is None else sums.of(frames[0])
    return _minimisers(source, frames, spec, start, sums), more


def _minimisers(
    source, frames, spec: Specification, start, sums=None
) -> Sequence[Outcome | Refused]:
    """That of each target of the source; ``sums`` are the normal equations, if they are known."""
    if not spec.loss.is_bounded:
        # Squares have no knots: y as it is spares a product per row.
        shift = np.array([[frame.y_shift] for frame in frames])
        frame = replace(frames[0], y_shift=shift, y_scale=1.0)
        problem = all_rows(source.stacked(), frame, spec.loss, spec.alpha)
        return least_squares(problem, Options(1, spec.tell), sums)
    fits, levels = [], Levels() if spec.losses and source.in_memory else None
    for k, frame in enumerate(frames):
        problem = all_rows(source.target(k), frame, spec.of(k).loss, spec.alpha)
        guess = None if start is None else frame.from_raw(start[0][k], start[1][k])
        options = Options(spec.max_iter, spec.tell, guess)
        eager = WAY.get() == "passes" or not source.in_memory
        fits.append(reduced(problem, options, eager=eager, shared=len(frames) > 1, levels=levels))
    outcomes = in_step(source, fits)
    small = source.n_rows * source.n_features <= SMALL
    for outcome in outcomes if small else ():
        outside = None if isinstance(outcome, Refused) else outcome.outside
        if outside is not None and not outside.any():
            raise Refused("No row is beyond a knot: least squares, refined to the last digit.")
    return outcomes


def check_worth(shape: tuple[int, int], spec: Specification) -> None:
    """Refuse what the direct way does as well; without a reason where another way was asked for."""
    (n, p), way = shape, WAY.get()
    if spec.solver != "auto" or way == "direct":
        raise Refused("")
    if n <= (ROWS_PER_COLUMN if way == "auto" else LEAST_ROWS_PER_COLUMN) * p:
        raise Refused(f"There are few rows, {n}, for {p} columns.")
    if way == "auto" and not spec.loss.is_bounded and n * p <= SMALL:
        raise Refused("X is small enough to refine least squares to the last digit.")


def _fit(source: Source, k: int, outcome: Outcome | Refused, spec: Specification) -> Fit:
    """The outcome for target number k as a record, in the units of the data; Refused if it is."""
    if isinstance(outcome, Refused):
        raise outcome
    if not outcome.gap <= spec.tol:
        raise Refused(f"The duality gap is {outcome.gap:.2g}, and tol is {spec.tol:g}.")
    source = source.target(k)
    b, b0 = outcome.frame.raw(outcome.phi)
    if too_fine(spec, [b0]):
        raise Refused("The last place of the intercept is not small beside delta.")
    scale = noise = None
    if spec.rule:
        scale, noise = _scale(source, outcome, abs(b0), spec.rule)
    tally = outcome.tally
    return Fit(
        coef=b[None],
        intercept=np.array([b0]),
        objective=np.array([outcome.objective]),
        gap=np.array([outcome.gap]),
        losses=(spec.loss,),
        outliers=_outliers(source, outcome, b, b0, spec),
        scale=scale,
        scale_noise=noise,
        unique=outcome.unique and (outcome.frame.rank == source.n_features or bool(spec.alpha)),
        rank=outcome.frame.rank,
        orthogonal=False,
        statuses=frozenset({Status.EXACT}),
        work=Work("passes", tally.n_passes, tally.n_kept, tally.n_fixups, max(1, tally.n_iter)),
    )


def _outliers(source: Any, outcome: Outcome, b, b0, spec: Specification) -> np.ndarray | None:
    """Which rows are beyond a knot, (n, 1); None without knots, or where n numbers are too many."""
    if not spec.has_knots or not source.in_memory:
        return None
    if outcome.outside is None:  # passes do not tell it at a corner, nor for least squares
        return beyond(source.X, source.y, b, b0, spec.loss)[:, None]
    return beyond_of(source, outcome, b, b0, spec.loss)[:, None]


def beyond_of(source, outcome: Outcome, b, b0, loss: Loss) -> np.ndarray:
    """``beyond`` for all rows (n,), computed for those alone that are close to a knot."""
    outside, close = outcome.outside, outcome.close
    assert outside is not None, "only a loss with knots has rows beyond one"
    assert close is not None
    found, part = outside.copy(), source.take(close)
    found[close] = beyond(part.X, part.y, b, b0, loss)
    return found


def _scale(source: Any, outcome: Outcome, level: float, rule: Rule):
    """(scale of the residuals (1,), what rounding makes of it (1,)), in the units of the data."""
    frame, phi = outcome.frame, outcome.phi
    if source.in_memory:
        r = np.concatenate(sweep(source, residuals, frame, phi).r)
        some = source.take(slice(None, None, 1 + source.n_rows // SOME))
        scale = rule.scale(r, source.w, frame.n_cols)
    else:
        some = source.some(SOME)
        scale = scale_of_rows(source, frame, phi, rule, outcome.tally)
    noise = 4.0 * EPS * float(np.median(np.abs(frame.target(some))) + np.abs(phi).sum())
    unit = frame.y_scale
    return np.array([unit * scale]), np.array([max(unit * noise, EPS * level)])
