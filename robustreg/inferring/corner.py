"""Covariances of the absolute loss and of quantiles.

With the quantile tau, G = D'diag(w)D, and f the density of a row's errors at the fit:

    iid        tau (1 - tau) / f^2 G^-1, one f for all rows: from the residuals nearest to 0, in
               the order of their size (quantreg), or by a kernel (statsmodels)
    nid        tau (1 - tau) F^-1 G F^-1, F = sum w f d d', f = 2 h / (difference of the fits of
               the quantiles tau + h and tau - h) for each row (Hendricks and Koenker 1992)
    kernel     the same with f = K(r / c) / c (Powell 1991)
    robust     G^-1 (sum w q d d') G^-1, q = (tau / f)^2 above the fit, ((1 - tau) / f)^2 below
               (statsmodels)
    cluster    F^-1 (sum s_g s_g') F^-1, F as that of ``kernel``, but for a uniform kernel; for g
               clusters times g / (g - 1) (n - 1) / (n - r)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from ..data.present import repeated
from ..data.source import Source
from ..fitting.beyond_memory import fit_beyond_memory
from ..fitting.fit import fit as fit_rows
from ..fitting.specification import Fit, Specification, together
from ..numerics.precision import EPS
from ..problem.losses import ABSOLUTE, Loss, pinball
from . import density, rank
from .moments import (
    ROUNDINGS,
    Fitted,
    Residuals,
    Seen,
    cluster_sandwich,
    gram_of,
    inverse,
    residuals,
)

MAX_ITER, TOL = 1000, 1e-9  # of the fits that a density takes: as those of LinearRegressor
# Share of the terms of a difference of fits: a smaller difference is rounding, and no density.
CROSSING = 1e-9


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How densities are estimated: ``bandwidth``, one of density.BANDWIDTHS, and ``kernel``, one of
    density.KERNELS or None for the default of a covariance.
    """

    bandwidth: str
    kernel: str | None

    def part(self, n: float, tau: float) -> float:
        """The bandwidth as a part of the n rows."""
        return density.within(density.BANDWIDTHS[self.bandwidth](n, tau), tau)

    def kernel_or(self, default: str) -> str:
        """The name of the kernel."""
        return default if self.kernel is None else self.kernel


def specification(loss: Loss, fit_intercept: bool) -> Specification:
    """That of a fit without a penalty."""
    return Specification(loss, 0.0, fit_intercept, "auto", MAX_ITER, TOL)


def iid(source: Source, fit: Fitted, n: float, how: Smoothing) -> np.ndarray:
    """Errors independent of X and alike."""
    rows, tau = residuals(source, fit), fit.level
    if how.kernel is None:
        sparsity = sparsity_of(rows.r, rows.w, n, tau, fit.at.rank, how)
        if not sparsity > ROUNDINGS * EPS * (1.0 + np.abs(fit.phi).sum()):
            raise ValueError(
                "cov='iid' needs residuals of different sizes beside the fit; those nearest to it "
                "are all the same. Take another cov, such as 'kernel'."
            )
    else:
        sparsity = 1.0 / density_of(rows, tau, n, how)
    return tau * (1.0 - tau) * sparsity**2 * fit.at.inverse_gram()


def sparsity_of(r, w, n: float, tau: float, rank: int, how: Smoothing) -> float:
    """1 / f: the slope of the residuals in order, those nearest to 0, by least absolute deviations.

    Residuals r (n,) on the fit are 0. They count after all other residuals of no size.
    """
    size = np.abs(r)
    zeros = float(np.count_nonzero(r == 0.0) if w is None else w[r == 0.0].sum())
    count = int(max(rank + 1, np.ceil(n * density.BANDWIDTHS[how.bandwidth](n, tau))))
    count = min(count, int(n - zeros) - 1)
    if count < 1:
        raise ValueError(
            f"cov='iid' needs residuals beside those of 0; got {zeros:g} of {n:g} rows on the fit."
        )
    numbers = zeros + 1.0 + np.arange(count + 1)
    if w is None:
        least = np.argpartition(size, int(numbers[-1]) - 1)[: int(numbers[-1])]
        chosen = least[np.argsort(size[least], kind="stable")][int(zeros) :]
    else:
        order = np.argsort(size, kind="stable")
        chosen = order[np.searchsorted(np.cumsum(w[order]), numbers - 0.5)]
    return steepest_line(numbers / (n - rank), np.sort(r[chosen]))


