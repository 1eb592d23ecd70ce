"""Huber's loss with a fixed knot: Newton on active sets from least squares or from a warm start."""

from __future__ import annotations

from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Work
from .continuation import narrowed
from .mse import least_squares, start
from .newton import approach, newton


def minimise(problem: Problem, options: Options, work: Work) -> Pair:
    phi, r = start(problem, options)
    if problem.loss.curved(r).all():
        phi, r = least_squares(problem)
        if problem.loss.curved(r).all():  # no row is outside: least squares is the minimiser
            work.n_iter += 1
            return Pair(phi, r)
    phi, r = approach(problem, phi, r, options, work)
    return newton(problem, phi, r, options, work, most=max(1, options.max_iter - work.n_iter))


def from_far(problem: Problem, phi, r, options: Options, work: Work) -> Pair | None:
    """An optimal pair, but for refinement, from phi (m,) with residuals r, wherever that is; None if that fails."""
    phi, r = approach(problem, phi, r, options, work)
    pair = newton(problem, phi, r, options, work, max(1, options.max_iter - work.n_iter), enough=0.0)
    return None if pair.exhausted else pair


def from_near(problem: Problem, phi, s, options: Options, work: Work) -> Pair | None:
    """An optimal pair, but for refinement, from phi (m,), about s from it in fitted values; None if that fails."""

    def core(problem, phi):
        pair = newton(problem, phi, problem.rows.residual(phi), options, work, options.max_iter, enough=0.0)
        return None if pair.exhausted else pair

    return narrowed(problem, phi, s, core, options, work)
