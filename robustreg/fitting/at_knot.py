"""One fit for a given loss: in passes over the rows where that can be, else the direct way."""

from __future__ import annotations

import functools

import numpy as np

from ..data.rows import make_rows
from ..data.stream import make_stream
from ..passes.least_squares import closed_form
from ..passes.reduction import reduced
from ..problem.solution import Options, Status
from .direct import direct
from .specification import Fit, Specification
from .target import too_fine

EPS = np.finfo(np.float64).eps
TALL = 4  # rows per column from which passes over a stream are tried first
SMALL = 2**10  # entries of X up to which least squares is refined to the last digit


def at_knot(X, Y, w, spec: Specification, start, rows) -> Fit:
    """The fit for a given knot; ``rows()`` are those of X and w, for the direct way."""
    if spec.solver == "auto" and isinstance(X, np.ndarray) and (fitted := _streamed(X, Y, w, spec, start)):
        return fitted
    return direct(X, Y, w, spec, start, rows())


def rows_of_all(X, w, spec: Specification):
    return functools.cache(lambda: make_rows(X, np.ones(X.shape[0]) if w is None else w, spec.fit_intercept))


def _streamed(X, Y, w, spec: Specification, start) -> Fit | None:
    """The fit in two or three passes, or None where it is not so simple: then the direct way is taken."""
    n, p = X.shape
    if n <= TALL * p or (spec.loss == "mse" and n * p <= SMALL):
        return None
    knot, gram, coefficients, found = spec.knot if spec.loss == "huber" else 0.0, None, [], []
    scales, beyond = [], []
    for k, y in enumerate(Y.T):
        stream = make_stream(X, y, w, spec.fit_intercept)
        if stream is None:
            return None
        if spec.loss == "mse":
            gram, solution = closed_form(stream, spec.alpha, Options(1, spec.tell), gram)
        else:
            guess = None if start is None else stream.from_raw(start[0][k], start[1][k])
            solution = reduced(stream, knot, spec.alpha, Options(spec.max_iter, spec.tell, guess))
        if solution is None or not solution.gap <= spec.tol:
            return None
        coefficients.append(stream.raw(solution.phi))
        if too_fine(spec, coefficients[-1][1:]):
            return None
        found.append(solution)
        if spec.rule:
            r, noise = stream.residual(solution.phi)
            noise = max(noise, EPS * abs(coefficients[-1][1]))  # the last place of the intercept
            scales.append((spec.rule.scale(r, w, stream.n_cols), noise))
        beyond.append(np.abs(r) > noise if spec.rule and not knot else solution.beyond)
    return Fit(
        coef=np.array([b for b, _ in coefficients]),
        intercept=np.array([b0 for _, b0 in coefficients]),
        objective=np.array([solution.objective for solution in found]),
        gap=np.array([solution.gap for solution in found]),
        knot=np.full(len(found), spec.knot),
        scale=np.array([scale for scale, _ in scales]) if scales else None,
        scale_noise=np.array([noise for _, noise in scales]) if scales else None,
        outliers=np.column_stack(beyond) if beyond[0] is not None else None,
        unique=all(solution.unique for solution in found),
        rank=p,
        n_iter=max(max(1, solution.work.n_iter) for solution in found),
        orthogonal=False,
        statuses=frozenset({Status.EXACT}),
    )
