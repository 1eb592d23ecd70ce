"""Rows on Dask as passes read them.

    look        the first pass: every part is checked and counted, and a sample is drawn
    DaskSource  what passes read, once the look is done

A task is given the kernel of a pass and its small arguments, runs it over the blocks of its part as
a source in memory does, and hands back a record. Lengths of parts need not be known before the
look. Rows of weight 0 are absent: each task leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from scipy import sparse

from .arrays import make_source
from .blocks import rows_of
from .dask import Layout, Table, read
from .drawn import Drawn, drawn_of_part, quota, stacked
from .source import Part, Sums, spread_out
from .threads import one_blas_thread

# Entries of the rows that a pass keeps, and of a sample, at most: 1 GB of float64 at the client.
MOST_KEPT = 2**27
# Of the rows that are wanted: where the look drew fewer, as it did not know how many rows there
# are, or where more are wanted than usual, others are drawn.
ENOUGH = 0.75


class BadPart(Exception):
    """The part with this ``number`` cannot be fitted. Its rows tell what is wrong with it."""

    def __init__(self, number: int):
        super().__init__(f"Part {number} of the rows cannot be fitted.")
        self.number = number


def looked_at(table: Table, sample_size: Callable[[int, int], int]) -> DaskSource:
    """The source for a table, in one pass; BadPart if a part of it cannot be fitted."""
    asked = Looking(table.layout, sample_size, len(table.rows), table.lengths)
    try:
        looked = table.ask("look", look, asked)
    except Exception as error:
        table.add_number_to(error)
        raise
    if looked.bad:
        raise BadPart(looked.bad[0])
    return DaskSource(table, looked)


class DaskSource:
    """The rows of a table as passes read them; see ``source.py`` for what it answers.

    ``which`` targets it has: None for y as it is, a number for one, a slice for several.
    ``begins`` are the numbers of the first rows of the parts, and of all rows.
    """

    in_memory = False

    def __init__(self, table: Table, looked: Looked):
        self.table, self.which, self.n_looks = table, None, 1
        self.n_rows, self.n_features = sum(looked.n), table.layout.n_features
        self.n_entries, self.weight = looked.n_entries, looked.weight
        self.lengths, self.begins = looked.n_given, np.cumsum([0, *looked.n])
        least, largest = min(looked.least, default=1.0), max(looked.largest, default=1.0)
        self.weight_range = (least, largest) if table.has_weights else None
        self.drawn = looked.drawn
        # What a Dask array says of its chunks may be wrong, so the rows tell.
        self.is_sparse = any(sparse.issparse(X) for X in looked.drawn.X)

    @property
    def most_kept(self) -> int:
        return min(self.n_rows, MOST_KEPT // (self.n_features + 1))

    def swept(self, kernel: Callable, arguments: tuple) -> Any:
        asked = Question(self.table.layout, self.which, kernel, arguments, self.begins)
        return self.table.ask(kernel.__name__, answer, asked)

    def take(self, index: np.ndarray | slice) -> Part:
        index = np.arange(self.n_rows)[index] if isinstance(index, slice) else np.asarray(index)
        edges = np.searchsorted(index, self.begins)
        own = {
            int(i): index[edges[i] : edges[i + 1]] - self.begins[i]
            for i in np.flatnonzero(np.diff(edges))
        }
        return joined(self.table.each("take", rows_of_part, (self.table.layout, self.which), own))

    def some(self, count: int) -> Part:
        count = min(count, self.n_rows)
        if count > len(self._weights):
            return self.take(spread_out(self.n_rows, count))
        return self._sampled(count)[0]

    def draw(self, size: int) -> int:
        size = min(size, self.most_kept)
        if ENOUGH * size <= len(self._weights):
            return 0
        arguments = (size / self.n_rows,)
        asked = Question(self.table.layout, None, drawn_rows, arguments, self.begins)
        self.drawn = self.table.ask("sample", answer, asked)
        return 1

    def sample(self, size: int) -> tuple[Part, np.ndarray | None]:
        return self._sampled(size)

    @property
    def _weights(self) -> np.ndarray:
        """The weights of the rows that are drawn, (k,)."""
        return np.concatenate(self.drawn.weights or [np.zeros(0)])

    def _sampled(self, size: int) -> tuple[Part, np.ndarray | None]:
        """(at most ``size`` of the rows that are drawn, their weights if drawn unevenly)."""
        part, index = self.drawn.part(), spread_out(len(self._weights), size)
        weights = self._weights[index] if any(self.drawn.uneven) else None
        y = part.y if self.which is None else np.atleast_2d(part.y)[self.which]
        return Part(rows_of(part.X, index), y[..., index], part.weights[index]), weights

    @property
    def n_targets(self) -> int:
        if self.which is None:
            return self.table.layout.n_targets
        return 1 if isinstance(self.which, int) else self.which.stop - self.which.start

    @property
    def _first(self) -> int:
        """The number of the first of the targets ``which``."""
        return self.which.start if isinstance(self.which, slice) else self.which or 0

    def target(self, k: int) -> DaskSource:
        return self._of(self._first + k)

    def stacked(self) -> DaskSource:
        return self._of(slice(self._first, self._first + self.n_targets))

    def groups(self, most: int) -> list[DaskSource]:
        """The same rows with at most so many of the targets each."""
        k, first = self.n_targets, self._first
        if min(k, most) == 1:
            groups = [self.target(j) for j in range(k)]
        else:
            ends = ((j, min(j + most, k)) for j in range(0, k, most))
            groups = [self._of(slice(first + begin, first + end)) for begin, end in ends]
        return [groups[0], *(source.again() for source in groups[1:])]

    def again(self) -> DaskSource:
        """The same rows for another fit: the look was for the first one."""
        other = copy(self)
        other.n_looks = 0
        return other

    def _of(self, which: int | slice) -> DaskSource:
        other = copy(self)
        other.which = which
        return other


def drawn_rows(part: Part, share: float) -> Drawn:
    """The kernel of a pass that draws a ``share`` of the rows."""
    return drawn_of_part(part, quota(part.begin, part.y.shape[-1], share))


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A pass: the kernel and its arguments, of the targets ``which``; the first row of part i has
    the number ``begins[i]``.
    """

    layout: Layout
    which: int | slice | None
    kernel: Callable
    arguments: tuple
    begins: np.ndarray


