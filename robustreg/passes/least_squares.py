"""Least squares on many rows: refined normal equations, in two passes, three if they are
ill-conditioned.

    (Z'diag(w)Z + L'L) phi = Z'(w t),      ||L phi||^2 = W alpha ||b||^2, the penalty

With the gradient g = Z'(w r) - L'L phi at the residuals r of phi the duality gap is exactly
g'(Z'diag(w)Z + L'L)^-1 g / 2, and the step that removes g is the refinement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.frame import LEAST, Frame
from ..data.source import Dependent, Part, Refused, Sums, sweep
from ..numerics import linalg
from ..problem.solution import Options, Tally
from .all_rows import AllRows, Outcome

# Least reciprocal condition number of Z'diag(w)Z: from here on each refinement leaves 1e-8 of the
# error or less, and the fitted values are as good as those of an orthogonal factorisation.
WELL_CONDITIONED = 1e-8
# Where less than this part of sum w t^2 is left the fit is exact but for rounding, and wants more
# care.
NOTHING_LEFT = 1e-20
# A relative step after which the next, smaller by a factor of 1e-6 at least, improves nothing.
REFINED = 1e-9
REFINEMENTS = 4  # each contracts the error by at least 1e-4: more cannot help


@dataclass(frozen=True, slots=True, eq=False)
class NormalEquations(Sums):
    """Z'diag(w)Z (m, m) and Z'(w t) (m,)."""

    gram: np.ndarray
    right: np.ndarray


def normal_equations(part: Part, frame: Frame) -> NormalEquations:
    """The kernel of the first pass."""
    C, t = frame.centred(part), frame.target(part)
    return NormalEquations(
        frame.gram(C, part.w), frame.adjoint(C, t if part.w is None else part.w * t)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Gradient(Sums):
    """sum w r^2 and Z'(w r) (m,)."""

    square: float
    adjoint: np.ndarray


def gradient(part: Part, frame: Frame, phi: np.ndarray) -> Gradient:
    """The kernel of the other passes, at phi (m,)."""
    C = frame.centred(part)
    r = frame.residual(part, C, phi)
    wr = r if part.w is None else part.w * r
    return Gradient(float(np.dot(wr, r)), frame.adjoint(C, wr))


def least_squares(
    problem: AllRows, options: Options, gram: np.ndarray | None = None
) -> tuple[np.ndarray, Outcome]:
    """(Z'diag(w)Z (m, m), the minimiser); ``gram`` is Z'diag(w)Z, if it is known from another
    target.

    Refused where the normal equations lose digits that another way keeps.
    """
    source, frame, tally = problem.source, problem.frame, Tally(n_iter=1, n_passes=1)
    with np.errstate(all="ignore"):  # what is not finite is found at the end of a pass
        # 1. The normal equations.
        if gram is None:
            sums = sweep(source, normal_equations, frame)
        else:
            right = sweep(source, gradient, frame, np.zeros(frame.n_cols)).adjoint
            sums = NormalEquations(gram, right)
        gram, right = sums.gram, sums.right
        options.report("pass 1: normal equations", source.n_rows)
        factor, L = _factor(problem, gram), problem.penalty_root
        phi = factor.solve(right)
        explained = phi @ right
        # 2. Refinement, whose decrement is twice the duality gap.
        for _ in range(REFINEMENTS):
            seen = sweep(source, gradient, frame, phi)
            tally.n_passes += 1
            g = seen.adjoint - L.T @ (L @ phi)
            step = factor.solve(g)
            decrement = step @ g
            value = 0.5 * float(seen.square + np.sum(np.square(L @ phi)))
            if not (np.isfinite(value) and seen.square > max(NOTHING_LEFT * explained, LEAST**2)):
                raise Refused("The fit is exact but for rounding.")
            phi, gap = phi + step, 0.5 * decrement / value
            options.report(f"pass {tally.n_passes}: refinement", source.n_rows, gap)
            if decrement <= REFINED**2 * explained:
                objective = problem.unit * (value - 0.5 * decrement) / source.weight
                return gram, Outcome(
                    frame, phi, float(objective), float(gap), True, None, None, tally
                )
    raise Refused("Refinement of the normal equations does not converge.")


def _factor(problem: AllRows, gram: np.ndarray) -> linalg.Factor:
    """The factor of Z'diag(w)Z + L'L; Refused where Z'diag(w)Z is ill-conditioned."""
    if not np.all(np.isfinite(gram)):
        raise Refused("X has values that are not finite, or too large to be squared.")
    factor = linalg.factor(gram)
    if not factor.rcond >= WELL_CONDITIONED:
        reason = "The columns of X are nearly dependent: their Gram matrix is ill-conditioned."
        raise Refused(reason) if problem.frame.independent else Dependent(reason, gram)
    L = problem.penalty_root
    return linalg.factor(gram + L.T @ L) if problem.alpha else factor
