"""The objective, its minimum and dual points in rational arithmetic, from the definitions alone."""

from fractions import Fraction
from itertools import combinations

import numpy as np


def rational(values):
    """Nested lists of Fractions, exactly the numbers of an array."""
    return [rational(value) for value in values] if np.ndim(values) else Fraction(float(values))


def loss(name, delta, r):
    if name == "mse":
        return r * r / 2
    if name == "mae":
        return abs(r)
    return r * r / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2)


def objective(X, y, w, b, b0, name, delta, alpha) -> Fraction:
    """P(b, b0), exactly."""
    X, y, w, b, b0 = rational(X), rational(y), rational(w), rational(b), Fraction(float(b0))
    delta, alpha = Fraction(float(delta)), Fraction(float(alpha))
    total = Fraction(0)
    for x, target, weight in zip(X, y, w, strict=True):
        total += weight * loss(name, delta, target - sum(map(product, x, b)) - b0)
    return total / sum(w) + alpha / 2 * sum(c * c for c in b)


def product(a, b):
    return a * b


def solve(G, t):
    """A solution c of G c = t in Fractions, or None: Gauss-Jordan elimination with the free
    unknowns 0.
    """
    rows, m = [[*g, v] for g, v in zip(G, t, strict=True)], len(t)
    pivots = []
    for column in range(m):
        k = len(pivots)
        found = next((i for i in range(k, m) if rows[i][column]), None)
        if found is None:
            continue
        rows[k], rows[found] = rows[found], rows[k]
        rows[k] = [value / rows[k][column] for value in rows[k]]
        for i in range(m):
            if i != k and rows[i][column]:
                rows[i] = [a - rows[i][column] * b for a, b in zip(rows[i], rows[k], strict=True)]
        pivots.append(column)
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    c = [Fraction(0)] * m
    for row, column in zip(rows, pivots, strict=False):
        c[column] = row[-1]
    return c


def feasible(A, w, u, room):
    """The point near u with A'(w u) = 0 exactly, each u moved in proportion to its room; None if
    there is none.
    """
    m = len(A[0])
    t = [sum(wi * ui * a[j] for wi, ui, a in zip(w, u, A, strict=True)) for j in range(m)]
    G = [
        [sum(wi * si * a[j] * a[k] for wi, si, a in zip(w, room, A, strict=True)) for k in range(m)]
        for j in range(m)
    ]
    c = solve(G, t)
    if c is None:
        return None
    return [ui - si * sum(map(product, a, c)) for ui, si, a in zip(u, room, A, strict=True)]


def least_absolute(A, y, w):
    """(the minimum of sum w abs(y - A phi), the vertices that reach it), by trying all; A of full
    column rank.
    """
    A, y, w, m = rational(A), rational(y), rational(w), np.shape(A)[1]
    best, vertices = None, set()
    for rows in combinations(range(len(y)), m):
        if np.linalg.matrix_rank(np.array([[float(a) for a in A[i]] for i in rows])) < m:
            continue
        phi = solve([A[i] for i in rows], [y[i] for i in rows])
        if phi is None:
            continue
        value = sum(
            wi * abs(yi - sum(map(product, a, phi))) for wi, yi, a in zip(w, y, A, strict=True)
        )
        if best is None or value < best:
            best, vertices = value, set()
        if value == best:
            vertices.add(tuple(phi))
    return best, vertices


def exact_solution(X, y, intercept, w=None):
    """Coefficients, then the intercept, as fractions: Gaussian elimination of the normal equations."""
    A = [[Fraction(x) for x in row] + [Fraction(1)] * intercept for row in X.tolist()]
    y = [Fraction(x) for x in y.tolist()]
    w = [Fraction(x) for x in (np.ones(len(y)) if w is None else w).tolist()]
    m = len(A[0])
    M = [
        [sum(wi * a[i] * a[j] for wi, a in zip(w, A, strict=True)) for j in range(m)]
        + [sum(wi * a[i] * yi for wi, a, yi in zip(w, A, y, strict=True))]
        for i in range(m)
    ]
    for k in range(m):
        pivot = next(i for i in range(k, m) if M[i][k])
        M[k], M[pivot] = M[pivot], M[k]
        M[k] = [x / M[k][k] for x in M[k]]
        for i in range(m):
            if i != k and M[i][k]:
                M[i] = [a - M[i][k] * b for a, b in zip(M[i], M[k], strict=True)]
    return [row[-1] for row in M]
