"""How rows are read: a source has parts, and a pass adds up what a kernel makes of each part.

    Source   rows as they are stored: ``n_rows``, ``n_features``, ``weight``; ``swept(kernel,
             arguments)`` a pass, ``take(index)`` some rows as one part, ``sample(size)``
    Part     one block of rows as a kernel sees it
    kernel   kernel(part, *arguments) -> a record with ``+``; it writes to nothing outside, so that
             another thread, process or machine can run it

The parts and the order in which records are added do not depend on the number of threads, nor of
machines. So a pass has the same bits whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Refused(Exception):
    """Passes cannot solve this problem; the direct way can. The argument says why, a sentence."""


class Dependent(Refused):
    """The same, unless the columns that depend on others are left out. ``sums`` are the normal
    equations of all rows and columns, if they are known.
    """

    def __init__(self, reason: str, sums: Any = None):
        super().__init__(reason)
        self.sums = sums


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """X (k, p), dense or CSR, of ``parts`` float64; y (k,), or a row of it for each of several
    targets; weights w (k,) or None for ones; ``begin``, the first row's number.

    X may be overwritten when the next part is read: a kernel copies the rows that it keeps.
    """

    X: Any
    y: np.ndarray
    w: np.ndarray | None
    begin: int = 0

    @property
    def weights(self) -> np.ndarray:
        """w, or ones, (k,)."""
        return np.ones(self.y.shape[-1]) if self.w is None else self.w


class Sums:
    """A record that a pass adds up, field by field: arrays, numbers, lists, other such records."""

    __slots__ = ()

    def __add__(self, other):
        record: Any = self  # every subclass is a dataclass
        names = record.__dataclass_fields__  # less work than ``fields``, for each part and fit
        pairs = ((getattr(self, name), getattr(other, name)) for name in names)
        return type(self)(*(None if a is None else a + b for a, b in pairs))


class Source(Protocol):
    """Rows as they are stored; see the module.

    ``in_memory``: a pass costs little, and n numbers may be kept beside the rows. ``n_looks``
    passes had been made when the source was.
    """

    in_memory: bool
    n_looks: int

    @property
    def is_sparse(self) -> bool: ...

    @property
    def n_rows(self) -> int: ...

    @property
    def n_features(self) -> int: ...

    @property
    def n_entries(self) -> int:
        """The entries of X that are stored."""
        ...

    @property
    def weight(self) -> float:
        """W, the sum of the weights."""
        ...

    @property
    def weight_range(self) -> tuple[float, float] | None:
        """(the least weight, the largest), or None where all are 1."""
        ...

    @property
    def most_kept(self) -> int:
        """The most rows that a pass may keep."""
        ...

    def swept(self, kernel: Callable, arguments: tuple) -> Any:
        """The sum of kernel(part, *arguments) over all parts."""
        ...

    def take(self, index: np.ndarray | slice) -> Part:
        """Some rows, an index array or a slice; a dense X has the dtype that is stored."""
        ...

    def some(self, count: int) -> Part:
        """About ``count`` rows, or all if they are fewer, spread evenly: what is usual shows."""
        ...

    def draw(self, size: int) -> int:
        """Make sure that there is a sample of about ``size`` rows: how many passes that took."""
        ...

    def sample(self, size: int) -> tuple[Part, np.ndarray | None]:
        """(about ``size`` rows, the weights that ``drawn`` gives them)."""
        ...

    @property
    def n_targets(self) -> int:
        """k: y of a part is (k, n), or (n,) for one target."""
        ...

    def target(self, k: int) -> Source:
        """The same rows with target number k alone, y (n,)."""
        ...

    def stacked(self) -> Source:
        """The same rows with y (k, n), if it is one target, too."""
        ...


def sweep(source: Source, kernel: Callable, *arguments):
    """One pass: the sum of kernel(part, *arguments) over all parts."""
    return source.swept(kernel, arguments)


def spread_out(n: int, m: int, seed: int = 0) -> np.ndarray:
    """m of n row numbers, ascending: one at random from each of m equal ranges, always the same."""
    if m >= n:
        return np.arange(n)
    edges = np.arange(m + 1) * n // m
    return edges[:-1] + (np.random.default_rng(seed).random(m) * np.diff(edges)).astype(np.int64)
