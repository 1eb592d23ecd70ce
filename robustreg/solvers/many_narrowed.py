"""Narrowing of several problems with corners at once: ``continuation.py`` on the rows of all.

The K problems have different numbers of rows. Their rows stand one after the other in arrays of N
rows; only products with Z are made problem by problem. Of each the n rows with the smallest
residuals are left, the same n for all, so that they fit into arrays (K, n) (``several.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.rows import dense_rows
from ..problem.losses import corner
from ..problem.problem import Problem, Quadratic
from .continuation import CORE_ROWS, NARROW_DECREMENT, WIDTH, typical_weight
from .several import Several, SeveralInverses, SeveralLosses, SeveralQuadratics, SeveralRows

# Steps near the minimisers of smoothed problems at most, and with the same Hessian: nearly all
# problems take two (measured).
STEPS, STEPS_OF_HESSIAN = 6, 2
# If a problem needs more than MANY times the rows of a core, all are narrowed a second time, unless
# the first one came near to few. The new rho is SAFE times rho': with less, steps with the same
# Hessian would not contract (measured).
MANY, SAFE = 2.5, 2.0
# Times the median number of rows needed: a problem that needs more is solved alone, as the arrays
# of the others would be mostly filler.
FILLED = 2.0
# Times the rows of a core: one that needs more, as where many rows tie, is solved alone, too.
MOST = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class RowsOfAll:
    """The rows of K problems one after the other: Z (n_k, m) of each, y and w (N,), and where each
    problem begins and ends, ``edges`` (K + 1,).

    ``terms`` (N,) are as in ``Rows``; ``loss`` and ``quadratic`` are those of the problems. What is
    of a problem, such as phi, is a row of an array (K, m).
    """

    Z: list[np.ndarray]
    y: np.ndarray
    w: np.ndarray
    edges: np.ndarray
    terms: np.ndarray
    loss: SeveralLosses
    quadratic: SeveralQuadratics

    @classmethod
    def of(cls, problems: list[Problem]) -> RowsOfAll:
        rows = [problem.rows for problem in problems]
        terms = [np.zeros(one.n_rows) if one.terms is None else one.terms for one in rows]
        return cls(
            Z=[one.take(slice(None)) for one in rows],
            y=np.concatenate([one.y for one in rows]),
            w=np.concatenate([one.w for one in rows]),
            edges=np.cumsum([0, *(one.n_rows for one in rows)]),
            terms=np.concatenate(terms),
            loss=SeveralLosses.of([problem.loss for problem in problems]),
            quadratic=SeveralQuadratics.of([problem.quadratic for problem in problems]),
        )

    @property
    def sizes(self) -> np.ndarray:
        """The number of rows of each problem, (K,)."""
        return np.diff(self.edges)

    def each(self, x: np.ndarray) -> list[np.ndarray]:
        """The parts of x (N,), one of each problem."""
        return np.split(x, self.edges[1:-1])

    def of_owner(self, x: np.ndarray) -> np.ndarray:
        """x (K,) or (K, 1) of the problem that each row is of, (N,)."""
        return np.repeat(x.ravel(), self.sizes)

    def sums(self, x: np.ndarray) -> np.ndarray:
        """The sum of x (N,) over each problem, (K,)."""
        return np.add.reduceat(x, self.edges[:-1])

    def counts(self, chosen: np.ndarray) -> np.ndarray:
        """How many rows of each problem are ``chosen`` (N,) bool, (K,)."""
        return self.sums(chosen.astype(np.int64))

    def residual(self, phi: np.ndarray) -> np.ndarray:
        """y - Z phi, (N,)."""
        return self.y - np.concatenate([np.dot(*one) for one in zip(self.Z, phi, strict=True)])

    def adjoint(self, v: np.ndarray) -> np.ndarray:
        """Z'v, (K, m)."""
        return np.stack([np.dot(own, Z) for own, Z in zip(self.each(v), self.Z, strict=True)])

    def gram(self, Q: np.ndarray) -> np.ndarray:
        """Z_Q'diag(w_Q)Z_Q for rows Q (N,) bool, (K, m, m)."""
        found = []
        for Z, w, own in zip(self.Z, self.each(self.w), self.each(Q), strict=True):
            index = np.flatnonzero(own)
            some = Z.take(index, axis=0)
            found.append(np.dot(some.T, some * w[index][:, None]))
        return np.stack(found)

    def pulls(self, r: np.ndarray) -> np.ndarray:
        """The slopes of the corners on the sides of r (N,)."""
        return np.where(r > 0.0, self.of_owner(self.loss.upper), self.of_owner(self.loss.lower))


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """The problems ``several`` (J of the K) of n rows each that narrowing leaves, from phi (J, m)
    with residuals r (J, n).

    ``number`` (J,) are the numbers of the problems among the K. ``places`` (J, n) are the numbers
    of their rows among the N of all, where ``real`` (J, n). Others are filler, for problems with
    fewer than n rows: Z, y, r and ``terms`` (as in ``Rows``) are 0 there, w is the mean one.
    """

    number: np.ndarray
    several: Several
    phi: np.ndarray
    r: np.ndarray
    places: np.ndarray
    real: np.ndarray
    terms: np.ndarray

    def problem(self, j: int) -> Problem:
        """That of number j of those left."""
        rows, loss, real = self.several.rows, self.several.loss, self.real[j]
        own = dense_rows(rows.Z[j][real], rows.y[j][real], rows.w[j][real])
        quadratic = self.several.quadratic
        return Problem(
            replace(own, terms=self.terms[j][real]),
            corner(float(loss.lower[j, 0]), float(loss.upper[j, 0])),
            Quadratic(quadratic.L[j], quadratic.h[j]),
        )

    def some(self, chosen: np.ndarray) -> Left:
        """The problems ``chosen`` (J,) bool."""
        arrays = (getattr(self, name)[chosen] for name in self.__slots__ if name != "several")
        number, *others = arrays
        return Left(number, self.several.some(chosen), *others)


