"""How far given coefficients are from optimal, from the data and nothing else.

Independent of the solvers: no code, no factorisation and no intermediate result is shared with them.
For any u that is feasible for the Fenchel dual (``docs/how-it-works.md``), with v = X'(wu) / W,

    P(b, b0) - min P <= (1/W) sum_i w_i [l(r_i) + l*(u_i) - u_i r_i] + ||v - alpha b||^2 / (2 alpha),

all terms >= 0; without a penalty v = 0 is required and the last term is absent. So a proof is a good u.
It is psi(r) where the loss is smooth. Where it is not (the absolute loss at r = 0) u is bounded only,
and chosen by least squares or a linear program (HiGHS) such that v = alpha b. Where b turns out not to be
optimal, a better dual point is looked for near a minimiser of the smoothed loss, to make the bound tight.

Everything is first put into units in which no square over- or underflows: powers of two, so exactly.
Residuals are formed about the means, with the constant summed as exact fractions. What half a unit in
the last place of each coefficient can do to a residual, and with it to the bound, is told apart: no
solver could have done better.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.linalg import qr
from scipy.optimize import linprog, minimize

EPS = np.finfo(np.float64).eps
OPTIMAL = 1e-9  # relative gap up to which a dual point tells the set of minimisers
LARGEST_PROGRAM = 50_000  # rows of a linear program that HiGHS solves in seconds


class Judgement(NamedTuple):
    """Objective, the best lower bound found, and what follows; see ``Certificate``."""

    objective: float
    dual: float
    gap: float
    rounding: float
    stationarity: float
    unique: bool | None


def judge(X, y, w, b, b0, *, loss, delta, alpha, intercept, search=True) -> Judgement:
    """Judge coefficients b (p,), b0 for data X (n, p), y, w > 0 (n,), all finite.

    The dtype of b says in which precision its last place is counted. ``search`` makes the bound tight where
    b is not optimal.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        data = _Data(X, y, w, b, b0, loss, delta, alpha, intercept)
        if not np.isfinite(data.primal):
            return Judgement(np.inf, -np.inf, 1.0, 0.0, 1.0, None)
        u = _dual(data, data.r, data.b, np.abs(data.r) < (data.knot or 4.0 * data.e))
        stationarity = data.stationarity(data.slope(data.r) if data.knot else u)
        gap, rounding, u = data.best(u)
        if gap > OPTIMAL and search:
            for other in _better_duals(data):
                gap, rounding, u = min((gap, rounding, u), data.best(other), key=lambda bound: bound[0])
        unique = _unique(data, u) if gap <= OPTIMAL else None
        P = data.primal * data.unit
        return Judgement(P, data.primal * (1.0 - gap - rounding) * data.unit, gap, rounding, stationarity, unique)


