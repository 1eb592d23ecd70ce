"""What kinds of covariance there are, and which function computes each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.source import Source
from . import corner, smooth
from .corner import Smoothing
from .moments import Fitted, Slopes

# For each loss; the first is the default.
COVARIANCES = {
    "mse": ("HC3", "iid", "HC0", "HC1", "HC2", "cluster"),
    "huber": ("sandwich", "H1", "H2", "H3", "MASS", "cluster"),
    "mae": ("nid", "iid", "kernel", "robust", "cluster"),
}
SMOOTHED = ("iid", "kernel", "robust", "cluster")  # those of a corner that may have a kernel


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of ``infer``, checked. ``number`` (n,) is the cluster of each row, from 0; of
    no clusters it is empty.
    """

    cov: str
    level: float
    how: Smoothing
    number: np.ndarray
    n_clusters: int


def covariance(source: Source, fit: Fitted, at_fit: Slopes, X, y, asked: Asked) -> np.ndarray:
    """The covariance (r, r) of the coefficients a, in the coordinates and units of the frame."""
    n, cov, how = source.weight, asked.cov, asked.how
    if fit.is_corner:
        if cov == "cluster":
            return corner.cluster(source, fit, asked.number, asked.n_clusters, n, how)
        if cov == "nid":
            return corner.nid(source, fit, X, y, n, how)
        kinds = {"iid": corner.iid, "kernel": corner.kernel, "robust": corner.robust}
        return kinds[cov](source, fit, n, how)
    if cov == "cluster":
        return smooth.cluster(source, fit, asked.number, asked.n_clusters, n)
    if cov == "sandwich":
        return smooth.sandwich(source, fit)
    if cov == "iid":
        return smooth.iid(fit, at_fit, n)
    if cov.startswith("HC"):
        return smooth.hc(source, fit, n, cov)
    return smooth.huber1981(source, fit, at_fit, n, cov)
