"""Coefficients to the last digit: iterative refinement with residuals and gradients free of rounding.

For least squares, and for the other losses once it is known on which piece of the loss each row is.
Refinement converges to the solution of the equations that its residuals belong to. In the solvers those
are rounded: centred columns, a centred target, sums in float64. Here

    r = y - A b,     g = A'W r,     A = [X, 1]

are evaluated for the data as given, b and r being unevaluated sums hi + lo of two float64, so that the
error of b falls until only its last rounding is left, whatever the condition number that the Cholesky
factor can still contract.

Products are made exact by splitting (Ozaki, Ogita, Oishi and Rump 2012, Numer. Algorithms 59:95). Every
column of A and every vector is scaled to the largest entry 1 and cut into bits above 2^-k, bits above
2^-2k, and a rest. A sum of N products of leading parts has 2k + log2(N) <= 53 bits: any order of summing,
any BLAS, gives it exactly. Only products with a rest are rounded, at 2^-2k of the unit roundoff.
"""

from __future__ import annotations

import numpy as np

from ..problem.problem import Problem
from ..problem.solution import Solution

LARGEST = 2**20  # entries of X up to which this costs little beside the fit
EPS = np.finfo(np.float64).eps
ROUNDS = 10
LAST = 2.0**-62  # a step so small beside the sum leaves the rounded sum as it is


class ExactMatrix:
    """A (n, m) = [X, 1], or X, with products that carry about twice the digits of float64.

    Column j is held divided by 2^exponent[j].
    """

    def __init__(self, X, intercept):
        X = np.asarray(X, dtype=np.float64)
        self.exponent = np.frexp(np.abs(X).max(axis=0, initial=0.0))[1]
        A = np.ldexp(X, -self.exponent)
        if intercept:
            A, self.exponent = np.column_stack([A, np.ones(len(A))]), np.append(self.exponent, 0)
        bits = (53 - int(max(A.shape)).bit_length()) // 2
        self.bits = bits
        self.parts = _split(A, bits)

    def dot(self, x):
        """A x for x = (hi, lo), (m,) each: arrays (n,) whose sum it is, the largest first."""
        return self._products(self.parts, x)

    def residual(self, y, x):
        """y - A x for y (n,) of about size 1 and x (m,), in the units of the data, to the last digits."""
        return _sum([y, *(-term for term in self.dot((np.ldexp(x, self.exponent), np.zeros(len(x)))))])[0]

    def tdot(self, x):
        """A'x for x = (hi, lo), (n,) each: arrays (m,) whose sum it is, the largest first."""
        return self._products([part.T for part in self.parts], x)

    def _products(self, left, x):
        hi, lo = x
        exponent = int(np.frexp(np.abs(hi).max(initial=0.0))[1])
        first, second, rest = _split(np.ldexp(hi, -exponent), self.bits)
        right = np.column_stack([first, second, rest + np.ldexp(lo, -exponent)])
        products = [np.ldexp((part @ right).T, exponent) for part in left]
        return [products[i][size - i] for size in range(5) for i in range(3) if 0 <= size - i < 3]


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
        residual = _sum([y / scale, *(-term for term in A.dot(b))])
        g = _sum(A.tdot(_sum([*_product(q, residual[0]), outer, q * residual[1]])))
        slopes = g[0][:p], g[1][:p]
        if rows.intercept:  # Z'Wr = (A'Wr - shift * 1'Wr) / scale of the columns
            slopes = _sum([*slopes, *(-term for term in _product(shift, g[0][-1])), -shift * g[1][-1]])
        descent = inverse_scale * slopes[0]
        descent = descent if rows.basis is None else rows.basis.T @ descent
        descent = np.append(descent, g[0][-1]) if rows.intercept else descent
        step = factor.solve(descent - problem.quadratic.gradient(phi))
        size = np.linalg.norm(step)
        if not size < last / 3.0:
            break
        contraction = max(contraction, size / last)
        phi, last = phi + step, size
        b = _sum([*b, raw(step)])
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


def _split(a, bits):
    """a = first + second + rest, abs(a) <= 1: multiples of 2^-bits, of 2^-2bits, and what is left."""
    parts = []
    for k in (bits, 2 * bits):
        magic = 1.5 * 2.0 ** (52 - k)  # its last place is 2^-k
        head = (a + magic) - magic
        a = a - head
        parts.append(head)
    return [*parts, a]


def _sum(terms):
    """The sum of arrays as (hi, lo), to about twice the digits of its largest partial sum."""
    hi, lo = terms[0], 0.0
    for term in terms[1:]:
        total = hi + term
        back = total - hi
        lo = lo + ((hi - (total - back)) + (term - back))
        hi = total
    total = hi + lo
    return total, (hi - total) + lo


def _product(a, b):
    """a * b as (hi, lo) exactly, for entries whose products and halves do not leave float64's range."""
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(a):
    big = a * (2.0**27 + 1.0)
    head = big - (big - a)
    return head, a - head
