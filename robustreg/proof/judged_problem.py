"""What is judged: the loss, the data and the coefficients with their residuals, in units of their own.

    P(b, b0) = (1/W) sum_i w_i l(r_i) + (alpha/2) ||b||^2,    r_i = y_i - x_i'b - b0,    W = sum_i w_i

With y divided by a power of two, and in the coordinates A = [(X - shift) / scale, 1] of ``design.py``,
the coefficients are beta (m,), the residuals r = y - A beta, and W times the penalty is
sum_j c_j beta_j^2 / 2 with the curvatures c_j = W alpha / scale_j^2, and c_j = 0 for the intercept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..data.threads import in_parallel
from .design import EPS, PARTS, Design

FAR = 1e4  # typical residuals beyond which how far a row is does not count in ``near``
NOISE = 16.0  # times e: a residual below that may be nothing but rounding
HIDDEN_KNOT = 1e-13  # typical y: a smaller knot is lost in the rounding of most residuals
SOME = 1000  # rows that tell what is typical
CHUNK = 2**16  # rows at a time in sums that need no X


@dataclass(frozen=True, slots=True)
class Loss:
    """A convex loss, quadratic with curvature 1 on [left, right] and linear beyond, with slope lower or upper.

    ``Loss(-inf, inf, -inf, inf)`` is r^2 / 2, ``Loss(-1, 1, 0, 0)`` is abs(r), ``Loss(-d, d, -d, d)`` Huber's.
    Its conjugate l*(u) is finite for u in [lower, upper].
    """

    lower: float
    upper: float
    left: float
    right: float

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self.upper))

    @property
    def has_corner(self) -> bool:
        """Whether the slope jumps, so that r does not determine u."""
        return self.left == self.right

    def value(self, r):
        """l(r)."""
        if not self.bounded:
            return 0.5 * np.square(r)
        q = np.clip(r, self.left, self.right)
        beyond = r - q
        return 0.5 * np.square(q) + np.where(beyond > 0.0, self.upper, self.lower) * beyond

    def slope(self, r):
        """l'(r) where it exists; 0 at a corner."""
        if not self.bounded:
            return r
        q = np.clip(r, self.left, self.right)
        return np.where(r > q, self.upper, np.where(r < q, self.lower, q))

    def excess(self, r, u):
        """l(r) + l*(u) - u r >= 0 for u in [lower, upper], as a sum of products >= 0: nothing cancels.

        With q = clip(r, left, right) and k the slope on r's side, l(r) = q^2/2 + k (r - q). With
        p = clip(u, left, right), l*(u) = u p - p^2/2. Together they are

            (q - p)^2 / 2 + (u - p)(p - q) + (k - u)(r - q).
        """
        if not self.bounded:
            return 0.5 * np.square(r - u)
        q, p = np.clip(r, self.left, self.right), np.clip(u, self.left, self.right)
        beyond = r - q
        outer = np.where(beyond > 0.0, self.upper - u, u - self.lower) * np.abs(beyond)
        return 0.5 * np.square(q - p) + (u - p) * (p - q) + outer

    def nearest(self, r, u, e):
        """The residual within e of r whose excess at u is the least: one of which u is a slope, if possible."""
        if not self.bounded:
            return np.clip(u, r - e, r + e)
        p = np.clip(u, self.left, self.right)
        low = np.where(u <= self.lower, -np.inf, p)
        high = np.where(u >= self.upper, np.inf, p)
        return np.clip(np.clip(r, low, high), r - e, r + e)

    def room(self, u):
        """How far u (n,) may move either way inside [lower, upper]; 1 where there are no bounds."""
        return np.minimum(u - self.lower, self.upper - u) if self.bounded else np.ones(len(u))


