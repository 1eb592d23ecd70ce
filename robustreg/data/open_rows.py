"""Rows that stay open: those of a frame as the solvers see them, dense or CSR as the source is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from ..numerics import linalg
from .columns import DenseColumns
from .csr import CsrColumns, scaled
from .frame import Frame
from .rows import Rows, dense_rows, plain_rows


def open_rows(
    frame: Frame, parts: list, y: np.ndarray, w: np.ndarray,
    gram_all: np.ndarray | None = None, factor: linalg.Factor | None = None,
) -> Rows:  # fmt: skip
    """Rows given by their centred columns C, part by part; the list is emptied on the way.

    ``gram_all`` (m, m) and its ``factor`` are those of these rows, if they are not given.
    """
    if sparse.issparse(parts[0]):
        C: Any = sparse.vstack(parts, format="csr") if len(parts) > 1 else parts[0]
        parts.clear()
        C = C if frame.independent is None else C[:, frame.kept]
        columns = CsrColumns(scaled(C, frame.unit))
        rows = plain_rows(columns, w, frame.intercept)
        gram_all = rows.gram(w) if gram_all is None else gram_all
        factor = linalg.factor(gram_all) if factor is None else factor
        return replace(rows, y=y, gram_all=gram_all, factor=factor)
    return dense_rows(_stacked(frame, parts), y, w, None, gram_all, factor)


def taken(frame: Frame, source: Any, index: np.ndarray | slice) -> Rows:
    """Some rows of a source, an index array or a slice; y (k,) is t."""
    part = source.take(index)
    return open_rows(frame, [frame.centred(part)], frame.target(part), part.weights)


def joined(rows: Rows, more: Rows) -> Rows:
    """The rows of both, in the same coordinates."""
    y, w = np.append(rows.y, more.y), np.append(rows.w, more.w)
    if isinstance(rows.columns, CsrColumns) and isinstance(more.columns, CsrColumns):
        Z = sparse.vstack([rows.columns.Z, more.columns.Z], format="csr")
        return replace(rows, columns=CsrColumns(Z), y=y, w=w)
    Z = np.vstack([rows.take(slice(None)), more.take(slice(None))])
    return dense_rows(Z, y, w, None, rows.gram_all, rows.factor)


def _stacked(frame: Frame, parts: list) -> np.ndarray:
    """Z (k, m), dense, of rows given by their centred columns, part by part."""
    Z, start = np.empty((sum(part.shape[0] for part in parts), frame.n_cols)), 0
    while parts:
        part = parts.pop(0)
        frame.rows(part, out=Z[start : start + part.shape[0]])
        start += part.shape[0]
    return Z


def with_columns(rows: Rows, known: slice | np.ndarray) -> Rows:
    """The same rows with the columns ``known`` of Z, ascending: all, or those of an index array,
    of which that of ones is the last.
    """
    if isinstance(known, slice):
        return rows
    gram_all = rows.gram_all[np.ix_(known, known)]
    factor = linalg.factor(gram_all)
    if not isinstance(rows.columns, CsrColumns):
        Z = rows.take(slice(None))[:, known]
        return dense_rows(Z, rows.y, rows.w, None, gram_all, factor)
    slopes = known[: len(known) - rows.intercept]
    columns, rank = CsrColumns(rows.columns.Z[:, slopes]), len(slopes)
    return replace(rows, columns=columns, rank=rank, gram_all=gram_all, factor=factor)


def with_coefficients(rows: Rows, frame: Frame) -> Rows:
    """The same rows with B of b = B phi[:rank], and the column of ones beside the others as the
    intercept.
    """
    rank = frame.rank
    if isinstance(rows.columns, CsrColumns):
        return replace(rows, B=frame.B)
    slopes = DenseColumns.given(rows.take(slice(None))[:, :rank])
    return replace(rows, columns=slopes, intercept=frame.intercept, rank=rank, B=frame.B)
