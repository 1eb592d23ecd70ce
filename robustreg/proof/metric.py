"""How far from a computed dual point an exactly feasible one is, without computing it.

Numbers on a computer satisfy no constraint exactly. Let T (m, r) be the directions in which the sums
v = A'(w u) are to be right exactly, t what is missing there (T'v without a penalty), and s_i >= 0 the
room that u_i has inside its interval. With G = T'A' diag(w s) A T,

    u_i + d_i,    d_i = -s_i a_i'T G^-1 t,                                                       (2)

has nothing missing, exactly: T'A'(w d) = -G G^-1 t = -t. It is inside the interval if
abs(a_i'T G^-1 t) <= 1 for all rows with room. For any matrix M with M G M' >= I / 2, z_i = T'a_i,

    abs(a_i'T G^-1 t) = abs((M z_i)'(M G M')^-1 (M t)) <= 2 ||M z_i|| ||M t||.                   (3)

M is the inverse of a Cholesky factor of G as computed. That it serves the exact G is checked here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from .design import EPS, MOST_DENSE, Design

# Times at most that T is replaced by coordinates that are orthonormal but for rounding. One gains all
# the condition that float64 can hold; weights over many decades may need a second.
ROUNDS = 3
# Relative: more than the rounding of norms and products of the few numbers below.
SAFE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """Directions T (m, r), None for all, and ``M`` (r, r) with M G M' >= I / 2 for their exact G."""

    T: np.ndarray | None
    M: np.ndarray


def metric(design: Design, T: np.ndarray | None, q: np.ndarray) -> Metric | None:
    """The metric of G = T'A' diag(q) A T for q (n,) >= 0, in T or in other coordinates of its directions.

    None if G may be singular.
    """
    for _ in range(ROUNDS):
        # 1. The factor of the computed G, if that is good enough.
        G = design.gram(q, T)
        size = np.sqrt(np.diag(G))
        if not (np.all(size > 0.0) and np.all(np.isfinite(size))):
            return None
        M = _inverse_of_factor(G / size / size[:, None]) / size
        if distance_from_identity(design, T, q, G, M) <= 0.5:
            return Metric(T, M)
        # 2. Else coordinates in which it will be: by reflections of the rows, which lose less.
        if design.is_sparse and len(G) > MOST_DENSE:
            return None
        R = design.triangle(q, T)
        if len(R) < len(G) or not np.all(np.diag(R)):
            return None
        inverse = solve_triangular(R, np.eye(len(R)))
        T = inverse if T is None else T @ inverse
    return None


def _inverse_of_factor(C):
    """L^-1 for C = L L'; zeros if C has no such factor."""
    try:
        return np.linalg.inv(np.linalg.cholesky(C))
    except np.linalg.LinAlgError:
        return np.zeros_like(C)


def distance_from_identity(design: Design, T, q, G, M) -> float:
    """At least ||M G M' - I|| for the exact G, of which G (r, r) is what was computed.

    Let a sum over the rows be off by the share sigma of its absolute terms, and the numbers z_ij = (T'a_i)_j
    by so much that the root of sum_i q_i (error of z_ij)^2 is at most h_j. With g_j, the root of G_jj, G_jk
    is off by at most sigma g_j g_k + g_j h_k + h_j g_k + h_j h_k, and M G M' by that with the norms of M's
    columns as factors.
    """
    r, g = len(G), np.sqrt(np.diag(G))
    if T is None:
        h = 2.0 * EPS * g
    else:  # T'a_i is off by (m + 3) EPS abs(T)'abs(a_i); the root of squares by the triangle inequality
        h = (design.n_cols + 3) * EPS * (np.abs(T).T @ np.sqrt(design.squares(q)))
    sigma = min(design.sum_error, (np.count_nonzero(q) + 4) * EPS) + 4.0 * r * EPS  # the last for M G M' itself
    columns = np.linalg.norm(M, axis=0)
    from_g, from_h = g @ columns, h @ columns
    seen = np.linalg.norm(M @ G @ M.T - np.eye(r))
    distance = (seen + sigma * from_g**2 + 2.0 * from_g * from_h + from_h**2) * (1.0 + SAFE)
    return float(distance) if np.isfinite(distance) else np.inf


def moves(design: Design, found: Metric, room: np.ndarray, v: np.ndarray, error: np.ndarray) -> np.ndarray:
    """At least abs(a_i'T G^-1 t) of each row with room, by (3), for v (m,) known up to ``error`` (m,); (n,).

    0 for rows without room, which do not move.
    """
    T, M = found.T, found.M
    # 1. ||M t||, whatever the rounding of v, of t and of the product.
    t = v if T is None else T.T @ v
    if T is not None:
        error = np.abs(T).T @ (error + len(v) * EPS * np.abs(v))
    error = error + len(t) * EPS * np.abs(t)
    length = np.linalg.norm(M @ t) + np.linalg.norm(np.abs(M) @ error)
    # 2. ||M z_i|| <= sum_j abs(z_ij) ||column j of M||.
    columns = 2.0 * length * np.linalg.norm(M, axis=0) * (1.0 + SAFE)
    if np.all(room > 0.0):
        return design.sizes(columns, T)
    rows, out = np.flatnonzero(room), np.zeros(len(room))
    out[rows] = design.sizes(columns, T, rows)
    return out
