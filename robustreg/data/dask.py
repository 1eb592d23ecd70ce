"""X, y and weights on Dask: arrays in chunks of rows, dense or CSR, and frames.

A pass is a task per part and a tree that adds up their records. The tree depends on the number of
parts alone: the same chunks give the same bits, whoever runs the tasks. Everything goes through
``dask.compute``, and so to the scheduler or the client that the user chose.

This file and ``dask_lazy.py`` are the only ones that know Dask, which is imported where it is used:
who has no Dask needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any
from uuid import uuid4

import numpy as np
from scipy import sparse

from ..numerics.memory import physical_memory

SPLIT_EVERY = 8  # records that one task adds up
# Bytes of memory that a fit in memory takes for an entry of X: X itself, twice while its parts are
# put together, and its rows in other coordinates.
BYTES_PER_ENTRY = 32


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

    def add_number_to(self, error: Exception) -> None:
        """A note on the error of a pass: the first part that cannot be read, if there is one.

        Parts are read in order, as in the pass, so that this takes about as long as the pass did.
        """
        for number in range(len(self.X)):
            try:
                self.part(number)
            except Exception:
                error.add_note(f"It is raised by part {number} of the rows.")
                return

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
        X = with_whole_rows(X)
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


def with_whole_rows(X: Any) -> Any:
    """A Dask array in chunks of rows."""
    return X.rechunk({1: -1}) if X.numblocks[1] > 1 else X


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


def stored(X: Any, dtype: np.dtype) -> Any:
    """X of a part as an array of the dtype, or a sparse matrix."""
    if np.iscomplexobj(X):
        raise TypeError("Complex data not supported.")
    if sparse.issparse(X):
        return X
    if hasattr(X, "to_numpy"):
        missing = {"na_value": np.nan} if dtype.kind == "f" else {}
        return X.to_numpy(dtype=dtype, **missing)
    return np.asarray(X, dtype=dtype)


def numbers(v: Any, n: int) -> np.ndarray:
    """Targets or weights of a part with n rows, float64 (n,) or (n, k)."""
    v = stored(v, np.dtype(np.float64))
    return np.full(n, v) if v.ndim == 0 else v


def in_memory(what: str, *data: Any) -> tuple:
    """The same arrays and frames, those of Dask computed; ValueError, before any work on ``what``,
    if memory has no room for them.
    """
    if not any(is_dask(v) for v in data):
        return data
    from dask.base import compute

    size, room = sum(_size(v) for v in data if is_dask(v)), memory_for_entries()
    if size > room:
        raise ValueError(
            f"X, y and sample_weight have {size:,} numbers on Dask: {what} is done in memory, which "
            f"has room for {room:,.0f}. Give it a sample of the rows, as X.sample(frac=0.01); "
            "LinearRegressor itself fits all rows on Dask."
        )
    return compute(*data)


def memory_for_entries() -> float:
    """The entries of X that this machine can fit in memory."""
    return physical_memory() / BYTES_PER_ENTRY


def _size(v: Any) -> int:
    """How many numbers a Dask array or frame has."""
    n_columns = v.shape[1] if v.ndim == 2 else 1
    if not hasattr(v, "chunks"):
        return len(v) * n_columns
    lengths = _lengths(v)
    v = with_whole_rows(v) if v.ndim == 2 else v
    return sum(_counted(_delayed(v)) if lengths is None else lengths) * n_columns
