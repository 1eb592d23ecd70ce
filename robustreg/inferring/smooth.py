"""Covariances of least squares and of Huber's loss.

With M = sum w l''(r) d d' over the rows inside, S = sum w psi^2, n = sum w, r columns, m the mean
of l'' (the part of the rows inside), v = m (1 - m) its variance, and k = 1 + (r / n) v / m^2:

    iid         s^2 G^-1                      s^2 = S / (n - r);  G = D'diag(w)D
    HC0         G^-1 (sum w e^2 d d') G^-1    e = r
    HC1         n / (n - r) of that
    HC2, HC3    e^2 = r^2 / (1 - h), r^2 / (1 - h)^2 for the leverage h = d'G^-1 d
    H1          k^2 (S / (n - r)) / m^2 G^-1           Huber (1981), 7.6; statsmodels RLM
    H2          k (S / (n - r)) / m M^-1
    H3          (S / (n - r)) / k M^-1 G M^-1
    MASS        H1 with v n / (n - 1) for v, as summary.rlm of R's MASS
    sandwich    M^-1 (sum w psi^2 d d') M^-1
    cluster     M^-1 (sum s_g s_g') M^-1 times g / (g - 1) (n - 1) / (n - r) for g clusters
"""

from __future__ import annotations

import numpy as np

from ..data.source import Source, sweep
from ..numerics import linalg
from .moments import Fitted, Gram, Seen, Slopes, cluster_meat, gram, slope

# Share of the rows' weight: a row whose leverage is nearer to 1 is fitted exactly, whatever its y.
FULL_LEVERAGE = 1e-9


def squared_slopes(rows: Seen, fit: Fitted) -> list:
    """The factors psi^2."""
    return [np.square(slope(rows, fit))]


def by_leverage(rows: Seen, fit: Fitted, root: np.ndarray, power: float) -> list:
    """The factors r^2 / (1 - h)^power; 0 where h = 1, for then r = 0."""
    left = 1.0 - np.square(fit.at.norms(rows.C, root))
    q = np.zeros(len(left))
    np.divide(np.square(rows.r), left**power, out=q, where=left > FULL_LEVERAGE)
    return [q]


def curvature(rows: Seen, fit: Fitted) -> list:
    """The factors l''(r): 1 inside, 0 outside."""
    return [(rows.zone == 0).astype(np.float64)]


def one(source: Source, fit: Fitted, factors, *arguments) -> np.ndarray:
    """The sum of w q d d' for one factor, (r, r)."""
    found: Gram = sweep(source, gram, fit, factors, *arguments)
    return found.of[0]


def inverse(M: np.ndarray) -> np.ndarray:
    """M^-1; ValueError if it is singular."""
    factor = linalg.factor(M)
    if not factor.rcond > 0.0:
        raise ValueError(
            "cov cannot be computed: the rows within delta of the fit do not determine all "
            'coefficients. Take a larger delta, or cov="H1".'
        )
    return factor.inverse()


def iid(fit: Fitted, at_fit: Slopes, n: float) -> np.ndarray:
    """Errors independent of X and alike."""
    return at_fit.square / (n - fit.at.rank) * inverse(fit.at.gram)


def hc(source: Source, fit: Fitted, n: float, kind: str) -> np.ndarray:
    """Errors independent, of any variance each: HC0 to HC3."""
    if kind in ("HC2", "HC3"):
        root = linalg.factor(fit.at.gram).inverse_root()
        meat = one(source, fit, by_leverage, root, 1.0 if kind == "HC2" else 2.0)
    else:
        meat = one(source, fit, squared_slopes)
    bread = inverse(fit.at.gram)
    return (n / (n - fit.at.rank) if kind == "HC1" else 1.0) * (bread @ meat @ bread)


def huber1981(source: Source, fit: Fitted, at_fit: Slopes, n: float, kind: str) -> np.ndarray:
    """Errors independent of X and alike: H1, H2, H3 and MASS."""
    r = fit.at.rank
    m = at_fit.n_curved / n
    if m == 0.0:
        raise ValueError("cov cannot be computed: no row is within delta of the fit.")
    v = m * (1.0 - m) * (n / (n - 1.0) if kind == "MASS" else 1.0)
    k, s2 = 1.0 + r / n * v / m**2, at_fit.square / (n - r)
    if kind in ("H1", "MASS"):
        return k**2 * s2 / m**2 * inverse(fit.at.gram)
    bread = inverse(one(source, fit, curvature))
    if kind == "H2":
        return k * s2 / m * bread
    return s2 / k * (bread @ fit.at.gram @ bread)


def sandwich(source: Source, fit: Fitted) -> np.ndarray:
    """Errors independent, of any distribution each."""
    bread = inverse(one(source, fit, curvature))
    return bread @ one(source, fit, squared_slopes) @ bread


def cluster(
    source: Source, fit: Fitted, number: np.ndarray, n_clusters: int, n: float
) -> np.ndarray:
    """Errors independent between clusters of rows, of any dependence within."""
    bread = inverse(fit.at.gram if not fit.loss.is_bounded else one(source, fit, curvature))
    meat = cluster_meat(source, fit, number, n_clusters)
    return cluster_factor(n_clusters, n, fit.at.rank) * (bread @ meat @ bread)


def cluster_factor(n_clusters: int, n: float, rank: int) -> float:
    """g / (g - 1) (n - 1) / (n - r), the correction of few clusters and rows: CR1."""
    return n_clusters / (n_clusters - 1.0) * (n - 1.0) / (n - rank)