def answer(question: Question, number: int, rows: tuple) -> Any:
    """The task of a pass: the sum of the kernel's records over the blocks of a part."""
    with one_blas_thread(), np.errstate(all="ignore"):  # found at the end of a pass
        source = _source_of(*read(question.layout, rows), question.which)
        if source is None:
            return None
        begin = int(question.begins[number])
        parts = (part for group in range(source.n_groups) for part in source.parts(group))
        records = (
            question.kernel(replace(part, begin=part.begin + begin), *question.arguments)
            for part in parts
        )
        return reduce(add, records)


def rows_of_part(layout: Layout, which: int | slice | None, index: np.ndarray, rows: tuple) -> Part:
    """The task of ``take``: some rows of a part."""
    return _source_of(*read(layout, rows), which).take(index)


def _source_of(X: Any, y: np.ndarray, w: np.ndarray | None, which: int | slice | None) -> Any:
    """The rows of a part, as a source in memory, of the targets ``which``; None if it has none."""
    if w is not None and not w.all():
        present = w > 0.0
        X, y, w = X[present], y[present], w[present]
    if not X.shape[0]:
        return None
    y = y if y.ndim == 1 else np.ascontiguousarray(y.T)
    return make_source(X, y if which is None else np.atleast_2d(y)[which], w)


def joined(parts: list[Part]) -> Part:
    """The rows of some parts as one."""
    w = None if parts[0].w is None else np.concatenate([part.weights for part in parts])
    y = np.concatenate([part.y for part in parts], axis=-1)
    return Part(stacked([part.X for part in parts]), y, w)


@dataclass(frozen=True, slots=True, eq=False)
class Looked(Sums):
    """What the look finds.

    Lists, part by part: ``n_given``, the numbers of rows, and ``n`` without those of weight 0, and
    the least and largest weights; the sum of the weights and the number of entries; the sample; and
    the numbers of parts that cannot be fitted, ``bad``.
    """

    n_given: list
    n: list
    least: list
    largest: list
    weight: float
    n_entries: int
    drawn: Drawn
    bad: list


@dataclass(frozen=True, slots=True, eq=False)
class Looking:
    """The question of the look: of n rows with m columns ``sample_size(n, m)`` are wanted.

    ``lengths`` are the numbers of rows of the ``n_parts`` parts, or None if they are not known.
    """

    layout: Layout
    sample_size: Callable[[int, int], int]
    n_parts: int
    lengths: list[int] | None


def look(asked: Looking, number: int, rows: tuple) -> Looked:
    """The task of the look. It raises nothing for what is wrong with the rows."""
    nothing = Drawn([], [], [], [], [], [], [])
    bad = Looked([0], [0], [], [], 0.0, 0, nothing, [number])
    try:
        X, y, w = read(asked.layout, rows)
    except (TypeError, ValueError):
        return bad
    if not _is_fit(asked.layout, X, y, w):
        return bad
    n, source = len(y), _source_of(X, y, w, None)
    if source is None:
        return Looked([n], [0], [], [], 0.0, 0, nothing, [])
    if asked.lengths is None:  # as if all parts were as long
        n_rows, begin = n * asked.n_parts, n * number
    else:
        n_rows, begin = sum(asked.lengths), sum(asked.lengths[:number])
    m = asked.layout.n_features + 1
    size = min(asked.sample_size(n_rows, m), MOST_KEPT // m)
    part = replace(source.take(slice(None)), begin=begin)
    with np.errstate(all="ignore"):  # what overflows is found later
        drawn = drawn_of_part(part, quota(begin, source.n_rows, size / n_rows))
        weight = source.weight
    least, largest = source.weight_range or (1.0, 1.0)
    return Looked([n], [source.n_rows], [least], [largest], weight, source.n_entries, drawn, [])


def _is_fit(layout: Layout, X: Any, y: np.ndarray, w: np.ndarray | None) -> bool:
    """Whether the rows of a part can be fitted: all finite, and as many as there should be."""
    n = len(y) if y.ndim else 0
    if X.shape != (n, layout.n_features) or y.shape != (n, *layout.y_shape):
        return False
    entries = [X.data if sparse.issparse(X) else X, y]
    if w is not None:
        if w.shape != (n,) or np.any(w < 0.0):
            return False
        entries.append(w)
    return all(v.dtype.kind != "f" or bool(np.isfinite(v).all()) for v in entries)
