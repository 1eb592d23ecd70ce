"""A pilot moved nearer to the minimiser by passes, where these are cheaper than rows: several
targets share them, or columns are many.

With a sample of k rows the pilot is about sqrt(m / k) off, whatever the noise, and as many rows, in
proportion, are kept open. A step of Newton's method on the gradient of all rows,

    H step = Z'(w psi(r)) - L'L phi,

leads to the minimiser but for the errors of H, which is that of a sample (``hessian.py``). So a
quarter of the sample and two steps end much nearer than the whole sample. If the second step is
much shorter than the first, what is left is shorter again; if it is not, H is wrong, and the whole
sample is taken.

*What is left* has two parts. Let a step d have the length ||d||^2 = d'M d, M the mean of z z', so
that it is how far it moves fitted values, root mean square. If for the errors of H each step is c
times the last one, as the second was, those that would follow the second step d add up to c / (1 -
c) ||d||. And at a corner the gradient
is rough: it changes by jump z for each row whose residual changes its sign on the way. Of these
there are about n f E|z'd| by chance, with f the density of residuals at 0 and E|z'd| =
sqrt(2 / pi) ||d||. With the Hessian n f jump M they move phi by M^-1 z / (n f) each, in all by the
mean square m E|z'd| / (n f). Together

    left^2 = (c / (1 - c) ||d||)^2 + sqrt(2 / pi) m ||d|| / (n f).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..data.source import Refused
from ..numerics import linalg
from ..problem.solution import Options, Tally
from .all_rows import AllRows
from .descent import descent
from .in_step import Pass, Steps
from .pilot import Levels, Pilot, pilot

PART = 0.25  # of the usual sample
STEPS = 2  # the ratio of the two tells how much is left
CONTRACTED = 0.5  # part of the first step that the second is at most, or H is wrong
LEFT = 0.5  # part of the second step that is left at most of a smooth loss
# Times what is left at a corner, as it varies from fit to fit: fix-ups cost more than rows that are
# kept in vain (measured).
SAFE = 2.0
ROUGH = 1e-3  # part of rho that rounding of residuals may be in a gradient
# Scale of a column or of y, or its inverse: up to it values are far from the limits of float32,
# which are 1e38 and 1e-38.
IN_FLOAT32 = 1e9


def moved_nearer(
    problem: AllRows, options: Options, tally: Tally, enough: bool, levels: Levels | None = None
) -> Steps[Pilot]:
    """A pilot, in steps; Refused where there is none. It may be one of several ``levels``.

    Where steps do not come nearer it is that of the whole sample, if rows are ``enough`` for it.
    """
    try:
        start = pilot(problem, tally, PART, levels=levels, with_hessian=True)
    except Refused:
        if not enough:
            raise
        return _of_whole_sample(problem, tally, enough, levels)
    if start.ties is not None:
        return start
    unlike = start.metric is not None or len(start.unknown.rare)
    if unlike or start.gram is None or start.hessian is None or not start.typical > 0.0:
        return _of_whole_sample(problem, tally, enough, levels)
    L, phi, lengths = problem.penalty_root, start.phi, []
    factor = linalg.factor(start.hessian * problem.source.weight + L.T @ L)
    rough = _float32_will_do(problem, start)
    for _ in range(STEPS):
        gradient = yield Pass(descent, problem.frame, (problem.loss, phi), rough)
        step = factor.solve(gradient - L.T @ (L @ phi))
        lengths.append(float(np.sqrt(step @ (start.gram @ step) / start.weight)))
        phi = phi + step
        tally.n_passes += 1
        options.report(f"pass {tally.n_passes}: gradient", problem.source.n_rows)
    first, last = lengths
    if not last <= CONTRACTED * first:
        return _of_whole_sample(problem, tally, enough, levels)
    left = _left_at_corner(problem, start, first, last) if problem.loss.is_corner else LEFT * last
    return replace(start, phi=phi, rho=left)


def _left_at_corner(problem: AllRows, start: Pilot, first: float, last: float) -> float:
    """``left`` of the module, on the safe side, for steps of these lengths."""
    assert start.factor is not None
    assert start.hessian is not None
    m, jump = len(start.phi), 2.0 * problem.loss.half_jump
    density = start.weight * np.trace(start.factor.solve(start.hessian)) / (m * jump)
    rough = np.sqrt(2.0 / np.pi) * m / (problem.source.n_rows * density)
    c = last / first if first else 0.0
    return float(SAFE * np.sqrt((c / (1.0 - c) * last) ** 2 + rough * last))


def _float32_will_do(problem: AllRows, start: Pilot) -> bool:
    """Whether float32 tells residuals, and so gradients, far better than the pilot does."""
    frame = problem.frame
    noise = np.finfo(np.float32).eps * (1.0 + np.abs(start.phi).sum())
    units = np.append(frame.inverse_scale, frame.y_scale)
    in_range = np.all((units > 1.0 / IN_FLOAT32) & (units < IN_FLOAT32))
    return bool(noise <= ROUGH * start.rho and in_range)


def _of_whole_sample(problem: AllRows, tally: Tally, enough: bool, levels: Levels | None) -> Pilot:
    """From far away, and not from the last level, which may be why steps do not contract."""
    if not enough:
        raise Refused("Steps from a small sample do not tell where the fit is, and rows are few.")
    return pilot(problem, tally, levels=None if levels is None else Levels(levels.samples))
