"""Sums over the rows that covariances are made of, as kernels of passes.

With residuals r in the units of the frame, the slope psi(r) of the loss, rows d of D, and weights w
that count repeats:

    gram       sum w q d d'           for a factor q of each row: q = psi^2, or a density
    score      sum w psi d            0 at a minimum
    clusters   sum over g of s_g s_g',  s_g = sum over the rows of cluster g of w psi d
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..data.dask import memory_for_entries
from ..data.frame import frames_of
from ..data.source import Part, Source, Sums, sweep
from ..numerics import linalg
from ..numerics.precision import EPS
from ..passes.least_squares import NormalEquations
from ..problem.duality import beyond
from ..problem.losses import Loss
from .coordinates import Coordinates, make_coordinates, of_frame

# Share of the terms of a residual: closer to a knot, rounding may decide on which side it is. Far
# above rounding.
CLOSE = 1e-6
# Multiple of the rounding of a residual that its terms may leave. A safe margin.
ROUNDINGS = 64.0
# Standard errors, about, that the minimum may be away from the coefficients: if it is further, they
# are those of other data. Far more than a converged fit leaves.
OTHER_DATA = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A fit as its covariances see it; it has no rows, so that it can travel with a kernel.

    b (p,) and b0 are in the units of the data, phi (m,) in those of the frame. ``loss`` is in the
    units of the data, ``scaled`` in those of the frame.
    """

    at: Coordinates
    b: np.ndarray
    b0: float
    phi: np.ndarray
    loss: Loss
    scaled: Loss

    @property
    def is_corner(self) -> bool:
        """Whether the loss has a corner, as that of a quantile."""
        return self.loss.is_corner

    @property
    def level(self) -> float:
        """The quantile tau of a corner: the part of the rows below the fit."""
        return self.loss.upper / (self.loss.upper - self.loss.lower)


def make_fitted(at: Coordinates, b: np.ndarray, b0: float, loss: Loss) -> Fitted:
    """The fit with the coefficients b (p,), b0 and the loss, all in the units of the data."""
    scaled, _ = loss.in_units(at.frame.y_scale)
    return Fitted(at, b, b0, at.frame.from_raw(b, b0), loss, scaled)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Rows of one part: centred columns C, residuals r (k,), and ``zone`` (k,): -1, 0 or 1 where r
    is left of, inside or right of the quadratic piece of the loss, or of a corner.
    """

    C: np.ndarray
    r: np.ndarray
    zone: np.ndarray


def seen(part: Part, fit: Fitted) -> Seen:
    """What a kernel needs of a part."""
    C, t = fit.at.frame.centred(part), fit.at.frame.target(part)
    noise = CLOSE * (np.abs(t) + np.abs(fit.phi).sum()) + ROUNDINGS * fit.at.frame.rounding(fit.phi)
    r = fit.at.frame.residual_of(t, C, fit.phi)
    zone = fit.scaled.zone(r)
    close = np.flatnonzero(fit.scaled.distance(r) <= noise) if fit.loss.is_bounded else ()
    if len(close):
        outside = beyond(part.X[close], part.y[close], fit.b, fit.b0, fit.loss)
        zone[close] = np.where(outside, np.sign(r[close]), 0.0)
    return Seen(C, r, zone)


def slope(rows: Seen, fit: Fitted) -> np.ndarray:
    """psi (k,): the slope of the loss; of a corner tau - 1 below the fit, tau above, 0 on it."""
    if not fit.is_corner:
        return fit.scaled.inside(rows.r)
    tau = fit.level
    return np.where(rows.zone > 0, tau, np.where(rows.zone < 0, tau - 1.0, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Gram(Sums):
    """The sum of w q d d' over rows, (r, r)."""

    of: np.ndarray


def gram(part: Part, fit: Fitted, factor: Callable, *arguments) -> Gram:
    """The kernel for q = factor(rows, fit, ...), (k,), each >= 0."""
    rows = seen(part, fit)
    q = factor(rows, fit, *arguments)
    return Gram(fit.at.weighted_gram(rows.C, q if part.w is None else part.w * q))


def gram_of(source: Source, fit: Fitted, factor: Callable, *arguments) -> np.ndarray:
    """The sum of w q d d' over all rows, (r, r), in one pass."""
    found: Gram = sweep(source, gram, fit, factor, *arguments)
    return found.of


def inverse(M: np.ndarray, reason: str) -> np.ndarray:
    """M^-1; ValueError, with the reason and a remedy, if M is singular."""
    factor = linalg.factor(M)
    if not factor.rcond > 0.0:
        raise ValueError(f"cov cannot be computed: {reason}")
    return factor.inverse()


@dataclass(frozen=True, slots=True, eq=False)
class Slopes(Sums):
    """Sums over the rows: ``gram`` of w z z' and ``score`` of w psi z, over all columns of a frame;
    ``square`` of w psi^2, ``weight`` of w, and ``n_curved`` of w of the rows inside; ``on``, lists
    of the numbers of rows on a corner.
    """

    gram: np.ndarray
    score: np.ndarray
    square: float
    weight: float
    n_curved: float
    on: list


