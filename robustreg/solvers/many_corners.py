"""Several small problems with corners at once, each from a point near its minimiser.

A step of a small problem is some hundred operations on short arrays, and Python costs more than
they do. So K problems are solved together, each operation on the arrays of all:

    1. narrowing     ``many_narrowed.py``
    2. central path  ``interior_point.py`` makes one step of all, as long as many are not at its end
    3. crossover     the m rows that the path tells from others are interpolated, and their dual is
                     found, as in ``crossover.py``

Nothing is believed: what does not end as an optimal pair of all rows is left to be solved alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..numerics.precision import EPS
from ..problem.duality import ROUNDED
from ..problem.problem import Problem
from ..problem.solution import Pair, Tally
from .continuation import CORE_ROWS
from .crossover import OVER_BOUND, TINY
from .interior_point import FIRST_PAD, LEAST_VALUE, Point, points
from .mae import TRY_GAP
from .many_narrowed import STEPS, Left, RowsOfAll, narrowed
from .several import Several, barrier_inverses

LEAST_PROBLEMS = 3  # fewer cost as much alone
# Entries of Z of a problem, with all its rows and with those of a core: in larger ones it is not
# Python that costs.
MOST_ENTRIES, MOST_OF_CORE = 2**20, 50_000
POINTS = 30  # of a path at most
IN_COMMON = 2 * STEPS + POINTS  # iterations of a problem at most
REFINEMENTS = 2  # of an interpolation, and of its dual


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """A ``problem`` and phi (m,), whose fitted values are about ``rho`` from those of its
    minimiser.
    """

    problem: Problem
    phi: np.ndarray
    rho: float
    work: Tally


def optimal_pairs(asked: list[Near]) -> list[Pair | None]:
    """The optimal pair of each problem, or None where it is to be solved alone."""
    found: list[Pair | None] = [None] * len(asked)
    chosen = [k for k, near in enumerate(asked) if _is_usual(near)]
    if len(chosen) >= LEAST_PROBLEMS:
        with np.errstate(all="ignore"):  # what is not finite is no pair
            pairs = _together([asked[k] for k in chosen])
        for k, pair in zip(chosen, pairs, strict=True):
            found[k] = pair
    return found


def _is_usual(near: Near) -> bool:
    """Whether a problem is small, a corner with dense rows and no quadratic term."""
    rows = near.problem.rows
    n, m = rows.n_rows, rows.n_cols
    small = m < n and n * m <= MOST_ENTRIES and CORE_ROWS * m * m <= MOST_OF_CORE
    flat = near.problem.loss.is_corner and near.problem.quadratic.flat
    return small and flat and not rows.is_sparse and near.rho > 0.0


def _together(asked: list[Near]) -> list[Pair | None]:
    """The pairs of problems with as many columns."""
    rows = RowsOfAll.of([near.problem for near in asked])
    phi, rho = np.stack([near.phi for near in asked]), np.array([near.rho for near in asked])
    found: list[Pair | None] = [None] * len(asked)
    left, u = narrowed(rows, phi, rho)
    phi, right = phi.copy(), np.zeros(len(phi), dtype=bool)
    for j, corner in _corners(left).items():
        k = left.number[j]
        phi[k], right[k] = corner.phi, True
        u[left.places[j, left.real[j]]] = corner.u[left.real[j]]
        asked[k].work.n_iter += corner.n_points
    # Rows that were settled have to be on their sides.
    kept = np.zeros(len(u), dtype=bool)
    kept[left.places[left.real]] = True
    right &= rows.counts(~kept & (u * rows.residual(phi) < 0.0)) == 0
    slopes = rows.each(u)
    for k in np.flatnonzero(right):
        found[k] = Pair(phi[k], slopes[k])
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Corner:
    """The optimal pair of a problem that was left, and the points made until it was found."""

    phi: np.ndarray
    u: np.ndarray
    n_points: int


def _corners(left: Left) -> dict[int, Corner]:
    """The optimal pair of each problem at the end of its path, if it is found."""
    found: dict[int, Corner] = {}
    open_ones = np.arange(len(left.phi))
    point, scale, least = _start(left)
    path = points(left.several, point, least, barrier_inverses)
    for n_points in range(1, POINTS + 1):
        point = next(path)
        for j, phi, u in _interpolated(left, point, scale):
            found.setdefault(open_ones[j], Corner(phi, u, n_points))
        going_on = np.array([j not in found for j in open_ones])
        if not going_on.any():
            break
        if 2 * np.count_nonzero(going_on) <= len(open_ones):
            open_ones, left = open_ones[going_on], left.some(going_on)
            scale, least, point = scale[going_on], least[going_on], point.some(going_on)
            path = points(left.several, point, least, barrier_inverses)
            next(path)  # its first point is that one
    return found


def _start(left: Left) -> tuple[Point, np.ndarray, np.ndarray]:
    """(where the paths begin, typical residuals, the least that gaps are relative to), as ``Start``
    of ``interior_point.py``.
    """
    r, w, loss = left.r, left.several.rows.w, left.several.loss
    own = w * left.real
    scale = (own * np.abs(r)).sum(axis=1, keepdims=True) / own.sum(axis=1, keepdims=True)
    vp, vm = np.maximum(r, 0.0) + FIRST_PAD * scale, np.maximum(-r, 0.0) + FIRST_PAD * scale
    point = Point(left.phi, np.zeros_like(w), loss.upper * w, -loss.lower * w, vp, vm)
    return point, scale, LEAST_VALUE * scale * loss.steepest * w.sum(axis=1, keepdims=True)


def _interpolated(
    left: Left, point: Point, scale: np.ndarray
) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """(number, phi (m,), u (n,)) of the problems near the end of their paths, if they are right."""
    # 1. Those that go through m rows.
    w, loss, m = left.several.rows.w, left.several.loss, point.phi.shape[1]
    slack = np.minimum(point.xu, point.xl) / (loss.steepest * w)
    ratio = np.maximum(point.vp, point.vm) / np.maximum(slack, TINY)
    F = (ratio < scale) & left.real
    ready = np.flatnonzero((point.gap[:, 0] <= TRY_GAP) & (np.count_nonzero(F, axis=1) == m))
    if not len(ready):
        return []
    F, side = F[ready], np.where(point.vp > point.vm, 1.0, -1.0)[ready]
    face = Face(left.several.some(ready), F, side, left.terms[ready])
    # 2. Their phi and u.
    try:
        phi, u, right = face.solved(point.phi[ready])
    except np.linalg.LinAlgError:
        return []
    return [(ready[i], phi[i], u[i]) for i in np.flatnonzero(right)]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """``several`` problems that go through m rows each, F (J, n) bool, with the others on their
    ``side`` (J, n); ``terms`` as in ``Rows``.
    """

    several: Several
    F: np.ndarray
    side: np.ndarray
    terms: np.ndarray

    def solved(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(phi (J, m), u (J, n), whether they are optimal (J,)), from phi near it."""
        rows, loss, F = self.several.rows, self.several.loss, self.F
        m = phi.shape[1]
        each, index = np.arange(len(F))[:, None], np.nonzero(F)[1].reshape(-1, m)
        Z, y = rows.Z[each, index], rows.y[each, index]
        inverse = np.linalg.inv(Z)
        # 1. Interpolate F.
        for _ in range(REFINEMENTS):
            phi = phi + _times(inverse, y - _times(Z, phi))
        # 2. Its dual.
        u = np.where(F, 0.0, np.where(self.side > 0.0, loss.upper, loss.lower))
        lacking = -self.several.quadratic.h - rows.adjoint(rows.w * u)
        a = np.zeros_like(y)
        for _ in range(REFINEMENTS):
            a = a + _times(inverse, lacking - _times(Z, a, turned=True), turned=True)
        u[each, index] = a / rows.w[each, index]
        right = self.primal_is_right(phi) & self.dual_is_right(u)
        return phi, np.clip(u, loss.lower, loss.upper), right

    def primal_is_right(self, phi: np.ndarray) -> np.ndarray:
        """Whether all rows are in F or on their side, (J,)."""
        rows = self.several.rows
        size = np.abs(rows.y) + _times(np.abs(rows.Z), np.abs(phi)) + self.terms
        r, noise = rows.residual(phi), 4.0 * EPS * size
        right = np.where(self.F, np.abs(r) <= noise, self.side * r >= -noise)
        return np.all(right, axis=1)

    def dual_is_right(self, u: np.ndarray) -> np.ndarray:
        """Whether u (J, n) is in its bounds, and Z'(w u) = -h but for rounding, (J,)."""
        rows, loss, h = self.several.rows, self.several.loss, self.several.quadratic.h
        over = 1.0 + OVER_BOUND
        inside = np.all((u < over * loss.upper) & (u > over * loss.lower), axis=1)
        squares = np.einsum("ij,ij,ij->i", rows.w, u, u) * rows.w.sum(axis=1)
        noise = 2.0 * ROUNDED * np.sqrt(squares)[:, None] + 16.0 * EPS * np.abs(h)
        missing = np.abs(rows.adjoint(rows.w * u) + h)
        return inside & np.all(missing <= noise, axis=1)


def _times(M: np.ndarray, x: np.ndarray, turned: bool = False) -> np.ndarray:
    """M x, or M'x, for M (J, n, m) and x of each."""
    return (x[:, None, :] @ M)[:, 0, :] if turned else (M @ x[:, :, None])[:, :, 0]
