"""Row reduction: bounded losses on many rows at the cost of two or three passes over them.

A row whose zone at the minimiser is known adds a fixed quadratic, so that all such rows add up to
one (S, h, c).

    1. pilot   phi0 from a sample of about 3 n^(2/3) m^(1/3) rows, and how far off it is, rho
               (``continuation.approach``);
    2. settle  one pass: rows further than a few rho from a knot go to (S, h, c), the others are
               kept;
    3. core    the kept rows and (S, h, c), solved exactly;
    4. verify  one pass: is every settled row in its zone? Where not, it is opened, and 3 is
               repeated.

f has then the gradient of the reduced problem, zero, so that by convexity its minimiser is that of
all rows: nothing random is left in the answer. The idea is that of Portnoy & Koenker 1997 (Stat.
Sci. 12:279); here settled rows are not merged to two rows far away but to the linear term that they
are, there are two knots as well as one, and the last pass gives the gradient and the duality gap of
all the rows.

Where several targets share their passes, or the columns are many, passes cost less than the rows
of a sample: then a smaller one and steps of Newton's method on all rows find phi0 (``nearer.py``),
and few rows are kept.

Whatever goes wrong (a sample without full rank, too many kept rows, no certificate) is Refused: the
direct solver takes over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.open_rows import joined, open_rows, taken, with_coefficients
from ..data.rows import Rows
from ..data.source import Refused
from ..numerics import linalg
from ..problem.duality import AT_BOUND
from ..problem.losses import corner
from ..problem.problem import Problem, Quadratic
from ..problem.solution import Options, Pair, Tally
from ..solvers.canonical import Choice, canonical
from ..solvers.many_corners import IN_COMMON, Near
from ..solvers.solve import from_far, from_near, from_start
from .all_rows import AllRows, Outcome
from .gap import DISTANT, gap_of, outcome_of, proved
from .in_step import Pass, Steps
from .nearer import moved_nearer
from .pilot import (
    HEAVY,
    Levels,
    Pilot,
    beside_corner,
    is_narrow,
    least_squares_of_all,
    may_reach_far,
    pilot,
    reaches,
    usual_sample,
)
from .settling import SettlingRule, Verified, settle, verify
from .ties import through_ties

# Rows per column from which a sample is worth it (measured), for a loss with a quadratic piece and
# for a corner. Of fewer rows all are kept open, up to so many entries of X, which are copied.
ROWS_FOR_SAMPLE, ROWS_FOR_SAMPLE_OF_CORNER, OPEN_ENTRIES = 900, 300, 2**20
OPEN_ENTRIES_OF_SPARSE = 2**24
# Dense columns from which a step of Newton's method on all rows costs less than the rows that it
# saves, where these are too many to keep all open, and rows per column from which a sample is worth
# it then (measured): the step takes 2 m flops for a row, and one of a sample or an open one m^2.
MANY_COLUMNS, ROWS_OF_MANY_COLUMNS = 30, 100
EAGER = 2  # rows per column, where passes are asked for whatever they cost
ROUNDS = 6  # of the core at most: each opens the rows that the last one found wrong
SPARE = 1.5  # bands: a further pass for a few rows settled wrongly costs more where rows are far
OPENED = 0.1  # of rho is what opening a few rows may change
LARGER = 16.0  # times the usual sample, with which a quarter of the rows is kept
# More than this part of the kept rows found wrong: the pilot was bad, and the last solution is a
# better one.
MANY = 0.1


class TooManyKept(Refused):
    """More rows stay open than memory has room for, and fewer may: from a larger sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """What the first pass leaves: a quadratic (S, h, c) about ``base`` (m,), and the rows that are
    open.

    ``index`` (k,) are their numbers; ``rows`` has them, with residuals at the base as y;
    ``opened``, ascending, are those of them that the ``rule``, which told rows apart, would settle.
    Without a rule all rows are open.
    """

    rule: SettlingRule | None
    base: np.ndarray
    gram: np.ndarray | None
    h: np.ndarray
    c: float
    index: np.ndarray
    rows: Rows
    opened: np.ndarray


