"""The problem as the proof sees it: raw data and coefficients, in units of their own.

Powers of two take every number to a size at which no square over- or underflows. Residuals are formed
about the means, with the constant summed as exact fractions. Rows very far from the fit on the outside of
a loss that is linear there are linear terms: their cost cannot fall below its tangent, so that a bound for
the others with those terms is one for all, and it is not lost beside their size.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.linalg import qr

EPS = np.finfo(np.float64).eps
FAR = 1e4  # in typical residuals
TINY = 1e-13  # a knot, in units of a typical y, that the rounding of a residual hides


class JudgedProblem:
    """The judged problem in its own units.

    Columns A = [(X - mean) / spread, 1] have weighted mean square 1; ``basis`` (n, rank) is an
    orthonormal basis of sqrt(w / W) A = Q U diag(s) V'. ``bound`` is the largest abs(u), ``knot`` the
    abs(r) up to which the loss is quadratic, ``a`` (p,) the penalty's weights: sum a b^2 / 2. All this is
    of the rows that are not far; ``pull`` (p,) and ``level`` are sum w u (Z, 1) of those that are.
    """

    def __init__(self, X, y, w, b, b0, loss, delta, alpha, intercept):
        w = w / w.max()
        w, far, side = w / w.sum(), np.zeros(len(y), dtype=bool), np.zeros(len(y))
        if loss != "mse":
            typical = _typical(np.abs(y - np.median(y)))
            far, side = _far(y - X @ b - b0, typical, 2.0 * delta if loss == "huber" else 0.0)
            if far.any() and _rank(X[~far], 0.0) < _rank(X, 0.0):  # one of them alone makes a direction
                far[:] = False
        X_far, w_far, r_far = X[far], w[far], y[far] - X[far] @ b - b0
        X, y, w = X[~far], y[~far], w[~far]
        up, up_y = np.frexp(np.abs(X).max(axis=0))[1], int(np.frexp(np.abs(y).max())[1])
        unit = np.ldexp(1.0, up_y)
        self.knot = {"mse": np.inf, "mae": 0.0, "huber": delta / unit}[loss]
        self.unit = unit if loss == "mae" else unit * unit
        self.a = np.ldexp(alpha, (up_y if loss == "mae" else 0) - 2 * up)
        if loss == "huber" and delta < TINY * typical:  # delta * abs(r), as far as float64 can tell
            self.knot, self.unit, self.a = 0.0, unit * delta, np.ldexp(self.a, up_y) / delta
        self.bound = self.knot or 1.0
        if not np.all(np.isfinite(self.a)):
            raise ValueError(f"alpha={alpha!r} overflows float64 for columns as small as those of X.")
        self.w, self.root = w, np.sqrt(w)
        X, y, half = np.ldexp(X, -up), np.ldexp(y, -up_y), np.ldexp(np.spacing(np.abs(b)), up - up_y) / 2
        self.b = np.ldexp(b.astype(np.float64), up - up_y)
        b0, half0 = np.ldexp(np.float64(b0), -up_y), np.ldexp(np.float64(np.spacing(abs(b0))), -up_y) / 2
        mean, mean_y = (w @ X / w.sum(), float(w @ y / w.sum())) if intercept else (np.zeros(len(b)), 0.0)
        Z, y = X - mean, y - mean_y
        c = _exactly(b0, mean_y, mean, self.b)
        self.r = y - Z @ self.b - c
        evaluation = EPS * (np.abs(y) + np.abs(Z) @ np.abs(self.b) + abs(c))
        own = np.abs(X) @ half.astype(np.float64) + half0 + evaluation
        self.e = 16.0 * np.maximum(own, max(np.median(own), EPS * _typical(np.abs(y))))
        self.primal = float(self.w @ self.value(self.r) + 0.5 * self.a @ np.square(self.b))
        pulls = self.bound * w_far * side[far]
        self.pull, self.level = pulls @ (np.ldexp(X_far, -up) - mean), pulls.sum() if intercept else 0.0
        self.far_cost = float(w_far @ self.value(np.ldexp(r_far, -up_y)))
        self.spread = np.sqrt(w @ np.square(Z))
        self.spread[self.spread <= (4.0 * EPS if intercept else 0.0)] = 0.0
        self.intercept, self.Z = intercept, Z
        A = Z / np.where(self.spread > 0.0, self.spread, np.inf)
        A = np.column_stack([A, np.ones(len(A))]) if intercept else A
        places = EPS * np.abs(X).max(axis=0) / np.where(self.spread > 0.0, self.spread, np.inf)
        rank = _rank(A, np.append(places, 0.0) if intercept else places)
        self.full_rank = rank == A.shape[1]
        A = self.root[:, None] * A
        heavy_first = np.argsort(-np.abs(A).max(axis=1), kind="stable")  # with pivots: errors relative to each row
        Q, R, pivots = qr(A[heavy_first], mode="economic", pivoting=True, check_finite=False)
        U, self.s, Vt = np.linalg.svd(R, full_matrices=False)
        self.basis, self.Vt = np.empty_like(Q), np.empty_like(Vt)
        self.basis[heavy_first], self.Vt[:, pivots] = Q @ U, Vt
        self.basis, self.s, self.Vt = self.basis[:, :rank], self.s[:rank], self.Vt[:rank]

    # -- the loss and its conjugate -------------------------------------------------------------
    def value(self, r):
        inner = np.minimum(np.abs(r), self.knot)
        return inner * (np.abs(r) - 0.5 * inner) if self.knot else np.abs(r)

    def slope(self, r):
        return np.clip(r, -self.knot, self.knot) if self.knot else np.sign(r)

    def excess(self, u):
        """(l(r) + l*(u) - u r, what rounding of r can cause of it), (n,) each."""
        r, e, size = self.r, self.e, np.abs(self.r)
        terms = np.maximum(self.value(r) + (0.5 * np.square(u) if self.knot else 0.0) - u * r, 0.0)
        most = np.minimum(0.5 * e, 2.0 * self.knot) * e if self.knot else 2.0 * size
        allowed = np.where(size <= self.knot + e, most, 0.0)
        return np.maximum(terms - allowed, 0.0), np.minimum(terms, allowed)

    # -- the dual -------------------------------------------------------------------------------
    def target(self, b):
        """basis'(sqrt(w) u) that makes v = a b; v counts the rows far away, too."""
        t = np.full(self.Vt.shape[1], -self.level)
        t[: len(self.a)] = 0.0
        np.divide(self.a * b - self.pull, self.spread, out=t[: len(self.a)], where=self.spread > 0.0)
        return (self.Vt @ t) / self.s

    def miss(self, u):
        """v - a b, and what rounding can cause of it, (p,) each."""
        noise = np.where(np.abs(self.r) <= self.knot, self.e, 0.0)
        size = 16.0 * EPS * np.sqrt(self.w @ np.square(u)) + np.sqrt(self.w @ np.square(noise))
        penalty = self.a * self.b
        return (self.w * u) @ self.Z + self.pull - penalty, size * self.spread + 16.0 * EPS * np.abs(penalty)

    def stationarity(self, u):
        """The largest gradient with respect to a standardised coefficient, relative to the slopes' size."""
        v, noise = self.miss(u)
        level = self.w @ u + self.level if self.intercept else 0.0
        slopes = np.sqrt(self.w @ np.square(u)) if self.knot else 1.0
        noise_level = np.sqrt(self.w @ np.square(self.e)) if self.knot else 0.0
        varies = self.spread > 0.0
        over = np.append((np.abs(v) - noise)[varies] / self.spread[varies], abs(level) - noise_level)
        return float(max(0.0, over.max() / slopes - 16.0 * EPS)) if slopes > 0.0 else 0.0

    def best(self, u):
        """(gap, rounding, u) of the better of the feasible points made from u (n,)."""
        points, target = [u], self.target(self.b)
        for _ in range(3):
            missing = self.basis @ (target - self.basis.T @ (self.root * points[-1]))
            points[-1] = points[-1] + self.per_row(missing)
        if self.a.any():  # v = a b is no must
            points.append(u - (self.w @ u + self.level) / self.w.sum() if self.intercept else u)
        if np.isfinite(self.bound):
            points = [point * (self.bound / max(self.bound, np.abs(point).max())) for point in points]
        return min(((*self.gap(point), point) for point in points), key=lambda bound: bound[0])

    def per_row(self, x):
        """x / sqrt(w), 0 for rows whose weight is lost to rounding."""
        return np.divide(x, self.root, out=np.zeros_like(x), where=self.root > 0.0)

    def gap(self, u):
        """(relative gap beyond rounding, relative gap that rounding explains) of a feasible u."""
        over, allowed = self.excess(u)
        over, allowed = self.w @ over, self.w @ allowed
        if np.all(np.abs(self.r) <= self.e):  # an exact fit
            over, allowed = 0.0, over + allowed
        if self.a.any():
            v, noise = self.miss(u)
            over += np.sum(np.square(np.maximum(np.abs(v) - noise, 0.0)) / (2.0 * self.a))
        return (float(over / self.primal), float(allowed / self.primal)) if self.primal > 0.0 else (0.0, 0.0)