def narrowed(rows: RowsOfAll, phi: np.ndarray, rho: np.ndarray) -> tuple[Left, np.ndarray, int]:
    """(the problems that are left, u (N,), steps made) from phi (K, m), whose fitted values are
    about rho (K,) from those of the minimisers.

    u has the slope of each row on its side of 0, which is final for rows that are not left. A
    problem that needs many more rows than others is not among those left.
    """
    # 1. How many rows each problem needs.
    phi, error, n_steps = near_minimisers(rows, phi, rho)
    r, least = rows.residual(phi), CORE_ROWS * phi.shape[1]
    needed = _needed(rows, r, error)
    most_are_near = 2 * np.count_nonzero(np.isfinite(error)) >= len(error)
    if needed.max() > MANY * least and most_are_near:
        nearer, less, more = near_minimisers(
            rows, phi, SAFE * np.where(np.isfinite(error), error, rho)
        )
        better = less < error
        phi, error = np.where(better[:, None], nearer, phi), np.where(better, less, error)
        r, n_steps = rows.residual(phi), n_steps + more
        needed = _needed(rows, r, error)
    # 2. The nearest of each, and the slopes of the others.
    usual = needed <= min(FILLED * np.median(needed), MOST * least)
    number, n = np.flatnonzero(usual), int(needed[usual].max(initial=1))
    places, real = _nearest(rows, r, number, n)
    kept = np.zeros(len(r), dtype=bool)
    kept[places[real]] = True
    u = rows.pulls(r)
    h = rows.quadratic.h + rows.adjoint(np.where(kept, 0.0, rows.w * u))
    return _left(rows, number, places, real, phi, r, h), u, n_steps


