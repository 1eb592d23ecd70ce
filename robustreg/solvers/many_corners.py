"""Several small problems with corners at once, each from a point near its minimiser.

A step of a small problem is some hundred operations on short arrays, and Python costs more than
they do. So K problems are solved together, each operation on the arrays of all:

    1. narrowing     ``many_narrowed.py``
    2. central path  ``interior_point.py`` makes one step of all; those at the end are left out once
                     they are half of all
    3. crossover     the m rows that the path tells from others are interpolated, and their dual is
                     found, as in ``crossover.py``; that is asked where a penalty leaves fewer rows

Nothing is believed: what does not end as an optimal pair of all rows is left to be solved alone.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..numerics.precision import EPS
from ..problem.duality import ROUNDED
from ..problem.problem import Problem
from ..problem.solution import Pair, Tally
from .continuation import CORE_ROWS
from .crossover import OVER_BOUND, Guess, crossover, sides_and_ratios
from .interior_point import Point, Start, points
from .mae import SURE_GAP, TRY_GAP
from .many_narrowed import STEPS, Left, RowsOfAll, narrowed
from .several import Several, SeveralRows, barrier_inverses, times

LEAST_PROBLEMS = 3  # two cost as much one by one
# Entries of Z of one problem, of all its rows and of CORE_ROWS m of them, up to which Python costs
# more than the arithmetic.
MOST_ENTRIES, MOST_OF_CORE = 2**20, 50_000
POINTS = 30  # of a path at most: most have 10 to 15
# Most iterations of one problem: two smoothed problems, and the steps of its path.
IN_COMMON = 2 * STEPS + POINTS - 1
REFINEMENTS = 2  # of an interpolation and of its dual: the first digits, and those that it has lost
End: TypeAlias = tuple[int, np.ndarray, np.ndarray]  # of a path: (number, phi (m,), u (n,))


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """A ``problem``, and phi (m,) whose fitted values differ from its minimiser's by about ``rho``,
    root mean square; its iterations are counted in ``work``.
    """

    problem: Problem
    phi: np.ndarray
    rho: float
    work: Tally


def optimal_pairs(asked: list[Near]) -> list[Pair | None]:
    """The optimal pair of each problem, or None where it is to be solved alone.

    All have the same number of columns.
    """
    found: list[Pair | None] = [None] * len(asked)
    kind = asked[0].problem.quadratic.L.shape if asked else None
    suitable = (k for k, near in enumerate(asked) if _is_suitable(near))
    chosen = [k for k in suitable if asked[k].problem.quadratic.L.shape == kind]
    if len(chosen) >= LEAST_PROBLEMS:
        with np.errstate(all="ignore"):  # what is not finite is no pair
            pairs = _together([asked[k] for k in chosen])
        for k, pair in zip(chosen, pairs, strict=True):
            found[k] = pair
    return found


def _is_suitable(near: Near) -> bool:
    """Whether a problem is small and dense, and its loss a corner."""
    rows = near.problem.rows
    n, m = rows.n_rows, rows.n_cols
    small = 0 < m < n and n * m <= MOST_ENTRIES and CORE_ROWS * m * m <= MOST_OF_CORE
    corner = near.problem.loss.is_corner and near.problem.quadratic.S is None
    return small and corner and not rows.is_sparse and near.rho > 0.0


def _together(asked: list[Near]) -> list[Pair | None]:
    """The pairs of problems with as many columns."""
    rows = RowsOfAll.of([near.problem for near in asked])
    phi, rho = np.stack([near.phi for near in asked]), np.array([near.rho for near in asked])
    found: list[Pair | None] = [None] * len(asked)
    left, u, n_steps = narrowed(rows, phi, rho)
    ends, n_points = _ends(left) if len(left.number) else ([], left.number)
    for near in asked:
        near.work.n_iter += n_steps
    for k, count in zip(left.number, n_points, strict=True):
        asked[k].work.n_iter += int(count) - 1  # the first point is no iteration
    phi, right = phi.copy(), np.zeros(len(phi), dtype=bool)
    for j, own, u_left in ends:
        k, real = left.number[j], left.real[j]
        phi[k], right[k] = own, True
        u[left.places[j, real]] = u_left[real]
    # Rows that were settled have to be on their sides.
    kept = np.zeros(len(u), dtype=bool)
    kept[left.places[left.real]] = True
    right &= rows.counts(~kept & (u * rows.residual(phi) < 0.0)) == 0
    slopes = rows.each(u)
    for k in np.flatnonzero(right):
        found[k] = Pair(phi[k], slopes[k])
    return found


def _ends(left: Left) -> tuple[list[End], np.ndarray]:
    """(what is right at the ends of the paths, the points made of each (J,))."""
    found: list[End] = []
    n_points, number = np.zeros(len(left.phi), dtype=np.int64), np.arange(len(left.phi))
    w, r = left.several.rows.w * left.real, left.r
    scale = (w * np.abs(r)).sum(axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
    start = Start(left.several, left.phi, r, scale)
    point, least, going_on = start.point, start.least_value, np.ones(len(r), dtype=bool)
    path = points(left.several, point, least, barrier_inverses)
    for _ in range(POINTS):
        point = next(path)
        n_points[number[going_on]] += 1
        for j, phi, u in _right(left, point, scale, going_on):
            found.append((number[j], phi, u))
            going_on[j] = False
        going_on &= ~np.any(point.ended, axis=-1)
        if not going_on.any():
            break
        if 2 * np.count_nonzero(going_on) <= len(going_on):
            left, number = left.some(going_on), number[going_on]
            scale, least, point = scale[going_on], least[going_on], point.some(going_on)
            going_on = going_on[going_on]
            path = points(left.several, point, least, barrier_inverses)
            next(path)  # the first point of the new path is the present one
    return found, n_points


def _right(left: Left, point: Point, scale: np.ndarray, going_on: np.ndarray) -> list[End]:
    """The ends of the paths ``going_on`` (J,) bool that are near them, and right."""
    side, ratio = sides_and_ratios(point, left.several.rows.w, left.several.loss)
    F, m = (ratio < scale) & left.real, point.phi.shape[1]
    many = np.count_nonzero(F, axis=1) == m
    gap = np.where(going_on, point.gap[:, 0], np.inf)
    found = _interpolated(left, point.phi, F, side, np.flatnonzero((gap <= TRY_GAP) & many))
    if not left.several.quadratic.flat:
        for j in np.flatnonzero((gap <= SURE_GAP) & ~many):
            found += _crossed(left, point, F[j], side[j], int(j))
    return found


def _interpolated(
    left: Left, phi: np.ndarray, F: np.ndarray, side: np.ndarray, near: np.ndarray
) -> list[End]:
    """Those of the problems ``near`` (i,), which go through the m rows F (J, n), if right."""
    if not len(near):
        return []
    faces = Faces(left.several.some(near), F[near], side[near], left.terms[near])
    phi, u, right = faces.solved(phi[near])
    return [(near[i], phi[i], u[i]) for i in np.flatnonzero(right)]


def _crossed(left: Left, point: Point, F: np.ndarray, side: np.ndarray, j: int) -> list[End]:
    """That of problem number j alone, which goes through about the rows F (n,), if it is right."""
    real, problem = left.real[j], left.problem(j)
    jump = problem.loss.upper - problem.loss.lower
    near = jump * point.a[j] / (point.xu[j] + point.xl[j])
    pair, right = crossover(problem, Guess(point.phi[j], near[real], side[real], F[real]))
    u = np.zeros(len(real))
    u[real] = pair.u
    return [(j, pair.phi, u)] if right else []


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """``several`` problems that go through m rows each, F (J, n) bool, and have the other rows on
    their ``side`` (J, n); ``terms`` as in ``Rows``.
    """

    several: Several
    F: np.ndarray
    side: np.ndarray
    terms: np.ndarray

    def solved(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(phi (J, m), u (J, n), whether they are optimal (J,)), from phi near it."""
        rows, loss, F = self.several.rows, self.several.loss, self.F
        each, index = np.arange(len(F))[:, None], np.nonzero(F)[1].reshape(len(F), -1)
        face = SeveralRows(rows.Z[each, index], rows.y[each, index], rows.w[each, index])
        inverse = _inverses(face.Z)
        # 1. Interpolate F.
        for _ in range(REFINEMENTS):
            phi = phi + times(inverse, face.residual(phi))
        # 2. The dual of F.
        u = np.where(F, 0.0, np.where(self.side > 0.0, loss.upper, loss.lower))
        lacking = self.several.quadratic.gradient(phi) - rows.adjoint(rows.w * u)
        a = np.zeros_like(face.y)
        for _ in range(REFINEMENTS):
            a = a + times(inverse, lacking - face.adjoint(a), turned=True)
        u[each, index] = a / face.w
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


def _inverses(Z: np.ndarray) -> np.ndarray:
    """The inverse of each of Z (J, m, m); NaN for one that is singular: its face is not right."""
    try:
        return np.linalg.inv(Z)
    except np.linalg.LinAlgError:
        found = np.full_like(Z, np.nan)
        for one, inverse in zip(Z, found, strict=True):
            with suppress(np.linalg.LinAlgError):
                inverse[:] = np.linalg.inv(one)
        return found