def reduced(
    problem: AllRows,
    options: Options,
    *,
    eager: bool = False,
    shared: bool = False,
    levels: Levels | None = None,
) -> Steps[Outcome]:
    """Minimise over all rows, in steps; Refused where passes cannot.

    A sample is taken even where it saves no time if ``eager``. It is a better start than that of
    the options, which counts where there is none. ``shared``: passes are cheap, as other fits share
    them; those of other ``levels`` share their sample, too.
    """
    if is_narrow(problem.loss):
        return (yield from _beside_corner(problem, options, eager=eager, shared=shared))
    n, m, tally = (
        problem.source.n_rows,
        problem.frame.n_cols,
        Tally(n_passes=problem.source.n_looks),
    )
    entries, most = problem.source.n_entries, OPEN_ENTRIES
    if problem.source.is_sparse:
        most = OPEN_ENTRIES_OF_SPARSE
    many = m >= MANY_COLUMNS and entries > most and not problem.source.is_sparse
    many, shared = many and problem.source.in_memory, shared and problem.source.in_memory
    usual = ROWS_FOR_SAMPLE_OF_CORNER if problem.loss.is_corner else ROWS_FOR_SAMPLE
    usual, least = (EAGER, EAGER) if eager else (usual, ROWS_OF_MANY_COLUMNS if many else usual)
    few = n <= least * m
    if few and entries > most:
        raise Refused(
            f"{n} rows are too few for a sample, and {entries} entries too many to keep open."
        )
    if few:
        start = least_squares_of_all(problem)
    else:
        nearer = moved_nearer(problem, options, tally, n > usual * m, levels)
        start = (yield from nearer) if shared or many else pilot(problem, tally)
    if start.ties is not None:
        return (yield from through_ties(problem, start, options, tally))
    problem, start, options = _in_units_of(start, problem, options)
    if few:
        tally.n_kept = n
        return (yield from _verified(problem, start, _all_open(problem, start), options, tally))
    return (yield from _from_sample(problem, start, options, tally))


def _from_sample(
    problem: AllRows, start: Pilot, options: Options, tally: Tally, share: float = 1.0
) -> Steps[Outcome]:
    """The minimiser from a pilot, or from another one if rows that the sample has too few of reach
    far, or from a larger sample if memory is too small for the rows that are kept.
    """
    try:
        left = yield from _settled(problem, start, options, tally)
        return (yield from _verified(problem, start, left, options, tally))
    except TooManyKept:
        if share > 1.0:
            raise
        start = pilot(problem, tally, LARGER)
        return (yield from _from_sample(*_in_units_of(start, problem, options), tally, LARGER))
    except Refused:
        if start.metric is not None or not may_reach_far(problem.source, problem.frame.n_cols):
            raise
        size = usual_sample(problem.source.n_rows, problem.frame.n_cols)
        reaching = reaches(problem, tally, size)
        if not reaching.largest > HEAVY:
            raise
    start = pilot(problem, tally, reaching=reaching)
    left = yield from _settled(problem, start, options, tally)
    return (yield from _verified(problem, start, left, options, tally))


def _beside_corner(problem: AllRows, options: Options, **how: Any) -> Steps[Outcome]:
    """The minimiser for a narrow quadratic piece, from that of the corner in its place.

    A narrow piece would take a step for each size on the way to it; the corner takes none.
    """
    in_its_place = replace(problem, loss=corner(problem.loss.lower, problem.loss.upper))
    found = yield from reduced(in_its_place, options, **how)
    phi = found.phi * (found.frame.y_scale / problem.frame.y_scale)
    start = beside_corner(problem, phi)
    problem, start, options = _in_units_of(start, problem, replace(options, start=None))
    left = yield from _settled(problem, start, options, found.tally)
    return (yield from _verified(problem, start, left, options, found.tally))


def _in_units_of(
    start: Pilot, problem: AllRows, options: Options
) -> tuple[AllRows, Pilot, Options]:
    """The same in units in which residuals have about size 1."""
    if not start.typical > 0.0:
        return problem, start, options
    finer = problem.in_units(start.typical)
    size = finer.frame.y_scale / problem.frame.y_scale
    given = None if options.start is None else options.start / size
    return finer, start.in_units(size), replace(options, start=given)


