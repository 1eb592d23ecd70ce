"""A second opinion: the same problems through scipy.linalg and scipy.optimize.

Independent of the other solvers from the first guess to the last step; it holds all rows as one
dense matrix and is slow, but its algorithms are not ours.

    mse     scipy.linalg.lstsq on the weighted rows, with the penalty's square root below them
    mae     scipy.optimize.linprog (HiGHS): min sum w (upper v+ - lower v-), Z phi + v+ - v- = y;
            then
            the rows that its dual says are interpolated are solved once more, to rounding
    huber   scipy.optimize.minimize (trust region Newton)
    mae with a penalty, no linear program: smoothed problems with pieces going to 0, each through
            minimize, and the interpolated rows solved to rounding as a saddle point system
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from scipy import sparse
from scipy.optimize import linprog, minimize

from ..problem.duality import relative_gap
from ..problem.losses import Loss, smooth
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Tally

EXACT_GAP = 1e-14  # a duality gap of rounding
# Iterations of minimize at one of several knots: more only go to and fro at the rounding of f.
STALLED = 300
# Ratio of the largest curvature of the penalty to its least, and to that of all rows.
MOST_UNEVEN = 1e4

# Part of the trace of Z'diag(w)Z that is added to the diagonal of a Hessian, so that it is not
# singular: far below what changes the steps.
REGULAR = 1e-12


def solve_reference(problem: Problem, options: Options, work: Tally) -> Pair:
    """Dispatch on the loss; each branch returns an optimal pair."""
    rows = problem.rows
    Z, y, w, G = rows.take(np.arange(rows.n_rows)), rows.y, rows.w, problem.quadratic.G
    if not Z.shape[1]:
        return Pair(np.zeros(0), problem.loss.slope(y))
    if not problem.loss.is_bounded:
        work.n_iter = 1
        return _least_squares(Z, y, w, G)
    if not problem.loss.is_corner:
        start = _least_squares(Z, y, w, G).phi if options.start is None else options.start
        h, most = problem.quadratic.h, options.max_iter
        phi, r, finished = _huber(Z, y, w, G, h, problem.loss, start, most, work)
        return Pair(phi, problem.loss.slope(r), exhausted=not finished)
    if not G.any():
        return _linear_program(Z, y, w, problem.loss, options, work)
    return _penalised_mae(problem, Z, options, work)


def _least_squares(Z, y, w, G):
    lam, V = np.linalg.eigh(G)
    root = np.sqrt(np.maximum(lam, 0.0))[:, None] * V.T
    sw = np.sqrt(w)
    A = np.vstack([sw[:, None] * Z, root])
    phi = np.zeros(Z.shape[1])
    for _ in range(2):  # the second is one step of iterative refinement
        right = np.append(sw * (y - Z @ phi), -root @ phi)
        phi = phi + _solved(A, right, lapack_driver="gelsd")
    return Pair(phi, y - Z @ phi)


def _solved(A, b, **options) -> np.ndarray:
    """The x of least norm that minimises ||A x - b||."""
    found: Any = scipy.linalg.lstsq(A, b, **options)
    return found[0]


def _linear_program(Z, y, w, loss: Loss, options, work):
    n, m = Z.shape
    eye = sparse.eye_array(n, format="csc")
    result = linprog(
        np.concatenate([np.zeros(m), loss.upper * w, -loss.lower * w]),
        A_eq=sparse.hstack([sparse.csc_array(Z), eye, -eye], format="csc"),
        b_eq=y,
        bounds=[(None, None)] * m + [(0.0, None)] * (2 * n),
        method="highs",
        options={"maxiter": options.max_iter * (n + m),
                 "primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    work.n_iter = min(1 + int(result.nit) // (n + m), options.max_iter)
    if result.x is None:
        phi = _least_squares(Z, y, w, np.zeros((m, m))).phi
        return Pair(phi, loss.pull(y - Z @ phi), exhausted=True)
    phi, u = result.x[:m], result.eqlin.marginals / w
    u, unfinished = np.clip(u, loss.lower, loss.upper), result.status != 0
    return _polish(Z, y, w, np.zeros((m, m)), loss, phi, u, exhausted=unfinished)


def _huber(Z, y, w, G, h, loss: Loss, phi, most: int, work):
    """(phi, r, whether fewer than ``most`` iterations were enough) beside phi'G phi / 2 - h'phi."""
    # A singular Hessian can keep the exact subproblem of some versions of SciPy busy for ever.
    regular = REGULAR * float(w @ np.square(Z).sum(axis=1)) * np.eye(len(phi))
    result = minimize(
        lambda p: w @ loss.value(y - Z @ p) + 0.5 * p @ G @ p - h @ p,
        phi,
        jac=lambda p: G @ p - h - Z.T @ (w * loss.slope(y - Z @ p)),
        hess=lambda p: (Z * (w * loss.curved(y - Z @ p))[:, None]).T @ Z + G + regular,
        method="trust-ncg" if _is_uneven(G, w) else "trust-exact",
        options={"gtol": 1e-15 * (w @ np.abs(y) + np.abs(h).max()) + 1e-300, "maxiter": most},
    )
    work.n_iter += int(result.nit)
    phi = result.x
    # Its line between two values of f ends at sqrt(eps); Newton steps end at eps.
    for _ in range(5):
        r = y - Z @ phi
        H = (Z * (w * loss.curved(r))[:, None]).T @ Z + G
        step = _solved(H, Z.T @ (w * loss.slope(r)) - G @ phi + h, cond=1e-13)
        moved = y - Z @ (phi + step)
        if not np.array_equal(loss.curved(moved), loss.curved(r)):
            break
        phi = phi + step
    return phi, y - Z @ phi, result.nit < most


def _is_uneven(G, w) -> bool:
    """Whether the penalty is stiff, or its columns are in very different units.

    There SciPy's search for an exact step may not end (seen with SciPy 1.16).
    """
    curvature = np.diag(G)
    curvature = curvature[curvature > 0.0]
    if not len(curvature):
        return False
    return curvature.max() > MOST_UNEVEN * min(curvature.min(), w.sum())


def _penalised_mae(problem: Problem, Z, options: Options, work) -> Pair:
    """Pieces 10 times smaller each until the interpolated rows, solved exactly, have no gap."""
    y, w, G, loss = problem.rows.y, problem.rows.w, problem.quadratic.G, problem.loss
    phi, h = _least_squares(Z, y, w, G).phi, np.zeros(len(G))
    factor = float(np.median(np.abs(y - Z @ phi))) / loss.steepest
    best, value = Pair(phi, loss.pull(y - Z @ phi), exhausted=True), np.inf
    for _ in range(12):
        left = options.max_iter - work.n_iter
        if left < 1:
            return Pair(best.phi, best.u, exhausted=True)
        factor = max(0.1 * factor, 1e-300)
        smoothed = smooth(factor * loss.lower, factor * loss.upper)
        most = min(left, STALLED)
        phi, r, finished = _huber(Z, y, w, G * factor, h, smoothed, phi, most, work)
        u = np.clip(r / factor, loss.lower, loss.upper)
        pair = _polish(Z, y, w, G, loss, phi, u, exhausted=not finished)
        new = w @ loss.value(y - Z @ pair.phi) + 0.5 * pair.phi @ G @ pair.phi
        if new < value:
            best, value = pair, new
            if relative_gap(problem, pair.phi, pair.u)[1] <= EXACT_GAP:
                break
    return best


def _polish(Z, y, w, G, loss: Loss, phi, u, exhausted):
    """Solve [G Z_F'; Z_F 0] for the rows F with u inside its bounds, if the objective agrees."""
    F = loss.held(u, 1e-7)
    Z_F, k = Z[F], int(F.sum())
    K = np.block([[G, -Z_F.T], [Z_F, np.zeros((k, k))]])
    fixed = np.where(F, 0.0, loss.pull(u))
    right = np.append(Z.T @ (w * fixed), y[F]) - K @ np.append(phi, w[F] * u[F])
    step = _solved(K, right, cond=1e-13)
    polished, dual = phi + step[: len(phi)], fixed.copy()
    dual[F] = u[F] + step[len(phi) :] / w[F]
    before = w @ loss.value(y - Z @ phi) + 0.5 * phi @ G @ phi
    after = w @ loss.value(y - Z @ polished) + 0.5 * polished @ G @ polished
    if after <= before * (1.0 + 1e-6) and loss.held(dual, -1e-6).all():
        return Pair(polished, np.clip(dual, loss.lower, loss.upper), exhausted)
    return Pair(phi, u, exhausted)
