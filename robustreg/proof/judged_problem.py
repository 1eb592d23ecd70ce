"""What is judged: the loss, the data and the coefficients, in units of their own.

    P(b, b0) = (1/W) sum_i w_i l(r_i) + (alpha/2) ||b||^2,   r_i = y_i - x_i'b - b0,  W = sum_i w_i

With y divided by a power of two, and in the coordinates A = [(X - shift) / scale, 1] of
``design.py``, the coefficients are beta (m,), the residuals r = y - A beta, and W times the penalty
is sum_j kappa_j beta_j^2 / 2 with the curvatures kappa_j = W alpha / scale_j^2, and 0 for the
intercept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..data.threads import in_parallel
from .design import EPS, PARTS, Design

# Typical residuals: in ``near`` a residual beyond so many counts as if it were there.
FAR = 1e4
# Multiples of e: a residual below may be nothing but rounding.
NOISE = 16.0
# Share of a typical y: a smaller knot is lost in the rounding of most residuals.
HIDDEN_KNOT = 1e-13
# Share of the largest y: the unit is no smaller, so that squares of y in it stay within float64.
SMALLEST_UNIT = 1e-250
# Rows that tell what is typical.
SAMPLE_ROWS = 1000
# Rows at a time in sums that need no X.
CHUNK_ROWS = 2**16


@dataclass(frozen=True, slots=True)
class Loss:
    """A convex loss: quadratic with curvature 1 on [left, right], linear beyond.

    The slopes beyond are ``lower`` and ``upper``. ``Loss(-inf, inf, -inf, inf)`` is r^2 / 2,
    ``Loss(-1, 1, 0, 0)`` is abs(r), and ``Loss(-d, d, -d, d)`` is Huber's. Its conjugate l*(u) is
    finite for u in [lower, upper].
    """

    lower: float
    upper: float
    left: float
    right: float

    @property
    def bounded(self) -> bool:
        """Whether the slopes are bounded, and so u."""
        return bool(np.isfinite(self.upper))

    @property
    def has_corner(self) -> bool:
        """Whether the slope jumps, so that r does not determine u."""
        return self.left == self.right

    def value(self, r: np.ndarray) -> np.ndarray:
        """l(r)."""
        if not self.bounded:
            return 0.5 * np.square(r)
        r_in = np.clip(r, self.left, self.right)
        beyond = r - r_in
        return 0.5 * np.square(r_in) + np.where(beyond > 0.0, self.upper, self.lower) * beyond

    def slope(self, r: np.ndarray) -> np.ndarray:
        """l'(r) where it exists; 0 at a corner."""
        if not self.bounded:
            return r
        r_in = np.clip(r, self.left, self.right)
        return np.where(r > r_in, self.upper, np.where(r < r_in, self.lower, r_in))

    def excess(self, r: np.ndarray, u: np.ndarray) -> np.ndarray:
        """l(r) + l*(u) - u r >= 0 for u in [lower, upper]: a sum of products >= 0, nothing cancels.

        Let r_in and u_in be r and u clipped to [left, right], and v the slope on the side of r.
        Then l(r) = r_in^2 / 2 + v (r - r_in), and l*(u) = u u_in - u_in^2 / 2. Together they are

            (r_in - u_in)^2 / 2 + (u - u_in)(u_in - r_in) + (v - u)(r - r_in).
        """
        if not self.bounded:
            return 0.5 * np.square(r - u)
        r_in, u_in = np.clip(r, self.left, self.right), np.clip(u, self.left, self.right)
        beyond = r - r_in
        outer = np.where(beyond > 0.0, self.upper - u, u - self.lower) * np.abs(beyond)
        return 0.5 * np.square(r_in - u_in) + (u - u_in) * (u_in - r_in) + outer

    def nearest(self, r: np.ndarray, u: np.ndarray, e: np.ndarray) -> np.ndarray:
        """The residual within e of r whose excess at u is the least.

        u is a slope of the loss there, if there is such a residual.
        """
        if not self.bounded:
            return np.clip(u, r - e, r + e)
        u_in = np.clip(u, self.left, self.right)
        low = np.where(u <= self.lower, -np.inf, u_in)
        high = np.where(u >= self.upper, np.inf, u_in)
        return np.clip(np.clip(r, low, high), r - e, r + e)

    def room(self, u: np.ndarray) -> np.ndarray:
        """How far u (n,) may move either way inside [lower, upper]; 1 where there are no bounds."""
        return np.minimum(u - self.lower, self.upper - u) if self.bounded else np.ones(len(u))


