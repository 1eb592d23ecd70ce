"""Coefficients to the last digit: iterative refinement with residuals and gradients free of rounding.

For least squares, and for the other losses once it is known on which piece of the loss each row is.
Refinement converges to the solution of the equations that its residuals belong to. In the solvers those
are rounded: centred columns, a centred target, sums in float64. Here

    r = y - A b,     g = A'W r,     A = [X, 1]

are evaluated for the data as given, b and r being unevaluated sums hi + lo of two float64, so that the
error of b falls until only its last rounding is left, whatever the condition number that the Cholesky
factor can still contract.
"""

from __future__ import annotations

import numpy as np

from ..numerics.exact import ExactMatrix, added, product
from ..problem.problem import Problem
from ..problem.solution import Solution

LARGEST = 2**20  # entries of X up to which this costs little beside the fit
EPS = np.finfo(np.float64).eps
ROUNDS = 10
LAST = 2.0**-62  # a step so small beside the sum leaves the rounded sum as it is


def refine(A: ExactMatrix, y, problem: Problem, solution: Solution):
    """(b, b0), each coefficient correct to its last digits, if the solution tells the pieces of the loss.

    On the rows Q the loss is quadratic, on the others linear with slope u:

        A_Q'W_Q (y - A b)_Q + (A'Wu of the others) = penalty,

    or, for the absolute loss, Q are the rows with residual 0. ``y`` (n,) is the target in the units of the
    data. None if Q does not determine b.
    """
    rows, r = problem.rows, problem.rows.rank
    p, scale = rows.columns.n_cols, rows.y_scale
    phi, (q, outer) = solution.phi, _pieces(problem, solution)
    factor = rows.factor if problem.quadratic.flat and np.array_equal(q, rows.w) else problem.factor(q)
    if not factor.sound:
        return None
    up = A.exponent[:p]
    B, shift = np.ldexp(rows.B, up[:, None]), np.ldexp(rows.columns.shift, -up)
    inverse_scale = np.ldexp(rows.columns.inverse_scale, up)

    def raw(step):  # coefficients of the columns of A from those of Z
        b = B @ step[:r]
        return np.append(b, step[-1] - shift @ b) if rows.intercept else b

    b = raw(phi)
    if rows.intercept:
        b[-1] += rows.y_shift / scale
    b, last = (b, np.zeros_like(b)), np.inf
    # Of the first step: that of Cholesky, if it is all that is inexact. A basis is, too.
    contraction = p * EPS / factor.rcond if rows.basis is None else 1.0
    for _ in range(ROUNDS):
        residual = added([y / scale, *(-term for term in A.dot(b))])
        g = added(A.tdot(added([*product(q, residual[0]), outer, q * residual[1]])))
        slopes = g[0][:p], g[1][:p]
        if rows.intercept:  # Z'Wr = (A'Wr - shift * 1'Wr) / scale of the columns
            slopes = added([*slopes, *(-term for term in product(shift, g[0][-1])), -shift * g[1][-1]])
        descent = inverse_scale * slopes[0]
        descent = descent if rows.basis is None else rows.basis.T @ descent
        descent = np.append(descent, g[0][-1]) if rows.intercept else descent
        step = factor.solve(descent - problem.quadratic.gradient(phi))
        size = np.linalg.norm(step)
        if not size < last / 3.0:
            break
        contraction = max(contraction, size / last)
        phi, last = phi + step, size
        b = added([*b, raw(step)])
        if contraction * size <= LAST * np.linalg.norm(phi):
            break
    with np.errstate(over="ignore"):
        b = np.ldexp(b[0], -A.exponent) * scale
    return (b[:-1], float(b[-1])) if rows.intercept else (b, 0.0)


def _pieces(problem, solution):
    """(q, outer), (n,) each: weights of the rows Q, 0 elsewhere, and the slopes w u of the other rows."""
    loss, w, u = problem.loss, problem.rows.w, solution.u
    if not loss.knot:
        return 1.0 * (np.abs(u) < 1.0 - 1e-9), np.zeros(len(u))
    Q = loss.curved(solution.r)
    return w * Q, np.where(Q, 0.0, w * loss.slope(solution.r))
