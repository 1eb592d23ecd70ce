"""Least squares in closed form: B = (X'X)^-1 X'y, refined.

    (Z'WZ + G) phi = Z'Wy + h

is solved by Cholesky factorisation in coordinates where Z'WZ is well-conditioned (``rows.py``; if need
be after an orthogonal factorisation), and then refined: phi += (Z'WZ + G)^-1 (Z'Wr - G phi + h) with
residuals r from the data. These corrected seminormal equations end at the accuracy of a QR
factorisation of Z (Bjorck, Numerical Methods for Least Squares Problems, 1996, section 6.6.5).
"""

from __future__ import annotations

import numpy as np

from .. import linalg
from ..problem import Problem
from ..solution import Options, Pair, Streamed, Work
from ..stream import LEAST, Stream

GOOD = 1e-3
NOTHING_LEFT = 1e-20  # of sum w y^2: an exact fit, which wants more care
REFINED = 1e-9  # a relative step that the next, by a factor of at least 1e-6 smaller, cannot improve
REFINEMENTS = 4  # each contracts the error by at least 1e-4: more cannot help


def minimise(problem: Problem, options: Options, work: Work) -> Pair:
    phi, r = least_squares(problem)
    work.n_iter = 1
    return Pair(phi, r)


def least_squares(problem: Problem):
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


def closed_form(stream: Stream, alpha: float, options: Options, gram=None):
    """(Z'WZ, Streamed or None): refined normal equations of all rows, in two passes, three if ill-conditioned.

    ``gram`` is Z'WZ, if it is known. With the gradient g = Z'Wr - G phi the duality gap is exactly
    g'(Z'WZ + G)^-1 g / 2, and the step that removes g is the refinement.
    """
    work = Work(n_iter=1, n_passes=1)
    with np.errstate(all="ignore"):  # what is not finite is found at the end of a pass
        if gram is None:
            gram, g = stream.gram()
        else:
            _, g = stream.residual_sums(np.zeros(stream.n_cols))
        options.report("pass 1: normal equations", stream.n_rows)
        W, p = stream.weight, stream.columns.n_cols
        G = np.zeros(stream.n_cols)
        G[:p] = alpha * W * np.square(stream.columns.inverse_scale)
        factor = linalg.factor(gram)
        if not (np.all(np.isfinite(gram)) and factor.rcond >= GOOD):
            return gram, None
        if alpha:
            factor = linalg.factor(gram + np.diag(G))
        phi = factor.solve(g)
        explained = phi @ g
        for _ in range(REFINEMENTS):
            square, adjoint = stream.residual_sums(phi)
            work.n_passes += 1
            g = adjoint - G * phi
            step = factor.solve(g)
            decrement = step @ g
            objective = 0.5 * (square + G @ np.square(phi))
            if not (np.isfinite(objective) and square > max(NOTHING_LEFT * explained, LEAST**2)):
                break
            phi, gap = phi + step, 0.5 * decrement / objective
            options.report(f"pass {work.n_passes}: refinement", stream.n_rows, gap)
            if decrement <= REFINED**2 * explained:
                return gram, Streamed(phi, (objective - 0.5 * decrement) / W, gap, True, None, work)
    return gram, None


def start(problem: Problem, options: Options):
    """(phi, r) of least squares, or of the start the user gave if its value is lower."""
    phi, r = least_squares(problem)
    if options.start is not None:
        other = problem.rows.residual(options.start)
        if problem.value(other, options.start) < problem.value(r, phi):
            return options.start, other
    return phi, r
