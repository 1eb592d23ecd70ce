"""Rows on Dask: arrays in chunks of rows, dense or CSR, and frames. The only file that knows Dask.

A pass is a task per part, which runs the kernel over the blocks of the part as a source in memory
does, and a tree that adds up the records. A task is given the kernel and its small arguments, and
hands back a record. The tree depends on the number of parts alone: the same chunks give the same
bits, whoever runs the tasks. All of it goes through ``dask.compute``, and so to the scheduler or
the client that the user chose.

    Table       X, y and weights, part by part, as they were given
    look        the first pass: every part is checked and counted, and a sample is drawn
    DaskSource  what passes read, once the look is done

Lengths of parts need not be known before the look. Rows of weight 0 are absent: each task leaves
them out.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any
from uuid import uuid4

import numpy as np
from scipy import sparse

from .arrays import make_source
from .blocks import rows_of
from .drawn import Drawn, drawn_of_part, quota
from .source import Part, Sums, spread_out
from .threads import one_blas_thread

SPLIT_EVERY = 8  # records that one task adds up
# Entries of the rows that a pass keeps, and of a sample, at most: 1 GB of float64 at the client.
MOST_KEPT = 2**27


class BadPart(Exception):
    """The part with this number cannot be fitted; what is wrong with it its rows tell."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def is_dask(X: Any) -> bool:
    """Whether X is a Dask array or frame."""
    return hasattr(X, "__dask_graph__")


def sketch(X: Any) -> Any:
    """X without rows, as it would be in memory: its columns, their names and dtypes."""
    if hasattr(X, "columns") or X.ndim != 2:
        return X._meta
    if not np.isfinite(X.shape[1]):
        raise ValueError("X must have a known number of columns; got a Dask array without one.")
    if sparse.issparse(X._meta):
        return sparse.csr_array((0, X.shape[1]), dtype=X.dtype)
    return np.empty((0, X.shape[1]), dtype=X.dtype)


# -- parts as they were given ---------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How the rows of a part are stored: X has ``n_features`` columns and the ``dtype``."""

    n_features: int
    dtype: np.dtype


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """X, y and the weights, None without, part by part.

    ``n_targets`` is None where y has one dimension. ``lengths`` are the numbers of rows, None if
    they are not known.
    """

    layout: Layout
    n_targets: int | None
    X: list
    y: list
    w: list
    lengths: list[int] | None

    def ask(self, name: str, leaf: Callable, question: Any) -> Any:
        """One pass: the sum of leaf(question, number of the part, X, y, w) over all parts."""
        from dask.base import compute
        from dask.delayed import delayed

        name, token = "robustreg-" + name.replace("_", "-"), uuid4().hex
        asked = delayed(question, name=f"robustreg-question-{token}", traverse=False)
        parts = enumerate(zip(self.X, self.y, self.w, strict=True))
        level = [
            delayed(leaf)(asked, i, *part, dask_key_name=f"{name}-{token}-{i}") for i, part in parts
        ]
        depth = 0
        while len(level) > 1:
            groups = [level[k : k + SPLIT_EVERY] for k in range(0, len(level), SPLIT_EVERY)]
            depth += 1
            level = [
                delayed(added)(group, dask_key_name=f"robustreg-add-{token}-{depth}-{k}")
                for k, group in enumerate(groups)
            ]
        return compute(level[0])[0]

    def each(self, name: str, leaf: Callable, common: tuple, own: dict[int, Any]) -> list:
        """leaf(*common, own[i], X, y, w) of the parts i of ``own``, in their order."""
        from dask.base import compute
        from dask.delayed import delayed

        token = uuid4().hex
        shared = [delayed(v, traverse=False) for v in common]
        tasks = [
            delayed(leaf)(
                *shared, what, self.X[i], self.y[i], self.w[i],
                dask_key_name=f"robustreg-{name}-{token}-{i}",
            )
            for i, what in own.items()
        ]  # fmt: skip
        return list(compute(tasks)[0])

    def part(self, number: int) -> tuple:
        """(X, y, w) of a part as they were given."""
        from dask.base import compute

        return compute(self.X[number], self.y[number], self.w[number])


def added(records: list) -> Any:
    """The sum of some records; None is that of a part without rows."""
    some = [record for record in records if record is not None]
    return reduce(add, some) if some else None


