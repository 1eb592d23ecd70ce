"""How far given coefficients are from optimal, from the data and nothing else.

Independent of the solvers: no code, no factorisation and no intermediate result is shared with
them. What is claimed rests on ``bound.py`` alone, which computes from any dual point a bound that
is true; ``dual_points.py`` looks for points that make it tight. The algebra is in
``docs/how-it-works/certificate.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bound import Bound, bound, lower_bound, missing_of, no_bound
from .certificate import FORGIVEN, OPTIMAL, ROUNDING, Certificate
from .coordinates import make_design
from .design import EPS, Design
from .directions import Directions, directions
from .dual_points import Constraint, at_the_judged, elsewhere
from .judged_problem import NOISE, JudgedProblem, Loss, judged_problem
from .uniqueness import is_unique

# Share of the loss of y itself: residuals that are rounding, and cost no more, are an exact fit.
EXACT_FIT = 1e-6
# Share of the objective: what rounding of the pull at a column may cost, far below ROUNDING. The
# pull at a column whose penalty is so small that it could cost more is to be right exactly.
WEAK = 1e-3 * ROUNDING
# Entries of A, up to which exact sums take about a second.
EXACT_ENTRIES = 2**22
# Roundings of a derivative, relative to its terms: less is none.
DERIVATIVE_ROUNDING = 16.0 * EPS

# (T, counted), as ``bound`` takes them.
Way = tuple[np.ndarray | None, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What the problems of one X (n, p) share.

    Its rows, ``design``; the directions of the coefficients that it determines, ``found``; and
    ``reduced``, with only the columns that these directions need.
    """

    design: Design
    found: Directions
    reduced: Design


def make_table(X: Any, intercept: bool) -> Table:
    """X (n, p; dense, a memory map, or CSR), as ``judge`` takes it.

    NotFiniteError if an entry is not finite.
    """
    with np.errstate(all="ignore"):
        design = make_design(X, intercept)
        found = directions(design)
        columns = found.columns
        return Table(design, found, design if columns is None else design.with_columns(columns))


def judge(
    table: Table,
    y: np.ndarray,
    w: np.ndarray | None,
    b: np.ndarray,
    b0: float,
    *,
    loss: Loss,
    alpha: float,
    name: str = "",
    search: bool = True,
) -> Certificate:
    """Judge coefficients b (p,), b0 for the X of a table, y (n,) and w (n,) > 0 or None.

    All are finite. The dtype of b says in which precision its last place is counted. ``name`` is
    what the certificate calls the loss. ``search`` makes the bound tight where b is not optimal.
    """
    with np.errstate(all="ignore"):
        # 1. The data in units of their own, and the residuals.
        problem = judged_problem(table.design, y, w, b, b0, loss=loss, alpha=alpha)
        if not np.isfinite(problem.primal):
            return Certificate(name, np.inf, 0.0, 1.0, 0.0, 1.0, None, table.found.left_out, False)
        # 2. The best bound that a dual point proves, as shares of the objective.
        problem, best, left_out = _best_of_all(problem, table, search)
        exact_fit = _is_exact_fit(problem)
        gap, rounding = _shares(problem, best)
        if exact_fit:
            gap, rounding = 0.0, gap + rounding
        # 3. Whether other coefficients are as good.
        optimal = gap <= OPTIMAL and (exact_fit or rounding <= FORGIVEN)
        unique = is_unique(problem, table.found, best) if optimal else None
        # 4. All of it in the units of the data.
        objective = problem.units.in_data(problem.primal / problem.weight)
        return Certificate(
            loss=name,
            objective=objective,
            dual=min(lower_bound(problem, best.excess), objective),
            gap=gap,
            rounding=rounding,
            stationarity=_stationarity(problem, best),
            unique=unique,
            left_out=left_out,
            exact_fit=exact_fit,
        )


def _best_of_all(
    problem: JudgedProblem, table: Table, search: bool
) -> tuple[JudgedProblem, Bound, int]:
    """(the problem, the best bound of it, how many directions that leaves out).

    The minimum without the penalty is no larger. Where the penalty is next to nothing it is a bound
    as good.
    """
    near, free = problem.near, problem.without_penalty()
    if table.found.columns is not None:
        free = free.with_columns(table.reduced, table.found.columns)
    if not problem.curvature.any():
        return free, _best(free, table.found, search), table.found.left_out
    best, penalty = _best(problem, table.found, search), problem.penalty
    if best.beyond_rounding > OPTIMAL * near and penalty <= ROUNDING * near:
        other = _best(free, table.found, search)
        if other.beyond_rounding + penalty < best.beyond_rounding:
            missing, error = missing_of(problem, other.u)
            # Twice the penalty: more than the penalty and its rounding.
            excess, beyond = other.excess + 2.0 * penalty, other.beyond_rounding + penalty
            best = Bound(excess, beyond, other.u, missing, error)
            return problem, best, table.found.left_out
    return problem, best, 0


