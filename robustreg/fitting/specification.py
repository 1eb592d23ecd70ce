"""What a fit is asked for, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ..problem.losses import Loss
from ..problem.solution import Status, Work
from .scale import Rule


@dataclass(frozen=True, slots=True)
class Specification:
    """The checked parameters of an estimator.

    ``loss`` and ``alpha`` in the units of the data; ``rule`` tells the residuals' scale that the
    knots are a multiple of, and is None where they are given; ``tell(step, rows, gap)``, if any, is
    called at each step; ``last_digits`` says whether all digits that the data determine are wanted,
    where float64 needs help for them, and the independent proof of them. ``losses`` are those of
    the targets, of one kind, where they differ; ``loss`` is then one of them.
    """

    loss: Loss
    alpha: float
    fit_intercept: bool
    solver: str
    max_iter: int
    tol: float
    rule: Rule | None = None
    tell: Callable | None = None
    last_digits: bool = True
    losses: tuple[Loss, ...] = ()

    def of(self, k: int) -> Specification:
        """That of target number k."""
        return replace(self, loss=self.losses[k], losses=()) if self.losses else self

    @property
    def has_knots(self) -> bool:
        """Whether rows can be beyond a knot: the loss is quadratic in the middle only, or its scale
        may vanish.
        """
        return self.rule is not None or (self.loss.is_bounded and not self.loss.is_corner)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Fitted numbers of k targets.

    ``coef`` (k, p), ``intercept``, ``objective``, ``gap`` (k,), ``outliers`` (n, k) bool or None
    without knots; ``scale`` (k,) of the residuals by a rule, and how far off rounding makes it,
    ``scale_noise``, or None without a rule; ``losses``, one for each target, whose knots follow an
    estimated scale; ``unique`` over all targets, ``rank``, ``statuses`` the set of them; ``work``,
    what the fit took.
    """

    coef: np.ndarray
    intercept: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    losses: tuple[Loss, ...]
    outliers: np.ndarray | None
    scale: np.ndarray | None
    scale_noise: np.ndarray | None
    unique: bool
    rank: int
    orthogonal: bool
    statuses: frozenset[Status]
    work: Work

    @property
    def n_iter(self) -> int:
        """Iterations of the slowest target."""
        return self.work.n_iter


def together(fits: list[Fit]) -> Fit:
    """One record for several targets."""

    def joined(name: str) -> Any:
        parts = [getattr(fit, name) for fit in fits]
        return None if parts[0] is None else np.concatenate(parts)

    first = fits[0]
    outliers: list[Any] = [fit.outliers for fit in fits]
    if len(fits) == 1:
        return first
    return Fit(
        coef=joined("coef"),
        intercept=joined("intercept"),
        objective=joined("objective"),
        gap=joined("gap"),
        losses=sum((fit.losses for fit in fits), ()),
        outliers=None if first.outliers is None else np.column_stack(outliers),
        scale=joined("scale"),
        scale_noise=joined("scale_noise"),
        unique=all(fit.unique for fit in fits),
        rank=first.rank,
        orthogonal=first.orthogonal,
        statuses=frozenset().union(*(fit.statuses for fit in fits)),
        work=reduce(add, (fit.work for fit in fits)),
    )