def make_table(X: Any, y: Any, w: Any, dtype: np.dtype) -> Table:
    """The parts of X, a Dask array or frame, and of y and w, Dask or in memory."""
    n_features = X.shape[1]
    if not hasattr(X, "columns"):
        X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
    parts, lengths = _delayed(X), _lengths(X)
    in_memory = [v for v in (y, w) if v is not None and not is_dask(v) and np.ndim(v)]
    if lengths is None and in_memory:
        lengths = _counted(parts)
    y = y if is_dask(y) or hasattr(y, "to_numpy") else np.asarray(y)
    n_targets = y.shape[1] if y.ndim == 2 else None
    if w is None or (not is_dask(w) and not np.ndim(w)):
        weights = [w] * len(parts)
    else:
        weights = _aligned("sample_weight", w, lengths, len(parts))
    y = _aligned("y", y, lengths, len(parts))
    return Table(Layout(n_features, np.dtype(dtype)), n_targets, parts, y, weights, lengths)


def _delayed(X: Any) -> list:
    """The parts of a Dask array or frame, rows by rows."""
    return list(np.ravel(X.to_delayed()))


def _lengths(X: Any) -> list[int] | None:
    """The numbers of rows of the parts, if they are known."""
    if not hasattr(X, "chunks") or not np.all(np.isfinite(X.chunks[0])):
        return None
    return [int(n) for n in X.chunks[0]]


def _counted(parts: list) -> list[int]:
    """The numbers of rows of the parts, counted."""
    from dask.base import compute
    from dask.delayed import delayed

    return list(compute([delayed(_n_rows)(part) for part in parts])[0])


def _n_rows(X: Any) -> int:
    return X.shape[0]


def _aligned(name: str, v: Any, lengths: list[int] | None, n_parts: int) -> list:
    """The parts of v that go with those of X; ValueError if there are none."""
    own = _lengths(v) if is_dask(v) else [len(v)]
    if lengths is not None and own is not None:
        if sum(own) != sum(lengths):
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: "
                f"[{sum(lengths)}, {sum(own)}]: those of X and of {name}."
            )
        if not is_dask(v):
            edges = np.cumsum([0, *lengths])
            v = v if hasattr(v, "iloc") else np.asarray(v)
            rows = getattr(v, "iloc", v)
            return [rows[a:b] for a, b in pairwise(edges)]
        v = v.rechunk({0: tuple(lengths)})
    if hasattr(v, "chunks") and v.ndim == 2:
        v = v.rechunk({1: -1})
    parts = _delayed(v)
    if len(parts) != n_parts:
        raise ValueError(
            f"{name} must have the parts of X where the numbers of rows are not known; got "
            f"{len(parts)} parts, and {n_parts} of X. Repartition it, or compute_chunk_sizes()."
        )
    return parts


# -- in a task ------------------------------------------------------------------------------------
def stored(X: Any, dtype: np.dtype) -> Any:
    """X of a part as an array of the dtype, or a sparse matrix."""
    if sparse.issparse(X):
        return X
    if hasattr(X, "to_numpy"):
        missing = {"na_value": np.nan} if dtype.kind == "f" else {}
        return X.to_numpy(dtype=dtype, **missing)
    return np.asarray(X, dtype=dtype)


def _numbers(v: Any, n: int) -> np.ndarray:
    """Targets or weights of a part with n rows, float64 (n,) or (n, k)."""
    v = stored(v, np.dtype(np.float64))
    return np.full(n, v) if v.ndim == 0 else v


def _source_of(layout: Layout, which: Any, X: Any, y: Any, w: Any) -> Any:
    """The rows of a part, as a source in memory, of the targets ``which``; None if it has none."""
    X = stored(X, layout.dtype)
    y = _numbers(y, X.shape[0])
    w = None if w is None else _numbers(w, X.shape[0])
    if w is not None and not w.all():
        present = w > 0.0
        X, y, w = X[present], y[present], w[present]
    if not X.shape[0]:
        return None
    y = y if y.ndim == 1 else np.ascontiguousarray(y.T)
    return make_source(X, y if which is None else np.atleast_2d(y)[which], w)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A pass: the kernel and its arguments, of the targets ``which``; the first row of part i has
    the number ``begins[i]``.
    """

    layout: Layout
    which: Any
    kernel: Callable
    arguments: tuple
    begins: np.ndarray


def answer(question: Question, number: int, X: Any, y: Any, w: Any) -> Any:
    """The task of a pass: the sum of the kernel's records over the blocks of a part."""
    with one_blas_thread(), np.errstate(all="ignore"):  # found at the end of a pass
        source = _source_of(question.layout, question.which, X, y, w)
        if source is None:
            return None
        begin = int(question.begins[number])
        parts = (part for group in range(source.n_groups) for part in source.parts(group))
        records = (
            question.kernel(replace(part, begin=part.begin + begin), *question.arguments)
            for part in parts
        )
        return reduce(add, records)


