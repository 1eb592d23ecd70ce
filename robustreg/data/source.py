"""How rows are read: a source has parts, and a pass adds up what a kernel makes of each part.

    Source   rows as they are stored: ``n_rows``, ``n_features``, ``weight``, ``n_groups``,
             ``parts(i)`` the parts of group i in order, ``take(index)`` some rows as one part
    Part     one block of rows as a kernel sees it
    kernel   kernel(part, *arguments) -> a record with ``+``; it writes to nothing outside, so that
             another thread, process or machine can run it

The parts, their groups and the order in which records are added do not depend on the number of
threads. So a pass has the same bits whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import Any, Protocol

import numpy as np

from .threads import in_parallel


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
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(record))
        return type(self)(*(None if a is None else a + b for a, b in pairs))


class Source(Protocol):
    """Rows as they are stored; see the module."""

    y: np.ndarray
    w: np.ndarray | None

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
    def n_groups(self) -> int: ...

    def parts(self, group: int) -> Iterator[Part]: ...

    def take(self, index: np.ndarray | slice) -> Part:
        """Some rows, an index array or a slice; a dense X has the dtype that is stored."""
        ...

    def with_target(self, y: np.ndarray) -> Source:
        """The same rows with the target y (n,), or several, (k, n)."""
        ...


def sweep(source: Source, kernel: Callable, *arguments):
    """One pass: the sum of kernel(part, *arguments) over all parts."""
    errors = np.geterr()

    def group(i):
        with np.errstate(**errors):  # a thread would begin with those of its own
            return reduce(add, (kernel(part, *arguments) for part in source.parts(i)))

    return reduce(add, in_parallel(group, source.n_groups))


def spread_out(n: int, m: int) -> np.ndarray:
    """m of n row numbers, ascending: one at random from each of m equal ranges, always the same."""
    if m >= n:
        return np.arange(n)
    edges = np.arange(m + 1) * n // m
    return edges[:-1] + (np.random.default_rng(0).random(m) * np.diff(edges)).astype(np.int64)
