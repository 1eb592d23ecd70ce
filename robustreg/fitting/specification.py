"""What a fit is asked for, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..problem.solution import Status
from .scale import Rule


@dataclass(frozen=True, slots=True)
class Specification:
    """The checked parameters of an estimator.

    ``knot`` and ``alpha`` in the units of the data; ``rule`` tells the residuals' scale that the knot is a multiple
    of, and is None where the knot is given; ``tell(step, rows, gap)``, if any, hears of each step.
    """

    loss: str
    knot: float
    alpha: float
    fit_intercept: bool
    solver: str
    max_iter: int
    tol: float
    rule: Rule | None = None
    tell: Callable | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Fitted numbers of k targets.

    ``coef`` (k, p), ``intercept``, ``objective``, ``gap``, ``knot`` (k,), ``outliers`` (n, k) bool or None;
    ``scale`` (k,) of the residuals by a rule, and how far off rounding makes it, ``scale_noise``, or None without
    a rule; ``unique`` over all targets, ``rank``, ``n_iter`` the largest, ``statuses`` the set of them.
    """

    coef: np.ndarray
    intercept: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    knot: np.ndarray
    outliers: np.ndarray | None
    scale: np.ndarray | None
    scale_noise: np.ndarray | None
    unique: bool
    rank: int
    n_iter: int
    orthogonal: bool
    statuses: frozenset[Status]
