"""quantile_process: the quantile loss at many levels at once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_array

from . import parameters
from .data.blocks import NotFiniteError, fitted_values
from .data.dask import in_memory
from .data.present import repeated
from .data.threads import default_errors, one_blas_thread
from .fitting.fit import fit
from .fitting.specification import Fit, Specification
from .inferring.table import html_of_fits
from .inputs import refused_or_read, validated_pair
from .problem.losses import pinball
from .problem.solution import Status, Work

LEVELS = tuple(k / 20 for k in range(1, 20))
TOL = 1e-9
CHECK: dict[str, Any] = {"accept_sparse": "csr", "dtype": parameters.DTYPES}


@dataclass(frozen=True, slots=True, eq=False)
class QuantileProcess:
    """Quantile fits at several levels, as :func:`quantile_process` returns them.

    Parameters
    ----------
    quantiles : ndarray of shape (n_quantiles,)
        The levels, ascending.
    coefs : ndarray of shape (n_quantiles, n_features)
        Coefficients at each level, in units of y per unit of the feature.
    intercepts : ndarray of shape (n_quantiles,)
        Intercepts, in units of y.
    objectives : ndarray of shape (n_quantiles,)
        The values minimised, in units of y.
    dual_gaps : ndarray of shape (n_quantiles,)
        Relative duality gaps: how far above its minimum each objective may be.
    converged : ndarray of bool of shape (n_quantiles,)
        Whether each gap is at most 1e-9.
    unique : bool
        Whether the minimiser is unique at every level.
    work : Work
        What the fits took together; see ``work_`` of :class:`LinearRegressor`.

    See Also
    --------
    quantile_process : Computes it.

    Examples
    --------
    >>> from robustreg import quantile_process
    >>> X, y = [[1], [2], [3], [4], [5]], [0.8, 1.5, 1.8, 2.0, 25.0]
    >>> process = quantile_process(X, y, quantiles=[0.2, 0.5, 0.8])
    >>> process.predict([[6.0]]).round(2)
    array([[ 2.8 ,  3.3 , 31.05]])
    """

    quantiles: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    objectives: np.ndarray
    dual_gaps: np.ndarray
    converged: np.ndarray
    unique: bool
    work: Work

    def __repr__(self) -> str:
        return (
            f"QuantileProcess of {self.coefs.shape[1]} features: {len(self.quantiles)} levels, "
            f"{self.quantiles[0]:.4g} to {self.quantiles[-1]:.4g}"
        )

    def _repr_html_(self) -> str:
        """Some of its levels for a notebook."""
        columns = {
            "quantile": self.quantiles,
            "objective": self.objectives,
            "intercept": self.intercepts,
        }
        return html_of_fits(repr(self), columns, self.coefs)

    def __call__(self, quantile: float) -> tuple[np.ndarray, float]:
        """Look up the coefficients and intercept of one of the levels.

        Parameters
        ----------
        quantile : float
            One of ``quantiles``.

        Returns
        -------
        coef : ndarray of shape (n_features,)
            Coefficients.
        intercept : float
            Intercept.

        Raises
        ------
        ValueError
            If quantile is not one of the levels: between them nothing is known.
        """
        levels = self.quantiles.tolist()
        if np.ndim(quantile) or quantile not in levels:
            listed = ", ".join(map(repr, levels))  # all digits: 0.15 is not 0.15000000000000002
            raise ValueError(f"quantile must be one of the levels {listed}; got {quantile!r}.")
        k = levels.index(quantile)
        return self.coefs[k], float(self.intercepts[k])

    def predict(self, X: Any) -> np.ndarray:
        """Predicted quantiles.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features, with the same columns as in the fit.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            A column for each level, in units of y. Where columns cross, ``np.sort(..., axis=1)``
            puts them in order and comes nearer to the true quantiles, never further from them [1]_.

        Raises
        ------
        ValueError
            If X has another number of columns, or is not finite.

        References
        ----------
        .. [1] V. Chernozhukov, I. Fernandez-Val and A. Galichon, "Quantile and Probability Curves
           without Crossing", Econometrica 78 (2010).
        """
        # A dense X is read once, by blocks of rows.
        check: dict[str, Any] = CHECK | {"input_name": "X"}
        X, _ = refused_or_read(X)
        checked: Any = check_array(X, **check, ensure_all_finite=hasattr(X, "tocsr"))
        p = self.coefs.shape[1]
        if checked.shape[1] != p:
            raise ValueError(f"X must have the columns of the fit, {p}; got {checked.shape[1]}.")
        try:
            return fitted_values(checked, self.coefs, self.intercepts)
        except NotFiniteError:
            check_array(X, **check)
            raise

    def crossings(self, X: Any) -> np.ndarray:
        """How many rows have a lower quantile at the higher of two neighbouring levels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of int of shape (n_quantiles - 1,)
            The number of rows, for each pair of neighbouring levels. Many mean that a line in X
            does not describe the quantiles; they are none at the mean of X.

        Raises
        ------
        ValueError
            If X has another number of columns, or is not finite.
        """
        return np.count_nonzero(np.diff(self.predict(X), axis=1) < 0.0, axis=0)


def quantile_process(
    X: Any,
    y: Any,
    quantiles: Any = LEVELS,
    sample_weight: Any = None,
    *,
    alpha: float = 0.0,
    fit_intercept: bool = True,
) -> QuantileProcess:
    """Fit the quantile loss at many levels; each fit is that of ``LinearRegressor``.

    The levels share their passes over the rows, so that many of them cost as much as a few fits.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,)
        Targets.
    quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.1, ..., 0.95)
        Levels between 0 and 1, both excluded, in any order.
    sample_weight : array-like of shape (n_samples,), float or None, default=None
        Weights >= 0. A weight counts repeats: 2 is the row twice, 0 the row absent.
    alpha : float, default=0.0
        Strength of the L2 penalty, as of :class:`LinearRegressor`.
    fit_intercept : bool, default=True
        Whether to fit an intercept.

    Returns
    -------
    QuantileProcess
        Coefficients at each level, predictions, and where they cross.

    Raises
    ------
    ValueError, TypeError
        If an argument is not what is allowed.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If a fit is not certified to a relative gap of 1e-9, or not the canonical one.

    See Also
    --------
    LinearRegressor : One level, ``loss="quantile"``.

    References
    ----------
    .. [1] R. Koenker, "Quantile Regression", Cambridge University Press (2005).

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import quantile_process
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(0.0, 10.0, (1000, 1))
    >>> y = X[:, 0] + (1.0 + X[:, 0]) * rng.standard_normal(1000)
    >>> process = quantile_process(X, y, quantiles=[0.1, 0.5, 0.9])
    >>> process.coefs[:, 0].round(1)  # the spread grows with X
    array([-0.3,  1. ,  2.2])
    >>> int(process.crossings(X).sum())
    0
    """
    with default_errors():
        levels, found = _found(X, y, quantiles, sample_weight, alpha, fit_intercept)
    for status in found.statuses - {Status.EXACT}:
        message = f"{status.value} The largest dual_gap is {found.gap.max():.3g}."
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return QuantileProcess(
        quantiles=levels,
        coefs=found.coef,
        intercepts=found.intercept,
        objectives=found.objective,
        dual_gaps=found.gap,
        converged=found.gap <= TOL,
        unique=found.unique,
        work=found.work,
    )


def _found(X, y, quantiles, sample_weight, alpha, fit_intercept) -> tuple[np.ndarray, Fit]:
    """(levels (k,), their fits) for the arguments of ``quantile_process``, checked here."""
    alpha = parameters.number("alpha", alpha, positive=False)
    fit_intercept = parameters.flag("fit_intercept", fit_intercept)
    levels = np.unique(parameters.vector("quantiles", quantiles, positive=True))
    if levels[-1] >= 1.0:
        raise ValueError(
            f"quantiles must hold numbers between 0 and 1, both excluded; got {levels[-1]:g} among "
            f"its entries.{parameters.per_cent(levels[-1])}"
        )
    *data, sample_weight = in_memory("a process", X, y, sample_weight)
    check: dict[str, Any] = CHECK | {"y_numeric": True}
    # A dense X is read often enough to see what is not finite on the way.
    X, y = validated_pair(*data, **check, ensure_all_finite=hasattr(data[0], "tocsr"))
    y, w = np.asarray(y, dtype=np.float64), parameters.weights(sample_weight, len(y))
    losses = tuple(pinball(float(level)) for level in levels)
    spec = Specification(losses[0], alpha, fit_intercept, "auto", 1000, TOL, losses=losses)
    try:
        with one_blas_thread():
            return levels, fit(X, repeated(y, len(levels)), w, spec)
    except NotFiniteError:
        validated_pair(*data, **check)
        raise