def steepest_line(x: np.ndarray, r: np.ndarray) -> float:
    """The slope of the line of least absolute deviations through ascending x and r (k,).

    Of several lines that of the largest slope, which gives the wider intervals.
    """
    spec = specification(ABSOLUTE, True)
    found = fit_rows(x[:, None], r[:, None], None, spec)
    if found.unique:
        return float(found.coef[0, 0])
    above = (r[-1] - r[0]) / np.diff(x).min()  # no line through two points is steeper
    # The answer of least norm is then the slope nearest to it.
    return float(above + fit_rows(x[:, None], (r - above * x)[:, None], None, spec).coef[0, 0])


def density_of(rows: Residuals, tau: float, n: float, how: Smoothing) -> float:
    """f by a kernel, as statsmodels has it: with the standard deviation of y, not of residuals."""
    size = density.spread(rows.r, rows.w, density.deviation(rows.t, rows.w, 0.0))
    c = _positive(density.width(how.part(n, tau), tau, size))
    K = density.KERNELS[how.kernel_or("epanechnikov")](rows.r / c)
    return float((K.sum() if rows.w is None else rows.w @ K) / (n * c))


def nid(source: Source, fit: Fitted, n: float, how: Smoothing) -> np.ndarray:
    """Errors independent, of a density each that changes with X as the quantiles do."""
    change, h = quantile_change(source, fit, n, how)
    F = gram_of(source, fit, by_change, change, h)
    return _sandwich(F, fit.at.gram, fit.level)


def quantile_change(
    source: Source, fit: Fitted, n: float, how: Smoothing
) -> tuple[np.ndarray, float]:
    """(difference (m,) of the coefficients of the fits at tau + h and tau - h, in the frame, h)."""
    frame, h = fit.at.frame, how.part(n, fit.level)
    losses = tuple(pinball(level) for level in (fit.level + h, fit.level - h))
    spec = replace(specification(losses[0], frame.intercept), losses=losses)
    found = levels_of(source, spec)
    above, below = (frame.from_raw(*of) for of in zip(found.coef, found.intercept, strict=True))
    return above - below, h


def levels_of(source: Any, spec: Specification) -> Fit:
    """The fits of the losses of a specification to one target; in memory they share passes."""
    if source.in_memory:
        return fit_rows(source.X, repeated(source.y, len(spec.losses)), source.w, spec)
    each = range(len(spec.losses))
    return together([fit_beyond_memory(source.again(), spec.of(k), None) for k in each])


def by_change(rows: Seen, fit: Fitted, change: np.ndarray, h: float) -> np.ndarray:
    """The factors f = 2 h / (x'change); 0 where the two fits cross or touch."""
    frame = fit.at.frame
    dy = -frame.residual_of(np.zeros(len(rows.r)), rows.C, change)
    noise = CROSSING * np.abs(fit.phi).sum()
    f = np.zeros(len(dy))
    np.divide(2.0 * h, dy, out=f, where=dy > noise)
    return f


def kernel(source: Source, fit: Fitted, n: float, how: Smoothing) -> np.ndarray:
    """Errors independent, of a density each that is smooth at the fit."""
    return _sandwich(powell(source, fit, n, how, "gaussian"), fit.at.gram, fit.level)


