"""X, y and weights on Dask: arrays in chunks of rows, dense or sparse, and frames.

A pass is a task per part and a tree that adds up their records. The tree depends on the number of
parts alone: the same chunks give the same bits, whoever runs the tasks. Everything goes through
``dask.compute``, and so to the scheduler or the client that the user chose.

This file and ``dask_lazy.py`` are the only ones that know Dask. It is imported where it is used, so
that fits in memory need no Dask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import prod
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
FLOAT = np.dtype(np.float64)  # of targets and weights
# What can be done about too many rows, the end of an error's sentence.
A_SAMPLE = (
    "a sample of the rows: X[::100] and y[::100] of arrays, or frame.sample(frac=0.01) of the "
    "frame from which both are taken."
)


def is_dask(X: Any) -> bool:
    """Whether X is a Dask array, frame or series; nothing is imported for that."""
    return hasattr(X, "ndim") and any(
        of.__module__.split(".")[0] in ("dask", "dask_expr") for of in type(X).__mro__
    )


def sketch(X: Any) -> Any:
    """X without rows, as it would be in memory: its columns, their names and dtypes."""
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, (n_samples, n_features); got {X.ndim}.")
    if is_frame(X):
        return X._meta
    if not np.isfinite(X.shape[1]):
        raise ValueError("X must have a known number of columns; got a Dask array without one.")
    if sparse.issparse(X._meta):
        return sparse.csr_array((0, X.shape[1]), dtype=X.dtype)
    return np.empty((0, X.shape[1]), dtype=X.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """What the rows of a part are like: X has ``n_features`` columns and the ``dtype``, and y the
    shape (n, *y_shape), where ``y_shape`` is () or (k,).
    """

    n_features: int
    dtype: np.dtype
    y_shape: tuple[int, ...]

    @property
    def n_targets(self) -> int:
        return prod(self.y_shape)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """X, y and the weights, or None instead of weights, part by part: ``read(layout, rows[i])``.

    ``lengths`` are the numbers of rows of the parts, or None if they are not known.
    """

    layout: Layout
    has_weights: bool
    rows: list
    lengths: list[int] | None

    def ask(self, name: str, leaf: Callable, question: Any) -> Any:
        """One pass: the sum of leaf(question, number of the part, its rows) over all parts."""
        from dask.base import compute
        from dask.delayed import delayed

        name, token = "robustreg-" + name.replace("_", "-"), uuid4().hex
        asked = delayed(question, name=f"robustreg-question-{token}", traverse=False)
        level = [
            delayed(leaf)(asked, i, rows, dask_key_name=f"{name}-{token}-{i}")
            for i, rows in enumerate(self.rows)
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
        """leaf(*common, own[i], the rows of part i) for the parts i of ``own``, in their order."""
        from dask.base import compute
        from dask.delayed import delayed

        name, token = f"robustreg-{name}", uuid4().hex
        shared = [delayed(v, traverse=False) for v in common]
        tasks = [
            delayed(leaf)(*shared, what, self.rows[i], dask_key_name=f"{name}-{token}-{i}")
            for i, what in own.items()
        ]
        return list(compute(tasks)[0])

    def part(self, number: int) -> tuple:
        """(X, y, w) of a part as they were given."""
        from dask.base import compute

        return given(compute(self.rows[number])[0])

    def add_number_to(self, error: Exception) -> None:
        """A note on the error of a pass: the first part that cannot be read, if there is one.

        Parts are read in order, as in the pass, so that this takes about as long as the pass did.
        """
        for number in range(len(self.rows)):
            try:
                self.part(number)
            except Exception:
                error.add_note(f"It is raised by part {number} of the rows.")
                return


def given(rows: tuple) -> tuple:
    """(X, y, w) of a part, as they were given: those that are frames may come as one."""
    X, y, w = rows
    if not isinstance(X, tuple):
        return X, y, w
    X, of_frame, weights = X
    return X, y if of_frame is None else of_frame, w if weights is None else weights


def added(records: list) -> Any:
    """The sum of some records; None is that of a part without rows."""
    some = [record for record in records if record is not None]
    return reduce(add, some) if some else None


def make_table(X: Any, y: Any, w: Any, dtype: np.dtype) -> Table:
    """The parts of X, a Dask array or frame, and of y and w, Dask or in memory."""
    y = y if is_dask(y) or hasattr(y, "to_numpy") else np.asarray(y)
    if y.ndim not in (1, 2) or 0 in y.shape[1:]:
        raise ValueError(
            "y must have the shape (n_samples,) or (n_samples, n_targets), with a target or more; "
            f"got shape {y.shape}."
        )
    layout, has_weights = Layout(X.shape[1], np.dtype(dtype), y.shape[1:]), w is not None
    if is_frame(X):
        X, y, w = _as_one(X, y, w)
    else:
        X = with_whole_rows(X)
    parts, lengths = _delayed(X), _lengths(X)
    if lengths is None and any(_needs_lengths(v, len(parts)) for v in (y, w)):
        lengths = _counted(parts)
    y = _aligned("y", y, lengths, len(parts))
    w = _aligned("sample_weight", w, lengths, len(parts))
    return Table(layout, has_weights, list(zip(parts, y, w, strict=True)), lengths)


def _as_one(X: Any, y: Any, w: Any) -> tuple:
    """X, y and w with all that are frames in the parts of X, and None in their places.

    A file is read once for all of them then; and by itself a frame of few columns might be read in
    larger parts.
    """
    frames = [v if is_frame(v) else None for v in (y, w)]
    for name, v in zip(("y", "sample_weight"), frames, strict=True):
        if v is not None and v.npartitions != X.npartitions:
            raise ValueError(
                f"{name} must have the partitions of X, {X.npartitions}; got {v.npartitions}. Take "
                "both from the same frame, or repartition one."
            )
    X = X.map_partitions(
        _tuple, *frames, meta=X._meta, enforce_metadata=False, align_dataframes=False
    )
    return X, *(v if of_frame is None else None for v, of_frame in zip((y, w), frames, strict=True))


def _tuple(*of_part: Any) -> tuple:
    return of_part


def is_frame(X: Any) -> bool:
    """Whether X is a Dask frame or series."""
    return is_dask(X) and not hasattr(X, "chunks")


def chunks_of_columns(X: Any) -> int:
    """How many chunks the columns of X are in."""
    return 1 if is_frame(X) else X.numblocks[1]


def with_whole_rows(X: Any) -> Any:
    """A Dask array (n, p) in chunks of rows."""
    return X.rechunk({1: -1}) if chunks_of_columns(X) > 1 else X


def _delayed(X: Any) -> list:
    """The parts of a Dask array or frame, rows by rows."""
    return list(np.ravel(X.to_delayed()))


def _lengths(X: Any) -> list[int] | None:
    """The numbers of rows of the parts, if they are known."""
    if not hasattr(X, "chunks") or not np.all(np.isfinite(X.chunks[0])):
        return None
    return [int(n) for n in X.chunks[0]]


def _needs_lengths(v: Any, n_parts: int) -> bool:
    """Whether v is cut to the parts of X, by the numbers of their rows."""
    if not np.ndim(v) or is_frame(v):
        return False
    return not is_dask(v) or (_lengths(v) is not None and v.numblocks[0] != n_parts)


def _counted(parts: list) -> list[int]:
    """The numbers of rows of the parts, counted."""
    from dask.base import compute
    from dask.delayed import delayed

    return list(compute([delayed(_n_rows)(part) for part in parts])[0])


def _n_rows(X: Any) -> int:
    X, _, _ = given((X, None, None))
    return X.shape[0]


def _aligned(name: str, v: Any, lengths: list[int] | None, n_parts: int) -> list:
    """The parts of v that go with those of X; ValueError if there are none."""
    if not np.ndim(v):  # None, or one weight for all
        return [v] * n_parts
    own = _lengths(v) if is_dask(v) else [len(v)]
    if lengths is not None and own is not None:
        if sum(own) != sum(lengths):
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: "
                f"[{sum(lengths)}, {sum(own)}]: those of X and of {name}."
            )
        if not is_dask(v):
            rows = v.iloc if hasattr(v, "iloc") else np.asarray(v)
            return [rows[a:b] for a, b in pairwise(np.cumsum([0, *lengths]))]
        v = v.rechunk({0: tuple(lengths)})
    if not is_frame(v) and v.ndim == 2:
        v = with_whole_rows(v)
    parts = _delayed(v)
    if len(parts) != n_parts:
        raise ValueError(
            f"{name} must have the chunks of X where their lengths are not known; got "
            f"{len(parts)} of them, and {n_parts} of X. compute_chunk_sizes() makes them known."
        )
    return parts


def read(layout: Layout, rows: tuple) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """(X (n, p), y and w) of a part: X an array of the dtype or a CSR matrix, y float64, and w
    float64 (n,) or None. TypeError or ValueError where they are not numbers.
    """
    X, y, w = given(rows)
    if sparse.issparse(y) or sparse.issparse(w):
        raise TypeError("y and sample_weight must be dense.")
    X, y = stored(X, layout.dtype), stored(y, FLOAT)
    if w is not None:
        w = stored(w, FLOAT)
        w = np.full(y.shape[:1], w) if w.ndim == 0 else w
    return X, y, w


def stored(X: Any, dtype: np.dtype) -> Any:
    """X, y or w of a part as an array of the dtype, or a CSR matrix."""
    if np.iscomplexobj(X):
        raise TypeError("Complex data not supported.")
    if sparse.issparse(X):
        return X.tocsr()
    columns = [X.iloc[:, j] for j in range(X.shape[1])] if hasattr(X, "columns") else [X]
    if not all(map(_holds_numbers, columns)):
        raise TypeError("Text, dates and masked entries are no numbers.")
    if hasattr(X, "to_numpy"):
        missing = {"na_value": np.nan} if dtype.kind == "f" else {}
        return X.to_numpy(dtype=dtype, **missing)
    return np.asarray(X, dtype=dtype)


def _holds_numbers(column: Any) -> bool:
    """Whether an array or a series holds numbers; NumPy would make some of text and of dates."""
    kind = getattr(getattr(column, "dtype", None), "kind", "f")
    if isinstance(column, np.ma.MaskedArray) and np.any(column.mask):
        return False
    if kind != "O":
        return kind not in "USmM"
    return not any(isinstance(value, (str, bytes)) for value in np.asarray(column).flat)


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
            f"X, y and sample_weight have {size:,} numbers on Dask: {what} is done in memory, "
            f"which has room for {room:,.0f}. LinearRegressor.fit takes all rows on Dask; give "
            f"this {A_SAMPLE}"
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
