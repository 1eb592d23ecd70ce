"""Confidence intervals of a quantile's coefficients by inversion of a rank test, exactly.

A coefficient, or any c'a, is held at xi, and the others fitted:

    V(xi) = min sum w rho(t - D a)  subject to  c'a = xi,    T(xi) = V'(xi) / sqrt(tau (1 - tau) q).

V is convex and piecewise linear, and T, its slope, is the statistic of the rank test of c'a = xi
(Gutenbrunner, Jureckova, Koenker and Portnoy 1993), for

    q = 1 / (c'G^-1 c)                            errors alike, G = D'diag(w)D
    q = v'G v,  v = F^-1 c / (c'F^-1 c)           F = sum w f d d', f the density of each error

The interval is where abs(T) is below the quantile of a t distribution. T is constant between
breakpoints, at each of which one more residual vanishes: so it is followed from the fit, vertex by
vertex. At a vertex the rows of D in ``basis`` are on the fit, D_B a = t_B. With the columns v_l of
D_B^-1 the ways on are a + s v_l / (c'v_l), on which only row l leaves the fit; V takes the one of
the least slope, up to where the next row meets the fit. Between the last breakpoint inside the
interval and the first one outside T is taken to be linear, as quantreg does.

Where more rows are on the fit than there are coefficients a vertex has no single basis: t is moved
by far less than its spread, and pieces that this makes are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..numerics.linalg import DEPENDENT

# Share of a typical residual that t is moved by.
MOVED = 1e-11
# Share of the scale of a coefficient: a shorter piece is one that the move has made.
NO_PIECE = 1e-7
# Share of the largest: rows with a smaller product with a direction never meet the fit on it.
PARALLEL = 1e-13
# Of a dual variable beyond its bounds, relative to the weights, what is rounding.
ROUNDED = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """D (n, r), t (n,), w (n,) and the quantile tau."""

    D: np.ndarray
    t: np.ndarray
    w: np.ndarray
    tau: float


@dataclass(frozen=True, slots=True, eq=False)
class Vertex:
    """Row numbers ``basis`` (r,) on the fit, residuals r (n,), 0 on the basis, ``inverse`` D_B^-1
    (r, r), and the dual variables u (r,) of the basis, u = -D_B'^-1 sum w psi d over other rows.
    """

    basis: np.ndarray
    r: np.ndarray
    inverse: np.ndarray
    u: np.ndarray


def moved(t: np.ndarray, size: float) -> np.ndarray:
    """t (n,), moved at random, but always the same, by MOVED of ``size``."""
    return t + MOVED * size * np.random.default_rng(0).normal(size=len(t))


def vertex_at(rows: Rows, basis: np.ndarray, r: np.ndarray | None = None) -> Vertex:
    """The vertex of a basis; its residuals are computed if they are not given."""
    inverse = np.linalg.inv(rows.D[basis])
    if r is None:
        r = rows.t - rows.D @ (inverse @ rows.t[basis])
    r[basis] = 0.0
    psi = rows.tau - (r < 0.0)
    psi[basis] = 0.0
    return Vertex(basis, r, inverse, -(inverse.T @ (rows.D.T @ (rows.w * psi))))


def best_vertex(rows: Rows, a: np.ndarray) -> Vertex:
    """The vertex that minimises, from a (r,) that does but for rounding."""
    r = np.abs(rows.t - rows.D @ a)
    vertex = vertex_at(rows, np.sort(_independent(rows.D, np.argsort(r, kind="stable"))))
    for _ in range(len(r)):
        # Slopes of V on the ways on which row l leaves the fit upwards, and downwards.
        w = rows.w[vertex.basis]
        up, down = vertex.u + (1.0 - rows.tau) * w, rows.tau * w - vertex.u
        out = int(np.argmin(np.minimum(up, down) / w))
        if min(up[out], down[out]) >= -ROUNDED * w[out]:
            return vertex
        if up[out] < down[out]:
            vertex = _descended(rows, vertex, out, vertex.inverse[:, out], up[out])
        else:
            vertex = _descended(rows, vertex, out, -vertex.inverse[:, out], down[out])
    raise ValueError("cov='rank' found no vertex: take cov='nid'.")


def _independent(D: np.ndarray, order: np.ndarray) -> list:
    """The first r rows of D in this order that are independent."""
    chosen: list = []
    Q = np.zeros((0, D.shape[1]))
    for i in order:
        d = D[i] / max(np.linalg.norm(D[i]), np.finfo(float).tiny)
        rest = d - Q.T @ (Q @ d)
        rest -= Q.T @ (Q @ rest)
        if np.linalg.norm(rest) > DEPENDENT:
            Q = np.vstack([Q, rest / np.linalg.norm(rest)])
            chosen.append(i)
        if len(chosen) == D.shape[1]:
            break
    return chosen


def _descended(rows: Rows, vertex: Vertex, out: int, d: np.ndarray, slope: float) -> Vertex:
    """The lowest vertex on the way d (r,), on which row ``out`` of the basis leaves the fit and V
    has the given slope at first.
    """
    change = rows.D @ d
    length = _lengths(vertex, change)
    order = np.argsort(length)
    slopes = slope + np.cumsum(rows.w[order] * np.abs(change[order]))
    k = order[int(np.argmax(slopes >= 0.0))]
    basis = vertex.basis.copy()
    basis[out] = k
    return vertex_at(rows, basis)


def _lengths(vertex: Vertex, change: np.ndarray) -> np.ndarray:
    """How far each row is from the fit, on a way on which fitted values ``change`` (n,)."""
    length = np.full(len(change), np.inf)
    meets = (vertex.r * change > 0.0) & (np.abs(change) > PARALLEL * np.abs(change).max())
    np.divide(vertex.r, change, out=length, where=meets)
    length[vertex.basis] = np.inf
    return length


def upper_end(
    rows: Rows, vertex: Vertex, c: np.ndarray, xi: float, root: float, cutoff: float, scale: float
) -> float:
    """Where T reaches ``cutoff`` above xi = c'a at the vertex; inf if it never does.

    ``root`` is the root of tau (1 - tau) q; pieces up to NO_PIECE of ``scale`` are passed over.
    """
    begin, T_before = xi, 0.0
    while True:
        # 1. The way on, of the least slope of V.
        along = c @ vertex.inverse
        w = rows.w[vertex.basis]
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = (vertex.u + np.where(along > 0.0, 1.0 - rows.tau, -rows.tau) * w) / along
        usable = np.abs(along) > PARALLEL * np.abs(along).max()
        out = int(np.argmin(np.where(usable, slopes, np.inf)))
        T = slopes[out] / root
        # 2. The next row that meets the fit.
        d = vertex.inverse[:, out] / along[out]
        change = rows.D @ d
        length = _lengths(vertex, change)
        k = int(np.argmin(length))
        # 3. Is this piece outside? Pieces are judged where they are more than the move of t.
        if length[k] > NO_PIECE * scale:
            if cutoff <= T:
                return begin + (xi - begin) * (cutoff - T_before) / (T - T_before)
            begin, T_before = xi, T
        if not length[k] < np.inf:
            return np.inf
        # 4. To the next vertex.
        xi += float(length[k])
        r, basis = vertex.r - length[k] * change, vertex.basis.copy()
        r[basis[out]], basis[out] = -length[k] / along[out], k
        vertex = vertex_at(rows, basis, r)


def rank_intervals(
    rows: Rows, a: np.ndarray, C: np.ndarray, q: np.ndarray, cutoff: float, scale: np.ndarray
) -> np.ndarray:
    """The intervals (k, 2) of C a, C (k, r), from a (r,) that minimises.

    ``q`` (k,) as above; ``scale`` (k,) is the size of changes of C a.
    """
    vertex = best_vertex(rows, a)
    at = C @ (vertex.inverse @ rows.t[vertex.basis])
    root = np.sqrt(rows.tau * (1.0 - rows.tau) * q)
    found = np.empty((len(C), 2))
    for j, c in enumerate(C):
        for side, sign in enumerate((-1.0, 1.0)):
            end = upper_end(rows, vertex, sign * c, sign * at[j], root[j], cutoff, scale[j])
            found[j, side] = sign * end
    return found
