"""The Hessian of all rows, as far as a sample tells it, for steps of Newton's method.

    H = sum_i w_i E[psi'(r_i) given z_i] z_i z_i'

With the slopes smoothed by a factor k (``solvers/continuation.py``), and Q the rows on their
quadratic piece, a sample has two estimates of it:

    H_Q = Z_Q'diag(w_Q)Z_Q / k
    A   = d Z'diag(w)Z,                     d = sum_Q w / (k sum w), the mean of psi'

A is right where the density of residuals is the same for all z. H_Q is right in any case, but made
of few rows. With A = I, by a change of coordinates, its error is about

    noise = sum_Q (w_i / k)^2 ||z_i||^4 - ||H_Q||^2 / |Q|,

which is what ||H_Q - A||^2 is by chance alone. What is more tells that the density depends on z. So

    H = A + share (H_Q - A),                share = max(0, 1 - noise / ||H_Q - A||^2),

after Ledoit & Wolf 2004 (J. Multivariate Anal. 88:365), who choose such a share for a covariance.
"""

from __future__ import annotations

import numpy as np

from ..problem.problem import Problem
from ..solvers.continuation import least_factor

# Of H_Q, with A = I: with more of it a step might lead away.
MOST_NOISE = 1.0


def hessian(sample: Problem, r: np.ndarray, part: float) -> np.ndarray:
    """H (m, m) of a sample with residuals r (n,), that ``part`` of them in Q.

    Rows of a sparse X are not told apart: they would be dense.
    """
    rows, k = sample.rows, least_factor(sample, r, part)
    Q = np.flatnonzero(sample.loss.smoothed(k).curved(r))
    w = rows.w[Q] / k
    A = rows.gram_all * (w.sum() / rows.w.sum())
    if rows.is_sparse or not len(Q):
        return A
    Z = rows.take(Q)
    H_Q = Z.T @ (w[:, None] * Z)
    # With A = I: K A K' = I.
    K = rows.factor.inverse_root() * np.sqrt(rows.w.sum() / w.sum())
    ZK = Z @ K.T
    moved = K @ H_Q @ K.T
    noise = np.square(w) @ np.square(np.einsum("ij,ij->i", ZK, ZK))
    noise -= np.sum(np.square(moved)) / len(Q)
    if noise > MOST_NOISE:
        return A
    distance = np.sum(np.square(moved - np.eye(len(A))))
    return A + max(0.0, 1.0 - noise / distance) * (H_Q - A)
