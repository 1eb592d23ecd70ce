"""How far from optimal, the relative duality gap; and which residuals are outside their piece.

For a problem of ``problem.py`` whose quadratic is the ridge penalty (h = c = 0) the Fenchel dual is

    D(u) = sum_i w_i (u_i y_i - l*(u_i)) - phi'G phi / 2   for any phi with G phi = Z'(w u),
    subject to lower <= u_i <= upper.

From any candidate (phi, u) a feasible point is made in two moves. First u is moved by E Z v, where
the diagonal matrix E holds the squares of how far off rounding makes each u, and phi by delta = -k
v, so that Z'(w u) = G (phi + delta): Z'W E Z v + k G v = G phi - Z'(w u). With a small number k it
is u that moves, but where the penalty is so stiff that the last digit of phi decides G phi. Then u
is shrunk by t <= 1 into [lower, upper], which leaves Z'(w u) = t G (phi + delta). Inserting both
into P - D and collecting terms,

    P - D = sum_i w_i [l(r_i) + l*(u_i) - u_i r_i] + ||L (phi - t (phi + delta))||^2 / 2,

a sum of nonnegative terms: it is computed without cancellation, and bounds P - min P from above.

Where the coordinates are fitted values no change of u leaves the rows at a bound where they are.
Under a penalty none is needed but for the intercept: any u is feasible with a phi_u of its own, G
phi_u = Z'(w u), and in place of the last term stands (phi - t phi_u)'G (phi - t phi_u) / 2.
"""

from __future__ import annotations

import numpy as np

from ..data.rows import Rows
from ..numerics import linalg
from ..numerics.precision import EPS
from .losses import Loss
from .problem import Problem

# Parts of a dual variable that are its own rounding and that of its term in a sum: a safe margin.
ROUNDED = 64.0 * EPS
# An exact dual variable is either rounding away from its bound or well inside: this part of the
# bound lies between.
AT_BOUND = 1e-9
# The correction of a dual moves each row in proportion to the square of its rounding; rows whose
# rounding is below this part of the largest count as if it were that, or the correction would be
# ill-conditioned.
LEAST_SPREAD = 1e-4
# The number k, in units of what rows alone give the matrix of the correction: penalties a million
# times stiffer than the rows move phi, the others u. The gap grows by k times what was missing,
# squared.
STIFF = 1e-6
# Corrections of a dual at most: each leaves less than a quarter of what was missing, or they end.
CORRECTIONS = 5
# Entries of X that ``beyond`` reads at a time: 2 MB of float64, which stay in a core's cache.
CHUNK = 2**18


def beyond(X, y: np.ndarray, coef: np.ndarray, intercept: float, loss: Loss) -> np.ndarray:
    """Which rows are outside the quadratic piece of the loss, (n,) bool: the only rule for that.

    All are in the units of the data: X (n, p) dense or CSR of any real dtype, y (n,), coef (p,). A
    row counts as outside if r = y - intercept - X coef is outside [left, right] by more than what
    rounding of its terms can do, 8 EPS (abs(y) + abs(intercept) + abs(X) abs(coef)): computing r in
    float64 takes half of that, coef and intercept rounded to float64 a part of the rest. At a
    corner that is every row whose r is more than rounding; of least squares there is none.
    """
    n, p = X.shape
    if not loss.is_bounded:
        return np.zeros(n, dtype=bool)
    step = max(16, CHUNK // max(1, p))
    out, size = np.empty(n, dtype=bool), np.abs(coef)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, n, step):
            rows = slice(start, start + step)
            block = X[rows].astype(np.float64, copy=False)
            target = y[rows].astype(np.float64, copy=False)
            r = target - intercept - block @ coef
            noise = 8.0 * EPS * (np.abs(target) + abs(intercept) + abs(block) @ size)
            out[rows] = loss.outside(r) > noise
    return out


def rounding(problem: Problem, phi: np.ndarray) -> np.ndarray:
    """How far off a residual may be only because float64 rounds the terms it is made of, (n,)."""
    return 4.0 * EPS * problem.rows.magnitude(phi)


def rounding_of_dual(problem: Problem, phi: np.ndarray, r: np.ndarray, u: np.ndarray) -> np.ndarray:
    """How far off an optimal u may be only because float64 rounds it and its residual, (n,)."""
    loss = problem.loss
    if loss.is_corner and not loss.is_symmetric:
        return ROUNDED * np.abs(loss.pull(np.where(u < 0.0, -1.0, 1.0)))
    inside = ROUNDED * np.abs(u) + rounding(problem, phi)
    return np.where(loss.curved(r), inside, ROUNDED * loss.steepest)


def relative_gap(problem: Problem, phi: np.ndarray, u: np.ndarray) -> tuple[float, float]:
    """(P, (P - D) / P) at phi (m,) with dual candidate u (n,), P divided by the sum of weights.

    From each term of P - D is taken what rounding of its residual alone can cause; an exact fit,
    where P itself is nothing but rounding, has the gap 0. If Z'(w u) cannot be made G phi to
    rounding, the only feasible point known is u = 0: then D = 0, and the gap is 1.
    """
    rows = problem.rows
    W, r = rows.w.sum(), rows.residual(phi)
    # A row's own terms may vanish.
    noise = np.maximum(rounding(problem, phi), EPS * EPS * rows.typical)
    primal = problem.value(r, phi) / W
    if np.all(np.abs(r) <= np.maximum(noise, 4.0 * EPS * rows.typical)):  # an exact fit
        return float(primal), 0.0
    # 1. Z'(w u) = G phi, or G phi_u.
    if rows.spanned is not None:
        candidates = _candidates(problem, phi, u)
    else:
        u, delta, feasible = _feasible(problem, phi, r, u)
        if not feasible:
            return float(primal), 1.0
        candidates = [(u, 0.5 * float(np.sum(np.square(problem.quadratic.L @ delta))))]
    # 2. lower <= u <= upper.
    gap = min(_gap(problem, phi, r, noise, *candidate) for candidate in candidates)
    return float(primal), float(gap / W / primal) if gap else 0.0


