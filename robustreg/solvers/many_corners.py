"""Several small problems with corners at once, each from a point near its minimiser.

A step of a small problem is some hundred operations on short arrays, and Python costs more than
they do. So K problems are solved together, each operation on the arrays of all:

    1. narrowing     ``many_narrowed.py``
    2. central path  ``interior_point.py`` makes one step of all, as long as many are not at its end
    3. crossover     the m rows that the path tells from others are interpolated, and their dual is
                     found, as in ``crossover.py``; that is asked where a penalty leaves fewer rows

Nothing is believed: what does not end as an optimal pair of all rows is left to be solved alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..numerics.precision import EPS
from ..problem.duality import ROUNDED
from ..problem.problem import Problem
from ..problem.solution import Pair, Tally
from .continuation import CORE_ROWS
from .crossover import OVER_BOUND, TINY, Guess, crossover
from .interior_point import FIRST_PAD, LEAST_VALUE, Point, points
from .mae import SURE_GAP, TRY_GAP
from .many_narrowed import STEPS, Left, RowsOfAll, narrowed
from .several import Several, barrier_inverses, times

LEAST_PROBLEMS = 3  # fewer cost as much alone
# Entries of Z of a problem, with all its rows and with those of a core: in larger ones it is not
# Python that costs.
MOST_ENTRIES, MOST_OF_CORE = 2**20, 50_000
POINTS = 30  # of a path at most
IN_COMMON = 2 * STEPS + POINTS  # iterations of a problem at most
REFINEMENTS = 2  # of an interpolation, and of its dual
End: TypeAlias = tuple[int, np.ndarray, np.ndarray]  # of a path: (number, phi (m,), u (n,))


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
    kind = asked[0].problem.quadratic.L.shape if asked else None
    usual = (k for k, near in enumerate(asked) if _is_usual(near))
    chosen = [k for k in usual if asked[k].problem.quadratic.L.shape == kind]
    if len(chosen) >= LEAST_PROBLEMS:
        with np.errstate(all="ignore"):  # what is not finite is no pair
            pairs = _together([asked[k] for k in chosen])
        for k, pair in zip(chosen, pairs, strict=True):
            found[k] = pair
    return found


def _is_usual(near: Near) -> bool:
    """Whether a problem is small, a corner with dense rows, none of them inside a piece."""
    rows = near.problem.rows
    n, m = rows.n_rows, rows.n_cols
    small = m < n and n * m <= MOST_ENTRIES and CORE_ROWS * m * m <= MOST_OF_CORE
    corner = near.problem.loss.is_corner and near.problem.quadratic.S is None
    return small and corner and not rows.is_sparse and near.rho > 0.0


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
    open_ones, going_on = np.arange(len(left.phi)), np.ones(len(left.phi), dtype=bool)
    point, scale, least = _start(left)
    path = points(left.several, point, least, barrier_inverses)
    for n_points in range(1, POINTS + 1):
        point = next(path)
        for j, phi, u in _ends(left, point, scale, going_on):
            found[open_ones[j]], going_on[j] = Corner(phi, u, n_points), False
        if not going_on.any():
            break
        if 2 * np.count_nonzero(going_on) <= len(open_ones):
            open_ones, left = open_ones[going_on], left.some(going_on)
            scale, least, point = scale[going_on], least[going_on], point.some(going_on)
            going_on = going_on[going_on]
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


def _ends(left: Left, point: Point, scale: np.ndarray, going_on: np.ndarray) -> list[End]:
    """Those of the problems ``going_on`` (J,) bool that are near the end of their paths, if they
    are right.
    """
    w, loss, m = left.several.rows.w, left.several.loss, point.phi.shape[1]
    slack = np.minimum(point.xu, point.xl) / (loss.steepest * w)
    ratio = np.maximum(point.vp, point.vm) / np.maximum(slack, TINY)
    F, side = (ratio < scale) & left.real, np.where(point.vp > point.vm, 1.0, -1.0)
    many = np.count_nonzero(F, axis=1) == m
    gap = np.where(going_on, point.gap[:, 0], np.inf)
    found = _interpolated(left, point.phi, F, side, np.flatnonzero((gap <= TRY_GAP) & many))
    if not left.several.quadratic.flat:
        for j in np.flatnonzero((gap <= SURE_GAP) & ~many):
            found += _crossed(left, point, F[j], side[j], int(j))
    return found


def _interpolated(
    left: Left, phi: np.ndarray, F: np.ndarray, side: np.ndarray, ready: np.ndarray
) -> list[End]:
    """Those of the problems ``ready`` (i,), which go through the m rows F (J, n), if right."""
    if not len(ready):
        return []
    face = Face(left.several.some(ready), F[ready], side[ready], left.terms[ready])
    try:
        phi, u, right = face.solved(phi[ready])
    except np.linalg.LinAlgError:
        return []
    return [(ready[i], phi[i], u[i]) for i in np.flatnonzero(right)]


def _crossed(left: Left, point: Point, F: np.ndarray, side: np.ndarray, j: int) -> list[End]:
    """That of problem number j alone, near the rows F (n,), if it is right."""
    real = left.real[j]
    problem, u = left.problem(j), np.zeros(len(real))
    lower, upper = problem.loss.lower, problem.loss.upper
    own = (upper - lower) * point.a[j] / (point.xu[j] + point.xl[j])
    pair, right = crossover(problem, Guess(point.phi[j], own[real], side[real], F[real]))
    u[real] = pair.u
    return [(j, pair.phi, u)] if right else []


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
            phi = phi + times(inverse, y - times(Z, phi))
        # 2. Its dual.
        u = np.where(F, 0.0, np.where(self.side > 0.0, loss.upper, loss.lower))
        lacking = self.several.quadratic.gradient(phi) - rows.adjoint(rows.w * u)
        a = np.zeros_like(y)
        for _ in range(REFINEMENTS):
            a = a + times(inverse, lacking - times(Z, a, turned=True), turned=True)
        u[each, index] = a / rows.w[each, index]
        right = self.primal_is_right(phi) & self.dual_is_right(phi, u)
        return phi, np.clip(u, loss.lower, loss.upper), right

    def primal_is_right(self, phi: np.ndarray) -> np.ndarray:
        """Whether all rows are in F or on their side, (J,)."""
        rows = self.several.rows
        size = np.abs(rows.y) + times(np.abs(rows.Z), np.abs(phi)) + self.terms
        r, noise = rows.residual(phi), 4.0 * EPS * size
        right = np.where(self.F, np.abs(r) <= noise, self.side * r >= -noise)
        return np.all(right, axis=1)

    def dual_is_right(self, phi: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Whether u (J, n) is in its bounds, and Z'(w u) = G phi - h but for rounding, (J,)."""
        rows, loss, quadratic = self.several.rows, self.several.loss, self.several.quadratic
        over = 1.0 + OVER_BOUND
        inside = np.all((u < over * loss.upper) & (u > over * loss.lower), axis=1)
        squares = np.einsum("ij,ij,ij->i", rows.w, u, u) * rows.w.sum(axis=1)
        noise = 2.0 * ROUNDED * np.sqrt(squares)[:, None] + 16.0 * EPS * quadratic.size(phi)
        missing = np.abs(rows.adjoint(rows.w * u) - quadratic.gradient(phi))
        return inside & np.all(missing <= noise, axis=1)
