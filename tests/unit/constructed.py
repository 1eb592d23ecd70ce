"""Losses of every kind, and problems made from their minimiser: with penalty, settled rows and
weights.
"""

from dataclasses import dataclass

import numpy as np

from robustreg.data.rows import dense_rows
from robustreg.problem.losses import ABSOLUTE, SQUARED, corner, huber, smooth
from robustreg.problem.problem import Problem, Quadratic
from robustreg.problem.solution import Options, Tally

SMOOTH = {"huber": huber(0.8), "asymmetric": smooth(-1.0, 2.0), "steep": smooth(-0.1, 3.0)}
CORNERS = {"absolute": ABSOLUTE, "quartile": corner(-0.25, 0.75), "steep": corner(-3.0, 0.5)}
LOSSES = {"squared": SQUARED, **{f"smooth {k}": v for k, v in SMOOTH.items()}}
LOSSES |= {f"corner {k}": v for k, v in CORNERS.items()}

OPTIONS = Options(200)


@dataclass
class Constructed:
    """A problem, its minimiser phi (m,), the residuals r (n,) there, and an optimal dual u (n,)."""

    problem: Problem
    phi: np.ndarray
    r: np.ndarray
    u: np.ndarray


def constructed(seed, loss, n=60, m=4, *, settled=True, penalty=True, interpolated=None):
    """A problem with h, S (if ``settled``) and L (if ``penalty``) not zero, whose minimiser is
    known.

    Residuals r and slopes u that belong to them are chosen first. Then h = G phi - Z'Wu makes the
    gradient zero. At a corner, ``interpolated`` rows (m of them, if None) have r = 0 and any u
    inside.
    """
    rng = np.random.default_rng(seed)
    Z, phi, w = rng.standard_normal((n, m)), rng.standard_normal(m), rng.uniform(0.5, 2.0, n)
    r = 2.0 * rng.standard_t(3, n)
    u = loss.slope(r)
    if loss.is_corner:
        F = rng.permutation(n)[: m if interpolated is None else interpolated]
        r[F] = 0.0
        u[F] = rng.uniform(0.9 * loss.lower, 0.9 * loss.upper, len(F))
    A, L = rng.standard_normal((3 * m, m)), rng.standard_normal((m, m))
    S, L = A.T @ A if settled else None, L if penalty else np.zeros((0, m))
    G = L.T @ L if S is None else L.T @ L + S
    h = G @ phi - Z.T @ (w * u)
    return Constructed(
        Problem(dense_rows(Z, Z @ phi + r, w), loss, Quadratic(L, h, 1.0, S)), phi, r, u
    )


def value(problem, phi):
    return problem.value(problem.rows.residual(phi), phi)


def is_minimal(problem, phi, *, steps=30, size=1e-4):
    """Whether no random step to either side lowers the value, which is convex."""
    rng, here = np.random.default_rng(0), value(problem, phi)
    moves = size * rng.standard_normal((steps, len(phi)))
    return all(
        value(problem, phi + s * move) >= here - 1e-12 * abs(here)
        for move in moves
        for s in (-1.0, 1.0)
    )


def tally():
    return Tally()
