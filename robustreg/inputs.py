"""X and y as they are given: what holds no numbers is refused, with what to do about it.

scikit-learn checks the rest. Arrays of numbers cost a look at their dtype, and frames one at each
column's; only where a dtype may hold anything (object) each value is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
from sklearn.utils.validation import check_X_y, validate_data

from .hints import listed, shown
from .parameters import DTYPES, is_missing, refuse_masked

# How X and y are checked, and what is read as it is.
CHECK: dict[str, Any] = {
    "accept_sparse": "csr",
    "dtype": DTYPES,
    "multi_output": True,
    "y_numeric": True,
}
NUMBERS = "fiub"  # kinds of NumPy's dtypes
TEXT = "UST"
DATES = "mM"
ENCODE = "Encode text and categories, as sklearn.preprocessing.OneHotEncoder does."
COUNT = "Make numbers of dates and durations, such as days since the first."
RESHAPE = "Reshape your data: X.reshape(-1, 1) is one feature, X.reshape(1, -1) one row."
ONE_COLUMN = "X.to_frame() has one column, X.to_frame().T one row."
NOT_GIVEN = "no_validation"  # scikit-learn's word for no y at all


def validated(estimator: Any, X: Any, y: Any = NOT_GIVEN, **check: Any) -> Any:
    """X, or (X, y), as scikit-learn's ``validate_data`` returns them."""
    X, y = refused_or_read(X, y)
    return validate_data(estimator, X, y, **check)


def validated_pair(X: Any, y: Any, **check: Any) -> tuple[Any, Any]:
    """(X, y) as scikit-learn's ``check_X_y`` returns them."""
    X, y = refused_or_read(X, y)
    return check_X_y(X, y, **check)


def refused_or_read(X: Any, y: Any = NOT_GIVEN) -> tuple[Any, Any]:
    """(X, y), lists as arrays; ValueError or TypeError where X or y holds something else than
    numbers, or has another shape than (n, p) and (n,) or (n, k).
    """
    X, y = _read("X", X), _read("y", y)
    rows, targets = getattr(X, "shape", None), getattr(y, "shape", None)
    if rows is not None and len(rows) != 2:
        raise ValueError(
            f"X must have two dimensions, (n_samples, n_features); got shape {rows}."
            + (f" {ONE_COLUMN if hasattr(X, 'to_frame') else RESHAPE}" if len(rows) == 1 else "")
            + (" X and y seem to be exchanged." if targets and len(targets) == 2 else "")
        )  # fmt: skip
    if rows and targets and rows[0] != targets[0]:
        raise ValueError(f"y must have one entry per row of X, {rows[0]}; got {targets[0]}.")
    return X, y


def _read(name: str, given: Any) -> Any:
    """X or y, refused if it holds no numbers; a list as an array."""
    refuse_masked(name, given)
    if isinstance(given, np.ndarray) and given.dtype.kind in NUMBERS:
        return given
    if name == "y" and (given is None or (isinstance(given, str) and given == NOT_GIVEN)):
        return given  # for scikit-learn, which asks for y where it has to
    if isinstance(given, (list, tuple)):
        for row in given:
            refuse_masked(name, row)
        try:
            given = np.asarray(given)
        except ValueError as error:
            raise ValueError(f"{name} must have rows of one length: {error}") from None
    if hasattr(given, "tocsr"):
        if name == "y":
            raise TypeError(f"y must be dense; got a {type(given).__name__}. y.toarray() is.")
    elif type(given).__module__.startswith("pyarrow"):
        _read(name, given.to_pandas())  # pyright: ignore
    elif not hasattr(given, "shape"):
        _refuse_container(name, given)
    elif hasattr(type(given), "columns") and hasattr(type(given), "dtypes"):  # a frame
        _refuse_columns(name, given)
    elif hasattr(given, "dtype"):
        _refuse_values(name, given)
    return given


def _refuse_container(name: str, given: Any) -> None:
    """TypeError for what has no shape and is no array in other clothes."""
    kind = type(given).__name__
    if isinstance(given, (str, bytes, PathLike)):
        if name == "y":
            raise TypeError(
                f"y must have one number per row; got {given!r}. "
                f"A column of a frame is given itself: frame[{given!r}]."
            )
        if isinstance(given, str) and "~" in given:
            raise TypeError(
                f"X must be a table of numbers; got {given!r}. formulaic.model_matrix({given!r}, "
                "frame) makes y and X of a formula."
            )
        raise TypeError(
            f"X must be a table of numbers; got {given!r}. Read a file first: "
            "by pandas.read_csv, by dask.dataframe.read_csv if it is larger than memory, or by "
            "numpy.load(..., mmap_mode='r')."
        )
    if isinstance(given, Iterator):
        raise TypeError(
            f"{name} must be in memory or on Dask; got an iterator of type {kind}. Make an array "
            "of it: numpy.array(list(...)); or give batches of rows to partial_fit (loss='mse')."
        )
    if hasattr(type(given), "collect"):  # a frame that has still to be computed
        raise TypeError(
            f"{name} must be in memory or on Dask; got a {kind}. .collect() brings it into memory; "
            "from a file larger than that read it by Dask, or in batches for partial_fit "
            "(loss='mse')."
        )
    if isinstance(given, dict):
        raise TypeError(f"{name} must be a table; got a dict. pandas.DataFrame makes one of it.")
    if not any(hasattr(given, way) for way in ("__array__", "__array_interface__", "__len__")):
        raise TypeError(f"{name} must be an array or a frame of numbers; got {shown(given)}.")


