"""Smooth bounded losses such as Huber's: Newton on active sets, from least squares or a start."""

from __future__ import annotations

import numpy as np

from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Tally
from .continuation import narrowed, sharpened
from .mse import least_squares, start
from .newton import NEARLY_ROUNDING, newton

# Newton steps for the loss itself from a start that the user gave. The first is exact if every row
# is on its final piece already; the others correct some rows. A start further away is left to wider
# quadratic pieces, after these steps in vain.
WARM_STEPS = 8


def minimise(problem: Problem, options: Options, work: Tally) -> Pair:
    """The optimal pair, or the best found within the iterations of the options."""
    phi, r, given = start(problem, options)
    if problem.loss.curved(r).all():
        phi, r = least_squares(problem)
        if problem.loss.curved(r).all():  # no row is outside: least squares is the minimiser
            work.n_iter += 1
            return Pair(phi, r)
        given = False
    if given:
        pair = newton(problem, phi, r, options, work, most=min(WARM_STEPS, options.max_iter))
        if not pair.exhausted:
            return pair
        phi, r = pair.phi, problem.rows.residual(pair.phi)
    phi, r = sharpened(problem, phi, r, options, work)
    return newton(problem, phi, r, options, work, most=options.max_iter - work.n_iter)


def from_start(problem: Problem, phi, r, options: Options, work: Tally) -> Pair | None:
    """An optimal pair, but for refinement, from the user's start phi (m,); None if too far."""
    most = min(WARM_STEPS, options.max_iter - work.n_iter)
    enough = NEARLY_ROUNDING * problem.rows.w.sum()
    pair = newton(problem, phi, r, options, work, most, enough)
    return None if pair.exhausted else pair


def from_far(problem: Problem, phi, r, options: Options, work: Tally) -> Pair | None:
    """An optimal pair, but for refinement, from phi (m,) at any distance, with residuals r (n,).

    None if the iterations of the options are not enough.
    """
    phi, r = sharpened(problem, phi, r, options, work)
    most = options.max_iter - work.n_iter
    pair = newton(problem, phi, r, options, work, most, enough=0.0)
    return None if pair.exhausted else pair


def from_near(problem: Problem, phi, rho: float, options: Options, work: Tally) -> Pair | None:
    """An optimal pair, but for refinement, from phi (m,), whose fitted values are about rho off.

    None if the iterations of the options are not enough.
    """

    def core(problem: Problem, phi: np.ndarray) -> Pair | None:
        r, most = problem.rows.residual(phi), options.max_iter - work.n_iter
        pair = newton(problem, phi, r, options, work, most, enough=0.0)
        return None if pair.exhausted else pair

    return narrowed(problem, phi, rho, core, options, work)