def powell(source: Source, fit: Fitted, n: float, how: Smoothing, default: str) -> np.ndarray:
    """F = sum w K(r / c) / c d d', (r, r); the kernel is ``default`` if none is given."""
    rows = residuals(source, fit)
    size = density.spread(rows.r, rows.w, density.deviation(rows.r, rows.w, 1.0))
    c = _positive(density.width(how.part(n, fit.level), fit.level, size))
    return gram_of(source, fit, by_kernel, density.KERNELS[how.kernel_or(default)], c)


def _positive(width: float) -> float:
    """The bandwidth; ValueError if it is 0."""
    if not width > 0.0:
        raise ValueError(
            "cov needs a bandwidth, and half of the residuals are 0: take cov='nid' or 'bootstrap'."
        )
    return width


def by_kernel(rows: Seen, fit: Fitted, K: Callable, c: float) -> np.ndarray:
    """The factors f = K(r / c) / c."""
    return K(rows.r / c) / c


def robust(source: Source, fit: Fitted, n: float, how: Smoothing) -> np.ndarray:
    """The sandwich of statsmodels' QuantReg."""
    f = density_of(residuals(source, fit), fit.level, n, how)
    bread = fit.at.inverse_gram()
    return bread @ gram_of(source, fit, by_side, f) @ bread


def by_side(rows: Seen, fit: Fitted, f: float) -> np.ndarray:
    """The factors (tau / f)^2 above the fit, ((1 - tau) / f)^2 on it and below."""
    tau = fit.level
    return np.square(np.where(rows.zone > 0, tau, 1.0 - tau) / f)


def cluster(
    source: Source, fit: Fitted, number: np.ndarray, n_clusters: int, n: float, how: Smoothing
) -> np.ndarray:
    """Errors independent between clusters of rows, of any dependence within."""
    bread = inverse_density(powell(source, fit, n, how, "uniform"))
    return cluster_sandwich(source, fit, bread, number, n_clusters)


def inverse_density(F: np.ndarray) -> np.ndarray:
    """F^-1; ValueError if it is singular."""
    return inverse(
        F,
        "the rows with a density above 0 do not determine all coefficients. "
        "Take cov='iid' or 'bootstrap'.",
    )


def _sandwich(F: np.ndarray, G: np.ndarray, tau: float) -> np.ndarray:
    """tau (1 - tau) F^-1 G F^-1."""
    bread = inverse_density(F)
    return tau * (1.0 - tau) * (bread @ G @ bread)


def rank_intervals(
    source: Source, fit: Fitted, n: float, level: float, how: Smoothing | None
) -> np.ndarray:
    """Intervals (k, 2) by inversion of rank tests, in the units of the frame; see rank.py.

    Errors are alike, or, with ``how``, of a density each as in ``nid``.
    """
    at, part = fit.at, source.take(slice(None))
    C = at.frame.centred(part)
    size = float(np.mean(np.abs(at.frame.residual(part, C, fit.phi))))
    t = rank.moved(at.frame.target(part), size if size > 0.0 else 1.0)
    rows = rank.Rows(at.rows(C), t, part.weights, fit.level)
    found = fit_rows(rows.D, t[:, None], part.w, specification(fit.loss, False))
    bread = at.inverse_gram()
    own = np.diag(at.A @ bread @ at.A.T)  # c'G^-1 c
    q = 1.0 / own if how is None else _with_densities(source, fit, n, how)
    cutoff = float(stdtrit(n - at.rank, 0.5 + 0.5 * level))
    return rank.rank_intervals(rows, found.coef[0], at.A, q, cutoff, size * np.sqrt(own))


def _with_densities(source: Source, fit: Fitted, n: float, how: Smoothing) -> np.ndarray:
    """q (k,) of rank.py with a density of each row."""
    change, h = quantile_change(source, fit, n, how)
    V = inverse_density(gram_of(source, fit, by_change, change, h)) @ fit.at.A.T
    V = V / np.einsum("ji,ij->j", fit.at.A, V)  # c'v = 1
    return np.einsum("ij,ik,kj->j", V, fit.at.gram, V)
