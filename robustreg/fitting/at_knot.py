"""One fit for a given loss: in passes over the rows where that can be, else the direct way."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace

import numpy as np

from ..data.arrays import make_source
from ..data.frame import make_frame
from ..data.rows import make_rows
from ..data.source import Dependent, Refused, sweep
from ..numerics.precision import EPS
from ..passes.all_rows import AllRows, Outcome, all_rows
from ..passes.dependence import PASSES_FOR_INDEPENDENCE, with_independent_columns
from ..passes.least_squares import least_squares
from ..passes.reduction import reduced
from ..passes.settling import residuals
from ..problem.duality import beyond
from ..problem.losses import Loss
from ..problem.solution import Options, Status, Work
from .direct import direct
from .scale import Rule
from .specification import Fit, Specification, together
from .target import too_fine

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
    """
    try:
        return _in_passes(X, Y, w, spec, start)
    except Refused as reason:
        if spec.tell and str(reason):
            spec.tell(f"the direct way: {reason}", len(Y))
        found = direct(X, Y, w, spec, start, rows())
        return replace(found, work=replace(found.work, refused=str(reason)))


def rows_of_all(X, w, spec: Specification) -> Callable:
    """A function that makes the rows of X and w for the direct way, once."""

    @functools.cache
    def rows():
        return make_rows(X, np.ones(X.shape[0]) if w is None else w, spec.fit_intercept)

    return rows


def _in_passes(X, Y, w, spec: Specification, start) -> Fit:
    """The fit in two or three passes for each target."""
    _check_worth(X, spec)
    found, gram, independent = [], None, None
    for k, y in enumerate(Y.T):
        source = make_source(X, y, w)
        frame = replace(make_frame(source, spec.fit_intercept), independent=independent)
        if not spec.loss.is_bounded:  # squares have no knots: y as it is spares a product per row
            frame = replace(frame, y_scale=1.0)
        problem = all_rows(source, frame, spec.loss, spec.alpha)
        guess = None if start is None else (start[0][k], start[1][k])
        try:
            gram, outcome = _outcome(problem, spec, guess, gram)
        except Dependent as told:
            problem = with_independent_columns(problem, told.gram)
            independent = problem.frame.independent
            if spec.tell:
                depend, p = source.n_features - problem.frame.rank, source.n_features
                spec.tell(f"{depend} of {p} columns depend on the others", source.n_rows)
            gram = None if told.gram is None else problem.frame.part_of_gram(told.gram)
            gram, outcome = _outcome(problem, spec, guess, gram)
            outcome.tally.n_passes += PASSES_FOR_INDEPENDENCE
        if not outcome.gap <= spec.tol:
            raise Refused(f"The duality gap is {outcome.gap:.2g}, and tol is {spec.tol:g}.")
        found.append(_fit(problem.source, outcome, spec))
    return together(found)


def _outcome(problem: AllRows, spec: Specification, guess, gram):
    """(Z'diag(w)Z (m, m) where it is known, the minimiser)."""
    if not spec.loss.is_bounded:
        return least_squares(problem, Options(1, spec.tell), gram)
    start = None if guess is None else problem.frame.from_raw(*guess)
    options = Options(spec.max_iter, spec.tell, start)
    outcome = reduced(problem, options, eager=WAY.get() == "passes")
    small = problem.source.n_rows * problem.source.n_features <= SMALL
    if outcome.outside is not None and small and not outcome.outside.any():
        raise Refused("No row is beyond a knot: least squares, refined to the last digit.")
    return gram, outcome


def _check_worth(X, spec: Specification) -> None:
    """Refuse what the direct way does as well; without a reason where another way was asked for."""
    n, p = X.shape
    way = WAY.get()
    if spec.solver != "auto" or way == "direct":
        raise Refused("")
    if n <= (ROWS_PER_COLUMN if way == "auto" else LEAST_ROWS_PER_COLUMN) * p:
        raise Refused(f"There are few rows, {n}, for {p} columns.")
    if way == "auto" and not spec.loss.is_bounded and n * p <= SMALL:
        raise Refused("X is small enough to refine least squares to the last digit.")


def _fit(source, outcome: Outcome, spec: Specification) -> Fit:
    """The outcome for one target as a record, in the units of the data."""
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
        outliers=_outliers(source, outcome, b, b0, spec) if spec.has_knots else None,
        scale=scale,
        scale_noise=noise,
        unique=outcome.unique and (outcome.frame.rank == source.n_features or bool(spec.alpha)),
        rank=outcome.frame.rank,
        orthogonal=False,
        statuses=frozenset({Status.EXACT}),
        work=Work("passes", tally.n_passes, tally.n_kept, tally.n_fixups, max(1, tally.n_iter)),
    )


def _outliers(source, outcome: Outcome, b, b0, spec: Specification) -> np.ndarray:
    """Which rows are beyond a knot, (n, 1)."""
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


def _scale(source, outcome: Outcome, level: float, rule: Rule):
    """(scale of the residuals (1,), what rounding makes of it (1,)), in the units of the data."""
    frame, phi = outcome.frame, outcome.phi
    r = np.concatenate(sweep(source, residuals, frame, phi).r)
    some = frame.target(source.take(slice(None, None, 1 + source.n_rows // SOME)))
    noise = 4.0 * EPS * float(np.median(np.abs(some)) + np.abs(phi).sum())
    scale = rule.scale(r, source.w, frame.n_cols)
    unit = frame.y_scale
    return np.array([unit * scale]), np.array([max(unit * noise, EPS * level)])
