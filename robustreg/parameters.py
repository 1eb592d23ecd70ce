"""Checks of what the user gave: each error names the parameter, what is allowed, and what came."""

from __future__ import annotations

import numbers
from typing import Literal, TypeAlias

import numpy as np

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
# Dtypes that are read as they are, block by block, in either order of their bytes; any other is
# converted to the first.
NATIVE = [np.float64, np.float32, np.float16, np.bool_, np.int8, np.int16, np.int32, np.int64,
          np.uint8, np.uint16, np.uint32, np.uint64]  # fmt: skip
DTYPES = [*NATIVE, *(np.dtype(dtype).newbyteorder() for dtype in NATIVE)]


def choice(name: str, value, allowed) -> str:
    """One of a set of strings."""
    if not isinstance(value, str) or value not in allowed:
        listed = ", ".join(repr(item) for item in allowed)
        raise ValueError(f"{name} must be one of {listed}; got {value!r}.")
    return value


def number(name: str, value, *, positive: bool) -> float:
    """A finite real number, positive or at least not negative."""
    kind = "a positive finite number" if positive else "a finite number >= 0"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {kind}; got {value!r} of type {type(value).__name__}.")
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
        raise TypeError(f"{name} must hold {kind}; got {value!r}.") from None
    if numbers_.ndim != 1 or not len(numbers_):
        raise ValueError(
            f"{name} must have one dimension and an entry; got shape {numbers_.shape}."
        )
    wrong = ~np.isfinite(numbers_) | (numbers_ < 0.0) | (positive & (numbers_ == 0.0))
    if wrong.any():
        raise ValueError(f"{name} must hold {kind}; got {numbers_[wrong][0]} among its entries.")
    return numbers_


def scale(value, loss: str, delta: float) -> float | str:
    """A positive number, or one of SCALES; other than 1.0 for Huber's loss only."""
    listed = ", ".join(repr(item) for item in SCALES)
    if isinstance(value, str):
        if value not in SCALES:
            raise ValueError(
                f"scale must be a positive finite number or one of {listed}; got {value!r}."
            )
    elif isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        kind = type(value).__name__
        raise TypeError(
            f"scale must be a positive finite number or one of {listed}; "
            f"got {value!r} of type {kind}."
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
        raise TypeError(f"quantile must be {kind}; got {value!r} of type {type(value).__name__}.")
    if not 0.0 < float(value) < 1.0:
        raise ValueError(f"quantile must be {kind}; got {value!r}.")
    if loss != "quantile" and value != 0.5:
        raise ValueError(
            f"quantile must be 0.5 with loss={loss!r}, which has no level to choose; got {value!r}."
        )
    return float(value)


def count(name: str, value, *, least: int) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"{name} must be an integer >= {least}; got {value!r} of type {type(value).__name__}."
        )
    if value < least:
        raise ValueError(f"{name} must be an integer >= {least}; got {value!r}.")
    return int(value)


def flag(name: str, value) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{name} must be True or False; got {value!r} of type {type(value).__name__}."
        )
    return bool(value)


def weights(sample_weight, n_samples: int, *, or_none: bool = False) -> np.ndarray | None:
    """sample_weight as float64 (n_samples,): None, one number, or one number >= 0 per row; not all
    are 0, unless there may be no row: ``or_none``.
    """
    if sample_weight is None:
        return None
    try:
        w = np.asarray(sample_weight)
        if np.iscomplexobj(w):
            raise TypeError
        w = np.asarray(w, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"sample_weight must hold real numbers; got {sample_weight!r}.") from None
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
        raise ValueError(f"sample_weight must be >= 0; got {w.min()!r} among its entries.")
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