class _Data:
    """The judged problem in its own units.

    Columns A = [(X - mean) / spread, 1] have weighted mean square 1; ``basis`` (n, rank) is an
    orthonormal basis of sqrt(w / W) A = Q U diag(s) V'. ``bound`` is the largest abs(u), ``knot`` the
    abs(r) up to which the loss is quadratic, ``a`` (p,) the penalty's weights: sum a b^2 / 2.
    """

    def __init__(self, X, y, w, b, b0, loss, delta, alpha, intercept):
        up, up_y = np.frexp(np.abs(X).max(axis=0))[1], int(np.frexp(np.abs(y).max())[1])
        unit = np.ldexp(1.0, up_y)
        self.knot = {"mse": np.inf, "mae": 0.0, "huber": delta / unit}[loss]
        self.unit = unit if loss == "mae" else unit * unit
        self.a = np.ldexp(alpha, (up_y if loss == "mae" else 0) - 2 * up)
        if 0.0 < self.knot < EPS**2:  # Huber's loss is delta * abs(r) at every residual that is not 0
            self.knot, self.unit, self.a = 0.0, unit * delta, np.ldexp(self.a, up_y) / delta
        self.bound = self.knot or 1.0
        if not np.all(np.isfinite(self.a)):
            raise ValueError(f"alpha={alpha!r} overflows float64 for columns as small as those of X.")
        self.w = w / w.sum()
        self.root = np.sqrt(self.w)
        X, y, half = np.ldexp(X, -up), np.ldexp(y, -up_y), np.ldexp(np.spacing(np.abs(b)), up - up_y) / 2
        self.b = np.ldexp(b.astype(np.float64), up - up_y)
        b0, half0 = np.ldexp(np.float64(b0), -up_y), np.ldexp(np.float64(np.spacing(abs(b0))), -up_y) / 2
        mean, mean_y = (self.w @ X, float(self.w @ y)) if intercept else (np.zeros(len(b)), 0.0)
        Z, y = X - mean, y - mean_y
        c = _exactly(b0, mean_y, mean, self.b)
        self.r = y - Z @ self.b - c
        evaluation = EPS * (np.abs(y) + np.abs(Z) @ np.abs(self.b) + abs(c))
        own = np.abs(X) @ half.astype(np.float64) + half0 + evaluation
        self.e = 16.0 * np.maximum(own, max(np.median(own), EPS * (self.w @ np.abs(y))))
        self.primal = float(self.w @ self.value(self.r) + 0.5 * self.a @ np.square(self.b))
        self.spread = np.sqrt(self.w @ np.square(Z))
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
        """basis'(sqrt(w) u) for v = a b; 0 without a penalty."""
        t = np.zeros(self.Vt.shape[1])
        np.divide(self.a * b, self.spread, out=t[: len(self.a)], where=self.spread > 0.0)
        return (self.Vt @ t) / self.s

    def miss(self, u):
        """v - a b, and what rounding can cause of it, (p,) each."""
        noise = np.where(np.abs(self.r) <= self.knot, self.e, 0.0)
        size = 16.0 * EPS * np.sqrt(self.w @ np.square(u)) + np.sqrt(self.w @ np.square(noise))
        return (self.w * u) @ self.Z - self.a * self.b, size * self.spread + 16.0 * EPS * self.a * np.abs(self.b)

    def stationarity(self, u):
        """The largest gradient with respect to a standardised coefficient, relative to the slopes' size."""
        v, noise = self.miss(u)
        level = self.w @ u if self.intercept else 0.0
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
            points.append(u - self.w @ u if self.intercept else u)
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
        if np.abs(self.r).max() <= self.e.max() and self.primal <= self.w @ self.value(self.e):  # an exact fit
            over, allowed = 0.0, over + allowed
        if self.a.any():
            v, noise = self.miss(u)
            over += np.sum(np.square(np.maximum(np.abs(v) - noise, 0.0)) / (2.0 * self.a))
        return (float(over / self.primal), float(allowed / self.primal)) if self.primal > 0.0 else (0.0, 0.0)


def _rank(A, places):
    """The number of columns of A (n, m) that are independent, whatever the rows' weights.

    A direction does not count if ``places`` (m,), a change of each column in its last place, could make it.
    """
    size = np.linalg.norm(A, axis=0)
    size[size == 0.0] = np.inf
    _, s, Vt = np.linalg.svd(np.linalg.qr(A / size, mode="r"), full_matrices=False)
    blurred = np.linalg.norm(Vt * (places * np.sqrt(len(A)) / size), axis=1)
    return int(np.count_nonzero(s > 10.0 * np.maximum(A.shape[1] * EPS * s.max(initial=0.0), blurred)))


def _exactly(b0, mean_y, mean, b):
    """b0 - mean_y + mean'b, rounded once."""
    terms = [b0, -mean_y, *b]
    if not np.all(np.isfinite(terms)):
        return np.nan
    products = (Fraction(m) * Fraction(c) for m, c in zip(mean, b, strict=True))
    return float(Fraction(b0) - Fraction(mean_y) + sum(products))


def _dual(data, r, b, F, always=False):
    """u (n,) for residuals r of b: their slopes, changed on the rows F, where u is inside its bounds, for v = a b.

    For the absolute loss a linear program chooses it where least squares leaves the box, or ``always``.
    """
    u = data.slope(r)
    if not F.any():
        return u
    M, root = data.basis[F].T, np.where(data.root[F] > 0.0, data.root[F], 1.0)
    missing = data.target(b) - data.basis.T @ (data.root * u)
    inner = u[F] + np.linalg.lstsq(M, missing, rcond=1e-13)[0] / root
    inside = np.abs(inner).max() <= data.bound * (1.0 + 1e-13)
    if not data.knot and (always or not inside) and F.sum() <= LARGEST_PROGRAM:
        missing += M @ (data.root[F] * u[F])
        inner, inside = _in_the_box(M * data.root[F], missing, data.w[F] * r[F], inner), True
    if inside or not data.knot:
        u[F] = inner
    return u