def _verified(
    problem: AllRows, start: Pilot, left: Reduced, options: Options, tally: Tally
) -> Steps[Outcome]:
    """Solve the small problem and verify it, until no row is found that was settled wrongly.

    At a corner the slopes of all rows at phi are a dual point, on whatever side the rows were
    before. If it proves phi, no row was settled wrongly; if not, the rule is asked which were.
    """
    # Where the core starts, from the rule's phi, and how far off that is.
    near, off, is_second = np.zeros(problem.frame.n_cols), start.rho, False
    for _ in range(ROUNDS):
        small = reduced_problem(problem, left)
        choice, pair = yield from _core(problem, small, left, start, near, off, options, tally)
        pair, far = replace(pair, phi=choice.phi), DISTANT * start.typical + problem.loss.steepest
        at_corner = problem.loss.is_corner and left.rule is not None
        if at_corner and choice.unique and problem.source.in_memory:
            arguments = problem.loss, choice.phi, far, None, np.sort(left.index), False
            seen = yield Pass(verify, problem.frame, arguments)
            tally.n_passes += 1
            gap = gap_of(problem, left, small, pair, seen, tally)
            options.report(f"pass {tally.n_passes}: verify", len(left.index), gap.relative)
            if gap.proves:
                return outcome_of(problem, pair, True, seen, gap, tally)
        arguments = problem.loss, choice.phi, far, left.rule, left.opened, problem.source.in_memory
        seen = yield Pass(verify, problem.frame, arguments)
        tally.n_passes += 1
        wrong = np.concatenate(seen.wrong)
        _check_zones(seen, left)
        step = f"pass {tally.n_passes}: verify"
        if not len(wrong):
            outcome = proved(problem, left, small, pair, choice.unique, seen, tally)
            options.report(step, len(left.index), outcome.gap)
            return outcome
        options.report(f"{step}, {len(wrong)} to open", len(left.index))
        tally.n_fixups += 1
        if len(wrong) <= MANY * len(left.index):
            left = _opened(problem, left, wrong)
            near, off = choice.phi - left.base, OPENED * start.rho
        elif not is_second:
            is_second = True
            start, near = replace(start, phi=choice.phi), np.zeros(len(near))
            left = yield from _settled(problem, start, options, tally)
        else:
            raise Refused(
                "Many rows were settled wrongly, twice: the sample does not tell where the fit is."
            )
    raise Refused(f"Rows were settled wrongly {ROUNDS} times.")


def _core(
    problem, small: Problem, left: Reduced, start: Pilot, near, off, options, tally
) -> Steps[tuple[Choice, Pair]]:
    """(the canonical phi of the small problem, in the coordinates of the frame, the pair that
    proves it).
    """
    pair = None
    if options.start is not None and tally.n_fixups == 0:
        noise = problem.frame.rounding(options.start)
        pair = from_start(small, options.start - left.base, noise, options, tally)
    if pair is None and start.rows is not None:
        pair = from_far(small, *_nearer(small, options, left.base), options, tally)
    elif pair is None:
        if options.max_iter - tally.n_iter >= IN_COMMON:
            pair = yield Near(small, near, off, tally)
        if pair is None:
            pair = from_near(small, near, off, options, tally)
    if pair is None:
        raise Refused("The problem of the open rows was not solved.")
    return _chosen(problem, small, pair, left), pair


def _check_zones(seen: Verified, left: Reduced) -> None:
    """Both passes must have told the same rows apart."""
    if left.rule is not None and seen.n_kept != len(left.index):
        raise Refused(
            "The second pass found other rows open than the first: the data have changed."
        )


