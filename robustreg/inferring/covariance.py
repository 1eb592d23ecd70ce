"""What kinds of covariance there are, and which function computes each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.source import Source
from ..fitting.specification import Specification
from . import corner, smooth
from .bootstrap import Resampling, resampled
from .corner import Smoothing
from .moments import Fitted, Slopes
from .record import INTERVALS_ONLY

OF_CORNERS = ("nid", "iid", "kernel", "robust", *INTERVALS_ONLY, "cluster", "bootstrap")
# For each loss; the first is the default.
COVARIANCES = {
    "mse": ("HC3", "iid", "HC0", "HC1", "HC2", "cluster", "bootstrap"),
    "huber": ("sandwich", "H1", "H2", "H3", "MASS", "cluster", "bootstrap"),
    "mae": OF_CORNERS,
    "quantile": OF_CORNERS,
}
NEED_ALL_ROWS = (*INTERVALS_ONLY, "cluster", "bootstrap")  # in memory; passes do for the others
SMOOTHED = ("iid", "kernel", "robust", "cluster")  # those of a corner that may have a kernel


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of ``infer``, checked. ``number`` (n,) is the cluster of each row, from 0; of
    no clusters it is empty. ``spec`` is what a resample is fitted as.
    """

    cov: str
    level: float
    how: Smoothing
    number: np.ndarray
    n_clusters: int
    resampling: Resampling
    spec: Specification


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """In the units of the data, of all coefficients: standard errors (k,), covariance (k, k), and
    intervals (k, 2), or None where they follow from the standard errors.
    """

    std_err: np.ndarray
    covariance: np.ndarray
    interval: np.ndarray | None = None


def found(source: Any, fit: Fitted, at_fit: Slopes, asked: Asked) -> Found:
    """What is asked, for one target of a source, which is in memory for NEED_ALL_ROWS."""
    at, unit, k = fit.at, fit.at.frame.y_scale, len(fit.at.A)
    if asked.cov in INTERVALS_ONLY:
        how = asked.how if asked.cov == "rank-nid" else None
        ends = unit * corner.rank_intervals(source, fit, source.weight, asked.level, how)
        if at.frame.intercept:
            ends[0] += at.frame.y_shift
        return Found(np.full(k, np.nan), np.full((k, k), np.nan), ends)
    if asked.cov == "bootstrap":
        start = fit.b[None], np.array([fit.b0])
        rank, clusters = at.rank - at.frame.intercept, (asked.number, asked.n_clusters)
        rows = source.X, source.y, source.w
        B = resampled(*rows, asked.spec, rank, start, *clusters, asked.resampling)
        B = B - B.mean(axis=0)
        V = B.T @ B / (len(B) - 1.0)
        return Found(np.sqrt(np.diag(V)), V)
    relative = at.covariance(covariance(source, fit, at_fit, asked))
    std_err = unit * np.sqrt(np.maximum(np.diag(relative), 0.0))
    return Found(std_err, unit * relative * unit)


def covariance(source: Source, fit: Fitted, at_fit: Slopes, asked: Asked) -> np.ndarray:
    """The covariance (r, r) of the coefficients a, in the coordinates and units of the frame."""
    n, cov, how = source.weight, asked.cov, asked.how
    if fit.is_corner:
        if cov == "cluster":
            return corner.cluster(source, fit, asked.number, asked.n_clusters, n, how)
        kinds = {
            "iid": corner.iid, "nid": corner.nid, "kernel": corner.kernel, "robust": corner.robust
        }  # fmt: skip
        return kinds[cov](source, fit, n, how)
    if cov == "cluster":
        return smooth.cluster(source, fit, asked.number, asked.n_clusters)
    if cov == "sandwich":
        return smooth.sandwich(source, fit)
    if cov == "iid":
        return smooth.iid(fit, at_fit, n)
    if cov.startswith("HC"):
        return smooth.hc(source, fit, n, cov)
    return smooth.huber1981(source, fit, at_fit, n, cov)
