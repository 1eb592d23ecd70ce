"""How far from a computed dual point an exactly feasible one is, without computing it.

Numbers on a computer satisfy no constraint exactly. Let T (m, k) be the directions in which the
pull pi = A'(w u) is to be right exactly, omega = T'(pi - kappa beta) what is missing there, and
room_i >= 0 how far u_i may move inside its interval. With z_i = T'a_i and
M = sum_i w_i room_i z_i z_i', the point

    u_i + du_i,    du_i = -room_i z_i'M^-1 omega,                                                (2)

has nothing missing, exactly: sum_i w_i du_i z_i = -M M^-1 omega = -omega. It is inside the interval
if abs(z_i'M^-1 omega) <= 1 for all rows with room. For any matrix K with K M K' >= I / 2,

    abs(z_i'M^-1 omega) = abs((K z_i)'(K M K')^-1 (K omega)) <= 2 ||K z_i|| ||K omega||.         (3)

K is the inverse of a Cholesky factor of M as computed. That it serves the exact M is checked here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from .design import EPS, MOST_DENSE, Design

# Times at most that T is replaced by coordinates that are orthonormal but for rounding. One gains
# all the condition that float64 can hold; weights over many decades may need a second.
ROUNDS = 3
# Largest distance of K M K' from I that is accepted: (3) has the factor 2 = 1 / (1 - 1/2).
LARGEST_DISTANCE = 0.5
# Safe margin, relative: more than the rounding of the norms and products of the few numbers below.
NORM_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """Directions T (m, k), None for all, and ``K`` (k, k) with K M K' >= I / 2 for the exact M."""

    T: np.ndarray | None
    K: np.ndarray


def make_metric(design: Design, T: np.ndarray | None, q: np.ndarray) -> Metric | None:
    """The metric of M = T'A' diag(q) A T for q (n,) >= 0, in T or in others of its coordinates.

    None if M may be singular.
    """
    for _ in range(ROUNDS):
        # 1. The inverse root of the computed M, if that is good enough.
        M = design.gram(q, T)
        size = np.sqrt(np.diag(M))
        if not (np.all(size > 0.0) and np.all(np.isfinite(size))):
            return None
        K = _inverse_root(M / size / size[:, None]) / size
        if distance_from_identity(design, T, q, M, K) <= LARGEST_DISTANCE:
            return Metric(T, K)
        # 2. Else coordinates in which it will be: by reflections of the rows, which lose less.
        if design.is_sparse and len(M) > MOST_DENSE:
            return None
        R = design.triangle(q, T)
        if len(R) < len(M) or not np.all(np.diag(R)):
            return None
        inverse = solve_triangular(R, np.eye(len(R)))
        T = inverse if T is None else T @ inverse
    return None


def _inverse_root(M: np.ndarray) -> np.ndarray:
    """The inverse of the lower triangular Cholesky factor of M; zeros if M has no such factor."""
    try:
        return np.linalg.inv(np.linalg.cholesky(M))
    except np.linalg.LinAlgError:
        return np.zeros_like(M)


def distance_from_identity(
    design: Design, T: np.ndarray | None, q: np.ndarray, M: np.ndarray, K: np.ndarray
) -> float:
    """At least ||K M K' - I|| for the exact M, of which ``M`` (k, k) is what was computed.

    Let a sum over the rows be off by the share epsilon of its absolute terms, and the numbers
    z_ij = (T'a_i)_j by so much that the root of sum_i q_i (error of z_ij)^2 is at most e_j. With
    size_j, the root of M_jj, M_jk is off by at most

        epsilon size_j size_k + size_j e_k + e_j size_k + e_j e_k,

    and K M K' by that with the norms of the columns of K as factors.
    """
    size = np.sqrt(np.diag(M))
    if T is None:  # z_ij is a_ij, with a rounding of X - shift and one more
        e = 2.0 * EPS * size
    else:  # z_i is off by (m + 3) EPS abs(T)'abs(a_i): roots of squares by the triangle inequality
        e = (design.n_cols + 3) * EPS * (np.abs(T).T @ np.sqrt(design.squares(q)))
    # A share for the sum over the rows, and one for the computed K M K'.
    epsilon = min(design.sum_error, (np.count_nonzero(q) + 4) * EPS) + 4.0 * len(M) * EPS
    norms = np.linalg.norm(K, axis=0)
    of_sizes, of_errors = size @ norms, e @ norms
    computed = np.linalg.norm(K @ M @ K.T - np.eye(len(M)))
    distance = computed + epsilon * of_sizes**2 + 2.0 * of_sizes * of_errors + of_errors**2
    distance = distance * (1.0 + NORM_ROUNDING)
    return float(distance) if np.isfinite(distance) else np.inf


def moves(
    design: Design, metric: Metric, room: np.ndarray, missing: np.ndarray, error: np.ndarray
) -> np.ndarray:
    """At least abs(z_i'M^-1 omega) of each row with room, by (3), (n,); 0 for the other rows.

    ``missing`` (m,) is pi - kappa beta, known up to ``error`` (m,). Rows without room do not move.
    """
    T, K = metric.T, metric.K
    # 1. ||K omega||, whatever the rounding of what is missing, of omega and of the product.
    omega = missing if T is None else T.T @ missing
    if T is not None:
        error = np.abs(T).T @ (error + len(missing) * EPS * np.abs(missing))
    error = error + len(omega) * EPS * np.abs(omega)
    length = np.linalg.norm(K @ omega) + np.linalg.norm(np.abs(K) @ error)
    # 2. ||K z_i|| <= sum_j abs(z_ij) ||column j of K||.
    norms = 2.0 * length * np.linalg.norm(K, axis=0) * (1.0 + NORM_ROUNDING)
    if np.all(room > 0.0):
        return design.sizes(norms, T)
    rows, share = np.flatnonzero(room), np.zeros(len(room))
    share[rows] = design.sizes(norms, T, rows)
    return share
