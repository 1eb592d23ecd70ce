"""Inference: standard errors, intervals and tests, as records and tables."""

from __future__ import annotations

import html
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import fdtrc, stdtr, stdtrit

from ..numerics import linalg
from .coordinates import is_estimable
from .table import html_table

HEADERS = ("coef", "std err", "t", "P>|t|")
INTERVALS_ONLY = ("rank", "rank-nid")  # the values of cov that have no covariance


@dataclass(frozen=True, slots=True, eq=False)
class FittedLine:
    """The fitted line at some rows of X, as ``Inference.predict`` returns it.

    Parameters
    ----------
    mean : ndarray of shape (n_samples,)
        Fitted values x'b + b0, in units of y. Of ``"mae"`` they estimate medians.
    std_err : ndarray of shape (n_samples,)
        Their standard errors; NaN where x has a direction that the data did not have.
    interval : ndarray of shape (n_samples, 2)
        Lower and upper ends of confidence intervals of the line: not of new observations.

    Examples
    --------
    >>> from robustreg import LinearRegressor, infer
    >>> X, y = [[1], [2], [3], [4], [5]], [1.1, 1.9, 3.2, 3.8, 5.1]
    >>> line = infer(LinearRegressor().fit(X, y), X, y, cov="iid").predict([[3]])
    >>> print(f"{line.mean[0]:.2f} +- {line.std_err[0]:.2f}")
    3.02 +- 0.08
    """

    mean: np.ndarray
    std_err: np.ndarray
    interval: np.ndarray

    def __repr__(self) -> str:
        return f"FittedLine of {len(self.mean):,} rows: mean, std_err, interval"


@dataclass(frozen=True, slots=True)
class WaldTest:
    """A test of linear hypotheses, as ``Inference.test`` returns it.

    Parameters
    ----------
    statistic : float
        F: (R b - q)'(R V R')^-1 (R b - q) / df_num, V the covariance of b.
    p_value : float
        The probability of a larger one if R b = q, by the F distribution.
    df_num, df_denom : float
        Its degrees of freedom: the number of hypotheses, and ``df`` of the inference.

    Examples
    --------
    >>> from robustreg import LinearRegressor, infer
    >>> X, y = [[1], [2], [3], [4], [5]], [1.1, 1.9, 3.2, 3.8, 5.1]
    >>> table = infer(LinearRegressor().fit(X, y), X, y, cov="iid")
    >>> print(f"{table.test([0, 1], 1.0).p_value:.2f}")
    0.88
    """

    statistic: float
    p_value: float
    df_num: float
    df_denom: float

    def __repr__(self) -> str:
        p = f"p = {self.p_value:.3g}" if self.p_value >= 0.001 else "p < 0.001"
        return f"F({self.df_num:.10g}, {self.df_denom:.10g}) = {self.statistic:.4g}, {p}"


