"""Rows that are repeated, X and y alike, merged: a weight counts repeats.

A sample of the rows shows whether few are distinct. A hash of all bits of a row then finds the one
of the sample that it may be equal to, and their entries are compared: what is merged is equal, and
a row that is equal to none of the sample stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import make_source
from .source import Part, Sums, spread_out, sweep

SAMPLE = 4000  # rows that tell whether rows are repeated
FEW_ROWS = 1000  # up to which it is not asked: they are fitted in milliseconds
# Rows are merged if at most this part of the sample is distinct: it then has nearly all that there
# are, and four times fewer rows are left at least.
DISTINCT = 0.25
OTHERS = 0.1  # part of all rows, equal to none of the sample, up to which they are merged
SLOT_BITS = 16  # first bits of a hash, its slot in a table: 65,536 for up to 1,000 distinct rows
# Multiplying by an odd number loses no bit; this one, 2^64 / golden ratio, spreads them evenly.
SPREAD = np.uint64(0x9E3779B97F4A7C15)
HALF, FIRST = np.uint64(32), np.uint64(64 - SLOT_BITS)  # bits


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """``first`` (d,) are numbers of distinct rows, ``group`` (n,) tells which of them each of n
    rows is equal to, and ``w`` (d,) are the sums of their weights.
    """

    first: np.ndarray
    group: np.ndarray
    w: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Places(Sums):
    """A list of which known row each row is equal to, -1 for none, block by block."""

    place: list


def merged(X, Y: np.ndarray, w: np.ndarray | None) -> Merged | None:
    """The distinct rows of dense X (n, p) and Y (n, k) with weights w (n,) or None for ones; None
    where they are not much fewer.
    """
    n = len(Y)
    if hasattr(X, "tocsr") or n <= FEW_ROWS:
        return None
    some = spread_out(n, SAMPLE)
    if len(np.unique(Y[some, 0])) > DISTINCT * len(some):  # the usual case costs next to nothing
        return None
    source = make_source(X, Y.T, w)
    part = source.take(some)
    slots, places = np.unique(_slots(part), return_index=True)  # of two rows in a slot the first
    if len(places) > DISTINCT * len(some):
        return None
    table = np.full(2**SLOT_BITS, -1)
    table[slots] = np.arange(len(places))
    known = source.take(some[places])
    place = np.concatenate(sweep(source, equal_to, known, table).place)
    others = np.flatnonzero(place < 0)
    if len(others) > OTHERS * n:
        return None
    place[others] = len(places) + np.arange(len(others))
    first = np.concatenate([some[places], others])
    return Merged(first, place, np.bincount(place, w, len(first)).astype(np.float64))


def equal_to(part: Part, known: Part, table: np.ndarray) -> Places:
    """The kernel: which of the ``known`` rows each row is equal to; ``table`` has the places of
    those.
    """
    place = table[_slots(part)]
    same = np.all(known.X[place] == part.X, axis=1) & np.all(part.y == known.y[:, place], axis=0)
    return Places([np.where(same & (place >= 0), place, -1)])


def _slots(part: Part) -> np.ndarray:
    """The slot (k,) of each row in a table, made of all bits of the row; of equal rows the same."""
    hashes = np.zeros(part.y.shape[-1], dtype=np.uint64)
    for entries in (*part.X.T, *part.y):
        hashes ^= (entries + 0.0).astype(np.float64).view(np.uint64)  # -0.0 becomes 0.0
        hashes *= SPREAD
        hashes ^= hashes >> HALF
    return (hashes * SPREAD >> FIRST).astype(np.intp)
