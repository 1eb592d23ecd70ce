"""The fit whose residuals have the scale that its knot is a multiple of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..problem.solution import Status
from .at_knot import at_knot, rows_of_all
from .scale import fixed_point
from .specification import Fit, Specification


def at_scale(X, y, w, spec: Specification, rows) -> Fit:
    """The fit of y (n, 1) at the fixed point of the rule."""
    rule, n_iter, start = spec.rule, 0, None

    def fitted(spec):
        return at_knot(X, y, w, spec, start, rows)

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
    flat, rows = np.zeros((len(y), 1)), rows_of_all(X, w, spec)()
    found = at_knot(flat, y, w, replace(absolute, alpha=0.0), None, rows_of_all(flat, w, spec))
    noise, r = found.scale_noise[0], (y - found.intercept)[:, 0]
    if rule.scale(np.where(np.abs(r) <= noise, 0.0, r), w, rows.n_cols) > noise:  # of all coefficients, 0 or not
        return None
    return replace(found, coef=np.zeros((1, X.shape[1])), rank=rows.rank)