def _left(rows: RowsOfAll, number, places, real, phi, r, h) -> Left:
    """The problems of ``number`` (J,) with the rows ``places`` where they are ``real`` (J, n).

    phi and h (K, m) and r (N,) are those of all K problems; h has the pull of rows not left.
    """
    Z = np.zeros((*places.shape, phi.shape[1]))
    for j, k in enumerate(number):
        Z[j, real[j]] = rows.Z[k].take(places[j, real[j]] - rows.edges[k], axis=0)
    # What is relative to all weights, such as the gap, must not know of the filler.
    mean = (rows.sums(rows.w) / rows.sizes)[number, None]
    y, w = np.where(real, rows.y[places], 0.0), np.where(real, rows.w[places], mean)
    r, terms = np.where(real, r[places], 0.0), np.where(real, rows.terms[places], 0.0)
    quadratic = SeveralQuadratics(h, rows.quadratic.L).some(number)
    several = Several(SeveralRows(Z, y, w), rows.loss.some(number), quadratic)
    return Left(number, several, phi[number], r, places, real, terms)


def near_minimisers(
    rows: RowsOfAll, phi: np.ndarray, rho: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """(phi (K, m) near the minimisers of the smoothed problems, rho' (K,), steps made), as in
    ``continuation.near_minimiser``.

    Where steps do not contract phi is as it was, and rho' infinite.
    """
    start, loss, m = phi, rows.loss, phi.shape[1]
    knots, k = rows.of_owner(rho), rho[:, None] / loss.half_jump
    linear = loss.middle * rows.adjoint(rows.w)
    typical = np.array([typical_weight(w) for w in rows.each(rows.w)])
    enough = NARROW_DECREMENT * m * rho * rho * typical
    r, last = rows.residual(phi), np.zeros(len(phi))
    for n_steps in range(1, STEPS + 1):
        if n_steps % STEPS_OF_HESSIAN == 1:
            H = rows.gram(np.abs(r) <= knots) + k[:, :, None] * rows.quadratic.G
            inverses = SeveralInverses.of(H)
        descent = rows.adjoint(rows.w * np.clip(r, -knots, knots))
        descent += k * (linear - rows.quadratic.gradient(phi))
        steps = inverses.solve(descent)
        decrement = np.einsum("ij,ij->i", steps, descent)
        c = np.divide(decrement, last, out=np.ones(len(last)), where=last > 0.0)
        near, last = (decrement >= 0.0) & (np.minimum(c, 1.0) * decrement <= enough), decrement
        phi = phi + steps
        r = rows.residual(phi)
        if near.all():
            break
    Q = np.abs(r) <= knots
    e = np.where(Q, rows.w * (np.copysign(knots, r) - r), 0.0)
    error = np.sqrt(m * rows.sums(e * e)) / rows.sums(rows.w * Q)
    near &= np.isfinite(error)
    return np.where(near[:, None], phi, start), np.where(near, error, np.inf), n_steps


def _needed(rows: RowsOfAll, r: np.ndarray, error: np.ndarray) -> np.ndarray:
    """How many rows each problem needs, (K,), if its phi is about ``error`` (K,) off."""
    near = rows.counts(np.abs(r) <= WIDTH * rows.of_owner(error))
    return np.minimum(np.maximum(near, CORE_ROWS * rows.quadratic.h.shape[1] + 1), rows.sizes)


def _nearest(
    rows: RowsOfAll, r: np.ndarray, number: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """``places`` and ``real`` (J, n) of ``Left``: the n rows nearest to 0, or all there are."""
    places = np.zeros((len(number), n), dtype=np.int64)
    size = rows.each(np.abs(r))
    for j, k in enumerate(number):
        count = len(size[k])
        nearest = np.argpartition(size[k], n - 1)[:n] if count > n else np.arange(count)
        places[j, : len(nearest)] = nearest + rows.edges[k]
    return places, np.arange(n) < rows.sizes[number][:, None]