@dataclass(frozen=True, slots=True)
class Units:
    """The loss for y times 2^-``up``, and ``alpha`` as it stands beside that loss.

    A value in these units is ``times`` 2^``power`` of it in the units of the data. Where the knot of Huber's loss is
    lost in the rounding of residuals, ``loss`` is the absolute loss, of which Huber's is less by at most
    ``knot_loss``; ``asked`` is then Huber's, times ``per_asked``.
    """

    up: int
    loss: Loss
    alpha: float
    power: int
    times: float = 1.0
    knot_loss: float = 0.0
    asked: Loss | None = None
    per_asked: float = 1.0

    def value(self, r):
        """The loss that was asked for."""
        return self.loss.value(r) if self.asked is None else self.asked.value(r) * self.per_asked

    def in_data(self, value: float) -> float:
        """A value in the units of the data."""
        return float(np.ldexp(value * self.times, self.power))


@dataclass(frozen=True, slots=True, eq=False)
class JudgedProblem:
    """The judged problem and coefficients; see the module.

    ``w`` (n,), with the sum ``weight`` W, has been divided by a power of two. ``curvature`` (m,) are the c_j.
    ``e`` (n,) bounds how far each r (n,) is from that of the coefficients as given, and of coefficients half a
    unit in their last places off. ``sizes`` (m,) are the roots of sum_i w_i a_ij^2. In these units ``primal`` is
    W P, ``penalty`` the part of it that is no loss, and ``near`` W P without the distance of rows very far away,
    which must not hide the others.
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
        """The same without penalty, for changes of the coefficients of ``columns`` and of the intercept only."""
        kept = np.append(columns, len(self.beta) - 1) if reduced.intercept else columns
        return replace(
            self, design=reduced, curvature=self.curvature[kept], beta=self.beta[kept], sizes=self.sizes[kept]
        )


def judged_problem(design: Design, y, w, b, b0, *, loss: str, delta: float, alpha: float) -> JudgedProblem:
    """The problem for y (n,), w (n,) > 0 or None for ones, and coefficients b (p,), b0, all finite."""
    w = np.ones(len(y)) if w is None else np.ldexp(w, -np.frexp(w.max())[1])
    weight, units = float(np.sum(w)), _units(y, loss, delta, alpha)
    curvature = np.ldexp(units.alpha * weight / np.square(design.scale), -2 * design.unit)
    if not np.all(np.isfinite(curvature)):
        raise ValueError(
            f"The penalty overflows float64: alpha={alpha!r} is too large for columns as small as those of X, or for "
            f"a delta as small as {delta!r}."
        )
    curvature = np.append(curvature, 0.0) if design.intercept else curvature
    beta, level, half = _in_coordinates(design, b, b0, units.up)
    r, e = _residual(design, y, units.up, beta, level, half)
    penalty, value = float(0.5 * np.sum(curvature * np.square(beta))), units.value
    primal = near = _total(w, lambda rows: value(r[rows])) + penalty
    typical = _typical(r, np.maximum(NOISE * e, HIDDEN_KNOT)) if units.loss.bounded else 0.0
    if typical:  # else all residuals may be rounding, and none is far away
        far = FAR * typical + units.loss.right
        near = _total(w, lambda rows: value(np.clip(r[rows], -far, far))) + penalty
    sizes = np.sqrt(design.squares(w))
    return JudgedProblem(design, units, y, w, weight, curvature, beta, r, e, sizes, penalty, primal, near)


def _units(y, loss: str, delta: float, alpha: float) -> Units:
    """Units of the largest y where squares must not overflow, of a typical y where few may be very far away."""
    middle, largest = float(np.median(y[:: 1 + len(y) // SOME])), float(np.abs(y).max())
    typical = _typical(y - middle)
    size = largest if loss == "mse" else max(typical or largest, largest * 1e-250)
    up = int(np.frexp(size)[1]) if size else 0
    if loss == "mse":
        return Units(up, Loss(-np.inf, np.inf, -np.inf, np.inf), alpha, 2 * up)
    absolute, knot = Loss(-1.0, 1.0, 0.0, 0.0), float(np.ldexp(delta, -up))
    if loss == "mae":
        return Units(up, absolute, float(np.ldexp(alpha, up)), up)
    if delta >= HIDDEN_KNOT * typical:
        return Units(up, Loss(-knot, knot, -knot, knot), alpha, 2 * up)
    # delta (abs(r) - delta / 2) <= l(r) <= delta abs(r)
    per_alpha = alpha and float(np.divide(alpha, knot))
    asked = Loss(-knot, knot, -knot, knot) if np.isfinite(np.divide(1.0, knot)) else None
    return Units(up, absolute, per_alpha, up, delta, 0.5 * knot, asked, float(np.divide(1.0, knot)))


def _in_coordinates(design: Design, b, b0, up):
    """(beta, level, half): coefficients (m,), the intercept as a sum of two numbers, and places (m,).

    ``half`` is what half a unit in the last place of each of b and b0 makes of each beta.
    """
    b = b if b.dtype.kind == "f" else b.astype(np.float64)
    places = np.ldexp(np.spacing(np.abs(b)).astype(np.float64), design.unit - up) / 2
    slopes = np.ldexp(b.astype(np.float64), design.unit - up)
    beta = slopes * design.scale
    if not design.intercept:
        return beta, (0.0, 0.0), places * design.scale
    # b0 + shift'b, the height of the line above the origin of A, may be far larger than r: summed exactly.
    start, high, low = np.ldexp(np.float64(b0), -up), np.nan, 0.0
    shift = np.zeros(len(b)) if design.shift is None else design.shift
    if np.all(np.isfinite([start, *slopes, *beta])):
        terms = (Fraction(m) * Fraction(slope) for m, slope in zip(shift, slopes, strict=True))
        exact = Fraction(start) + sum(terms)
        if abs(exact) < np.finfo(np.float64).max:
            high = float(exact)
            low = float(exact - Fraction(high))
    place = np.ldexp(np.float64(np.spacing(abs(b0))), -up) / 2 + np.abs(shift) @ places
    return np.append(beta, high), (high, low), np.append(places * design.scale, place)


def _residual(design: Design, y, up, beta, level, half):
    """(r, e), (n,) each, in one pass: r = y - A beta, and how far off it may be."""
    r, p = np.empty(design.n_rows), len(design.scale)
    slopes, last = beta[:p] / design.scale, half[-1] if design.intercept else 0.0
    magnitude = np.column_stack([np.abs(slopes), half[:p] / design.scale])

    def kernel(rows, block):
        centred = np.ldexp(y[rows], -up) - level[0] - level[1]
        r[rows] = centred - block @ slopes
        sizes = abs(block) @ magnitude
        # p products and sums, each of two roundings, and those of X - shift and of the differences.
        rounding = (p + 4) * EPS * (np.abs(centred) + sizes[:, 0]) + EPS * np.abs(r[rows])
        return rounding + sizes[:, 1] + last

    e = design.each(kernel)
    return r, e


def _total(w, terms) -> float:
    """sum_i w_i terms_i: pairwise within and over chunks of the rows."""
    chunks = [slice(k, min(k + CHUNK, len(w))) for k in range(0, len(w), CHUNK)]
    n_parts, errors = min(len(chunks), PARTS), np.geterr()

    def part(i):
        with np.errstate(**errors):  # a thread would begin with those of its own
            mine = chunks[len(chunks) * i // n_parts : len(chunks) * (i + 1) // n_parts]
            return float(np.sum([np.sum(w[rows] * terms(rows)) for rows in mine]))

    return float(np.sum(in_parallel(part, n_parts)))


def _typical(r, least=0.0) -> float:
    """A median of the sizes above ``least``, of some rows; 0.0 if there are none."""
    size = np.where(np.abs(r) > least, np.abs(r), 0.0)
    some = size[:: 1 + len(size) // SOME]
    size = some if some.any() else size
    return float(np.median(size[size > 0.0])) if size.any() else 0.0
