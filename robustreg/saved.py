"""What a saved estimator holds of the version that saved it, and which versions read it."""

from __future__ import annotations

import re
from typing import Any

from ._version import __version__
from .data.dask import is_dask

VERSION = "_robustreg_version"


def with_version(state: Any) -> dict[str, Any]:
    """The state of an estimator, as it is saved: it names this version, and holds nothing lazy,
    which would ask for Dask and the data of the fit.
    """
    held = {key: value for key, value in state.items() if not is_dask(value)}
    return {**held, VERSION: __version__}


def without_version(name: str, state: dict[str, Any]) -> dict[str, Any]:
    """The state of an estimator of class ``name``, as it was saved; ValueError if the version that
    saved it is newer than this one. Versions such as 0.1.0 and 0.1.3 read each other's.
    """
    saved_by = state.get(VERSION, "0.1.0")
    if _release(saved_by) > _release(__version__):
        raise ValueError(
            f"This {name} was saved by robustreg {saved_by}, which is newer than robustreg "
            f'{__version__}, installed here: pip install "robustreg>={saved_by}" to load it.'
        )
    return {key: value for key, value in state.items() if key != VERSION}


def _release(version: str) -> tuple[int, int]:
    """The first two numbers of a version: (0, 1) of 0.1.0."""
    major, minor = [*re.findall(r"\d+", version), 0, 0][:2]
    return int(major), int(minor)
