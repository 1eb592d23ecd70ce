"""delta_path: Huber's solution as a function of delta."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from . import parameters
from .data.blocks import dense
from .data.dask import in_memory
from .data.make_rows import make_rows
from .data.threads import default_errors, one_blas_thread
from .fitting.specification import Specification
from .inferring.table import html_of_fits
from .inputs import validated_pair
from .numerics.precision import EPS
from .paths.breakpoints import TooManyPiecesError, pieces
from .paths.grid import on_grid
from .problem.duality import beyond
from .problem.losses import ABSOLUTE, huber
from .problem.solution import Status

MOST_ROWS = 10_000  # of an exact path, which has about one breakpoint per row
TOL = 1e-9
SAME = 1e-9  # breakpoints, relative to them
CHUNK = 2**20  # residuals that are held at a time


@dataclass(frozen=True, slots=True, eq=False)
class DeltaPath:
    """Coefficients of Huber's loss for many values of delta, as :func:`delta_path` returns them.

    Parameters
    ----------
    deltas : ndarray of shape (n_deltas,)
        Ascending. If ``exact``, the breakpoints: from 0, the limit of small delta, to the largest
        absolute residual of least squares, which is the solution from there on. Otherwise the grid
        that was asked for.
    coefs : ndarray of shape (n_deltas, n_features)
        Coefficients at each delta, in units of y per unit of the feature.
    intercepts : ndarray of shape (n_deltas,)
        Intercepts, in units of y.
    n_outliers : ndarray of int of shape (n_deltas,)
        Number of rows, of a positive weight, with ``abs(residual) > delta * scale``.
    objective : ndarray of shape (n_deltas,)
        The value minimised, in squared units of y.
    dual_gap : ndarray of shape (n_deltas,)
        Relative duality gaps: how far above its minimum the objective may be.
    scales : ndarray of shape (n_deltas,)
        What each delta is a multiple of: 1 unless a scale was estimated.
    exact : bool
        Whether the path is known between the deltas, too.

    See Also
    --------
    delta_path : Computes it.
    LinearRegressorCV : Chooses delta by cross-validation; its ``path_`` is one of these.

    Examples
    --------
    >>> from robustreg import delta_path
    >>> path = delta_path([[1], [2], [3], [4], [5]], [0.8, 1.5, 1.8, 2.0, 25.0])
    >>> coef, intercept = path(0.1)
    >>> print(f"{len(path.deltas)} breakpoints; at 0.1: {coef[0]:.2f} x {intercept:+.2f}")
    12 breakpoints; at 0.1: 0.55 x +0.25
    """

    deltas: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    n_outliers: np.ndarray
    objective: np.ndarray
    dual_gap: np.ndarray
    scales: np.ndarray
    exact: bool

    def __repr__(self) -> str:
        kind = "breakpoints" if self.exact else "deltas of a grid"
        return (
            f"DeltaPath of {self.coefs.shape[1]} features: {len(self.deltas):,} {kind}, "
            f"{self.deltas[0]:.4g} to {self.deltas[-1]:.4g}"
        )

    def _repr_html_(self) -> str:
        """Some of its rows for a notebook."""
        columns = {
            "delta": self.deltas,
            "rows beyond": self.n_outliers,
            "objective": self.objective,
            "intercept": self.intercepts,
        }
        return html_of_fits(repr(self), columns, self.coefs)

    def __call__(self, delta: Any) -> tuple[np.ndarray, Any]:
        """Evaluate the path: coefficients and intercept for any delta.

        Parameters
        ----------
        delta : float or array-like of shape (k,)
            Where to evaluate, at least 0; of a grid only its own deltas.

        Returns
        -------
        coef : ndarray of shape (n_features,) or (k, n_features)
            Coefficients.
        intercept : float or ndarray of shape (k,)
            Intercepts.

        Raises
        ------
        ValueError
            If delta is not a number >= 0, or not one of a grid.
        """
        d = parameters.vector("delta", delta, positive=False)
        high = np.clip(np.searchsorted(self.deltas, d), 0, len(self.deltas) - 1)
        low = np.maximum(high - 1, 0)
        if not self.exact and np.any(self.deltas[high] != d):
            missing = d[self.deltas[high] != d][0]
            raise ValueError(
                "delta must be one of the grid of this path, "
                f"{self.deltas[0]:g} to {self.deltas[-1]:g}; got "
                f"{missing:g}. A path without a grid, deltas=None, has every delta."
            )
        width = self.deltas[high] - self.deltas[low]
        t = np.clip(
            np.divide(d - self.deltas[low], width, out=np.ones_like(d), where=width > 0.0), 0.0, 1.0
        )
        coef = (1.0 - t)[:, None] * self.coefs[low] + t[:, None] * self.coefs[high]
        intercept = (1.0 - t) * self.intercepts[low] + t * self.intercepts[high]
        return (coef[0], float(intercept[0])) if np.ndim(delta) == 0 else (coef, intercept)


def delta_path(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    fit_intercept: bool = True,
    alpha: float = 0.0,
    deltas: Any = None,
) -> DeltaPath:
    """Fit Huber's loss for every delta at once, from the absolute loss to least squares.

    The solution is piecewise linear in delta: with ``deltas=None`` all its breakpoints are found,
    of which there are about as many as rows, and with them the solution for every delta. Below 1e-9
    of a typical deviation of y, or where rounding blurs it, the path is continued as a line to its
    limit at 0.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,)
        Targets.
    sample_weight : array-like of shape (n_samples,), float or None, default=None
        Weights >= 0. A weight counts repeats: 2 is the row twice, 0 the row absent.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    alpha : float, default=0.0
        Strength of the L2 penalty, as of :class:`LinearRegressor`.
    deltas : array-like of shape (k,) or None, default=None
        Positive, in units of y and any order: solve at these only. Required for more than 10,000
        rows.

    Returns
    -------
    DeltaPath
        Breakpoints or grid, and ``path(delta)`` to evaluate.

    Raises
    ------
    ValueError, TypeError
        If an argument is not what is allowed, or the exact path has too many breakpoints.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If a solution on the path is not certified to a relative gap of 1e-9.

    See Also
    --------
    LinearRegressorCV : Chooses delta by cross-validation.

    References
    ----------
    .. [1] K. Madsen and H. B. Nielsen, "A Finite Smoothing Algorithm for Linear L1 Estimation",
       SIAM J. Optim. 3 (1993), in which the solution is followed to small delta.

    Examples
    --------
    >>> from robustreg import delta_path
    >>> X, y = [[1], [2], [3], [4], [5]], [0.8, 1.5, 1.8, 2.0, 25.0]
    >>> path = delta_path(X, y)
    >>> for delta in [0.0, 0.1, 1.0, 100.0]:
    ...     coef, intercept = path(delta)
    ...     print(f"{delta:5.1f}: {coef[0]:.2f} x {intercept:+.2f}")
      0.0: 0.50 x +0.30
      0.1: 0.55 x +0.25
      1.0: 1.00 x -0.63
    100.0: 4.89 x -8.45
    """
    with default_errors():
        path, certified = _found(X, y, sample_weight, fit_intercept, alpha, deltas)
    if not certified:
        warnings.warn(
            "Some solutions on the path are not certified; the largest dual_gap is "
            f"{path.dual_gap.max():.3g}.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return path


def _found(X, y, sample_weight, fit_intercept, alpha, deltas):
    """(path, whether all of it is certified) for the arguments of ``delta_path``, which are checked
    here.
    """
    alpha = parameters.number("alpha", alpha, positive=False)
    fit_intercept = parameters.flag("fit_intercept", fit_intercept)
    deltas = (
        None if deltas is None else np.unique(parameters.vector("deltas", deltas, positive=True))
    )
    X, y, sample_weight = in_memory("a path", X, y, sample_weight)
    check: dict[str, Any] = {"accept_sparse": "csr", "dtype": parameters.DTYPES, "y_numeric": True}
    X, y = validated_pair(X, y, **check)
    y = np.asarray(y, dtype=np.float64)
    w = parameters.weights(sample_weight, len(y))
    if w is not None and not w.all():
        X, y, w = X[w > 0.0], y[w > 0.0], w[w > 0.0]
    if deltas is None and len(y) > MOST_ROWS:
        raise ValueError(
            f"deltas must be given for more than {MOST_ROWS} rows, as the exact path has about one "
            "breakpoint "
            f"per row; got None for {len(y)} rows."
        )
    spec = Specification(huber(1.0), alpha, fit_intercept, "auto", 1000, TOL)
    with one_blas_thread():
        return _breakpoints(X, y, w, spec) if deltas is None else _on(X, y, w, spec, deltas)


def _on(X, y, w, spec: Specification, deltas):
    """(path on the grid, whether all of it is certified)."""
    found = on_grid(X, y, spec, deltas, [w])
    path = DeltaPath(
        deltas,
        found.coef[0],
        found.intercept[0],
        found.n_outliers,
        found.objective,
        found.gap,
        found.scale[0],
        False,
    )
    return path, bool(found.exact.all())


def _breakpoints(X, y, w, spec: Specification):
    """(exact path, whether all of it is certified)."""
    ones = np.ones(len(y)) if w is None else w
    try:
        found = pieces(make_rows(X, ones, spec.fit_intercept), y, spec)
    except TooManyPiecesError as error:
        raise ValueError(f"deltas must be given: {error} Got None.") from None
    ends = [(piece.low, piece.at_low, piece.gap) for piece in found]
    ends += [(piece.high, piece.at_high, piece.gap) for piece in found if np.isfinite(piece.high)]
    ends.sort(key=lambda end: end[0])
    deltas = np.array([delta for delta, _, _ in ends])
    new = np.append(True, np.diff(deltas) > SAME * deltas[1:])  # two pieces meet but for rounding
    deltas, b = deltas[new], np.array([at for _, at, _ in ends])[new]
    gap = np.maximum.reduceat([gap for _, _, gap in ends], np.flatnonzero(new))
    objective, n_outliers = _values(X, y, ones, spec.alpha, deltas, b)
    first = deltas[1] if len(deltas) > 1 else 0.0
    wide = [piece for piece in found if piece.high > max(first, piece.low * (1.0 + SAME))]
    certified = all(piece.status is Status.EXACT for piece in wide)
    path = DeltaPath(
        deltas, b[:, :-1], b[:, -1], n_outliers, objective, gap, np.ones(len(deltas)), True
    )
    return path, certified


def _values(X, y, w, alpha, deltas, b):
    """(objective (K,), number of rows beyond delta (K,)), from the residuals of each (b, b0) in b
    (K, p + 1).
    """
    objective, n_outliers = np.empty(len(deltas)), np.empty(len(deltas), dtype=np.int64)
    step = max(1, CHUNK // len(y))
    largest_y, largest = np.abs(y).max(), dense(abs(X).max(axis=0)).ravel().astype(np.float64)
    for start in range(0, len(deltas), step):
        part = slice(start, start + step)
        d, coef = deltas[part, None], b[part, :-1]
        size = np.abs(y - (X @ coef.T).T - b[part, -1:])
        inner = np.minimum(size, d)
        with np.errstate(over="ignore", invalid="ignore"):  # squares of y in extreme units
            objective[part] = (
                inner * (size - 0.5 * inner)
            ) @ w / w.sum() + 0.5 * alpha * np.square(coef).sum(axis=1)
            size -= d
            error = 16.0 * EPS * (largest_y + np.abs(coef) @ largest + np.abs(b[part, -1]))
        for k, away in enumerate(size, start):
            # Rounding may decide for rows this close: only for them the rule is asked.
            close = np.flatnonzero(np.abs(away) <= error[k - start])
            n_outliers[k] = np.count_nonzero(away > error[k - start])
            if len(close):
                loss = huber(deltas[k]) if deltas[k] else ABSOLUTE
                outside = beyond(X[close], y[close], b[k, :-1], b[k, -1], loss)
                n_outliers[k] += np.count_nonzero(outside)
    return objective, n_outliers
