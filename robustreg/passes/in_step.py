"""Fits that go in step: they ask for their passes together, and one sweep answers them all.

A fit in passes is a generator. It yields a ``Pass``, what it wants to know of all rows, and is sent
the sum of the records. Between its passes it computes by itself, so that fits of several targets do
that in parallel, each in one thread. In a sweep for several a part is read, and centred, once, and
each kernel sees it with the target of its own fit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ..data.frame import Frame
from ..data.source import Part, Refused, Source, Sums, sweep
from ..data.threads import in_parallel
from .many_levels import of_many

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """A question to all rows: the sum of kernel(part, frame, *arguments)."""

    kernel: Callable
    frame: Frame
    arguments: tuple


Steps = Generator[Pass, Any, T]


@dataclass(frozen=True, slots=True, eq=False)
class Records(Sums):
    """What several kernels make of the same rows, one record for each."""

    each: list

    def __add__(self, other: Records) -> Records:
        return Records([mine + its for mine, its in zip(self.each, other.each, strict=True)])


def answers(part: Part, passes: dict[int, Pass]) -> Records:
    """The kernel of a pass for several targets: ``passes`` by their numbers.

    All frames have the same columns.
    """
    centred = next(iter(passes.values())).frame.centred(part)
    together = of_many(replace(part, X=centred), passes)
    if together is not None:
        return Records([together[k] for k in passes])
    records = []
    for k, asked in passes.items():
        own = Part(centred, part.y[k], part.w, part.begin)
        records.append(asked.kernel(own, asked.frame.of_centred(), *asked.arguments))
    return Records(records)


def in_step(source: Source, fits: list[Steps[T]], in_order: bool = False) -> list[T]:
    """What the fits return; fit number k is of target number k of the source.

    ``in_order``: one fit computes after the other, as somebody listens to them.
    """
    found, sent = {}, dict.fromkeys(range(len(fits)))
    with np.errstate(all="ignore"):  # what is not finite is found at the end of a pass
        while sent:
            asked = _advanced(fits, sent, found, in_order)
            sent = dict(zip(asked, _swept(source, asked), strict=True)) if asked else {}
    return [found[k] for k in range(len(fits))]


def _advanced(fits: list[Steps[T]], sent: dict, found: dict, in_order: bool) -> dict[int, Pass]:
    """The next pass of each fit that is ``sent`` a record; what others return goes to ``found``."""
    numbers = list(sent)

    def advance(i: int) -> Pass | Refused | None:
        k = numbers[i]
        try:
            return fits[k].send(sent[k])
        except StopIteration as end:
            found[k] = end.value
        except Refused as reason:
            return reason
        return None

    steps: list[Any]
    if in_order:
        steps = [advance(i) for i in range(len(numbers))]
    else:
        steps = in_parallel(advance, len(numbers))
    for step in steps:  # of several reasons always the same
        if isinstance(step, Refused):
            raise step
    return {k: step for k, step in zip(numbers, steps, strict=True) if step is not None}


def _swept(source: Source, asked: dict[int, Pass]) -> list:
    """The answers to what is asked, in one pass."""
    if source.n_targets == 1:
        alone = asked[0]
        return [sweep(source, alone.kernel, alone.frame, *alone.arguments)]
    return sweep(source, answers, asked).each