def loss_of(name: str, delta: float, quantile: float = 0.5) -> Loss:
    """``"mse"``, ``"mae"``, ``"huber"`` with the knot ``delta``, or ``"quantile"``."""
    if name == "mae":
        return Loss(-1.0, 1.0, 0.0, 0.0)
    if name == "quantile":
        return Loss(quantile - 1.0, quantile, 0.0, 0.0)
    d = delta if name == "huber" else np.inf
    return Loss(-d, d, -d, d)


@dataclass(frozen=True, slots=True)
class Units:
    """The loss for y times 2^-``up``, and ``alpha`` as it stands beside that loss.

    A value in these units is ``times`` 2^``power`` of it in the units of the data. Where the knot
    of Huber's loss is lost in the rounding of residuals, ``loss`` is the absolute loss, of which
    Huber's is less by at most ``knot_loss``; ``asked`` is then Huber's, times ``per_asked``.
    """

    up: int
    loss: Loss
    alpha: float
    power: int
    times: float = 1.0
    knot_loss: float = 0.0
    asked: Loss | None = None
    per_asked: float = 1.0

    def value(self, r: np.ndarray) -> np.ndarray:
        """The loss that was asked for."""
        return self.loss.value(r) if self.asked is None else self.asked.value(r) * self.per_asked

    def in_data(self, value: float) -> float:
        """A value in the units of the data."""
        return float(np.ldexp(value * self.times, self.power))


@dataclass(frozen=True, slots=True, eq=False)
class JudgedProblem:
    """The judged problem and coefficients; see the module.

    ``w`` (n,), with the sum ``weight`` W, has been divided by a power of two. ``curvature`` (m,)
    are the kappa_j. ``e`` (n,) bounds how far each r (n,) is from that of the coefficients as
    given, and of coefficients half a unit in their last places off. ``sizes`` (m,) are the roots of
    sum_i w_i a_ij^2. In these units ``primal`` is W P, ``penalty`` the part of it that is no loss,
    and ``near`` is W P without the distance of rows very far away, which must not hide the others.
    """

    design: Design
    units: Units
    y: np.ndarray
    w: np.ndarray
    weight: float
    curvature: np.ndarray
    beta: np.ndarray
    r: np.ndarray
    e: np.ndarray
    sizes: np.ndarray
    penalty: float
    primal: float
    near: float

    @property
    def loss(self) -> Loss:
        return self.units.loss

    def total(self, terms: Callable[[slice], np.ndarray]) -> float:
        """The sum over the rows of w times terms(rows) (k,), in parallel and in a fixed order."""
        return _total(self.w, terms)

    def without_penalty(self) -> JudgedProblem:
        """The same for alpha = 0."""
        none = np.zeros(len(self.curvature))
        return replace(self, curvature=none, penalty=0.0, primal=self.primal - self.penalty)

    def with_columns(self, reduced: Design, columns: np.ndarray) -> JudgedProblem:
        """The same without penalty, for changes of the coefficients of ``columns`` only.

        And of the intercept.
        """
        kept = np.append(columns, len(self.beta) - 1) if reduced.intercept else columns
        return replace(
            self,
            design=reduced,
            curvature=self.curvature[kept],
            beta=self.beta[kept],
            sizes=self.sizes[kept],
        )


