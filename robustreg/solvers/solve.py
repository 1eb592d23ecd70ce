"""From a problem to its canonical, certified solution: which solver a loss needs, and ``solve``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.rows import Rows
from ..problem.duality import relative_gap
from ..problem.losses import Loss
from ..problem.penalties import FAINT_STIFFNESS, Ridge, ridge_problem
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Solution, Status, Tally
from . import huber, mae, mse
from .canonical import Choice, canonical
from .reference import solve_reference


def solve(
    rows: Rows,
    loss: Loss,
    alpha: float,
    solver: str,
    tol: float,
    options: Options,
) -> Solution:
    """Minimise the loss over rows with a ridge penalty, all in the units of rows.y.

    Parameters are checked by the estimator; ``solver`` is "auto" or "scipy".
    """
    problem = ridge_problem(rows, loss, alpha)
    if loss.is_corner and Ridge(alpha).is_faint(rows):
        limit = solve(rows, loss, 0.0, solver, tol, options)
        objective, gap = relative_gap(problem, limit.phi, limit.u)
        if limit.status is Status.EXACT and gap <= FAINT_STIFFNESS:
            return replace(limit, objective=objective, gap=gap)
    work = Tally()
    minimise = solve_reference if solver == "scipy" else _minimiser(loss)
    pair = minimise(problem, options, work)
    objective, gap = relative_gap(problem, pair.phi, pair.u)
    choice = Choice(pair.phi, unique=False)
    if gap <= tol:  # the dual is near its optimum, so that it tells the set of minimisers
        choice = canonical(problem, pair)
        if choice.phi is not pair.phi:
            objective, gap = relative_gap(problem, choice.phi, pair.u)
    if gap <= tol:
        status = Status.EXACT if choice.canonical else Status.NOT_CANONICAL
    else:
        status = Status.ITERATIONS if pair.exhausted else Status.ROUNDING
    if status is Status.EXACT and rows.faint is not None:
        gap = max(gap, _gap_of_all(problem, choice.phi, pair.u, alpha))
        status = status if gap <= tol else Status.LEFT_OUT
    work.n_iter = max(1, work.n_iter)
    options.report(f"{solver} solver, iteration {work.n_iter}: proof", rows.n_rows, gap)
    phi, unique = choice.phi, choice.unique
    return Solution(phi, rows.residual(phi), pair.u, objective, gap, unique, status, work)


def _gap_of_all(problem: Problem, phi, u, alpha: float) -> float:
    """The gap of phi (m,) and u (n,) with the directions that the rank rule has left out, too."""
    rows = problem.rows.with_faint()
    wide = ridge_problem(rows, problem.loss, alpha)
    return relative_gap(wide, np.append(phi, np.zeros(rows.n_cols - len(phi))), u)[1]


def _minimiser(loss: Loss):
    """The solver for a loss: closed form, Newton's method or interior points."""
    if not loss.is_bounded:
        return mse.minimise
    return mae.minimise if loss.is_corner else huber.minimise


def from_far(problem: Problem, phi, r, options: Options, work: Tally) -> Pair | None:
    """An optimal pair, but for refinement, from phi (m,) with residuals r; None if that fails."""
    if problem.loss.is_corner:
        return mae.from_far(problem, phi, r, options, work)
    return huber.from_far(problem, phi, r, options, work)


def from_near(problem: Problem, phi, rho, options: Options, work: Tally) -> Pair | None:
    """An optimal pair from phi (m,), about rho from it in fitted values; None if that fails."""
    if problem.loss.is_corner:
        return mae.from_near(problem, phi, rho, options, work)
    return huber.from_near(problem, phi, rho, options, work)


def from_start(problem: Problem, phi, noise: float, options: Options, work: Tally) -> Pair | None:
    """An optimal pair, but for refinement, if the user's start phi (m,) is as good as one; else
    None.

    ``noise`` is how far off residuals are because the user's coefficients are rounded.
    """
    r = problem.rows.residual(phi)
    if problem.loss.is_corner:
        return mae.from_start(problem, phi, r, noise, work)
    return huber.from_start(problem, phi, r, options, work)
