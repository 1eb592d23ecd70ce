"""The fit whose residuals have the scale that its knot is a multiple of.

The four ways in which the search for it can end, and the fit that is returned then:

    status      s         mad, proposal2                      concomitant
    EXACT       > 0       the knot delta s                    the knot delta s, the penalty
                                                              alpha s / 2
    NO_SCALE    0         the absolute loss; with alpha > 0   the absolute loss with the penalty
                          coefficients 0 and a median         alpha / (2 delta)
    SCALE       last one  the knot delta s, although its residuals have another scale: none was
                          found
    ITERATIONS  last one  the same, since max_iter was reached first
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

import numpy as np

from ..problem.losses import ABSOLUTE, SQUARED, huber
from ..problem.solution import Status
from .scale import Exhausted, FixedPoint, fixed_point
from .specification import Fit, Specification
from .vanishing import rule_of, scale_of


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """How the ``n_rows`` rows of one target are fitted: ``at_knot(spec, start)`` for a given knot,
    ``vanishing(spec)`` in the limit of a vanishing one. ``spread(fit_intercept)`` is how far y is
    from its middle, or from 0 without an intercept, at most.
    """

    n_rows: int
    at_knot: Callable[..., Fit]
    vanishing: Callable[[Specification], Fit]
    spread: Callable[[bool], float]


def at_scale(ways: Ways, spec: Specification) -> Fit:
    """The fit of one target at the fixed point of the rule.

    ``max_iter`` bounds the iterations of all its fits.
    """
    rule, start = rule_of(spec), None
    # With the squared loss, where the search begins.
    first = ways.at_knot(replace(spec, loss=SQUARED, alpha=rule.alpha(spec.alpha, 0.0)), None)
    works = [replace(first.work, n_iter=0)]  # these are no iterations

    def fit_at(s: float) -> Fit:
        """The exact fit with the scale s; for s = 0 the limit of a vanishing scale."""
        nonlocal start
        n_iter = sum(work.n_iter for work in works)
        if n_iter >= spec.max_iter:
            raise Exhausted
        given = replace(spec, max_iter=spec.max_iter - n_iter)
        if s == 0.0:
            found = ways.vanishing(given)
            works.append(found.work)
            if np.isnan(scale_of(found)[0]) and n_iter + found.n_iter >= spec.max_iter:
                raise Exhausted
            return found
        given = replace(given, loss=huber(rule.delta * s), alpha=rule.alpha(spec.alpha, s))
        found = ways.at_knot(given, start)
        works.append(found.work)
        start = found.coef, found.intercept
        if spec.tell:
            text = f"scale {s:.6g}, of residuals {scale_of(found)[0]:.6g}"
            spec.tell(text, ways.n_rows, float(found.gap[0]))
        return found

    s = _first(ways, spec, first)
    point = fixed_point(fit_at, s) if s > 0.0 else FixedPoint(0.0, fit_at(0.0), Status.NO_SCALE)
    found = _vanished(point) if point.status is Status.NO_SCALE else _with_scale(point, spec)
    n_iter = sum(work.n_iter for work in works)
    return replace(found, work=replace(reduce(add, works), n_iter=n_iter))


def _first(ways: Ways, spec: Specification, found: Fit) -> float:
    """Where the search begins: the scale of the residuals of least squares; 0 if y is constant.

    Where least squares leaves none, smaller knots may: how far y is from its middle.
    """
    s, noise = scale_of(found)
    if s <= noise:
        s = ways.spread(spec.fit_intercept)
    return s if s > noise else 0.0


def _with_scale(point: FixedPoint, spec: Specification) -> Fit:
    """The fit at s > 0, whether s is its scale or not: the distance from it counts in the gap."""
    found, s, rule = point.fit, point.s, rule_of(spec)
    own, noise = scale_of(found)
    off = max(0.0, abs(own - s) - noise)
    return replace(
        found,
        objective=rule.objective(found.objective, s),
        gap=found.gap + 2.0 * off / s,
        scale=np.array([s]),
        losses=(huber(rule.delta * s),),
        statuses=found.statuses | {point.status},
    )


def _vanished(point: FixedPoint) -> Fit:
    """The limit of a vanishing scale."""
    found = point.fit
    statuses = found.statuses | {Status.NO_SCALE}
    return replace(found, scale=np.zeros(1), losses=(ABSOLUTE,), statuses=statuses)