def slopes(part: Part, fit: Fitted) -> Slopes:
    """The kernel of the first pass, for coordinates D = Z with all columns."""
    rows, frame = seen(part, fit), fit.at.frame
    psi, inside, w = slope(rows, fit), rows.zone == 0, part.weights
    on = np.flatnonzero(inside) + part.begin if fit.is_corner else np.zeros(0, dtype=np.intp)
    return Slopes(
        frame.gram(rows.C, part.w),
        frame.adjoint(rows.C, w * psi),
        float(w @ np.square(psi)),
        float(w.sum()),
        float(w @ inside),
        [on],
    )


def first_look(
    source: Source, fit_intercept: bool, rank: int, b: np.ndarray, b0: float, loss: Loss
) -> tuple[Fitted, Slopes]:
    """(the fit in coordinates for all rows, the sums at it), in one pass if columns are not
    dependent. ``rank`` is that of the fit. All is in the units of the data; Refused if they are too
    extreme.
    """
    frame = frames_of(source, fit_intercept)[0]  # whatever the weights
    whole = make_fitted(of_frame(frame, np.eye(frame.n_cols)), b, b0, loss)
    sums = sweep(source, slopes, whole)
    at = make_coordinates(source, frame, NormalEquations(sums.gram, sums.score), rank)
    return make_fitted(at, b, b0, loss), sums


@dataclass(frozen=True, slots=True, eq=False)
class Norms(Sums):
    """The sum of w norm(K d) over rows."""

    of: float


def norms_on_corner(part: Part, fit: Fitted, root: np.ndarray) -> Norms:
    """The kernel for the rows on a corner, K = ``root`` (r, r)."""
    rows = seen(part, fit)
    sizes = np.where(rows.zone == 0, fit.at.norms(rows.C, root), 0.0)
    return Norms(float(part.weights @ sizes))


def is_minimum(source: Source, fit: Fitted, sums: Slopes) -> bool:
    """Whether the fit is the minimum of the loss on these rows, to OTHER_DATA standard errors.

    Rows on a corner may have any slope in between: they add at most w norm(K d) each, K'K = G^-1.
    """
    root, held, on = linalg.factor(fit.at.gram).inverse_root(), 0.0, np.concatenate(sums.on)
    if len(on):  # few rows, unless there are ties: so they are taken where that costs no pass
        held = (
            norms_on_corner(source.take(on), fit, root)
            if source.in_memory
            else sweep(source, norms_on_corner, fit, root)
        ).of
    elif not fit.is_corner:  # an exact fit leaves the rounding of residuals
        held = ROUNDINGS * EPS * (1.0 + np.abs(fit.phi).sum()) * np.sqrt(sums.weight)
    size = np.linalg.norm(root @ fit.at.of_all(sums.score))
    return size <= held + OTHER_DATA * np.sqrt(fit.at.rank * sums.square / sums.weight)


@dataclass(frozen=True, slots=True, eq=False)
class Clusters(Sums):
    """Lists of arrays, part by part: numbers of clusters (j,) and sums of w psi d (j, r)."""

    number: list
    sums: list


def clusters(part: Part, fit: Fitted, number: np.ndarray) -> Clusters:
    """The kernel for the cluster ``number`` (n,) of each row."""
    rows = seen(part, fit)
    here = number[part.begin : part.begin + len(rows.r)]
    order = np.argsort(here, kind="stable")
    found, first = np.unique(here[order], return_index=True)
    scores = (part.weights * slope(rows, fit))[:, None] * fit.at.rows(rows.C)
    return Clusters([found], [np.add.reduceat(scores[order], first, axis=0)])


def cluster_sandwich(
    source: Source, fit: Fitted, bread: np.ndarray, number: np.ndarray, n_clusters: int
) -> np.ndarray:
    """bread (sum s_g s_g') bread times g / (g - 1) (n - 1) / (n - r), (r, r), for g clusters.

    The factor corrects for few clusters and rows: CR1.
    """
    found = sweep(source, clusters, fit, number)
    sums = np.zeros((n_clusters, fit.at.rank))
    for here, scores in zip(found.number, found.sums, strict=True):
        sums[here] += scores
    n, g = source.weight, n_clusters
    few = g / (g - 1.0) * (n - 1.0) / (n - fit.at.rank)
    return few * (bread @ sums.T @ sums @ bread)


@dataclass(frozen=True, slots=True, eq=False)
class Kept(Sums):
    """Lists of residuals, targets and weights, part by part."""

    r: list
    t: list
    w: list


def kept(part: Part, fit: Fitted) -> Kept:
    """The kernel of the pass for all residuals."""
    rows = seen(part, fit)
    r = np.where(rows.zone == 0, 0.0, rows.r)
    return Kept([r], [fit.at.frame.target(part)], [] if part.w is None else [part.w])


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Of all rows, n numbers each, for what depends on their order: residuals r, at a corner 0
    where they are rounding, and targets t, in the units of the frame; weights, or None for ones.
    """

    r: np.ndarray
    t: np.ndarray
    w: np.ndarray | None


def residuals(source: Source, fit: Fitted) -> Residuals:
    """Those of all rows, in one pass; ValueError if memory has no room for them."""
    if not source.in_memory and 3 * source.n_rows > (room := memory_for_entries()):
        raise ValueError(
            f"cov needs the residuals of all {source.n_rows:,} rows in memory, which has room for "
            f"{room / 3:,.0f}: take cov='nid'."
        )
    found = sweep(source, kept, fit)
    w = np.concatenate(found.w) if found.w else None
    return Residuals(np.concatenate(found.r), np.concatenate(found.t), w)
