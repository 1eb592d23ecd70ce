"""The bootstrap of rows, or of clusters of rows: exact fits of resampled data.

A resample has as many rows, drawn with replacement: each row of X and y counts as often as it was
drawn, so that a resample is a fit with other weights. A scale that is estimated is so in each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.threads import in_parallel
from ..fitting.fit import fit
from ..fitting.specification import Specification

DRAWN = 100  # resamples at most, until one has all columns


@dataclass(frozen=True, slots=True)
class Resampling:
    """``n_resamples`` fits, drawn by ``rng``."""

    n_resamples: int
    rng: np.random.Generator


def draws(w: np.ndarray, number: np.ndarray, n_clusters: int, rng: np.random.Generator):
    """Weights (n,) of one resample of rows with weights w (n,), or of clusters by ``number``."""
    if n_clusters:
        return w * rng.multinomial(n_clusters, np.full(n_clusters, 1.0 / n_clusters))[number]
    n = round(w.sum())
    return rng.multinomial(n, w / w.sum()).astype(np.float64)


def resampled(
    X, y: np.ndarray, w: np.ndarray | None, spec: Specification, rank: int, start,
    number: np.ndarray, n_clusters: int, how: Resampling,
) -> np.ndarray:  # fmt: skip
    """The coefficients (n_resamples, k) of resamples, the intercept first if there is one.

    A resample in which fewer than ``rank`` columns are independent is drawn again, DRAWN times at
    most: ValueError if that is not enough. ``start`` is where each fit begins. Threads share the
    resamples, of which each has random numbers of its own.
    """
    w = np.ones(len(y)) if w is None else w
    generators = how.rng.spawn(how.n_resamples)
    spec = replace(spec, last_digits=False)

    def one(i: int) -> np.ndarray:
        for _ in range(DRAWN):
            drawn = draws(w, number, n_clusters, generators[i])
            found = fit(X, y[:, None], drawn, spec, start)
            if found.rank == rank:
                b, b0 = found.coef[0], found.intercept[0]
                return np.append(b0, b) if spec.fit_intercept else b
        raise ValueError(
            "cov='bootstrap' needs resamples in which X has as many independent columns as in all "
            f"rows; {DRAWN} in a row had fewer, as few rows tell some columns apart."
        )

    return np.array(in_parallel(one, how.n_resamples))
