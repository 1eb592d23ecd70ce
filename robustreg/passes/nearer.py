"""A pilot moved nearer to the minimiser by passes, where these are cheaper than rows: several
targets share them, or columns are many.

With a sample of k rows the pilot is about sqrt(m / k) off, whatever the noise, and as many rows, in
proportion, are kept open. A step of Newton's method on the gradient of all rows,

    H step = Z'(w psi(r)) - L'L phi,

leads to the minimiser but for the errors of H, which is that of a sample (``hessian.py``). So a
quarter of the sample and two steps end much nearer than the whole sample. What the second step
moves fitted values by is a bound of what is left, if it is much less than the first did; if it is
not, H is wrong, and the whole sample is taken.
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
STEPS = 2  # the second is the bound
CONTRACTED = 0.5  # part of the first step that the second is at most, or H is wrong
LEFT = 0.5  # part of the second step that is left at most
ROUGH = 1e-3  # part of rho that rounding of residuals may be in a gradient
MODERATE = 1e9  # units up to which float32 has a wide margin to its limits


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
        return pilot(problem, tally)
    if start.ties is not None:
        return start
    unlike = start.metric is not None or len(start.unknown.rare)
    if unlike or start.gram is None or start.hessian is None or not start.typical > 0.0:
        return _of_whole_sample(problem, tally, enough)
    L, phi, lengths = problem.penalty_root, start.phi, []
    factor = linalg.factor(start.hessian * problem.source.weight + L.T @ L)
    rough = _may_be_rough(problem, start)
    for _ in range(STEPS):
        gradient = yield Pass(descent, problem.frame, (problem.loss, phi), rough)
        step = factor.solve(gradient - L.T @ (L @ phi))
        lengths.append(float(np.sqrt(step @ (start.gram @ step))))
        phi = phi + step
        tally.n_passes += 1
        options.report(f"pass {tally.n_passes}: gradient", problem.source.n_rows)
    first, last = lengths
    if not last <= CONTRACTED * first:
        return _of_whole_sample(problem, tally, enough)
    return replace(start, phi=phi, rho=LEFT * last / np.sqrt(start.weight))


def _may_be_rough(problem: AllRows, start: Pilot) -> bool:
    """Whether float32 tells residuals, and so gradients, far better than the pilot does."""
    frame = problem.frame
    noise = np.finfo(np.float32).eps * (1.0 + np.abs(start.phi).sum())
    units = np.append(frame.inverse_scale, frame.y_scale)
    in_range = np.all((units > 1.0 / MODERATE) & (units < MODERATE))
    return bool(noise <= ROUGH * start.rho and in_range)


def _of_whole_sample(problem: AllRows, tally: Tally, enough: bool) -> Pilot:
    if not enough:
        raise Refused("Steps from a small sample do not tell where the fit is, and rows are few.")
    return pilot(problem, tally)
