"""Rows that are repeated, X and y alike, merged: a weight counts repeats.

Few distinct rows fall off the fast way, since a sample of them shows hardly more than they are. Two
rows are the same if all their entries are; a number made of the bits of a row finds, among the
distinct rows of a sample, the one it may be equal to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.arrays import make_source
from ..data.source import Part, Sums, spread_out, sweep

SAMPLE = 4000  # rows that tell whether rows are repeated
LEAST = 1000  # rows from which that is looked at
DISTINCT = 0.25  # part of the sample that is distinct at most: it then has nearly all there are
OTHERS = 0.1  # part of all rows that are equal to none of the sample at most
SLOTS = 16  # bits of a row's number, which are its place in a table
ODD = np.uint64(0x9E3779B97F4A7C15)  # multiplied by it the last bits of a number reach the first


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
    if hasattr(X, "tocsr") or n < LEAST:
        return None
    some = spread_out(n, SAMPLE)
    if len(np.unique(Y[some, 0])) > DISTINCT * len(some):  # the usual case costs next to nothing
        return None
    source = make_source(X, Y.T, w)
    part = source.take(some)
    numbers, places = np.unique(_numbers(part), return_index=True)
    if len(places) > DISTINCT * len(some):
        return None
    table = np.full(2**SLOTS, -1)
    table[_slot(numbers)] = np.arange(len(places))
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
    place = table[_slot(_numbers(part))]
    same = np.all(known.X[place] == part.X, axis=1) & np.all(part.y == known.y[:, place], axis=0)
    return Places([np.where(same & (place >= 0), place, -1)])


def _numbers(part: Part) -> np.ndarray:
    """A number for each row (k,), made of all bits of its entries."""
    number = np.zeros(part.y.shape[-1], dtype=np.uint64)
    for entries in (*part.X.T, *part.y):
        number ^= (entries + 0.0).astype(np.float64).view(np.uint64)  # -0.0 is 0.0
        number *= ODD
        number ^= number >> np.uint64(32)
    return number


def _slot(numbers: np.ndarray) -> np.ndarray:
    """Their places in the table, (k,)."""
    return (numbers * ODD >> np.uint64(64 - SLOTS)).astype(np.intp)
