"""The scale of residuals, and the scale at which a fit with Huber's loss and its residuals agree.

A rule tells the scale S(r) of residuals. Wanted is a fixed point: s with s = S(r), where r are the residuals of
the exact minimiser for Huber's loss with the knot d = delta s.

    mad          S(r) = median(abs(r)) / 0.6745                   (MASS::rlm, statsmodels RLM)
    proposal2    sum w min(r^2, k^2 S^2) = (W - m) g(k) S^2,      k = 1.345     (Huber 1981; MASS::rlm)
    concomitant  sum w min(r^2, delta^2 S^2) = W S^2              (scikit-learn HuberRegressor, Spark)

with W = sum w, m coefficients, the intercept included, and g(k) = E min(z^2, k^2) for a standard normal z. A weight
counts repeats in each of them. The last is the condition for s in the problem, convex in (b, s) together,

    min (1/W) sum_i w_i (s + s H(r_i / s)) + (alpha / 2) ||b||^2,

with H(z) = z^2 up to delta and 2 delta abs(z) - delta^2 beyond,
whose minimum over b for a given s is a Huber fit with the knot delta s and the penalty alpha s / 2.

S(r) changes little with s, as the fit does, and is smooth but for kinks: the secant method on S(r) - s, kept inside
a bracket, takes about five fits. It begins at least squares, as MASS does; so where there are several fixed points it
ends at the one that iterations from there reach. Where most rows can be fitted exactly, it can be s = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ..problem.solution import Status

EPS = np.finfo(np.float64).eps
NORMAL_QUARTILE = 0.6745  # as MASS rounds it
PROPOSAL2 = 1.345  # k of MASS
EQUAL = 1e-12  # s and S(r) are, relative to s
SHRINK = 1e-3  # the least part of s that the next one may be, unless it is known not to be 0
SLOW = 0.5  # of the last error is left: no progress
MOST = 100  # fits
FAILED = 3  # fits without proof


@dataclass(frozen=True, slots=True)
class Rule:
    """How the scale follows from residuals: ``"mad"``, ``"concomitant"`` or
    ``"proposal2"``, for a ``delta`` in units of the scale."""

    kind: str
    delta: float

    @property
    def joint(self) -> bool:
        """Whether coefficients and scale minimise one objective."""
        return self.kind == "concomitant"

    def scale(self, r, w, m) -> float:
        """S(r) for residuals r (n,), weights w (n,) or None for ones, and m coefficients."""
        size = np.abs(r)
        if self.kind == "mad":
            return weighted_median(size, w) / NORMAL_QUARTILE
        weight = len(r) if w is None else w.sum()
        if self.joint:
            return m_scale(size, w, self.delta, weight)
        if weight <= m and np.any(size > 0.0):
            raise ValueError(
                "scale='proposal2' needs more rows than coefficients, counted by sample_weight; "
                f"got {weight:g} for {m}."
            )
        k = PROPOSAL2
        normal = 2.0 * ndtr(k) - 1.0
        g = normal + k * k * (1.0 - normal) - 2.0 * k * np.exp(-0.5 * k * k) / np.sqrt(2.0 * np.pi)
        return m_scale(size, w, k, (weight - m) * g)

    def alpha(self, alpha, s) -> float:
        """The penalty of the Huber fit with the scale s."""
        return 0.5 * alpha * s if self.joint else alpha

    def objective(self, huber, s):
        """The objective at s, from that of the Huber fit at its knot."""
        return s + 2.0 * huber / s if self.joint else huber


def weighted_median(x, w) -> float:
    """The median of x (n,), each entry repeated w times (None: once); between two entries their middle."""
    if w is None or w.min() == w.max():
        return float(np.median(x))
    order = np.argsort(x)
    below, half = np.cumsum(w[order]), 0.5 * w.sum()
    lower = np.searchsorted(below, half * (1.0 - 1e-12))
    upper = np.searchsorted(below, half * (1.0 + 1e-12), side="right")
    return float(0.5 * (x[order[lower]] + x[order[min(upper, len(x) - 1)]]))


def m_scale(size, w, k, total) -> float:
    """s > 0 with sum w min(size^2 / s^2, k^2) = total, for size (n,) >= 0; 0 if there is none.

    The sum is concave in t = 1 / s^2 and piecewise linear: Newton's method from t = 0 rises to the root in a few
    steps, and rows found beyond k s stay there.
    """
    unit = float(size.max(initial=0.0))
    if not unit > 0.0:
        return 0.0
    square = np.square(size / unit)
    w = np.ones(len(square)) if w is None else w
    most, t = k * k, 0.0
    inner_sum, outer = w @ square, 0.0
    while inner_sum > 0.0 and outer < total:
        with np.errstate(over="ignore", invalid="ignore"):  # what is left may be next to nothing
            t = (total - outer) / inner_sum
            beyond = square * t > most
        if not beyond.any():
            return unit / np.sqrt(t)
        outer += most * w[beyond].sum()
        square, w = square[~beyond], w[~beyond]
        inner_sum = w @ square
    return 0.0


def fixed_point(fit: Callable, s: float):
    """(s, fit(s)) with s = S(r) from a first s > 0; (0.0, None) where it is 0; (s, None) where none is found.

    ``fit(s)`` returns a record whose ``scale`` is S(r), and ``scale_noise`` what rounding makes of it.
    """
    low, high, last, spent = 0.0, np.inf, None, 0
    for _ in range(MOST):
        fitted = fit(s)
        found = fitted.scale[0]  # S(r)
        error, noise = found - s, fitted.scale_noise[0]
        if low == 0.0 and found <= noise:
            return 0.0, None
        if abs(error) <= max(EQUAL * s, 0.25 * noise):
            return s, fitted
        spent += not fitted.statuses <= {Status.EXACT, Status.NOT_CANONICAL}
        low, high = (s, high) if error > 0.0 else (low, s)
        if spent > FAILED or (high < np.inf and high - low <= 4.0 * EPS * high):
            break
        s, last = _next(s, error, last, low, high), (s, error)
    return s, None


def _next(s, error, last, low, high):
    """The next s inside the bracket: by the secant while that makes progress, else in the middle or far on."""
    guess = s + error  # S(r)
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
