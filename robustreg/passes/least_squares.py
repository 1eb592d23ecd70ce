"""Least squares on many rows: refined normal equations, in two passes."""

from __future__ import annotations

import numpy as np

from ..data.stream import LEAST, Stream
from ..numerics import linalg
from ..problem.solution import Options, Streamed, Work

GOOD = 1e-3
NOTHING_LEFT = 1e-20  # of sum w y^2: an exact fit, which wants more care
REFINED = 1e-9  # a relative step that the next, by a factor of at least 1e-6 smaller, cannot improve
REFINEMENTS = 4  # each contracts the error by at least 1e-4: more cannot help


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