def _gap(problem: Problem, phi: np.ndarray, r, noise, u: np.ndarray, bent: float) -> float:
    """P - D of the module at t u for residuals r (n,), less what their rounding can cause.

    ``bent`` is (phi - phi_u)'G (phi - phi_u) / 2.
    """
    loss, t = problem.loss, problem.loss.shrinkage(u)
    excess = loss.excess(r, t * u) - loss.excess_of_rounding(r, noise)
    gap = problem.rows.w @ np.maximum(excess, 0.0)
    root = (1.0 - t) * np.sqrt(max(problem.quadratic.value(phi), 0.0)) + np.sqrt(bent)
    return float(gap + root * root)


def _feasible(
    problem: Problem,
    phi: np.ndarray,
    r: np.ndarray,
    u: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """(u (n,), delta (m,) with Z'(w u) = G (phi + delta), whether it is).

    That what is missing might be rounding is not enough where u is bounded: the rounding of one row
    of high leverage may be more than all others can pull.
    """
    rows, quadratic = problem.rows, problem.quadratic
    noise = rounding_of_dual(problem, phi, r, u)
    last, factor, spread, unknown = np.inf, None, np.ones(len(u)), False
    delta, k = np.zeros(len(phi)), 0.0
    for _ in range(CORRECTIONS):
        descent = problem.descent(u, phi) - quadratic.L.T @ (quadratic.L @ delta)
        missing = np.abs(descent)
        unknown = bool(np.all(missing <= _rounding_of_descent(problem, phi, noise)))
        known = np.all(missing <= _rounding_of_descent(problem, phi, ROUNDED * np.abs(u)))
        if known or (unknown and not problem.loss.is_bounded):
            return u, delta, True
        if not missing.max() < 0.25 * last:
            break
        last = missing.max()
        if factor is None:
            spread = np.square(np.maximum(noise / noise.max(), LEAST_SPREAD))
            k = STIFF * float(rows.w @ spread / rows.w.sum())
            factor = _factor(rows, rows.w * spread, np.sqrt(k) * quadratic.L)
            if not factor.rcond:
                spread, k, factor = np.ones(len(u)), 0.0, rows.factor
        v = factor.solve(descent)
        u, delta = u - spread * rows.fitted(v), delta + k * v
    return u, delta, unknown


def _candidates(problem: Problem, phi: np.ndarray, u: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Pairs of u + change and (phi - phi_u)'G (phi - phi_u) / 2 for G phi_u = Z'(w (u + change)).

    The change is one for all equations, or for that of the intercept alone, where G is regular in
    the others. Near a fit without residuals the first is less, with rows at a bound the second.
    """
    rows, G = problem.rows, problem.quadratic.G
    missing, rank = problem.descent(u, phi), rows.rank
    if np.all(np.abs(missing) <= _rounding_of_descent(problem, phi, ROUNDED * np.abs(u))):
        return [(u, 0.0)]
    assert rows.spanned is not None
    found = [(u - rows.spanned.pull(missing) / rows.w, 0.0)]
    factor = linalg.factor(G[:rank, :rank])
    if factor.rcond:
        level, slopes = missing.copy(), missing[:rank]
        level[:rank] = 0.0
        bent = 0.5 * float(slopes @ factor.solve(slopes))
        found.append((u - rows.spanned.pull(level) / rows.w, max(bent, 0.0)))
    return found


def _factor(rows: Rows, q: np.ndarray, L: np.ndarray) -> linalg.Factor:
    """Factor of Z'diag(q)Z + L'L; by reflections, which a sparse X is spared if it can be."""
    if rows.is_sparse and (factor := linalg.factor(rows.gram(q) + L.T @ L)).sound:
        return factor
    return linalg.factor_of_root(np.vstack([np.asarray(rows.triangle(q)), L]))


def is_stationary(problem: Problem, phi: np.ndarray, u: np.ndarray) -> bool:
    """Whether Z'(w u) = G phi - h, as far as float64 can tell for this u."""
    noise = _rounding_of_descent(problem, phi, ROUNDED * np.abs(u))
    return bool(np.all(np.abs(problem.descent(u, phi)) <= noise))


def _rounding_of_descent(problem: Problem, phi: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """How far off Z'(w u) - G phi + h may be, (m,): u by ``noise`` (n,), and sums by rounding."""
    L, h = problem.quadratic.L, problem.quadratic.h
    size = np.abs(L)
    # The root of a penalty on fitted values has large entries, which cancel in L phi.
    terms = np.abs(L @ phi) if problem.rows.spanned is None else size @ np.abs(phi)
    penalty = 16.0 * EPS * (terms @ size + np.abs(h))
    return problem.rows.adjoint_bound(noise) + penalty