def rows_of_part(layout: Layout, which: Any, index: np.ndarray, X: Any, y: Any, w: Any) -> Part:
    """The task of ``take``: some rows of a part."""
    return _source_of(layout, which, X, y, w).take(index)


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
    n_targets: int | None
    sample_size: Callable[[int, int], int]
    n_parts: int
    lengths: list[int] | None


def look(asked: Looking, number: int, X: Any, y: Any, w: Any) -> Looked:
    """The task of the look. It raises nothing for what is wrong with the rows."""
    n, nothing = X.shape[0], Drawn([], [], [], [], [], [], [])
    if not _is_fit(asked, X, y, w):
        return Looked([n], [0], [], [], 0.0, 0, nothing, [number])
    source = _source_of(asked.layout, None, X, y, w)
    if source is None:
        return Looked([n], [0], [], [], 0.0, 0, nothing, [])
    if asked.lengths is None:  # as if all parts were as long
        n_rows, begin = n * asked.n_parts, n * number
    else:
        n_rows, begin = sum(asked.lengths), sum(asked.lengths[:number])
    m = asked.layout.n_features + 1
    size = min(asked.sample_size(n_rows, m), MOST_KEPT // m)
    part = replace(source.take(slice(None)), begin=begin)
    drawn = drawn_of_part(part, quota(begin, source.n_rows, size / n_rows))
    least, largest = source.weight_range or (1.0, 1.0)
    return Looked(
        [n], [source.n_rows], [least], [largest], source.weight, source.n_entries, drawn, []
    )


def _is_fit(asked: Looking, X: Any, y: Any, w: Any) -> bool:
    """Whether the rows of a part can be fitted: numbers, finite, and as many as there should be."""
    try:
        X = stored(X, asked.layout.dtype)
        n, p = X.shape
        y, w = _numbers(y, n), None if w is None else _numbers(w, n)
    except (TypeError, ValueError):
        return False
    if p != asked.layout.n_features or len(y) != n or y.shape[1:] != _columns(asked.n_targets):
        return False
    numbers = [X.data if sparse.issparse(X) else X, y]
    if w is not None:
        if w.shape != (n,) or np.any(w < 0.0):
            return False
        numbers.append(w)
    return all(v.dtype.kind != "f" or bool(np.isfinite(v).all()) for v in numbers)


def _columns(n_targets: int | None) -> tuple:
    return () if n_targets is None else (n_targets,)


# -- what passes read -----------------------------------------------------------------------------
class DaskSource:
    """The rows of a table as passes read them; see ``source.py`` for what it answers.

    ``which`` targets it has: None for y as it is, a number for one, a slice for several.
    ``begins`` are the numbers of the first rows of the parts, and of all rows.
    """

    in_memory, n_looks = False, 1

    def __init__(self, table: Table, looked: Looked, is_sparse: bool):
        self.table, self.which, self.is_sparse = table, None, is_sparse
        self.n_rows, self.n_features = sum(looked.n), table.layout.n_features
        self.n_entries, self.weight = looked.n_entries, looked.weight
        self.lengths, self.begins = looked.n_given, np.cumsum([0, *looked.n])
        least, largest = min(looked.least, default=1.0), max(looked.largest, default=1.0)
        self.weight_range = None if table.w[0] is None else (least, largest)
        self.drawn = looked.drawn

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

    def sample(self, size: int) -> tuple[Part, np.ndarray | None]:
        size = min(size, MOST_KEPT // (self.n_features + 1), self.n_rows)
        if size > 2 * len(self._weights):
            share = size / self.n_rows
            asked = Question(self.table.layout, None, drawn_rows, (share,), self.begins)
            self.drawn = self.table.ask("sample", answer, asked)
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
            return self.table.n_targets or 1
        return 1 if isinstance(self.which, int) else self.which.stop - self.which.start

    def target(self, k: int) -> DaskSource:
        first = self.which.start if isinstance(self.which, slice) else self.which or 0
        return self._of(first + k)

    def stacked(self) -> DaskSource:
        first = self.which.start if isinstance(self.which, slice) else self.which or 0
        return self._of(slice(first, first + self.n_targets))

    def groups(self, most: int) -> list[DaskSource]:
        """The same rows with at most so many targets each, of all of them."""
        k = self.table.n_targets or 1
        if min(k, most) == 1:
            return [self._of(j) for j in range(k)]
        return [self._of(slice(first, min(first + most, k))) for first in range(0, k, most)]

    def _of(self, which: int | slice) -> DaskSource:
        other = copy(self)
        other.which = which
        return other

    def lazily(self, function: Callable, *arguments: Any) -> Any:
        """function(X, y, *arguments) of every part as it was given, a lazy array of bool with the
        rows of X; y is (n, k).
        """
        import dask.array as da
        from dask.delayed import delayed

        layout = delayed(self.table.layout, traverse=False)
        columns = _columns(self.table.n_targets)
        return da.concatenate(
            [
                da.from_delayed(
                    delayed(of_part)(layout, function, arguments, X, y), (n, *columns), dtype=bool
                )
                for X, y, n in zip(self.table.X, self.table.y, self.lengths, strict=True)
            ]
        )


def looked_at(table: Table, is_sparse: bool, sample_size: Callable[[int, int], int]) -> DaskSource:
    """The source for a table, in one pass; BadPart if a part of it cannot be fitted."""
    asked = Looking(table.layout, table.n_targets, sample_size, len(table.X), table.lengths)
    looked = table.ask("look", look, asked)
    if looked.bad:
        raise BadPart(looked.bad[0])
    return DaskSource(table, looked, is_sparse)


def drawn_rows(part: Part, share: float) -> Drawn:
    """The kernel of a pass that draws a ``share`` of the rows."""
    return drawn_of_part(part, quota(part.begin, part.y.shape[-1], share))


def joined(parts: list[Part]) -> Part:
    """The rows of some parts as one."""
    X = [part.X for part in parts]
    w = None if parts[0].w is None else np.concatenate([part.weights for part in parts])
    X = sparse.vstack(X, format="csr") if sparse.issparse(X[0]) else np.concatenate(X)
    return Part(X, np.concatenate([part.y for part in parts], axis=-1), w)


# -- what is lazy ---------------------------------------------------------------------------------
def of_part(layout: Layout, function: Callable, arguments: tuple, X: Any, y: Any) -> Any:
    """The task of ``lazily``."""
    X = stored(X, layout.dtype)
    y = _numbers(y, X.shape[0])
    found = function(X, y.reshape(len(y), -1), *arguments)
    return found if y.ndim == 2 else found[:, 0]


def predicted(X: Any, dtype: np.dtype, coef: np.ndarray, intercept: Any) -> Any:
    """X coef' + intercept, lazy, with the rows of X: an array, or a series or frame with its index.

    coef (p,) or (k, p) and intercept, a number or (k,).
    """
    result = np.result_type(dtype, coef)
    if hasattr(X, "columns"):
        return X.map_partitions(_predicted_of_frame, dtype, coef, intercept)
    X = X.rechunk({1: -1}) if X.numblocks[1] > 1 else X
    if coef.ndim == 1:
        chunks = {"drop_axis": 1}
    else:
        chunks = {"chunks": (X.chunks[0], (len(coef),))}
    meta = np.empty((0,) * coef.ndim, dtype=result)
    return X.map_blocks(_predicted, dtype, coef, intercept, dtype=result, meta=meta, **chunks)


def _predicted(X: Any, dtype: np.dtype, coef: np.ndarray, intercept: Any) -> np.ndarray:
    X = stored(X, dtype)
    numbers = X.data if sparse.issparse(X) else X
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        raise ValueError("X has a NaN or an infinite entry in a part.")
    return X @ coef.T + intercept


def _predicted_of_frame(X: Any, dtype: np.dtype, coef: np.ndarray, intercept: Any) -> Any:
    values = _predicted(X, dtype, coef, intercept)
    no_columns = X.iloc[:, :0]
    if values.ndim == 1:
        return no_columns.assign(predicted=values)["predicted"].rename(None)
    return no_columns.assign(**{str(k): values[:, k] for k in range(values.shape[1])})


def in_memory(most: int, *data: Any) -> tuple:
    """The same arrays and frames, those of Dask computed; ValueError if they have more numbers."""
    from dask.base import compute

    size = sum(_size(v) for v in data if is_dask(v))
    if size > most:
        raise ValueError(
            f"The data have {size:,} numbers on Dask, and this is done in memory, for {most:,} at "
            "most. Take a sample of the rows, as with X.sample(frac=0.01), or call .compute() on X "
            "and y where memory has room for them; LinearRegressor itself reads Dask in parts."
        )
    return compute(*data)


def _size(v: Any) -> int:
    """How many numbers a Dask array or frame has."""
    lengths = _lengths(v)
    n_rows = len(v) if hasattr(v, "npartitions") and not hasattr(v, "chunks") else None
    if n_rows is None:
        n_rows = sum(_counted(_delayed(v.blocks[:, :1] if v.ndim == 2 else v))
                     if lengths is None else lengths)  # fmt: skip
    return n_rows * (v.shape[1] if v.ndim == 2 else 1)
