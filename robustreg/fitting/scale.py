"""The scale of residuals, and the scale at which a fit with Huber's loss and its residuals agree.

A rule tells scale(r), the scale of residuals. Wanted is a fixed point: s with s = scale(r), where r
are the residuals of the exact minimiser for Huber's loss with the knot d = delta s. The rules are

    mad          s = median(abs(r)) / 0.6745                    MASS::rlm, statsmodels RLM
    proposal2    sum w min(r^2, (k s)^2) = (W - m) gamma s^2    Huber 1981; MASS::rlm; k = 1.345
    concomitant  sum w min(r^2, (delta s)^2) = W s^2            scikit-learn HuberRegressor, Spark

with W = sum w, m coefficients, the intercept included, and gamma = E min(z^2, k^2) for a standard
normal z. A weight counts repeats in each of them. The last is the condition for s in the problem,
convex in (b, s) together,

    min (1/W) sum_i w_i (s + s H(r_i / s)) + (alpha / 2) ||b||^2,

with H(z) = z^2 up to delta and 2 delta abs(z) - delta^2 beyond, whose minimum over b for a given s
is a Huber fit with the knot delta s and the penalty alpha s / 2.

scale(r) changes little with s, as the fit does, and is smooth but for kinks: the secant method on
scale(r) - s, kept inside a bracket, takes about five fits. It begins at least squares, as MASS
does; so where there are several fixed points it ends at the one that iterations from there reach.
Where many rows can be fitted exactly, it can be s = 0. Whether it is, the limit of a vanishing s
tells (``vanishing.py``), and not smaller and smaller s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from ..numerics.order import median
from ..numerics.precision import EPS
from ..problem.solution import Status

NORMAL_QUARTILE = 0.6745  # as MASS rounds it
PROPOSAL2 = 1.345  # the knot of proposal2, in scales, as in MASS
# Share of s: up to it s and scale(r) count as equal.
EQUAL = 1e-12
# Share of what rounding makes of scale(r): up to that they do, too.
EQUAL_NOISE = 0.25
# Roundings of s: a bracket as narrow is closed.
CLOSED = 4.0 * EPS
# Share of s: the next s is no smaller, unless s is known not to be 0.
SHRINK = 1e-3
# Share of the last error: where more is left, the secant makes no progress.
SLOW = 0.5
# Fits at most.
MOST_FITS = 100
# Fits without proof at most.
MOST_FAILED = 3
# Share of the weight: where the half of it falls on the border between two entries.
BORDER = 1e-12


@dataclass(frozen=True, slots=True)
class Rule:
    """How the scale follows from residuals.

    ``kind`` is ``"mad"``, ``"concomitant"`` or ``"proposal2"``; ``delta`` is in units of the scale.
    """

    kind: str
    delta: float

    @property
    def joint(self) -> bool:
        """Whether coefficients and scale minimise one objective."""
        return self.kind == "concomitant"

    @property
    def knot(self) -> float:
        """The size in scales at which a residual counts as another: its rank, or its square."""
        if self.kind == "mad":
            return NORMAL_QUARTILE
        return self.delta if self.joint else PROPOSAL2

    def scale(self, r: np.ndarray, w: np.ndarray | None, m: int) -> float:
        """scale(r) for residuals r (n,), weights w (n,) or None for ones, and m coefficients."""
        size = np.abs(r)
        if self.kind == "mad":
            return weighted_median(size, w) / NORMAL_QUARTILE
        return m_scale(size, w, *self._bound_and_total(size, w, m))

    def exceeds(self, z: np.ndarray, w: np.ndarray | None, m: int) -> float:
        """At most 1 exactly where scale(z) <= 1, for residuals z (n,) in units of s.

        Some may be infinite. It is scale(z) for "mad", and for the others sum w min(z^2, knot^2),
        relative to what that is where scale(z) = 1.
        """
        size = np.abs(z)
        if self.kind == "mad":
            return weighted_median(size, w) / NORMAL_QUARTILE
        knot, total = self._bound_and_total(size, w, m)
        square = np.square(np.minimum(size, knot))
        found = square.sum() if w is None else w @ square
        return float(found / total) if found > 0.0 else 0.0

    def _bound_and_total(
        self, size: np.ndarray, w: np.ndarray | None, m: int
    ) -> tuple[float, float]:
        """(knot, right-hand side / s^2) of the equation for the scale s of ``size`` (n,)."""
        weight = len(size) if w is None else w.sum()
        if self.joint:
            return self.delta, weight
        if weight <= m and np.any(size > 0.0):
            raise ValueError(
                f"scale='proposal2' needs more rows than coefficients, {m}; "
                f"got n_samples={weight:g}, counted by sample_weight."
            )
        knot = PROPOSAL2
        normal = 2.0 * ndtr(knot) - 1.0
        edge = 2.0 * knot * np.exp(-0.5 * knot * knot) / np.sqrt(2.0 * np.pi)
        gamma = normal + knot * knot * (1.0 - normal) - edge
        return knot, (weight - m) * gamma

    def alpha(self, alpha: float, s: float) -> float:
        """The penalty of the Huber fit with the scale s."""
        return 0.5 * alpha * s if self.joint else alpha

    def objective(self, huber: Any, s: float) -> Any:
        """The objective at s, from that of the Huber fit at its knot."""
        return s + 2.0 * huber / s if self.joint else huber


def weighted_median(x: np.ndarray, w: np.ndarray | None) -> float:
    """The median of x (n,), each entry repeated w times (None: once).

    Between two entries it is their middle.
    """
    if w is None or w.min() == w.max():
        return median(x)
    order = np.argsort(x)
    below, half = np.cumsum(w[order]), 0.5 * w.sum()
    lower = np.searchsorted(below, half * (1.0 - BORDER))
    upper = np.searchsorted(below, half * (1.0 + BORDER), side="right")
    return float(0.5 * (x[order[lower]] + x[order[min(upper, len(x) - 1)]]))


def m_scale(size: np.ndarray, w: np.ndarray | None, knot: float, total: float) -> float:
    """s > 0 with sum w min(size^2 / s^2, knot^2) = total, for size (n,) >= 0; 0 if there is none.

    The sum is concave in 1 / s^2 and piecewise linear: Newton's method from 0 rises to the root in
    a few steps, and rows found beyond knot s stay there.
    """
    unit = float(size.max(initial=0.0))
    if not unit > 0.0:
        return 0.0
    square = np.square(size / unit)
    w = np.ones(len(square)) if w is None else w
    most, inverse_square = knot * knot, 0.0
    inner_sum, outer = w @ square, 0.0
    while inner_sum > 0.0 and outer < total:
        with np.errstate(over="ignore", invalid="ignore"):  # what is left may be next to nothing
            inverse_square = (total - outer) / inner_sum
            beyond = square * inverse_square > most
        if not beyond.any():
            return float(unit / np.sqrt(inverse_square))
        outer += most * w[beyond].sum()
        square, w = square[~beyond], w[~beyond]
        inner_sum = w @ square
    return 0.0


class Exhausted(Exception):
    """No iterations are left for another fit."""


@dataclass(frozen=True, slots=True, eq=False)
class FixedPoint:
    """Where the search for s = scale(r) ended: at ``s``, with the ``fit`` there.

    ``status`` is EXACT where s = scale(r), NO_SCALE where s = 0, SCALE where neither was found, and
    ITERATIONS where max_iter was reached first.
    """

    s: float
    fit: Any  # a ``Fit``; what is searched here does not depend on its kind
    status: Status


def fixed_point(fit: Callable, s: float) -> FixedPoint:
    """Search s = scale(r) from a first s > 0.

    ``fit(s)`` returns a record whose ``scale`` is scale(r), and ``scale_noise`` what rounding makes
    of it. It raises ``Exhausted`` where no iterations are left; for the first fit there are some.

    ``fit(0.0)`` is the limit of a vanishing s. Its ``scale`` is 0 where scale(r) < s for all small
    s, so that s = 0 is a fixed point, larger where not, and nan where that is not known. The limit
    is asked for once at most: where s or scale(r) seems to vanish, or where no other fixed point
    was found.
    """
    low, high, last, failed, limit = 0.0, np.inf, None, 0, None
    try:
        for _ in range(MOST_FITS):
            fitted, here = fit(s), s
            found, noise = fitted.scale[0], fitted.scale_noise[0]
            error = found - s
            nothing = low == 0.0 and found <= noise
            # 1. Is it found?
            if not nothing and abs(error) <= max(EQUAL * s, EQUAL_NOISE * noise):
                return FixedPoint(s, fitted, Status.EXACT)
            # 2. Is there more to try?
            proved = fitted.statuses <= {Status.EXACT, Status.NOT_CANONICAL}
            failed = failed if proved else failed + 1
            low, high = (s, high) if error > 0.0 else (low, s)
            closed = high < np.inf and high - low <= CLOSED * high
            if failed > MOST_FAILED or closed or (nothing and s <= noise):
                break
            guess = _next(s, error, last, low, high)
            # 3. Does it vanish? scale(r) does, or the secant sends s to 0 and scale(r) falls as s
            #    did.
            falls = last is not None and found / s <= 2.0 * (last[0] + last[1]) / last[0]
            follows = low == 0.0 and guess <= SHRINK * s and falls
            if limit is None and (nothing or follows):
                limit = fit(0.0)
                if limit.scale[0] == 0.0 or (nothing and np.isnan(limit.scale[0])):
                    return FixedPoint(0.0, limit, Status.NO_SCALE)
            s, last = guess, (s, error)
        limit = fit(0.0) if limit is None else limit
        if limit.scale[0] == 0.0:
            return FixedPoint(0.0, limit, Status.NO_SCALE)
    except Exhausted:
        return FixedPoint(here, fitted, Status.ITERATIONS)
    return FixedPoint(here, fitted, Status.SCALE)


def _next(
    s: float, error: float, last: tuple[float, float] | None, low: float, high: float
) -> float:
    """The next s inside the bracket, from the ``last`` (s, error).

    By the secant while that makes progress, otherwise in the middle or far on.
    """
    guess = s + error  # scale(r)
    if last is not None:
        slope = (error - last[1]) / (s - last[0])
        guess = s - error / slope if slope < 0.0 else guess
        if abs(error) > SLOW * abs(last[1]) or slope >= 0.0:
            guess = np.sqrt(low) * np.sqrt(high) if low > 0.0 and high < np.inf else guess
            guess = max(guess, 2.0 * s) if high == np.inf else guess
    if low == 0.0:
        guess = max(guess, SHRINK * s)
    if high == np.inf:
        guess = min(guess, s / SHRINK)
    if low < guess < high:
        return guess
    return s + error if low < s + error < high else 0.5 * (low + high)