def judged_problem(
    design: Design,
    y: np.ndarray,
    w: np.ndarray | None,
    b: np.ndarray,
    b0: float,
    *,
    loss: Loss,
    alpha: float,
) -> JudgedProblem:
    """The problem for y (n,), w (n,) > 0 or None for ones, and coefficients b (p,), b0.

    All are finite. ValueError if the penalty overflows.
    """
    # 1. Weights, loss and penalty in units of their own.
    w = np.ones(len(y)) if w is None else np.ldexp(w, -np.frexp(w.max())[1])
    weight, units = float(np.sum(w)), _units(y, loss, alpha)
    curvature = np.ldexp(units.alpha * weight / np.square(design.scale), -2 * design.unit)
    if not np.all(np.isfinite(curvature)):
        raise ValueError(
            f"The penalty overflows float64: alpha={alpha!r} is too large for columns as small as "
            f"those of X, or for a delta as small as {loss.upper!r}."
        )
    curvature = np.append(curvature, 0.0) if design.intercept else curvature
    # 2. Coefficients and residuals.
    coefficients = _in_coordinates(design, b, b0, units.up)
    beta = coefficients.beta
    r, e = _residual(design, y, units.up, coefficients)
    # 3. The objective.
    penalty, value = float(0.5 * np.sum(curvature * np.square(beta))), units.value
    primal = near = _total(w, lambda rows: value(r[rows])) + penalty
    typical = _typical(r, np.maximum(NOISE * e, HIDDEN_KNOT)) if units.loss.bounded else 0.0
    if typical:  # otherwise all residuals may be rounding, and none is far away
        far = FAR * typical + units.loss.right
        near = _total(w, lambda rows: value(np.clip(r[rows], -far, far))) + penalty
    sizes = np.sqrt(design.squares(w))
    return JudgedProblem(
        design=design,
        units=units,
        y=y,
        w=w,
        weight=weight,
        curvature=curvature,
        beta=beta,
        r=r,
        e=e,
        sizes=sizes,
        penalty=penalty,
        primal=primal,
        near=near,
    )