def _far(r, typical, least):
    """(rows very far from the fit, bool; the sides they are on), (n,) each."""
    return np.abs(r) > max(FAR * typical, FAR * _typical(np.abs(r)), least), np.sign(r)


def _typical(size):
    return float(np.median(size[size > 0.0])) if size.any() else 0.0


def _rank(A, places):
    """The number of columns of A (n, m) that are independent, whatever the rows' weights.

    A direction does not count if ``places`` (m,), a change of each column in its last place, could make it.
    """
    size = np.linalg.norm(A, axis=0)
    size[size == 0.0] = np.inf
    _, s, Vt = np.linalg.svd(np.linalg.qr(A / size, mode="r"), full_matrices=False)
    blurred = np.linalg.norm(Vt * (places * np.sqrt(len(A)) / size), axis=1)
    return int(np.count_nonzero(s > np.maximum(10.0 * A.shape[1] * EPS * s.max(initial=0.0), 2.0 * blurred)))


def _exactly(b0, mean_y, mean, b):
    """b0 - mean_y + mean'b, rounded once."""
    terms = [b0, -mean_y, *b]
    if not np.all(np.isfinite(terms)):
        return np.nan
    products = (Fraction(m) * Fraction(c) for m, c in zip(mean, b, strict=True))
    return float(Fraction(b0) - Fraction(mean_y) + sum(products))
