"""The central paths of several small problems, with their steps made at once.

A step of a small problem is some hundred operations on short arrays, and Python costs more than
they do. So the arrays of K problems are stacked, with an axis in front, and ``interior_point.py``
makes one step of all of them. Shorter problems are filled with rows of zeros: each goes its own way
to the centre, and moves no phi. The normal matrices are inverted together, or, where one is not
well conditioned, factored one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..numerics import linalg
from ..problem.problem import Problem
from .interior_point import Point, Start, central_path, points, until_end, usable_factor

LEAST_PATHS = 3  # fewer problems cost as much alone
MOST_ENTRIES = 50_000  # of a problem's Z: in larger ones it is not Python that costs
# Points of a path that are made with the others'. Most paths are shorter, and for the few that are
# not a step of all problems costs more than their own (measured).
COMMON = 14
# Times the median number of rows: a problem with more would make the others mostly filling.
FILLED = 2.0


def central_paths(starts: list[Start]) -> list[Iterator[Point]]:
    """``central_path`` from each start."""
    chosen = _small([start.problem for start in starts])
    together = _together([starts[k] for k in chosen]) if len(chosen) >= LEAST_PATHS else []
    found = dict(zip(chosen, together, strict=False))
    return [found[k] if k in found else central_path(start) for k, start in enumerate(starts)]


def _small(problems: list[Problem]) -> list[int]:
    """The numbers of those that are small and of much the same size."""
    counts = np.array([problem.rows.n_rows for problem in problems])
    small = np.array([_is_small(problem) for problem in problems], dtype=bool)
    if not small.any():
        return []
    small &= counts <= FILLED * np.median(counts[small])
    return np.flatnonzero(small).tolist()


def _is_small(problem: Problem) -> bool:
    rows = problem.rows
    return not rows.is_sparse and 0 < rows.n_rows * rows.n_cols <= MOST_ENTRIES


def _together(starts: list[Start]) -> list[Iterator[Point]]:
    """The paths of small problems. Points are made when the first of them asks."""
    several = _several([start.problem for start in starts])
    first = _stacked([start.point for start in starts], several.n_rows)
    least = np.array([[start.least_value] for start in starts])
    shared = itertools.tee(points(several, first, least, _factored), len(starts))
    each = enumerate(zip(shared, starts, strict=True))
    return [until_end(_own(path, k, start)) for k, (path, start) in each]


def _own(path: Iterator[Point], k: int, start: Start) -> Iterator[Point]:
    """The points of problem number k, alone from where few others go on."""
    own, n = start.point, start.problem.rows.n_rows
    for p in itertools.islice(path, COMMON):
        rows = (part[k, :n] for part in (p.a, p.xu, p.xl, p.vp, p.vm))
        own = Point(p.phi[k], *rows, gap=p.gap[k], ended=p.ended[k])
        yield own
    alone = points(start.problem, own, start.least_value)
    next(alone)  # its first point is that one
    yield from alone


@dataclass(frozen=True, slots=True, eq=False)
class SeveralRows:
    """Z (K, n, m), y and w (K, n), for phi (K, m)."""

    Z: np.ndarray
    y: np.ndarray
    w: np.ndarray

    def fitted(self, phi: np.ndarray) -> np.ndarray:
        return (self.Z @ phi[:, :, None])[:, :, 0]

    def residual(self, phi: np.ndarray) -> np.ndarray:
        return self.y - self.fitted(phi)

    def adjoint(self, a: np.ndarray) -> np.ndarray:
        return (a[:, None, :] @ self.Z)[:, 0, :]

    def gram(self, q: np.ndarray) -> np.ndarray:
        return (self.Z * q[:, :, None]).transpose(0, 2, 1) @ self.Z


@dataclass(frozen=True, slots=True, eq=False)
class SeveralLosses:
    """The slopes of corners, (K, 1)."""

    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class SeveralQuadratics:
    """G (K, m, m) and h (K, m); L (K, k, m) are roots of G."""

    L: np.ndarray
    h: np.ndarray
    G: np.ndarray
    flat: bool

    def gradient(self, phi: np.ndarray) -> np.ndarray:
        if self.flat:
            return -self.h
        return (self.L.transpose(0, 2, 1) @ (self.L @ phi[:, :, None]))[:, :, 0] - self.h


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """What ``interior_point.py`` asks of a problem, for the ``problems`` of corners at once."""

    problems: list[Problem]
    rows: SeveralRows
    loss: SeveralLosses
    quadratic: SeveralQuadratics

    @property
    def n_rows(self) -> int:
        return self.rows.y.shape[1]


def _several(problems: list[Problem]) -> Several:
    """Problems with the same number of columns, and without settled rows inside the piece."""
    rows = [problem.rows for problem in problems]
    n = max(one.n_rows for one in rows)
    Z = _filled([one.take(slice(None)) for one in rows], n, 0.0)
    y, w = _filled([one.y for one in rows], n, 0.0), _filled([one.w for one in rows], n, 1.0)
    losses, quadratics = [one.loss for one in problems], [one.quadratic for one in problems]
    slopes = SeveralLosses(
        np.array([[loss.lower] for loss in losses]), np.array([[loss.upper] for loss in losses])
    )
    L, h = np.stack([one.L for one in quadratics]), np.stack([one.h for one in quadratics])
    flat = all(one.flat for one in quadratics)
    several = SeveralQuadratics(L, h, np.stack([one.G for one in quadratics]), flat)
    return Several(problems, SeveralRows(Z, y, w), slopes, several)


def _stacked(first: list[Point], n: int) -> Point:
    """Points of all problems as one, with n rows."""

    def filled(name: str) -> np.ndarray:
        return _filled([getattr(point, name) for point in first], n, 1.0)

    a = _filled([point.a for point in first], n, 0.0)
    phi = np.stack([point.phi for point in first])
    ended = np.zeros((len(first), 1), dtype=bool)
    return Point(phi, a, filled("xu"), filled("xl"), filled("vp"), filled("vm"), ended=ended)


def _filled(parts: list[np.ndarray], n: int, value: float) -> np.ndarray:
    """Arrays as one, with n entries of each, those that are missing of a ``value``."""
    found = np.full((len(parts), n, *parts[0].shape[1:]), value)
    for k, part in enumerate(parts):
        found[k, : len(part)] = part
    return found


@dataclass(frozen=True, slots=True, eq=False)
class SeveralFactors:
    """A factor for each problem."""

    each: list[linalg.Factor]

    @property
    def sound(self) -> bool:
        return all(one.sound for one in self.each)

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x (K, m) for b (K, m)."""
        return np.stack([one.solve(own) for one, own in zip(self.each, b, strict=True)])


