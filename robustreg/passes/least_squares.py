"""Least squares on many rows: refined normal equations, in two passes, three if they are
ill-conditioned.

    (Z'diag(w)Z + L'L) phi = Z'(w t),      ||L phi||^2 = W alpha ||b||^2, the penalty

The targets share the matrix and the passes: t, phi and all that follows have a row for each. With
the gradient g = Z'(w r) - L'L phi at the residuals r of phi the duality gap is exactly
g'(Z'diag(w)Z + L'L)^-1 g / 2, and the step that removes g is the refinement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """Z'diag(w)Z (m, m) and Z'(w t) for each target, (k, m)."""

    gram: np.ndarray
    right: np.ndarray

    def of(self, frame: Frame) -> NormalEquations:
        """Those of the columns of Z, of all columns of X and of the ones."""
        some = frame.places
        return NormalEquations(self.gram[np.ix_(some, some)], self.right[..., some])


def normal_equations(part: Part, frame: Frame) -> NormalEquations:
    """The kernel of the first pass."""
    C, t = frame.centred(part), frame.target(part)
    return NormalEquations(
        frame.gram(C, part.w), frame.adjoint(C, t if part.w is None else part.w * t)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Gradient(Sums):
    """sum w r^2 (k,) and Z'(w r) (k, m)."""

    square: np.ndarray
    adjoint: np.ndarray


def gradient(part: Part, frame: Frame, phi: np.ndarray) -> Gradient:
    """The kernel of the other passes, at phi (k, m)."""
    C = frame.centred(part)
    r = frame.residual(part, C, phi)
    wr = r if part.w is None else part.w * r
    return Gradient(_products(wr, r), frame.adjoint(C, wr))


def least_squares(
    problem: AllRows, options: Options, sums: NormalEquations | None = None
) -> list[Outcome]:
    """The minimiser for each target of the source, whose y is (k, n); ``sums`` if they are known.

    Refused where the normal equations lose digits that another way keeps.
    """
    source, frame = problem.source, problem.frame
    tally = Tally(n_iter=1, n_passes=1 + source.n_looks)
    with np.errstate(all="ignore"):  # what is not finite is found at the end of a pass
        # 1. The normal equations.
        equations = sums or sweep(source, normal_equations, frame)
        options.report(f"pass {tally.n_passes}: normal equations", source.n_rows)
        factor, L = _factor(problem, equations), problem.penalty_root
        phi = factor.solve(equations.right.T).T
        explained = _products(phi, equations.right)
        # 2. Refinement, whose decrement is twice the duality gap.
        for _ in range(REFINEMENTS):
            seen = sweep(source, gradient, frame, phi)
            tally.n_passes += 1
            g = seen.adjoint - phi @ L.T @ L
            step = factor.solve(g.T).T
            decrement = _products(step, g)
            value = 0.5 * (seen.square + np.square(phi @ L.T).sum(axis=1))
            known = seen.square > np.maximum(NOTHING_LEFT * explained, LEAST**2)
            if not np.all(np.isfinite(value) & known):
                raise Refused("The fit is exact but for rounding.")
            phi, gap = phi + step, 0.5 * decrement / value
            options.report(f"pass {tally.n_passes}: refinement", source.n_rows, gap.max())
            if np.all(decrement <= REFINED**2 * explained):
                objective = problem.unit * (value - 0.5 * decrement) / source.weight
                return [_outcome(problem, k, phi, objective, gap, tally) for k in range(len(phi))]
    raise Refused("Refinement of the normal equations does not converge.")


def _products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The products of row k of ``left`` and row k of ``right``, (k, m) both, (k,)."""
    return np.einsum("...j,...j->...", left, right)


def _outcome(problem: AllRows, k: int, phi, objective, gap, tally: Tally) -> Outcome:
    """That of target number k."""
    frame = replace(problem.frame, y_shift=float(problem.frame.y_shift[k, 0]))
    return Outcome(frame, phi[k], float(objective[k]), float(gap[k]), True, None, None, tally)


def _factor(problem: AllRows, sums: NormalEquations) -> linalg.Factor:
    """The factor of Z'diag(w)Z + L'L; Refused where Z'diag(w)Z is ill-conditioned."""
    if not np.all(np.isfinite(sums.gram)):
        raise Refused("X has values that are not finite, or too large to be squared.")
    factor = linalg.factor(sums.gram)
    if not factor.rcond >= WELL_CONDITIONED:
        reason = "The columns of X are nearly dependent: their Gram matrix is ill-conditioned."
        raise Refused(reason) if problem.frame.independent else Dependent(reason, sums)
    L = problem.penalty_root
    return linalg.factor(sums.gram + L.T @ L) if problem.alpha else factor
