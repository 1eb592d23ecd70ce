"""Bandwidths and kernels, by which the density of errors at a quantile is estimated.

The bandwidth h is a part of the rows: the density at the quantile tau is the slope between the
quantiles tau - h and tau + h. In units of residuals it is what a normal distribution of the same
spread has between these.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

CONFIDENCE = 0.05  # the level that the bandwidths of Hall and Sheather, and Chamberlain, are for
NORMAL_IQR = 1.34  # distance of the quartiles of a standard normal, as R and statsmodels round it

# Relative rounding of a place among the rows: a place so little below a whole number is that one.
ROUNDED = 1e-14


def normal_density(z):
    """The standard normal density."""
    return np.exp(-0.5 * np.square(z)) / np.sqrt(2.0 * np.pi)


def hall_sheather(n: float, tau: float) -> float:
    """Hall and Sheather (1988), which is best for intervals."""
    z = ndtri(tau)
    f = normal_density(z)
    size = ndtri(1.0 - CONFIDENCE / 2.0) ** (2.0 / 3.0)
    return float(n ** (-1.0 / 3.0) * size * (1.5 * f**2 / (2.0 * z**2 + 1.0)) ** (1.0 / 3.0))


def bofinger(n: float, tau: float) -> float:
    """Bofinger (1975), which is best for the density itself."""
    z = ndtri(tau)
    return float(n**-0.2 * (4.5 * normal_density(z) ** 4 / (2.0 * z**2 + 1.0) ** 2) ** 0.2)


def chamberlain(n: float, tau: float) -> float:
    """Chamberlain (1994): the standard error of an empirical quantile, about twice."""
    return float(ndtri(1.0 - CONFIDENCE / 2.0) * np.sqrt(tau * (1.0 - tau) / n))


BANDWIDTHS = {
    "hall-sheather": hall_sheather,
    "bofinger": bofinger,
    "chamberlain": chamberlain,
}


def within(h: float, tau: float) -> float:
    """h, halved until tau - h and tau + h are quantiles, as quantreg does."""
    while tau - h < 0.0 or tau + h > 1.0:
        h = 0.5 * h
    return h


def _uniform(u):
    """As wide as the bandwidth: the difference quotient that this is meant for."""
    return np.where(np.abs(u) <= 0.5, 1.0, 0.0)


def _biweight(u):
    return np.where(np.abs(u) <= 1.0, 15.0 / 16.0 * np.square(1.0 - np.square(u)), 0.0)


def _cosine(u):
    return np.where(np.abs(u) <= 0.5, 1.0 + np.cos(2.0 * np.pi * u), 0.0)


def _epanechnikov(u):
    return np.where(np.abs(u) <= 1.0, 0.75 * (1.0 - np.square(u)), 0.0)


def _parzen(u):
    """That of statsmodels: 4/3 of a density up to abs(u) = 1/2, 8/3 (1 - abs(u))^3 beyond."""
    u = np.abs(u)
    inner = 4.0 / 3.0 - 8.0 * u**2 + 8.0 * u**3
    return np.where(u <= 0.5, inner, np.where(u <= 1.0, 8.0 / 3.0 * (1.0 - u) ** 3, 0.0))


KERNELS = {
    "uniform": _uniform,
    "gaussian": normal_density,
    "epanechnikov": _epanechnikov,
    "biweight": _biweight,
    "cosine": _cosine,
    "parzen": _parzen,
}


def quantile(r: np.ndarray, w: np.ndarray | None, part: float) -> float:
    """The quantile of r (n,), each repeated w times, linear between two of them as in R's type 7.

    Weights that are not whole numbers count as what follows from the same formula.
    """
    if w is None:
        return float(np.quantile(r, part))
    order = np.argsort(r)
    below = np.cumsum(w[order])
    place = part * (below[-1] - 1.0)
    low = np.floor(place * (1.0 + ROUNDED))
    first, second = np.searchsorted(below, [low, low + 1.0], side="right")
    last = len(r) - 1
    a, b = r[order[min(first, last)]], r[order[min(second, last)]]
    return float(a + (place - low) * (b - a))


def spread(r: np.ndarray, w: np.ndarray | None, deviation: float) -> float:
    """The smaller of a standard deviation and the distance of the quartiles of r / 1.34."""
    quartiles = quantile(r, w, 0.75) - quantile(r, w, 0.25)
    return min(deviation, quartiles / NORMAL_IQR)


def deviation(r: np.ndarray, w: np.ndarray | None, missing: float) -> float:
    """The standard deviation of r (n,), divided by the number of rows less ``missing``."""
    w = np.ones(len(r)) if w is None else w
    mean = w @ r / w.sum()
    return float(np.sqrt(w @ np.square(r - mean) / (w.sum() - missing)))


def width(h: float, tau: float, size: float) -> float:
    """The bandwidth in units of residuals whose spread is ``size``."""
    return float((ndtri(tau + h) - ndtri(tau - h)) * size)
