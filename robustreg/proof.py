"""How far given coefficients are from optimal, from the data and nothing else.

Independent of the solvers: no code, no factorisation and no intermediate result is shared with them.
For any u that is feasible for the Fenchel dual (``docs/how-it-works/certificate.md``), with v = X'(wu) / W,

    P(b, b0) - min P <= (1/W) sum_i w_i [l(r_i) + l*(u_i) - u_i r_i] + ||v - alpha b||^2 / (2 alpha),

all terms >= 0; without a penalty v = 0 is required and the last term is absent. So a proof is a good u.
It is psi(r) where the loss is smooth. Where it is not (the absolute loss at r = 0) u is bounded only,
and chosen by least squares or a linear program (HiGHS) such that v = alpha b. Where b turns out not to be
optimal, a better dual point is looked for near a minimiser of the smoothed loss, to make the bound tight.

What half a unit in the last place of each coefficient can do to a residual, and with it to the bound, is
told apart: no solver could have done better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, minimize

from .judged import JudgedProblem

OPTIMAL = 1e-9  # relative gap up to which a dual point tells the set of minimisers
LARGEST_PROGRAM = 50_000  # rows of a linear program that HiGHS solves in seconds


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far coefficients are from optimal; ``print`` it for a sentence.

    Parameters
    ----------
    loss : str
        ``"mse"``, ``"mae"`` or ``"huber"``.
    objective : float
        The value P of the objective at the coefficients, as ``LinearRegressor`` defines it.
    dual : float
        The value D of a feasible dual point: no coefficients at all have an objective below it.
    gap : float
        (P - D) / P, less ``rounding``: the objective exceeds its minimum by at most this fraction of it.
        Outliers very far away do not count in this P, so that they cannot hide the others. 0.0 where P
        is 0.
    rounding : float
        The part of (P - D) / P that half a unit in the last place of each coefficient explains.
    stationarity : float
        The largest derivative with respect to a coefficient of a column of unit variance, beyond what
        rounding explains, relative to the root mean square slope of the loss at the residuals. It is
        linear in an error of the coefficients, where ``gap`` is quadratic (for ``"mse"`` and ``"huber"``).
    unique : bool or None
        Whether no other coefficients have the same objective; None where ``gap`` is not small enough
        to tell.

    Examples
    --------
    >>> from robustreg import LinearRegressor, certify
    >>> X, y = [[1], [2], [3], [4], [5]], [0.8, 1.5, 1.8, 2.0, 25.0]
    >>> certificate = certify(LinearRegressor("mse").fit(X, y), X, y, loss="mae")
    >>> print(f"{certificate.objective:.2f}, at most {certificate.gap:.0%} above the minimum")
    5.41, at most 16% above the minimum
    """

    loss: str
    objective: float
    dual: float
    gap: float
    rounding: float
    stationarity: float
    unique: bool | None

    def __str__(self) -> str:
        start = f"The {self.loss} objective {self.objective:.6g} "
        if self.unique is None:
            return (
                f"{start}may exceed its minimum: by at most {self.gap:.2g} of itself, since no "
                f"coefficients have an objective below {self.dual:.6g}."
            )
        only = "and no other coefficients reach it" if self.unique else "which other coefficients reach too"
        if self.rounding > 1e-6:
            return (
                f"{start}is within {self.gap:.2g} of itself of the minimum, but for what rounding of the "
                f"coefficients explains: up to {self.rounding:.2g} of itself."
            )
        if self.gap <= 1e-13:
            return f"{start}is the minimum, to rounding, {only}."
        return f"{start}is within {self.gap:.2g} of itself of the minimum, {only}."


def judge(X, y, w, b, b0, *, loss, delta, alpha, intercept, search=True) -> Certificate:
    """Judge coefficients b (p,), b0 for data X (n, p), y, w > 0 (n,), all finite.

    The dtype of b says in which precision its last place is counted. ``search`` makes the bound tight where
    b is not optimal.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        data = JudgedProblem(X, y, w, b, b0, loss, delta, alpha, intercept)
        if not np.isfinite(data.primal):
            return Certificate(loss, np.inf, 0.0, 1.0, 0.0, 1.0, None)
        u = _dual(data, data.r, data.b, np.abs(data.r) < (data.knot or 4.0 * data.e))
        stationarity = data.stationarity(data.slope(data.r) if data.knot else u)
        gap, rounding, u = data.best(u)
        if gap > OPTIMAL and search:
            for other in _better_duals(data):
                gap, rounding, u = min((gap, rounding, u), data.best(other), key=lambda bound: bound[0])
        unique = _unique(data, u) if gap <= OPTIMAL else None
        P = (data.primal + data.far_cost) * data.unit
        D = (data.primal * (1.0 - gap - rounding) + data.far_cost) * data.unit
        return Certificate(loss, float(P), max(0.0, float(D)), gap, rounding, stationarity, unique)


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
    pull = data.target(np.zeros(len(data.b)))  # of the rows far away, along the basis

    def moved(eta):
        return data.r - data.per_row(data.basis @ eta), data.b + to_b @ eta

    for knot in [data.knot] if data.knot else [1e-2 * size, 1e-4 * size, 1e-6 * size]:
        factor = 1.0 if data.knot else 1.0 / knot

        def smoothed(eta, knot=knot, factor=factor):
            r, b = moved(eta)
            inner = np.clip(r, -knot, knot)
            value = factor * (data.w @ (inner * (r - 0.5 * inner))) + 0.5 * data.a @ np.square(b) + pull @ eta
            gradient = (data.a * b) @ to_b + pull - factor * (data.basis.T @ (data.root * inner))
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
