"""From checked data to fitted numbers: absent rows, the scale, and the way to solve."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from ..data.blocks import NotFiniteError
from ..data.rows import make_rows
from ..data.stream import make_stream
from ..passes.least_squares import closed_form
from ..passes.reduction import reduced
from ..problem.solution import Options, Status
from .direct import direct, too_fine
from .scale import fixed_point
from .specification import Fit, Specification

EPS = np.finfo(np.float64).eps
TALL = 4  # rows per column from which passes over a stream are tried first
SMALL = 2**10  # entries of X up to which least squares is refined to the last digit


def fit(X, Y, w, spec: Specification, start=None) -> Fit:
    """Fit X (n, p; dense or CSR) to each column of Y (n, k) with weights w (n,) >= 0 or None for ones.

    ``start`` is None or (coef (k, p), intercept (k,)) to start from.
    """
    if w is not None and not w.all():  # a row of weight zero is absent from everything, the rank included
        present = w > 0.0
        if isinstance(X, np.ndarray) and X.dtype.kind == "f" and not np.all(np.isfinite(X[~present])):
            raise NotFiniteError
        return _with_absent_rows(fit(X[present], Y[present], w[present], spec, start), X, Y, present)
    rows = _rows_of(X, w, spec)
    if spec.rule is None:
        return _at_knot(X, Y, w, spec, start, rows)
    return _together([_scaled(X, y[:, None], w, spec, rows) for y in Y.T])


def _rows_of(X, w, spec: Specification):
    return functools.cache(lambda: make_rows(X, np.ones(X.shape[0]) if w is None else w, spec.fit_intercept))


def _at_knot(X, Y, w, spec: Specification, start, rows) -> Fit:
    """The fit for a given knot; ``rows()`` are those of X and w, for the direct way."""
    if spec.solver == "auto" and isinstance(X, np.ndarray) and (fitted := _streamed(X, Y, w, spec, start)):
        return fitted
    return direct(X, Y, w, spec, start, rows())


def _scaled(X, y, w, spec: Specification, rows) -> Fit:
    """The fit of y (n, 1) at the fixed point of the rule."""
    rule, n_iter, start = spec.rule, 0, None

    def fitted(spec):
        return _at_knot(X, y, w, spec, start, rows)

    def fit_at(s):
        nonlocal n_iter, start
        found = fitted(replace(spec, knot=rule.delta * s, alpha=rule.alpha(spec.alpha, s)))
        n_iter, start = n_iter + found.n_iter, (found.coef, found.intercept)
        if spec.tell:
            spec.tell(f"scale {s:.6g}, of residuals {found.scale[0]:.6g}", len(y), float(found.gap[0]))
        return found

    first = fitted(replace(spec, loss="mse", alpha=rule.alpha(spec.alpha, 0.0)))
    s, noise = float(first.scale[0]), first.scale_noise[0]
    if s <= noise:  # nothing to begin with, but that does not say that smaller knots have no scale
        s = float(np.abs(y - (np.median(y) if spec.fit_intercept else 0.0)).max())
    s, found = fixed_point(fit_at, s) if s > noise else (0.0, None)
    status = frozenset() if found else {Status.SCALE}
    if s == 0.0:
        found, status = _without_scale(fitted, X, y, w, spec), {Status.NO_SCALE}
        if found is None:
            s, status = noise, {Status.SCALE}
    found = found or fit_at(s)
    off = max(0.0, abs(found.scale[0] - s) - found.scale_noise[0])
    if s > 0.0:
        found = replace(found, objective=rule.objective(found.objective, s), gap=found.gap + 2.0 * off / s)
    return replace(
        found, scale=np.array([s]), knot=np.array([rule.delta * s]), n_iter=max(1, n_iter),
        statuses=frozenset(found.statuses | status),
    )  # fmt: skip


def _without_scale(fitted, X, y, w, spec: Specification) -> Fit | None:
    """The limit of a vanishing scale, the fit with the absolute loss; None if that has residuals of another scale."""
    rule = spec.rule
    absolute = replace(spec, loss="mae", knot=0.0, alpha=rule.alpha(spec.alpha, 1.0 / rule.delta))
    if rule.joint or not spec.alpha:
        found = fitted(absolute)
        return replace(found, objective=found.objective * (2.0 * rule.delta if rule.joint else 1.0))
    # Beside a loss that vanishes with its knot the penalty is infinite.
    flat, rows = np.zeros((len(y), 1)), _rows_of(X, w, spec)()
    found = _at_knot(flat, y, w, replace(absolute, alpha=0.0), None, _rows_of(flat, w, spec))
    noise, r = found.scale_noise[0], (y - found.intercept)[:, 0]
    if rule.scale(np.where(np.abs(r) <= noise, 0.0, r), w, rows.n_cols) > noise:  # of all coefficients, 0 or not
        return None
    return replace(found, coef=np.zeros((1, X.shape[1])), rank=rows.rank)


def _together(fits) -> Fit:
    """One record for several targets."""
    return replace(
        fits[0],
        coef=np.concatenate([found.coef for found in fits]),
        intercept=np.concatenate([found.intercept for found in fits]),
        objective=np.concatenate([found.objective for found in fits]),
        gap=np.concatenate([found.gap for found in fits]),
        knot=np.concatenate([found.knot for found in fits]),
        scale=np.concatenate([found.scale for found in fits]),
        outliers=np.column_stack([found.outliers for found in fits]),
        unique=all(found.unique for found in fits),
        n_iter=max(found.n_iter for found in fits),
        statuses=frozenset().union(*(found.statuses for found in fits)),
    )


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


def _with_absent_rows(fitted: Fit, X, Y, present) -> Fit:
    """The same fit, with outliers for the rows of weight zero, too."""
    if fitted.outliers is None:
        return fitted
    outliers = np.abs(Y - X @ fitted.coef.T - fitted.intercept) > fitted.knot
    outliers[present] = fitted.outliers
    return replace(fitted, outliers=outliers)