@dataclass(frozen=True, slots=True, eq=False)
class Inference:
    """How sure coefficients are, as :func:`infer` returns it; ``print`` it for a table.

    The intercept is the first coefficient, if there is one; the features follow in the order of X.

    Parameters
    ----------
    names : tuple of str
        The coefficients' names, k of them: ``"intercept"``, then the columns of a frame, or
        ``"x0"``, ``"x1"``, ...
    coef : ndarray of shape (k,)
        The coefficients, in units of y per unit of the feature.
    std_err : ndarray of shape (k,)
        Their standard errors. NaN of a coefficient that the data do not determine, because columns
        of X are dependent; and of ``"rank"``, which has intervals only.
    statistic : ndarray of shape (k,)
        The ratio of both, coef / std_err.
    p_value : ndarray of shape (k,)
        The probability of a larger absolute statistic if the coefficient is 0: two-sided, by the t
        distribution with ``df`` degrees of freedom.
    interval : ndarray of shape (k, 2)
        Lower and upper ends of the confidence intervals.
    covariance : ndarray of shape (k, k)
        The covariance of the coefficients; NaN where one is not determined.
    n_samples : float
        The number of rows, the sum of the weights if there are some.
    df_resid : float
        ``n_samples`` less the number of independent columns, that of ones included.
    df : float
        Degrees of freedom of the t distribution: ``df_resid``, or the number of clusters less 1.
    loss, cov : str
        The loss, and the kind of covariance.
    level : float
        The probability with which an interval covers its coefficient.
    undetermined : ndarray of shape (k, d)
        Changes of the coefficients that change no fitted value; d = 0 without dependent columns.
    spread : ndarray of shape (k, k)
        The covariance of the coefficients of least norm, finite also where ``covariance`` is not:
        of combinations that the data do determine.
    has_intercept : bool
        Whether the first coefficient is the intercept of the model; a column may have its name.
    feature_names : tuple of str or None
        The names of the columns that the model was fitted to; None if they had none.
    steps : tuple
        The fitted transformers before the model, of a pipeline.

    See Also
    --------
    infer : Computes it.
    CoefficientsDisplay : Draws it.

    Examples
    --------
    >>> from robustreg import LinearRegressor, infer
    >>> X, y = [[1], [2], [3], [4], [5]], [1.1, 1.9, 3.2, 3.8, 5.1]
    >>> print(infer(LinearRegressor().fit(X, y), X, y, cov="iid"))
    mse, cov="iid": 5 rows, 3 degrees of freedom
                  coef  std err       t   P>|t|   [0.025  0.975]
    intercept  0.05000   0.1981   0.252   0.817  -0.5804  0.6804
    x0          0.9900  0.05972  16.577  <0.001   0.7999   1.180
    """

    names: tuple[str, ...]
    coef: np.ndarray
    std_err: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray
    interval: np.ndarray
    covariance: np.ndarray
    n_samples: float
    df_resid: float
    df: float
    loss: str
    cov: str
    level: float
    undetermined: np.ndarray
    spread: np.ndarray
    has_intercept: bool
    feature_names: tuple[str, ...] | None = None
    steps: tuple = ()

    def __str__(self) -> str:
        lines = [self._title()]
        cells = [("", *self._headers()), *self._cells()]
        widths = [max(len(row[j]) for row in cells) for j in range(len(cells[0]))]
        for name, *numbers in cells:
            line = [name.ljust(widths[0])]
            line += [text.rjust(w) for text, w in zip(numbers, widths[1:], strict=True)]
            lines.append("  ".join(line).rstrip())
        return "\n".join(lines + self._notes())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The table for a notebook."""
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self._notes())
        return html_table(self._title(), ("", *self._headers()), self._cells()) + notes

    def to_frame(self, library: str = "pandas") -> Any:
        """The table as a frame, numbers in full.

        Parameters
        ----------
        library : {"pandas", "polars"}, default="pandas"
            Whose frame it is.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            A row per coefficient; columns ``coef``, ``std_err``, ``statistic``, ``p_value``,
            ``lower`` and ``upper``. The names are the index of pandas, and a first column ``name``
            of polars, which has no index.

        Raises
        ------
        ValueError
            If library is none of these.
        ImportError
            If it is not installed.
        """
        if library not in ("pandas", "polars"):
            raise ValueError(f"library must be 'pandas' or 'polars'; got {library!r}.")
        columns = {
            "coef": self.coef,
            "std_err": self.std_err,
            "statistic": self.statistic,
            "p_value": self.p_value,
            "lower": self.interval[:, 0],
            "upper": self.interval[:, 1],
        }
        names = list(self.names)
        if library == "polars":
            import polars as pl

            return pl.DataFrame({"name": names, **columns})
        import pandas as pd

        return pd.DataFrame(columns, index=names)

    def to_latex(self, **kwargs: Any) -> str:
        """The table in LaTeX, by pandas, which needs Jinja2 for it.

        Parameters
        ----------
        **kwargs : dict
            Passed to ``pandas.DataFrame.to_latex``; ``float_format="%.4g"`` by default.

        Returns
        -------
        str
            A ``tabular``.
        """
        usual = {"float_format": "%.4g", "escape": True, "formatters": {"p_value": _probability}}
        return self.to_frame().to_latex(**(usual | kwargs))

    def test(self, R: Any, q: Any = 0.0) -> WaldTest:
        """Test the linear hypotheses R b = q by Wald's test.

        Parameters
        ----------
        R : array-like of shape (k,) or (m, k), str, sequence of str or dict
            Weights of the coefficients, in the order of ``names``, a row per hypothesis; of a
            frame, by the names of its columns. Or names of coefficients, which are all to be q; or
            a dict of names and what each is to be.
        q : float or array-like of shape (m,), default=0.0
            What R b is to be. With a dict it is left out.

        Returns
        -------
        WaldTest
            The F statistic and its p-value.

        Raises
        ------
        ValueError
            If R or q has another shape, R has dependent rows or names no coefficient, a hypothesis
            is about what the data do not determine, or there is no covariance.
        """
        if isinstance(R, Mapping):
            if np.any(q):
                raise ValueError(f"q must be left out, as R has the values; got {q!r}.")
            R, q = list(R), list(R.values())
        if _labels(q) is not None:
            raise ValueError(
                "q must be in the order of R and have no labels: q.to_numpy() has none."
            )
        R = self._hypotheses(R)
        given = _finite("q", q)
        if given.shape not in ((), (len(R),)):
            raise ValueError(f"q must be a number, or one per row of R; got shape {given.shape}.")
        known = is_estimable(R, self.undetermined)
        if not known.all():
            raise ValueError(
                f"R must be about what the data determine; row {int(np.argmin(known))} is not, "
                "because columns of X are dependent."
            )
        if not np.all(np.isfinite(self.spread)):
            raise ValueError(f"test needs a covariance; cov={self.cov!r} has intervals only.")
        factor = linalg.factor(R @ self.spread @ R.T)
        if not factor.sound:
            raise ValueError(
                "R must have independent rows, none of them twice, about coefficients with a "
                "standard error above 0."
            )
        away = R @ np.where(np.isfinite(self.coef), self.coef, 0.0) - given
        statistic = float(away @ factor.solve(away) / len(R))
        p_value = float(fdtrc(len(R), self.df, statistic))
        return WaldTest(statistic, p_value, float(len(R)), self.df)

    def predict(self, X: Any) -> FittedLine:
        """The fitted line at some rows, with standard errors and confidence intervals.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with the columns of the fit; of a pipeline those that it takes itself.

        Returns
        -------
        FittedLine
            ``mean``, ``std_err`` and ``interval`` of the line, not of new observations.

        Raises
        ------
        ValueError
            If X has other columns, or there is no covariance.
        """
        for step in self.steps:
            X = step.transform(X)
        features = self.feature_names
        if features and hasattr(X, "columns") and tuple(map(str, X.columns)) != features:
            raise ValueError(f"X must have the columns {features}; got {tuple(X.columns)}.")
        X = _finite("X", X.toarray() if hasattr(X, "toarray") else X)
        p = len(self.names) - self.has_intercept
        if X.ndim != 2 or X.shape[1] != p:
            raise ValueError(f"X must be of shape (n_samples, {p}); got {X.shape}.")
        if not np.all(np.isfinite(self.spread)):
            raise ValueError(f"predict needs a covariance; cov={self.cov!r} has intervals only.")
        R = np.column_stack([np.ones(len(X)), X]) if self.has_intercept else X
        variance = np.einsum("ij,jk,ik->i", R, self.spread, R)
        std_err = np.sqrt(np.maximum(variance, 0.0))
        std_err[~is_estimable(R, self.undetermined)] = np.nan
        mean = R @ self.coef
        half = stdtrit(self.df, 0.5 + 0.5 * self.level) * std_err
        return FittedLine(mean, std_err, np.column_stack([mean - half, mean + half]))

    def _hypotheses(self, R: Any) -> np.ndarray:
        """R as weights (m, k)."""
        k = len(self.names)
        names = _names(R)
        if names:
            for name in names:
                if name not in self.names:
                    raise ValueError(
                        f"R must name coefficients, {self.names}; got {name!r}. That one is 2 is "
                        f"test({self.names[-1]!r}, 2.0)."
                    )
                if self.names.count(name) > 1:
                    raise ValueError(f"R must be weights: several coefficients are named {name!r}.")
            return np.eye(k)[[self.names.index(name) for name in names]]
        weights = np.atleast_2d(_finite("R", _in_order(R, self.names)))
        if weights.ndim != 2 or weights.shape[1] != k or not len(weights):
            raise ValueError(f"R must have {k} columns, one per coefficient; got {np.shape(R)}.")
        return weights

    def _title(self) -> str:
        rows, df = f"{self.n_samples:,.10g} rows", f"{self.df:,.10g} degrees of freedom"
        return f'{self.loss}, cov="{self.cov}": {rows}, {df}'

    def _headers(self) -> tuple[str, ...]:
        tail = 0.5 * (1.0 - self.level)
        ends = f"[{tail:.4g}", f"{1.0 - tail:.4g}]"
        return ("coef", *ends) if self.cov in INTERVALS_ONLY else (*HEADERS, *ends)

    def _cells(self) -> list[tuple[str, ...]]:
        """Rows of the table, as text."""
        cells = []
        for j, name in enumerate(self.names):
            ends = [_number(end) for end in self.interval[j]]
            middle = [] if self.cov in INTERVALS_ONLY else [
                _number(self.std_err[j]), _fixed(self.statistic[j]), _probability(self.p_value[j])
            ]  # fmt: skip
            cells.append((name, _number(self.coef[j]), *middle, *ends))
        return cells

    def _notes(self) -> list[str]:
        changed = np.any(self.undetermined != 0.0, axis=1)
        if not changed.any():
            return []
        some = [name for name, is_changed in zip(self.names, changed, strict=True) if is_changed]
        listed = ", ".join(some[:5]) + (f" and {len(some) - 5} more" if len(some) > 5 else "")
        return [f"Columns of X are dependent: the data do not determine {listed}."]


def intervals(coef: np.ndarray, std_err: np.ndarray, df: float, level: float):
    """(statistic (k,), p_value (k,), interval (k, 2)) by the t distribution."""
    with np.errstate(all="ignore"):  # an exact fit has a standard error of 0
        statistic = coef / std_err
        p_value = 2.0 * stdtr(df, -np.abs(statistic))
    half = stdtrit(df, 0.5 + 0.5 * level) * std_err
    return statistic, p_value, np.column_stack([coef - half, coef + half])


def _in_order(R: Any, names: tuple[str, ...]) -> Any:
    """Weights R with those that have labels in the order of the names; ValueError if a label is no
    name, or R has no order.
    """
    if isinstance(R, Set):
        raise ValueError(f"R must be in an order, as a list is; got the set {R!r}.")
    if isinstance(R, (list, tuple)):
        return [_in_order(row, names) for row in R]
    labels = _labels(R)
    if labels is None:
        return R
    if sorted(labels) != sorted(names) or len(set(names)) < len(names):
        raise ValueError(f"R must have weights for {names}; got some for {tuple(labels)}.")
    weights = np.asarray(R, dtype=object)
    return weights[..., [labels.index(name) for name in names]]


def _labels(R: Any) -> list[str] | None:
    """The labels of the columns of a frame, or of the entries of a series; None if it has none."""
    labels = getattr(R, "column_names", getattr(R, "columns", getattr(R, "index", None)))
    if labels is None or callable(labels) or not any(isinstance(label, str) for label in labels):
        return None
    return list(map(str, labels))


def _names(R: Any) -> list[str]:
    """The names that R lists; none if R holds weights."""
    if isinstance(R, Set):
        return []
    listed = [R] if isinstance(R, str) else R if getattr(R, "ndim", 1) == 1 else []
    names = list(listed) if np.iterable(listed) else []
    return names if all(isinstance(name, str) for name in names) else []


def _finite(name: str, value: Any) -> np.ndarray:
    """The value as finite numbers; ValueError if it holds others. ``name`` is the parameter's."""
    try:
        is_masked = isinstance(value, np.ma.MaskedArray) and np.any(value.mask)
        if is_masked or np.asarray(value).dtype.kind in "USmM":
            raise TypeError
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers; got {value!r}.") from None
    if not np.all(np.isfinite(found)):
        raise ValueError(f"{name} must be finite; got NaN or infinity.")
    return found


def _number(value: float) -> str:
    """Four digits or more; never a zero that is not one, nor an exponent where it can be helped."""
    if 1e4 <= abs(value) < 1e8:
        return f"{value:.0f}"
    return "nan" if np.isnan(value) else f"{value:#.4g}".rstrip(".")


def _fixed(value: float) -> str:
    return "nan" if np.isnan(value) else f"{value:.3f}" if abs(value) < 1e5 else f"{value:.4g}"


def _probability(value: float) -> str:
    return "nan" if np.isnan(value) else f"{value:.3f}" if value >= 0.001 else "<0.001"