@dataclass(frozen=True, slots=True, eq=False)
class SeveralInverses:
    """The ``inverse`` of each diag(scale)^-1 M diag(scale)^-1, (K, m, m), with ``scale`` (K, m) the
    roots of the diagonals; all are sound.
    """

    inverse: np.ndarray
    scale: np.ndarray
    sound = True

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x (K, m) for b (K, m)."""
        return (self.inverse @ (b / self.scale)[:, :, None])[:, :, 0] / self.scale


def _factored(several: Any, q: np.ndarray) -> SeveralInverses | SeveralFactors:
    """A factor of M for barrier weights q (K, n)."""
    M = several.rows.gram(q) + several.quadratic.G
    if (found := _inverses(M)) is not None:
        return found
    each = zip(several.problems, M, q, strict=True)
    return SeveralFactors([usable_factor(one, own, w[: one.rows.n_rows]) for one, own, w in each])


def _inverses(M: np.ndarray) -> SeveralInverses | None:
    """Those of M (K, m, m), or None unless all are well conditioned."""
    scale = np.sqrt(np.diagonal(M, axis1=1, axis2=2))
    scaled = M / scale[:, :, None] / scale[:, None, :]
    try:
        inverse = np.linalg.inv(scaled)
    except np.linalg.LinAlgError:
        return None
    rcond = 1.0 / (_norms(scaled) * _norms(inverse))
    return SeveralInverses(inverse, scale) if np.all(rcond >= linalg.WELL_CONDITIONED) else None


def _norms(M: np.ndarray) -> np.ndarray:
    """The largest sum of a column's absolute values, (K,)."""
    return np.abs(M).sum(axis=1).max(axis=1)
