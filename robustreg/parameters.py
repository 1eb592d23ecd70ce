"""Checks of what the user gave: each error names the parameter, what is allowed, and what came."""

from __future__ import annotations

import numbers
from typing import Any, Literal, TypeAlias

import numpy as np

from .hints import for_loss, near, shown

# What a type checker allows.
Loss: TypeAlias = Literal["mse", "mae", "huber", "quantile", "squared_error", "absolute_error"]
Scale: TypeAlias = float | Literal["mad", "concomitant", "proposal2"]
Solver: TypeAlias = Literal["auto", "scipy"]

LOSSES = {
    "mse": "mse",
    "mae": "mae",
    "huber": "huber",
    "quantile": "quantile",
    "squared_error": "mse",
    "absolute_error": "mae",
}
SOLVERS = ("auto", "scipy")
SCALES = ("mad", "concomitant", "proposal2")
# Who takes several values of a parameter.
SEVERAL = {
    "delta": "LinearRegressorCV(deltas=...) chooses among several, delta_path fits them all.",
    "alpha": "LinearRegressorCV(alphas=...) chooses among several.",
    "quantile": "quantile_process fits several.",
}
# Dtypes that are read as they are, block by block, in either order of their bytes; any other is
# converted to the first.
NATIVE = [np.float64, np.float32, np.float16, np.bool_, np.int8, np.int16, np.int32, np.int64,
          np.uint8, np.uint16, np.uint32, np.uint64]  # fmt: skip
DTYPES = [*NATIVE, *(np.dtype(dtype).newbyteorder() for dtype in NATIVE)]


def choice(name: str, value, allowed, hint: str = "") -> str:
    """One of a set of strings; ``hint`` ends the error where no spelling is near."""
    if not isinstance(value, str) or value not in allowed:
        listed = ", ".join(repr(item) for item in allowed)
        told = f"{name} must be one of {listed}; got {shown(value)}."
        raise ValueError(f"{told} {hint or near(value, allowed)}".rstrip())
    return value


def loss(value) -> str:
    """The loss, by its short name."""
    return LOSSES[choice("loss", value, LOSSES, for_loss(value))]


def number(name: str, value, *, positive: bool) -> float:
    """A finite real number, positive or at least not negative."""
    kind = "a positive finite number" if positive else "a finite number >= 0"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {kind}; got {_typed(value)}.{_several(name, value)}")
    if not np.isfinite(float(value)) or value < 0 or (positive and value == 0):
        raise ValueError(f"{name} must be {kind}; got {value!r}.")
    return float(value)


def vector(name: str, value, *, positive: bool) -> np.ndarray:
    """Finite real numbers, positive or at least not negative: float64 (k,), k > 0; a number counts
    as one of them.
    """
    kind = f"finite numbers {'> 0' if positive else '>= 0'}"
    try:
        numbers_ = np.atleast_1d(np.asarray(value))
        if numbers_.dtype.kind not in "fiu":
            raise TypeError
        numbers_ = numbers_.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must hold {kind}; got {shown(value)}.") from None
    if numbers_.ndim != 1 or not len(numbers_):
        raise ValueError(
            f"{name} must have one dimension and an entry; got shape {numbers_.shape}."
        )
    wrong = ~np.isfinite(numbers_) | (numbers_ < 0.0) | (positive & (numbers_ == 0.0))
    if wrong.any():
        raise ValueError(f"{name} must hold {kind}; got {numbers_[wrong][0]} among its entries.")
    return numbers_


def candidates(name: str, value: Any, *, positive: bool, or_how_many: bool = False) -> Any:
    """Candidates, ascending (k,); or how many, an integer >= 2, where ``or_how_many``."""
    if np.ndim(value):
        return np.unique(vector(name, value, positive=positive))
    is_bool = isinstance(value, (bool, np.bool_))
    if or_how_many and isinstance(value, (int, np.integer)) and not is_bool and value >= 2:
        return int(value)
    is_number = isinstance(value, (int, float, np.number)) and not is_bool
    kind = "a list of candidates" + (", or how many, an integer >= 2" if or_how_many else "")
    told = f"{name} must be {kind}; got {_typed(value)}."
    told += f" {name}=[{value}] is one candidate." if is_number else ""
    raise ValueError(told) if is_number else TypeError(told)


def scale(value, loss: str, delta: float) -> float | str:
    """A positive number, or one of SCALES; other than 1.0 for Huber's loss only."""
    listed = ", ".join(repr(item) for item in SCALES)
    if isinstance(value, str):
        if value not in SCALES:
            told = f"scale must be a positive finite number or one of {listed}; got {value!r}."
            raise ValueError(f"{told} {near(value, SCALES)}".rstrip())
    elif isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"scale must be a positive finite number or one of {listed}; got {_typed(value)}."
        )
    elif not np.isfinite(float(value)) or value <= 0:
        raise ValueError(
            f"scale must be a positive finite number or one of {listed}; got {value!r}."
        )
    else:
        value = float(value)
    if loss != "huber" and value != 1.0:
        raise ValueError(
            f"scale must be 1.0 with loss={loss!r}, which has no knot to scale; got {value!r}."
        )
    if value == "concomitant" and delta <= 1.0:
        raise ValueError(f"delta must be greater than 1 with scale='concomitant'; got {delta!r}.")
    return value


