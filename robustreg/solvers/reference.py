"""A second opinion: the same problems through scipy.linalg and scipy.optimize.

Independent of the other solvers from the first guess to the last step; it holds all rows as one dense
matrix and is slow, but its algorithms are not ours.

    mse     scipy.linalg.lstsq on the weighted rows, with the penalty's square root below them
    mae     scipy.optimize.linprog (HiGHS): min sum w (v+ + v-), Z phi + v+ - v- = y; then the rows that
            its dual says are interpolated are solved once more, to rounding
    huber   scipy.optimize.minimize (trust region Newton)
    mae with a penalty, no linear program: Huber problems with knots going to 0, each through minimize,
            and the interpolated rows solved to rounding as a saddle point system
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy import sparse
from scipy.optimize import linprog, minimize

from ..problem.losses import Huber, Squared
from ..problem.problem import Problem
from ..problem.solution import Options, Pair, Work


def solve_reference(problem: Problem, options: Options, work: Work) -> Pair:
    """Dispatch on the loss; each branch returns an optimal pair."""
    rows = problem.rows
    Z, y, w, G = rows.take(np.arange(rows.n_rows)), rows.y, rows.w, problem.quadratic.G
    if not Z.shape[1]:
        return Pair(np.zeros(0), problem.loss.slope(y))
    if isinstance(problem.loss, Squared):
        return _least_squares(Z, y, w, G, work)
    if isinstance(problem.loss, Huber):
        phi, r, finished = _huber(Z, y, w, G, problem.loss, _least_squares(Z, y, w, G, work).phi, options, work)
        return Pair(phi, problem.loss.slope(r), exhausted=not finished)
    if not G.any():
        return _linear_program(Z, y, w, options, work)
    return _penalised_mae(Z, y, w, G, options, work)


def _least_squares(Z, y, w, G, work):
    work.n_iter = 1
    lam, V = np.linalg.eigh(G)
    root = np.sqrt(np.maximum(lam, 0.0))[:, None] * V.T
    sw = np.sqrt(w)
    A = np.vstack([sw[:, None] * Z, root])
    phi = np.zeros(Z.shape[1])
    for _ in range(2):  # the second is one step of iterative refinement
        right = np.append(sw * (y - Z @ phi), -root @ phi)
        phi = phi + scipy.linalg.lstsq(A, right, lapack_driver="gelsd")[0]
    return Pair(phi, y - Z @ phi)


def _linear_program(Z, y, w, options, work):
    n, m = Z.shape
    eye = sparse.eye_array(n, format="csc")
    result = linprog(
        np.concatenate([np.zeros(m), w, w]),
        A_eq=sparse.hstack([sparse.csc_array(Z), eye, -eye], format="csc"),
        b_eq=y,
        bounds=[(None, None)] * m + [(0.0, None)] * (2 * n),
        method="highs",
        options={"maxiter": max(options.max_iter, 100) * (n + m),
                 "primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    work.n_iter = max(1, int(result.nit))
    if result.x is None:
        phi = _least_squares(Z, y, w, np.zeros((m, m)), work).phi
        return Pair(phi, np.sign(y - Z @ phi), exhausted=True)
    phi, u = result.x[:m], result.eqlin.marginals / w
    return _polish(Z, y, w, np.zeros((m, m)), phi, np.clip(u, -1.0, 1.0), exhausted=result.status != 0)


def _huber(Z, y, w, G, loss, phi, options, work):
    result = minimize(
        lambda p: w @ loss.value(y - Z @ p) + 0.5 * p @ G @ p,
        phi,
        jac=lambda p: G @ p - Z.T @ (w * loss.slope(y - Z @ p)),
        hess=lambda p: (Z * (w * loss.curved(y - Z @ p))[:, None]).T @ Z + G,
        method="trust-ncg",
        options={"gtol": 1e-15 * (w @ np.abs(y)) + 1e-300, "maxiter": options.max_iter},
    )
    work.n_iter += int(result.nit)
    phi = result.x
    for _ in range(5):  # its line between two values of f ends at sqrt(eps); Newton steps end at eps
        r = y - Z @ phi
        H = (Z * (w * loss.curved(r))[:, None]).T @ Z + G
        step = scipy.linalg.lstsq(H, Z.T @ (w * loss.slope(r)) - G @ phi, cond=1e-13)[0]
        moved = y - Z @ (phi + step)
        if not np.array_equal(loss.curved(moved), loss.curved(r)):
            break
        phi = phi + step
    return phi, y - Z @ phi, result.nit < options.max_iter


def _penalised_mae(Z, y, w, G, options, work):
    """Knots 10 times smaller each until the interpolated rows, solved exactly, do not change."""
    phi = _least_squares(Z, y, w, G, work).phi
    knot, best, value = float(np.median(np.abs(y - Z @ phi))), None, np.inf
    finished = True
    for _ in range(12):
        knot = max(0.1 * knot, 1e-300)
        phi, r, finished = _huber(Z, y, w, G * knot, Huber(knot), phi, options, work)
        pair = _polish(Z, y, w, G, phi, np.clip(r / knot, -1.0, 1.0), exhausted=not finished)
        new = w @ np.abs(y - Z @ pair.phi) + 0.5 * pair.phi @ G @ pair.phi
        if new < value:
            best, value = pair, new
    return best


def _polish(Z, y, w, G, phi, u, exhausted):
    """Solve [G Z_F'; Z_F 0] for the rows F with abs(u) < 1, and keep it if the objective agrees."""
    F = np.abs(u) < 1.0 - 1e-7
    Z_F, k = Z[F], int(F.sum())
    K = np.block([[G, -Z_F.T], [Z_F, np.zeros((k, k))]])
    fixed = np.where(F, 0.0, np.sign(u))
    right = np.append(Z.T @ (w * fixed), y[F]) - K @ np.append(phi, w[F] * u[F])
    step = scipy.linalg.lstsq(K, right, cond=1e-13)[0]
    polished, dual = phi + step[: len(phi)], fixed.copy()
    dual[F] = u[F] + step[len(phi) :] / w[F]
    before = w @ np.abs(y - Z @ phi) + 0.5 * phi @ G @ phi
    after = w @ np.abs(y - Z @ polished) + 0.5 * polished @ G @ polished
    if after <= before * (1.0 + 1e-6) and np.abs(dual).max(initial=0.0) <= 1.0 + 1e-6:
        return Pair(polished, np.clip(dual, -1.0, 1.0), exhausted)
    return Pair(phi, u, exhausted)