def _refuse_columns(name: str, frame: Any) -> None:
    """ValueError for a frame with a name twice, or with columns of anything else than numbers."""
    columns = list(frame.columns)
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(f"{name} must have columns of different names; got {twice!r} twice.")
    dtypes = list(frame.dtypes)
    kinds = {dtype: _kind(dtype) for dtype in set(dtypes)}
    if all(kind in NUMBERS for kind in kinds.values()):
        return
    found, advice = [], []
    for column, dtype in zip(columns, dtypes, strict=True):
        kind = kinds[dtype]
        text = None
        if kind == "O":
            text = _text(frame[column])
            # Without rows, as a frame on Dask is seen here, the dtype tells.
            kind = "U" if text is not None or str(dtype).startswith("str") else "O"
        if kind in TEXT + DATES + "c":
            shows = "" if text is None else f", {text!r}"
            found.append(f"{column!r} ({dtype}{shows})")
            advice.append(_advice(kind, text, name, kind == "U" and _has_numbers(frame[column])))
    if found:
        columns = "column" if len(found) == 1 else "columns"
        raise ValueError(
            f"{name} must hold numbers; got the {columns} {listed(found)}. "
            + " ".join(dict.fromkeys(advice))
        )


def _refuse_values(name: str, given: Any) -> None:
    """ValueError or TypeError for an array or a series of anything else than numbers."""
    kind = _kind(given.dtype)
    if getattr(given.dtype, "names", None):
        raise TypeError(
            f"{name} must be a matrix; got a record array with the fields "
            f"{listed(map(repr, given.dtype.names))}. "
            "numpy.lib.recfunctions.structured_to_unstructured makes one of it."
        )
    if kind in DATES + "c":
        raise ValueError(f"{name} must hold numbers; got {given.dtype}. {_advice(kind, None)}")
    if kind not in TEXT + "O":
        return
    values = np.asarray(given)
    try:
        has_text = any(isinstance(value, (str, bytes)) for value in values.flat)
        if not has_text and (np.all(np.isfinite(values.astype(np.float64))) or name == "X"):
            return
    except (TypeError, ValueError):
        pass  # what is no number is found below
    for index, value in np.ndenumerate(values):
        where = f"column {index[1]}" if len(index) == 2 and name == "X" else f"row {index[0]}"
        if isinstance(value, (str, bytes)):
            column = values[:, index[1]] if len(index) == 2 else values
            advice = _advice("U", _text(column), name, _has_numbers(column))
            raise ValueError(
                f"{name} must hold numbers; got the text {str(value)!r} in {where}. {advice}"
            )
        try:
            missing = is_missing(value) or not np.isfinite(float(value))
        except TypeError as error:
            raise TypeError(f"{name} must hold numbers: {error}, in {where}.") from None
        if missing and name == "y":  # a later check finds those of X
            raise ValueError(f"y must be finite; got {value} in {where}.")


def _kind(dtype: Any) -> str:
    """The kind of a dtype as NumPy has it; "O" for what may hold anything."""
    if hasattr(dtype, "is_numeric"):  # polars
        if dtype.is_numeric():
            return "f"
        if dtype.is_temporal():
            return "M"
        return "O" if str(dtype) in ("Boolean", "Null", "Object") else "U"
    return getattr(dtype, "kind", "f")


def _text(column: Any) -> str | None:
    """The first text among the values of an array or a series that is no number; else the first
    text, and None without any.
    """
    texts = (str(value) for value in np.asarray(column).flat if isinstance(value, (str, bytes)))
    first = next(texts, None)
    if first is None or not _is_number(first):
        return first
    return next((text for text in texts if not _is_number(text)), first)


def _has_numbers(column: Any) -> bool:
    """Whether some values are numbers, or text of numbers."""
    return any(
        _is_number(value) if isinstance(value, str) else not is_missing(value)
        for value in np.asarray(column).flat
        if not isinstance(value, bytes)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _advice(kind: str, text: str | None, name: str = "X", among_numbers: bool = False) -> str:
    """What to do about values of this kind, of which ``text`` is one, perhaps among numbers."""
    if kind in DATES:
        return COUNT
    if kind == "c":
        return "Complex data not supported."
    if text and _is_number(text):
        return "astype(float) makes numbers of text."
    if text and "," in text and _is_number(text.replace(",", "")):
        return f"{text!r} may be a number, which pandas.read_csv(decimal=..., thousands=...) reads."
    if among_numbers:
        return "Where numbers stand beside: pandas.to_numeric(column, errors='coerce')."
    return ENCODE if name == "X" else "Labels are for a classifier."