def _in_the_box(M, g, worth, otherwise):
    """x with M x = g, abs(x) <= 1 and the largest worth'x; ``otherwise`` if there is none."""
    size = np.abs(M).max(axis=1)
    size[size == 0.0] = 1.0
    M, g = M / size[:, None], g / size
    unit = np.abs(worth).max() or 1.0
    program = linprog(-worth / unit, A_eq=M, b_eq=g, bounds=(-1.0, 1.0), method="highs")
    if program.status != 0:
        return otherwise
    x, inner = program.x, np.abs(program.x) < 1.0 - 1e-7  # at a vertex the others determine these
    x = np.where(inner, x, np.sign(x))
    x[inner] += np.linalg.lstsq(M[:, inner], g - M @ x, rcond=1e-13)[0]
    return x


def _better_duals(data):
    """Dual points from near a minimiser, found by smoothing the loss in the orthonormal basis."""
    spread = np.where(data.spread > 0.0, data.spread, np.inf)
    to_b = (data.Vt.T / data.s)[: len(data.b)] / spread[:, None]
    size, eta = data.w @ np.abs(data.r), np.zeros(data.basis.shape[1])

    def moved(eta):
        return data.r - data.per_row(data.basis @ eta), data.b + to_b @ eta

    for knot in [data.knot] if data.knot else [1e-2 * size, 1e-4 * size, 1e-6 * size]:
        factor = 1.0 if data.knot else 1.0 / knot

        def smoothed(eta, knot=knot, factor=factor):
            r, b = moved(eta)
            inner = np.clip(r, -knot, knot)
            value = factor * (data.w @ (inner * (r - 0.5 * inner))) + 0.5 * data.a @ np.square(b)
            gradient = (data.a * b) @ to_b - factor * (data.basis.T @ (data.root * inner))
            return value / data.primal, gradient / data.primal

        eta = minimize(smoothed, eta, jac=True, method="L-BFGS-B",
                       options={"maxiter": 2000, "ftol": 0.0, "gtol": 1e-12}).x  # fmt: skip
        r, b = moved(eta)
        yield factor * np.clip(r, -knot, knot)
    order, count = np.argsort(np.abs(r)), len(eta)
    while not data.knot and count < len(r):
        count = min(8 * count, len(r))
        if count > LARGEST_PROGRAM:
            return
        F = np.zeros(len(r), dtype=bool)
        F[order[:count]] = True
        yield _dual(data, r, b, F, always=True)


def _unique(data, u):
    """Whether no other coefficients have the same value, as the optimal u tells.

    Rows with abs(u) < bound keep their residual in every minimiser; a row at its bound may only move
    away from its knot. So other minimisers lie in a cone of directions, and the question is whether it
    is more than a point: not, if its half-spaces have a positive combination that vanishes.
    """
    held = np.abs(u) < data.bound * (1.0 - 1e-9)
    Q = data.basis / np.where(data.root > 0.0, data.root, 1.0)[:, None]
    if data.a.any():  # the slopes are fixed
        if not data.intercept:
            return True
        Q = np.ones((len(u), 1))
    elif not data.full_rank:
        return False
    if not Q.shape[1]:
        return True
    size = np.linalg.norm(Q, axis=1, keepdims=True)
    Q = Q / np.where(size > 0.0, size, 1.0)
    N = _null_space(Q[held])
    if not N.shape[1]:
        return True
    s = np.sign(u)
    tight = ~held & (s * data.r - data.knot <= 2.0 * data.e)
    C = -s[tight, None] * (Q[tight] @ N)
    if len(C) <= N.shape[1] or _null_space(C).shape[1]:
        return False
    k = len(C)  # largest t with C'x = 0, t <= x <= 1
    size = np.abs(C).max(axis=0)
    program = linprog(
        np.append(np.zeros(k), -1.0), A_eq=np.column_stack([(C / size).T, np.zeros(C.shape[1])]),
        b_eq=np.zeros(C.shape[1]), A_ub=np.column_stack([-np.eye(k), np.ones(k)]), b_ub=np.zeros(k),
        bounds=(0.0, 1.0), method="highs",
    )  # fmt: skip
    return bool(program.status == 0 and -program.fun > 1e-6)


def _null_space(A):
    """Orthonormal columns N with A N = 0, for rows of A of size 1."""
    _, s, Vt = np.linalg.svd(np.linalg.qr(A, mode="r") if len(A) > A.shape[1] else A)
    return Vt[np.count_nonzero(s > 1e-9 * s.max(initial=0.0)) :].T
