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

from ..data.source import Source
from ..numerics import linalg
from .moments import Fitted, Seen, Slopes, cluster_sandwich, gram_of, inverse, slope

# Share of the rows' weight: a row whose leverage is nearer to 1 is fitted exactly, whatever its y.
FULL_LEVERAGE = 1e-9


def squared_slopes(rows: Seen, fit: Fitted) -> np.ndarray:
    """The factors psi^2."""
    return np.square(slope(rows, fit))


def by_leverage(rows: Seen, fit: Fitted, root: np.ndarray, power: float) -> np.ndarray:
    """The factors r^2 / (1 - h)^power; 0 where h = 1, for then r = 0."""
    left = 1.0 - np.square(fit.at.norms(rows.C, root))
    q = np.zeros(len(left))
    np.divide(np.square(rows.r), left**power, out=q, where=left > FULL_LEVERAGE)
    return q


def curvature(rows: Seen, fit: Fitted) -> np.ndarray:
    """The factors l''(r): 1 inside, 0 outside."""
    return (rows.zone == 0).astype(np.float64)


def inverse_curvature(source: Source, fit: Fitted) -> np.ndarray:
    """M^-1; ValueError if it is singular. Of least squares all rows are inside, and M = G."""
    if not fit.loss.is_bounded:
        return fit.at.inverse_gram()
    return inverse(
        gram_of(source, fit, curvature),
        "the rows within delta of the fit do not determine all coefficients. "
        'Take a larger delta, or cov="H1".',
    )


def iid(fit: Fitted, at_fit: Slopes, n: float) -> np.ndarray:
    """Errors independent of X and alike."""
    return at_fit.square / (n - fit.at.rank) * fit.at.inverse_gram()


def hc(source: Source, fit: Fitted, n: float, kind: str) -> np.ndarray:
    """Errors independent, of any variance each: HC0 to HC3."""
    if kind in ("HC2", "HC3"):
        root = linalg.factor(fit.at.gram).inverse_root()
        meat = gram_of(source, fit, by_leverage, root, 1.0 if kind == "HC2" else 2.0)
    else:
        meat = gram_of(source, fit, squared_slopes)
    bread = fit.at.inverse_gram()
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
        return k**2 * s2 / m**2 * fit.at.inverse_gram()
    bread = inverse_curvature(source, fit)
    if kind == "H2":
        return k * s2 / m * bread
    return s2 / k * (bread @ fit.at.gram @ bread)


def sandwich(source: Source, fit: Fitted) -> np.ndarray:
    """Errors independent, of any distribution each."""
    bread = inverse_curvature(source, fit)
    return bread @ gram_of(source, fit, squared_slopes) @ bread


def cluster(source: Source, fit: Fitted, number: np.ndarray, n_clusters: int) -> np.ndarray:
    """Errors independent between clusters of rows, of any dependence within."""
    return cluster_sandwich(source, fit, inverse_curvature(source, fit), number, n_clusters)
