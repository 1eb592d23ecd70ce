"""Least squares in closed form, refined.

    (Z'diag(w)Z + G) phi = Z'(w y) + h

is solved by Cholesky factorisation in coordinates where Z'diag(w)Z is well-conditioned
(``rows.py``; if need be after an orthogonal factorisation), and then refined: phi += (Z'diag(w)Z +
G)^-1 (Z'(w r) - G phi + h) with residuals r from the data. These corrected seminormal equations end
at the accuracy of a QR factorisation of Z (Bjorck, Numerical Methods for Least Squares Problems,
1996, section 6.6.5).
"""

from __future__ import annotations

import numpy as np

from ..numerics import linalg
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Tally

REFINEMENTS = 4  # each contracts the error by at least 1e-4: more cannot help


def minimise(problem: Problem, options: Options, work: Tally) -> Pair:
    """The optimal pair for the squared loss, whose slopes are the residuals themselves."""
    phi, r = least_squares(problem)
    work.n_iter = 1
    return Pair(phi, r)


def least_squares(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """(phi, r): the minimiser and its residuals if all open rows were quadratic."""
    rows = problem.rows
    quadratic = problem.quadratic
    factor = rows.factor if quadratic.flat else linalg.factor(rows.gram_all + quadratic.G)
    phi, r, last = np.zeros(rows.n_cols), rows.y, np.inf
    for _ in range(1 + REFINEMENTS):
        step = factor.solve(problem.descent(r, phi))
        size = np.linalg.norm(step)
        if size >= last / 3.0:  # no longer contracting: rounding level
            break
        phi = phi + step
        r, last = rows.residual(phi), size
    return phi, r


def start(problem: Problem, options: Options) -> tuple[np.ndarray, np.ndarray, bool]:
    """(phi, r, given): least squares, or the start that is ``given``, if that is not worse."""
    phi, r = least_squares(problem)
    if options.start is not None:
        other = problem.rows.residual(options.start)
        if problem.value(other, options.start) <= problem.value(r, phi):
            return options.start, other, True
    return phi, r, False