def _nearer(small: Problem, options: Options, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(eta, r): least squares, eta = 0, or the start of the options if its value is lower."""
    eta, r = np.zeros(len(base)), small.rows.y
    if options.start is not None:
        other = options.start - base
        moved = small.rows.residual(other)
        if small.value(moved, other) < small.value(r, eta):
            return other, moved
    return eta, r


def _all_open(problem: AllRows, start: Pilot) -> Reduced:
    """Every row is open."""
    rows, n, m = start.rows, problem.source.n_rows, problem.frame.n_cols
    assert rows is not None, "the pilot of all rows has them"
    rows, index = replace(rows, y=rows.residual(start.phi)), np.arange(n)
    return Reduced(None, start.phi, None, np.zeros(m), 0.0, index, rows, index)


def _settled(problem: AllRows, start: Pilot, options: Options, tally: Tally) -> Steps[Reduced]:
    """The first pass: all rows but those near a knot are settled."""
    most = problem.source.most_kept
    width = start.band if problem.source.in_memory else SPARE * start.band
    rule = SettlingRule(start.phi, width, start.metric, start.unknown)
    settled = yield Pass(settle, problem.frame, (problem.loss, rule, most))
    kept = settled.kept
    tally.n_passes += 1
    tally.n_kept = max(tally.n_kept, kept.count)
    options.report(f"pass {tally.n_passes}: settle", kept.count)
    if kept.count > most and not problem.source.in_memory:
        raise TooManyKept(
            f"{kept.count} rows are near a knot, and {most} can be kept open in memory."
        )
    if not 0 < kept.count <= most:
        raise Refused(
            "No row is near a knot." if not kept.count else "Most rows are near a knot, or may be."
        )
    r = np.concatenate(kept.r)
    if not (np.isfinite(settled.c) and np.all(np.isfinite(r))):
        raise Refused("X or y has values that are not finite, or too large.")
    return Reduced(
        rule=rule,
        base=rule.phi,
        gram=settled.gram,
        h=settled.h,
        c=settled.c,
        index=np.concatenate(kept.index),
        rows=open_rows(problem.frame, kept.C, r, np.concatenate(kept.w), start.gram, start.factor),
        opened=np.zeros(0, dtype=np.int64),
    )


def _opened(problem: AllRows, left: Reduced, wrong: np.ndarray) -> Reduced:
    """The same with the rows ``wrong`` (k,) open, that had been settled."""
    loss, more = problem.loss, taken(problem.frame, problem.source, wrong)
    r = more.residual(left.base)
    v, gram = loss.slope(r), None
    if left.gram is not None:
        gram = left.gram - more.gram(more.w * (loss.zone(r) == 0))
    return replace(
        left,
        gram=gram,
        h=left.h - more.adjoint(more.w * v),
        c=left.c - more.w @ loss.value(r),
        index=np.append(left.index, wrong),
        rows=joined(left.rows, replace(more, y=r)),
        opened=np.union1d(left.opened, wrong),
    )


def reduced_problem(problem: AllRows, left: Reduced) -> Problem:
    """That of the open rows for eta, phi = left.base + eta."""
    rows = left.rows
    if problem.loss.is_corner:  # what is 0 there is only 0 as far as r is known
        targets = replace(rows, y=rows.y + rows.fitted(left.base))
        rows = replace(rows, terms=targets.magnitude(left.base))
    L = problem.penalty_root
    h = left.h - L.T @ (L @ left.base)
    return Problem(rows, problem.loss, Quadratic(L, h, left.c, left.gram))


def _chosen(problem: AllRows, small: Problem, pair: Pair, left: Reduced) -> Choice:
    """The canonical phi = base + eta among all that the dual of the small problem allows.

    It is that of all rows if they keep their side: a constraint that holds without being asked for
    changes nothing.
    """
    rows, U, base = small.rows, small.loss.held(pair.u, AT_BOUND), left.base
    if not small.loss.is_corner or linalg.factor(rows.gram(1.0 * U) + small.quadratic.G).sound:
        return Choice(base + pair.phi, True)
    if not U.any():
        raise Refused("The interval of the intercept may end at a settled row.")
    rows = replace(with_coefficients(rows, problem.frame), y=rows.y + rows.fitted(base), terms=None)
    choice = canonical(replace(small, rows=rows), replace(pair, phi=base + pair.phi))
    if not choice.canonical:
        raise Refused("The minimiser is not unique, and its canonical one was not found.")
    return choice
