"""A corner whose minimiser goes through many rows, F: two passes or a few, whatever their number.

The pilot knows phi, which goes through the rows F of a sample, and c, the dual of these (u = -Z c,
clipped to its bounds). Let F be the rows of all with r = 0 at phi, but for rounding. Then u is the
slope of every other row, and with any c

    u_F = -Z_F c, clipped to its bounds

is a slope of every row of F. So phi is the minimiser of all rows as soon as Z'(w u) = L'L phi, m
equations in c. Newton's method solves them: its matrix is Z'diag(w)Z of the rows of F whose u is
not clipped, and where none is, one step from the c of the sample is exact. One pass gives what is
missing and the matrix, the next one proves the end.

No row is kept. Where the equations have no solution, which says that the fit of the sample is not
that of all rows, this is Refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.blocks import rows_of
from ..data.frame import Frame
from ..data.source import Part, Refused, Sums
from ..numerics import linalg
from ..numerics.precision import EPS
from ..problem.duality import AT_BOUND
from ..problem.losses import Loss
from ..problem.solution import Options, Tally
from .all_rows import AllRows, Outcome
from .gap import DISTANT, cost_of_missing
from .in_step import Pass, Steps
from .pilot import Pilot

ROUNDS = 8  # passes at most: as the sample is large, few rows are clipped that were not there
ROUNDED = 64.0 * EPS  # of the terms that make a residual: below it a residual is 0
EXACT = 1e-14  # a relative gap that is nothing but rounding


@dataclass(frozen=True, slots=True, eq=False)
class Pull(Sums):
    """All rows at (phi, c).

    ``cost`` is the sum of w l(r), ``near`` the same with residuals very far away moved nearer;
    ``adjoint`` Z'(w u) (m,). Of the rows of F ``lost`` is the sum of w (l(r) - u r), their
    rounding; ``refit`` Z'(w r) (m,) and ``gram`` Z'diag(w)Z (m, m) or None are sums over those that
    are not clipped, ``n_clipped`` of them are.
    """

    cost: float
    near: float
    adjoint: np.ndarray
    lost: float
    refit: np.ndarray
    gram: np.ndarray | None
    n_clipped: int


def pull(
    part: Part, frame: Frame, loss: Loss, phi: np.ndarray, c: np.ndarray,
    sizes: tuple[float, float], with_gram: bool,
) -> Pull:  # fmt: skip
    """The kernel at ``phi`` and ``c`` (m,); ``sizes`` are those of fitted values and of residuals
    that are far away.
    """
    size, far = sizes
    C, t = frame.centred(part), frame.target(part)
    w = part.weights
    noise = ROUNDED * (np.abs(t) + size)
    r = frame.residual_of(t, C, phi)
    # 1. The slopes, of the rows of F from c.
    F = np.flatnonzero(np.abs(r) <= noise)
    u, u_F = loss.slope(r), frame.residual_of(np.zeros(len(r)), C, c)[F]
    u[F] = np.clip(u_F, loss.lower, loss.upper)
    held = F[loss.held(u[F], AT_BOUND)]
    # 2. The sums.
    value, refit = loss.value(r), np.zeros(len(r))
    lost = float(w[F] @ (value[F] - u[F] * r[F]))
    refit[held] = w[held] * r[held]
    cost = near = float(w @ value)
    if max(r.max(), -r.min()) > far:
        near = float(w @ loss.value(np.clip(r, -far, far)))
    gram = frame.gram(rows_of(C, held), None if part.w is None else w[held]) if with_gram else None
    adjoint, refit = frame.adjoint(C, w * u), frame.adjoint(C, refit)
    return Pull(cost, near, adjoint, lost, refit, gram, len(F) - len(held))


def through_ties(problem: AllRows, start: Pilot, options: Options, tally: Tally) -> Steps[Outcome]:
    """The minimiser of all rows, if it is the pilot's phi; Refused if not."""
    phi, c, L, factor = start.phi, start.ties, problem.penalty_root, None
    assert c is not None, "a pilot through many rows has their dual"
    least = EPS * start.typical  # the terms of all rows of F may vanish
    sizes = float(np.abs(phi).sum()) + least, DISTANT * start.typical
    for _ in range(ROUNDS):
        seen = yield Pass(pull, problem.frame, (problem.loss, phi, c, sizes, factor is None))
        tally.n_passes += 1
        if factor is None:
            factor = linalg.factor(seen.gram)
            if not factor.sound:
                raise Refused("Rows that the fit goes through do not determine it.")
        missing = seen.adjoint - L.T @ (L @ phi)
        gap = (seen.lost + cost_of_missing(problem, phi, missing, seen.near)) / seen.near
        options.report(f"pass {tally.n_passes}: ties", problem.source.n_rows, gap)
        if gap <= EXACT:
            return _outcome(problem, phi, factor, seen, gap, tally)
        c = c + factor.solve(missing)
        factor = factor if not seen.n_clipped else None
    raise Refused("The fit of a sample goes through many rows, but not that of all rows.")


def _outcome(problem: AllRows, phi, factor, seen: Pull, gap: float, tally: Tally) -> Outcome:
    """phi, after least squares of the rows of F: their rounding, as far as alpha is not in it."""
    cost = seen.cost + 0.5 * np.sum(np.square(problem.penalty_root @ phi))
    value = float(problem.unit * cost / problem.source.weight)
    if not problem.alpha:
        step = factor.solve(seen.refit)
        phi = phi + step
        phi[np.abs(phi) <= EPS * np.abs(step)] = 0.0  # what is left is the rounding of the step
    return Outcome(problem.frame, phi, value, float(gap), True, None, None, tally)