def _shares(problem: JudgedProblem, best: Bound) -> tuple[float, float]:
    """(gap, rounding), shares of the objective.

    The part of the bound that rounding of the residuals does not explain, and the rest of it.
    """
    if best.excess == 0.0:
        return 0.0, 0.0
    if problem.near == 0.0:  # as computed: it may be as large as the excess
        return 0.0, 1.0
    gap, total = min(best.beyond_rounding / problem.near, 1.0), min(best.excess / problem.near, 1.0)
    return gap, max(total - gap, 0.0)


def _best(problem: JudgedProblem, found: Directions, search: bool) -> Bound:
    """The best bound of the dual points: the first that is as good as rounding allows, if any."""
    T = None if problem.curvature.any() else found.T
    wanted = problem.curvature * problem.beta
    exact = T is not None and _can_be_exact(problem.design)
    constraint = Constraint(problem, T, wanted if T is None else T.T @ wanted, exact)
    best, enough = no_bound(problem), ROUNDING * problem.near
    for points in (at_the_judged, elsewhere) if search else (at_the_judged,):
        for u in points(constraint):
            for candidate in _bounds(problem, found, u):
                best = min(best, candidate, key=lambda each: (each.beyond_rounding, each.excess))
                if best.beyond_rounding <= enough:
                    return best
        if best.beyond_rounding <= OPTIMAL * problem.near:
            return best
    return best


def _bounds(problem: JudgedProblem, found: Directions, u: np.ndarray) -> Iterator[Bound]:
    """What u proves, in several ways, those that take longer later.

    Exact sums may find a feasible point where rounded ones do not; those along T need them.
    """
    ways, exactly = _ways(problem, found, u), _can_be_exact(problem.design)
    for exact in [False] * (found.T is None or not exactly) + [True] * exactly:
        for T, counted in ways:
            candidate = bound(problem, T, counted, u, exact)
            if candidate is not None:
                yield candidate


def _ways(problem: JudgedProblem, found: Directions, u: np.ndarray) -> list[Way]:
    """Pairs (T, counted): where the pull is to be right exactly, and which columns count instead.

    Without a penalty it has to be in all directions that X determines. With a penalty it has to be
    for the intercept, and for columns whose penalty is so small that rounding of the pull there
    would count for much.
    """
    kappa = problem.curvature
    if not kappa.any():
        return [(found.T, np.zeros(len(kappa), dtype=bool))]
    _, error = missing_of(problem, u)
    weak = np.square(error) > 2.0 * kappa * WEAK * problem.near
    held = [weak | (kappa == 0.0), kappa == 0.0] if weak.any() else [kappa == 0.0]
    ways: list[Way] = [(np.eye(len(kappa))[:, columns], ~columns) for columns in held]
    return [*ways, (found.T, np.zeros(len(kappa), dtype=bool))] if found.all_count else ways


def _can_be_exact(design: Design) -> bool:
    """Whether the pull can be computed without rounding, within about a second."""
    return not design.is_sparse and design.n_rows * design.n_cols <= EXACT_ENTRIES


def _is_exact_fit(problem: JudgedProblem) -> bool:
    """Whether every residual is rounding, of its own terms or of a typical y.

    And together they cost nothing beside what y itself costs.
    """
    e = NOISE * np.maximum(problem.e, EPS)
    if np.any(np.abs(problem.r) > e):
        return False
    value, up = problem.loss.value, problem.units.up
    of_y = problem.total(lambda rows: value(np.ldexp(problem.y[rows], -up)))
    return problem.total(lambda rows: value(e[rows])) <= EXACT_FIT * of_y


def _stationarity(problem: JudgedProblem, best: Bound) -> float:
    """The largest derivative with respect to a standardised coefficient, beyond rounding.

    Relative to the root mean square slope.
    """
    loss, r, e = problem.loss, problem.r, problem.e
    u = best.u if loss.has_corner else loss.slope(r)
    if np.array_equal(u, best.u):
        missing, error = best.missing, best.error
    else:
        missing, error = missing_of(problem, u)

    def rounding(rows: slice) -> np.ndarray:  # the square of that of a slope
        inside = (r[rows] > loss.left) & (r[rows] < loss.right)
        return np.square(np.where(inside, e[rows], 0.0))

    error = error + np.sqrt(problem.total(rounding)) * problem.sizes
    squares = -loss.lower * loss.upper * problem.weight  # at a minimiser with an intercept
    if not loss.has_corner:
        squares = problem.total(lambda rows: np.square(u[rows]))
    scale = problem.sizes * np.sqrt(squares)
    over = np.divide(np.abs(missing) - error, scale, out=np.zeros_like(missing), where=scale > 0.0)
    return float(max(0.0, over.max(initial=0.0) - DERIVATIVE_ROUNDING))