def _units(y: np.ndarray, loss: Loss, alpha: float) -> Units:
    """Units of a typical y, as few y may be very far away.

    For the squared loss those of the largest y: its squares must not overflow.
    """
    middle, largest = float(np.median(y[:: 1 + len(y) // SAMPLE_ROWS])), float(np.abs(y).max())
    typical = _typical(y - middle)
    size = max(typical or largest, largest * SMALLEST_UNIT) if loss.bounded else largest
    up = int(np.frexp(size)[1]) if size else 0
    if not loss.bounded:
        return Units(up, loss, alpha, 2 * up)
    if loss.has_corner:
        return Units(up, loss, float(np.ldexp(alpha, up)), up)
    scaled = Loss(
        *(float(np.ldexp(end, -up)) for end in (loss.lower, loss.upper, loss.left, loss.right))
    )
    if min(loss.right, -loss.left) >= HIDDEN_KNOT * typical:
        return Units(up, scaled, alpha, 2 * up)
    # Let corner(r) be the loss of the same slopes with a corner at 0, steepest the larger slope:
    # corner(r) - steepest knot / 2 <= l(r) <= corner(r).
    steepest, knot = max(loss.upper, -loss.lower), max(scaled.right, -scaled.left)
    corner = Loss(loss.lower / steepest, loss.upper / steepest, 0.0, 0.0)
    per_alpha = alpha and float(np.divide(alpha, knot))
    per_knot = float(np.divide(1.0, knot))
    asked = scaled if np.isfinite(per_knot) else None
    return Units(up, corner, per_alpha, up, steepest, 0.5 * knot, asked, per_knot)


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """``beta`` (m,), with the intercept also as the exact sum of two numbers, ``high`` + ``low``.

    ``half_places`` (m,) is what half a unit in the last place of each of b and b0 makes of each
    beta.
    """

    beta: np.ndarray
    high: float
    low: float
    half_places: np.ndarray


def _in_coordinates(design: Design, b: np.ndarray, b0: float, up: int) -> Coefficients:
    """Coefficients b (p,), b0 for the coordinates of the design, and for y times 2^-``up``."""
    b = b if b.dtype.kind == "f" else b.astype(np.float64)
    places = np.ldexp(np.spacing(np.abs(b)).astype(np.float64), design.unit - up) / 2
    slopes = np.ldexp(b.astype(np.float64), design.unit - up)
    beta = slopes * design.scale
    if not design.intercept:
        return Coefficients(beta, 0.0, 0.0, places * design.scale)
    # b0 + shift'b, the height of the line above the origin of A, may be far larger than r: it is
    # summed exactly.
    start, high, low = np.ldexp(np.float64(b0), -up), np.nan, 0.0
    shift = np.zeros(len(b)) if design.shift is None else design.shift
    if np.all(np.isfinite([start, *slopes, *beta])):
        terms = (
            Fraction(shift_j) * Fraction(slope)
            for shift_j, slope in zip(shift, slopes, strict=True)
        )
        exact = Fraction(start) + sum(terms)
        if abs(exact) < np.finfo(np.float64).max:
            high = float(exact)
            low = float(exact - Fraction(high))
    place = np.ldexp(np.float64(np.spacing(abs(b0))), -up) / 2 + np.abs(shift) @ places
    half_places = np.append(places * design.scale, place)
    return Coefficients(np.append(beta, high), high, low, half_places)


def _residual(
    design: Design, y: np.ndarray, up: int, coefficients: Coefficients
) -> tuple[np.ndarray, np.ndarray]:
    """(r, e), (n,) each, in one pass: r = y - A beta, and how far off it may be."""
    r, p = np.empty(design.n_rows), len(design.scale)
    high, low, half = coefficients.high, coefficients.low, coefficients.half_places
    slopes, last = coefficients.beta[:p] / design.scale, half[-1] if design.intercept else 0.0
    magnitude = np.column_stack([np.abs(slopes), half[:p] / design.scale])

    def kernel(rows: slice, block: Any) -> np.ndarray:
        centred = np.ldexp(y[rows], -up) - high - low
        r[rows] = centred - block @ slopes
        sizes = abs(block) @ magnitude
        # p products and sums, each of two roundings, and those of X - shift and of the differences.
        rounding = (p + 4) * EPS * (np.abs(centred) + sizes[:, 0]) + EPS * np.abs(r[rows])
        return rounding + sizes[:, 1] + last

    e = design.each(kernel)
    return r, e


def _total(w: np.ndarray, terms: Callable[[slice], np.ndarray]) -> float:
    """sum_i w_i terms_i: pairwise within and over chunks of the rows."""
    chunks = [slice(k, min(k + CHUNK_ROWS, len(w))) for k in range(0, len(w), CHUNK_ROWS)]
    n_parts, errors = min(len(chunks), PARTS), np.geterr()

    def part(i: int) -> float:
        with np.errstate(**errors):  # a thread begins with those of its own
            mine = chunks[len(chunks) * i // n_parts : len(chunks) * (i + 1) // n_parts]
            return float(np.sum([np.sum(w[rows] * terms(rows)) for rows in mine]))

    return float(np.sum(in_parallel(part, n_parts)))


def _typical(r: np.ndarray, least: np.ndarray | float = 0.0) -> float:
    """A median of the sizes above ``least``, of some rows; 0.0 if there are none."""
    size = np.where(np.abs(r) > least, np.abs(r), 0.0)
    some = size[:: 1 + len(size) // SAMPLE_ROWS]
    size = some if some.any() else size
    return float(np.median(size[size > 0.0])) if size.any() else 0.0