def quantile(value, loss: str) -> float:
    """A number between 0 and 1, both excluded; other than 0.5 for the quantile loss only."""
    kind = "a number between 0 and 1, both excluded"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"quantile must be {kind}; got {_typed(value)}.{_several('quantile', value)}"
        )
    if not 0.0 < float(value) < 1.0:
        raise ValueError(f"quantile must be {kind}; got {value!r}.{per_cent(float(value))}")
    if loss != "quantile" and value != 0.5:
        raise ValueError(
            f"quantile must be 0.5 with loss={loss!r}, which has no level to choose; got {value!r}."
        )
    return float(value)


def count(name: str, value, *, least: int | None) -> int:
    """A whole number of at least ``least``; any if that is None."""
    kind = "an integer" if least is None else f"an integer >= {least}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be {kind}; got {_typed(value)}.")
    if least is not None and value < least:
        raise ValueError(f"{name} must be {kind}; got {value!r}.")
    return int(value)


def flag(name: str, value) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {_typed(value)}.")
    return bool(value)


def per_cent(value: float) -> str:
    """The end of an error about a level that was given in per cent; else nothing."""
    return f" {value:g} per cent are {value / 100:g}." if 1.0 < value < 100.0 else ""


def _typed(value) -> str:
    """A value and its type, for an error."""
    return (
        shown(value)
        if hasattr(value, "shape")
        else f"{shown(value)} of type {type(value).__name__}"
    )


def _several(name: str, value) -> str:
    """The end of an error about several values where one is wanted; else nothing."""
    if name not in SEVERAL or not np.iterable(value) or isinstance(value, str):
        return ""
    return f" {SEVERAL[name]}"


def refuse_masked(name: str, value) -> None:
    """ValueError for an array with masked entries: NumPy would read the numbers behind them."""
    if isinstance(value, np.ma.MaskedArray) and np.any(value.mask):
        raise ValueError(
            f"{name} must have no masked entries; got {np.count_nonzero(value.mask)} of them. "
            f"{name}.astype(float).filled(numpy.nan) makes missing values of them."
        )


def is_missing(value) -> bool:
    """Whether a value is None, NaN, or what pandas has for a missing one."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def weights(sample_weight, n_samples: int, *, or_none: bool = False) -> np.ndarray | None:
    """sample_weight as float64 (n_samples,): None, one number, or one number >= 0 per row; not all
    are 0, unless there may be no row: ``or_none``.
    """
    if sample_weight is None:
        return None
    refuse_masked("sample_weight", sample_weight)
    try:
        w = np.asarray(sample_weight)
        is_text = w.dtype.kind == "O" and any(isinstance(v, (str, bytes)) for v in w.flat)
        if w.dtype.kind not in "fiubO" or is_text:
            raise TypeError
        w = np.asarray(w, dtype=np.float64)
    except (TypeError, ValueError):
        column = isinstance(sample_weight, str)
        told = f"sample_weight must hold real numbers; got {shown(sample_weight)}."
        advice = f" A column of a frame is given itself: frame[{sample_weight!r}]."
        raise ValueError(told + (advice if column else "")) from None
    if w.ndim == 0:
        w = np.full(n_samples, w)
    if w.ndim != 1:
        # The words "Sample weights must be 1D array or scalar" are what scikit-learn's checks look
        # for.
        raise ValueError(
            f"Sample weights must be 1D array or scalar; got sample_weight of shape {w.shape}."
        )
    if len(w) != n_samples:
        raise ValueError(
            f"sample_weight must have one entry per row of X, {n_samples}; got {len(w)}."
        )
    if not np.all(np.isfinite(w)):
        raise ValueError(
            f"sample_weight must be finite; got {w[~np.isfinite(w)][0]} among its entries."
        )
    if np.any(w < 0):
        raise ValueError(f"sample_weight must be >= 0; got {w.min()} among its entries.")
    if not np.any(w > 0) and not or_none:
        raise ValueError("sample_weight must have a positive entry; got only zeros.")
    return w


def in_dtype(dtype, value):
    """Fitted numbers in the dtype of X; ValueError if they do not fit into it."""
    with np.errstate(over="ignore"):
        cast = np.asarray(value, dtype=dtype)
    if not np.all(np.isfinite(cast)):
        raise ValueError(
            f"The coefficients overflow {np.dtype(dtype).name}: rescale X or y, or use float64."
        )
    return cast if cast.ndim else cast[()]
