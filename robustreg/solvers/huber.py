"""Huber's loss with a fixed knot: Newton on active sets from least squares or from a warm start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..losses import Absolute
from ..problem import Problem, Quadratic
from ..solution import Options, Pair, Work
from . import mae
from .mse import least_squares, start
from .newton import approach, newton

BELOW_ROUNDING = 1e-13  # of the largest abs(y): such a knot is lost in the rounding of a residual


def minimise(problem: Problem, options: Options, work: Work) -> Pair:
    knot = problem.loss.knot
    if knot <= BELOW_ROUNDING:  # knot * abs(r), as far as float64 can tell
        L, h = problem.quadratic.L / np.sqrt(knot), problem.quadratic.h / knot
        pair = mae.minimise(replace(problem, loss=Absolute(), quadratic=Quadratic(L, h)), options, work)
        return replace(pair, u=knot * pair.u)
    phi, r = start(problem, options)
    if problem.loss.curved(r).all():
        phi, r = least_squares(problem)
        if problem.loss.curved(r).all():  # no row is outside: least squares is the minimiser
            work.n_iter += 1
            return Pair(phi, r)
    phi, r = approach(problem, phi, r, options, work)
    phi, r, finished = newton(problem, phi, r, options, work, most=max(1, options.max_iter - work.n_iter))
    return Pair(phi, problem.loss.slope(r), exhausted=not finished)
