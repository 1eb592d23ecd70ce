"""Coefficients to the last digit: refinement with residuals and gradients free of rounding.

For least squares, and for the other losses once it is known on which piece of the loss each row is.
Refinement converges to the solution of the equations that its residuals belong to. In the solvers
those are rounded: centred columns, a centred target, sums in float64. Here

    r = y - A b,     g = A'(w r),     A = [X, 1]

are evaluated for the data as given, b and r being unevaluated sums hi + lo of two float64, so that
the error of b falls until only its last rounding is left, whatever the condition number that the
Cholesky factor can still contract.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.rows import Rows
from ..numerics.exact import ExactMatrix, added, product
from ..numerics.precision import EPS
from ..problem.duality import AT_BOUND
from ..problem.problem import Problem
from ..problem.solution import Solution

# Entries of X up to which refinement costs little beside the fit.
LARGEST = 2**20
# Steps at most. Each leaves less than a third of the last one, or they end; most contract much
# faster.
ROUNDS = 10
# A step this small beside the sum leaves the rounded sum as it is: 2^-53, and nine bits more.
LAST = 2.0**-62


def refine(
    A: ExactMatrix,
    y: np.ndarray,
    problem: Problem,
    solution: Solution,
) -> tuple[np.ndarray, float] | None:
    """(b, b0), each correct to its last digits, if the solution tells the pieces of the loss.

    On the rows Q the loss is quadratic, on the others linear with slope u:

        A_Q'(w_Q (y - A b)_Q) + (A'(w u) of the others) = penalty,

    or, for a corner, Q are the rows with residual 0. ``y`` (n,) is the target in the units of the
    data. None if Q does not determine b.
    """
    rows, scale = problem.rows, problem.rows.y_scale
    phi, (q, outer) = solution.phi, _pieces(problem, solution)
    least_squares = problem.quadratic.flat and np.array_equal(q, rows.w)
    factor = rows.factor if least_squares else problem.factor(q)
    if not factor.sound:
        return None
    columns = _columns(A, rows)
    b = _coefficients(rows, columns, phi)
    if rows.intercept:
        b[-1] += rows.y_shift / scale
    b, last = (b, np.zeros_like(b)), np.inf
    # Of the first step: that of Cholesky, if it is all that is inexact. A basis is, too.
    contraction = len(columns.shift) * EPS / factor.rcond if rows.basis is None else 1.0
    for _ in range(ROUNDS):
        descent = _descent(A, y / scale, rows, columns, b, q, outer)
        step = factor.solve(descent - problem.quadratic.gradient(phi))
        size = np.linalg.norm(step)
        if not size < last / 3.0:
            break
        contraction = max(contraction, size / last)
        phi, last = phi + step, size
        b = added([*b, _coefficients(rows, columns, step)])
        if contraction * size <= LAST * np.linalg.norm(phi):
            break
    with np.errstate(over="ignore"):
        b = np.ldexp(b[0], -A.exponent) * scale
    return (b[:-1], float(b[-1])) if rows.intercept else (b, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """``B`` (p, r), ``shift`` (p,) and ``inverse_scale`` (of the columns of Z) of rows, for the
    columns of A as it holds them.
    """

    B: np.ndarray
    shift: np.ndarray
    inverse_scale: np.ndarray


def _columns(A: ExactMatrix, rows: Rows) -> _Columns:
    up = A.exponent[: len(rows.B)]
    return _Columns(
        B=np.ldexp(rows.B, up[:, None]),
        shift=np.ldexp(rows.shift, -up),
        inverse_scale=np.ldexp(rows.columns.inverse_scale, up[rows.kept]),
    )


def _coefficients(rows: Rows, columns: _Columns, step: np.ndarray) -> np.ndarray:
    """Coefficients of the columns of A from those of Z (m,)."""
    b = columns.B @ step[: rows.rank]
    return np.append(b, step[-1] - columns.shift @ b) if rows.intercept else b


def _descent(A: ExactMatrix, y, rows: Rows, columns: _Columns, b, q, outer) -> np.ndarray:
    """Z'(q r + outer) for r = y - A b and b = (hi, lo), (m,), with twice the digits."""
    p = len(columns.shift)
    residual = added([y, *(-term for term in A.dot(b))])
    g = added(A.tdot(added([*product(q, residual[0]), outer, q * residual[1]])))
    slopes = g[0][:p], g[1][:p]
    if rows.intercept:  # Z'v = (A'v - shift * 1'v) / scale of the columns
        total = g[0][-1], g[1][-1]
        shifted = [-term for term in product(columns.shift, total[0])]
        slopes = added([*slopes, *shifted, -columns.shift * total[1]])
    descent = columns.inverse_scale * slopes[0][rows.kept]
    descent = descent if rows.basis is None else rows.basis.T @ descent
    return np.append(descent, g[0][-1]) if rows.intercept else descent


def _pieces(problem: Problem, solution: Solution) -> tuple[np.ndarray, np.ndarray]:
    """(q, outer), (n,) each: weights of the rows Q, and the slopes w u of the others; else 0."""
    loss, w, u = problem.loss, problem.rows.w, solution.u
    if loss.is_corner:
        return 1.0 * loss.held(u, AT_BOUND), np.zeros(len(u))
    Q = loss.curved(solution.r)
    return w * Q, np.where(Q, 0.0, w * loss.slope(solution.r))
