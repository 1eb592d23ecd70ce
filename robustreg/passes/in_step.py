"""Fits that go in step: they ask for their passes together, and one sweep answers them all.

A fit in passes is a generator. It yields a ``Pass``, what it wants to know of all rows, and is sent
the sum of the records; or ``Near``, the small problem of its open rows, and is sent its optimal
pair, or None (``solvers/many_corners.py``). In a sweep for several fits a part is read once. Fits
that ask the same of it are answered together (``many_fits.py``), others each with its own target.

Between passes one fit computes after the other: what they compute is small, and threads that do it
at once wait for the interpreter longer than they save (measured).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ..data.frame import Frame
from ..data.source import Dependent, Part, Refused, Source, Sums, sweep
from ..solvers.many_corners import Near, optimal_pairs
from .many_fits import LEAST_FITS, is_one_of_many, of_many

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """A question to all rows: the sum of kernel(part, frame, *arguments).

    If it is ``rough``, some digits of the answer are enough, and float32 may be used.
    """

    kernel: Callable
    frame: Frame
    arguments: tuple
    rough: bool = False


Steps = Generator[Pass | Near, Any, T]


@dataclass(frozen=True, slots=True, eq=False)
class Records(Sums):
    """What the kernels of several groups of fits make of the same rows, one record for each."""

    each: list

    def __add__(self, other: Records) -> Records:
        return Records([mine + its for mine, its in zip(self.each, other.each, strict=True)])


def grouped(asked: dict[int, Pass]) -> list[list[int]]:
    """The numbers of the fits in groups: those that one kernel answers together."""
    kinds: dict[Any, list[int]] = {}
    for k, one in asked.items():
        together = is_one_of_many(one.kernel, one.arguments)
        kinds.setdefault(one.kernel if together else k, []).append(k)
    groups = []
    for some in kinds.values():
        groups += [some] if len(some) >= LEAST_FITS else [[k] for k in some]
    return groups


@dataclass(frozen=True, slots=True, eq=False)
class Alone:
    """The kernel of a pass of its own, for parts whose X is centred."""

    asked: Pass

    def __call__(self, part: Part) -> Any:
        frame = self.asked.frame.of_centred()
        return self.asked.kernel(part, frame, *self.asked.arguments)


def kernel_of(some: list[Pass]) -> Callable[[Part], Any]:
    """The kernel that answers the passes of a group."""
    if len(some) == 1:
        return Alone(some[0])
    frames, arguments = [one.frame for one in some], [one.arguments for one in some]
    return of_many(some[0].kernel, frames, arguments, all(one.rough for one in some))


def answers(part: Part, frame: Frame, groups: list[list[int]], kernels: list) -> Records:
    """The records that the ``kernels`` of groups of targets make of a part.

    The frames of all have the columns of ``frame``. Kernels of one fit share what is centred.
    """
    records, one_y = [], not part.y.strides[0]
    C = frame.centred(part) if any(len(group) == 1 for group in groups) else None
    for group, kernel in zip(groups, kernels, strict=True):
        if len(group) == 1:
            own = replace(part, X=C, y=part.y[group[0]])
        else:
            own = replace(part, y=part.y[:1] if one_y else part.y[group])
        records.append(kernel(own))
    return Records(records)


def in_step(source: Source, fits: list[Steps[T]]) -> list[T | Refused]:
    """What the fits return, or why they are refused; fit number k is of target number k of the
    source.

    Dependent columns are those of all targets: the first fit that finds them ends the others.
    """
    found: dict[int, Any] = {}
    sent: dict[int, Any] = dict.fromkeys(range(len(fits)))
    with np.errstate(all="ignore"):  # what is not finite is found at the end of a pass
        while sent:
            asked = _advanced(fits, sent, found)
            sent = dict(zip(asked, _swept(source, asked), strict=True)) if asked else {}
    return [found[k] for k in range(len(fits))]


def _advanced(fits: list[Steps[T]], sent: dict, found: dict) -> dict[int, Pass]:
    """The next pass of each fit that is ``sent`` an answer; what others return goes to ``found``.

    Small problems that they ask for are solved together.
    """
    passes = {}
    while sent:
        problems = {}
        for k, answer in sent.items():
            try:
                asked = fits[k].send(answer)
            except StopIteration as end:
                found[k] = end.value
            except Dependent:
                raise
            except Refused as reason:
                found[k] = reason
            else:
                (passes if isinstance(asked, Pass) else problems)[k] = asked
        sent = dict(zip(problems, optimal_pairs(list(problems.values())), strict=True))
    return passes


def _swept(source: Source, asked: dict[int, Pass]) -> list:
    """The answers to what is asked, in one pass."""
    if source.n_targets == 1:
        alone = asked[0]
        return [sweep(source, alone.kernel, alone.frame, *alone.arguments)]
    groups = [[k] for k in asked] if source.is_sparse else grouped(asked)
    kernels = [kernel_of([asked[k] for k in group]) for group in groups]
    frame, found = next(iter(asked.values())).frame, {}
    records = sweep(source, answers, frame, groups, kernels).each
    for group, record in zip(groups, records, strict=True):
        found |= dict(zip(group, record if len(group) > 1 else [record], strict=True))
    return [found[k] for k in asked]
