"""Solvers that ask for a central path on their way, so that several fits can be answered at once.

Such a solver is a generator. It yields the start of a path, is sent its points, and returns what it
found.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar

from .interior_point import Point, Start, central_path

T = TypeVar("T")
Asking = Generator[Start, Iterator[Point], T]


def alone(solver: Asking[T]) -> T:
    """What a solver finds whose paths are its own."""
    try:
        start = next(solver)
        while True:
            start = solver.send(central_path(start))
    except StopIteration as end:
        return end.value
