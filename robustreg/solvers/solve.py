"""From a problem to its canonical, certified solution: the table loss -> solver, and ``solve``."""

from __future__ import annotations

from dataclasses import replace

from ..data.rows import Rows
from ..problem.duality import relative_gap
from ..problem.losses import Absolute, Huber, Loss, Squared
from ..problem.problem import ridge_problem
from ..problem.solution import Options, Solution, Status, Work
from . import huber, mae, mse
from .canonical import Choice, canonical
from .reference import solve_reference

# A penalty so faint beside the loss that rounding hides it, unless the minimiser is not unique: then it
# chooses the canonical one, which the limit of no penalty is, too.
FAINT = 1e-13

SOLVERS = {Squared: mse.minimise, Absolute: mae.minimise, Huber: huber.minimise}


def solve(rows: Rows, loss: Loss, alpha: float, solver: str, tol: float, options: Options) -> Solution:
    """Minimise the loss over rows with a ridge penalty, all in the units of rows.y.

    Parameters are checked by the estimator; ``solver`` is "auto" or "scipy".
    """
    problem = ridge_problem(rows, loss, alpha)
    if isinstance(loss, Absolute) and alpha and rows.stiffness(alpha) < FAINT:
        limit = solve(rows, loss, 0.0, solver, tol, options)
        objective, gap = relative_gap(problem, limit.phi, limit.u)
        if limit.status is Status.EXACT and gap <= FAINT:
            return replace(limit, objective=objective, gap=gap)
    work = Work()
    minimise = solve_reference if solver == "scipy" else SOLVERS[type(loss)]
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
    work.n_iter = max(1, work.n_iter)
    options.report(f"{solver} solver, iteration {work.n_iter}: proof", rows.n_rows, gap)
    return Solution(choice.phi, rows.residual(choice.phi), pair.u, objective, gap, choice.unique, status, work)
