"""Coefficients with their intervals, of one model or several."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference import Inference, infer
from .drawing import STYLES, panels

APART = 0.6  # of the distance of two coefficients is what the models of one take
# Colours of Okabe and Ito, and markers, of models that have not the name of a loss.
MARKS = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "D"), ("#CC79A7", "^"), ("#56B4E9", "v")]


class CoefficientsDisplay:
    """Estimates of coefficients with their confidence intervals, models beside each other.

    Parameters
    ----------
    names : tuple of str
        The k coefficients, from top to bottom.
    estimates : dict of str to ndarray of shape (k,)
        The coefficients of each model; NaN where it has none of that name.
    intervals : dict of str to ndarray of shape (k, 2)
        Lower and upper ends.
    level : float
        The probability with which an interval covers.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    infer : Computes the intervals.

    Examples
    --------
    >>> from robustreg import CoefficientsDisplay, LinearRegressor
    >>> X, y = [[1], [2], [3], [4], [5]], [1.1, 1.9, 3.2, 3.8, 5.1]
    >>> models = {loss: LinearRegressor(loss).fit(X, y) for loss in ["mse", "huber"]}
    >>> display = CoefficientsDisplay.from_estimator(models, X, y, plot=False)
    >>> display.names
    ('x0',)
    """

    def __init__(self, *, names, estimates, intervals, level):
        self.names, self.estimates, self.intervals = names, estimates, intervals
        self.level = level

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        names: Any = None,
        ax: Any = None,
        plot: bool = True,
        **kwargs: Any,
    ):
        """Show a fitted model, or several, each with the intervals of ``infer``.

        Parameters
        ----------
        estimator : LinearRegressor, Inference, or a dict or sequence of them
            Fitted models, or what ``infer`` has returned for some. The keys of a dict are their
            labels; otherwise these are the names of the losses.
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            The data that models were fitted to; not needed for an ``Inference``.
        y : array-like of shape (n_samples,), default=None
            The targets.
        names : sequence of str or None, default=None
            Which coefficients, from top to bottom. None: all but the intercept.
        ax : matplotlib Axes or None, default=None
            Where to draw.
        plot : bool, default=True
            Whether to draw at once.
        **kwargs : dict
            Passed to ``infer``, as ``cov``.

        Returns
        -------
        CoefficientsDisplay
            The display.
        """
        found = {}
        for label, item in _labelled(estimator):
            table = item if isinstance(item, Inference) else infer(item, X, y, **kwargs)
            if not isinstance(table, Inference):
                raise ValueError("y must have one dimension: a display shows one target.")
            found[_new(label or table.loss, found)] = table
        tables = list(found.values())
        if not tables:
            raise ValueError("estimator must hold a model or an Inference; got none.")
        for label, table in found.items():
            if len(set(table.names)) < len(table.names):
                raise ValueError(f"{label} must have coefficients of different names.")
        levels = {table.level for table in tables}
        if len(levels) > 1:
            raise ValueError(f"estimator must hold inferences of one level; got {sorted(levels)}.")
        shown = _shown(names, tables)
        places = [[_place(name, table) for name in shown] for table in tables]
        numbers = [
            np.column_stack([table.coef, table.interval])[place]
            for table, place in zip(tables, places, strict=True)
        ]
        for at, place in zip(numbers, places, strict=True):
            at[np.array(place) < 0] = np.nan
        display = cls(
            names=shown,
            estimates={label: at[:, 0] for label, at in zip(found, numbers, strict=True)},
            intervals={label: at[:, 1:] for label, at in zip(found, numbers, strict=True)},
            level=tables[0].level,
        )
        return display.plot(ax) if plot else display

    def plot(self, ax: Any = None, **kwargs: Any):
        """Draw estimates and intervals, a row for each coefficient.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None: a new figure.
        **kwargs : dict
            Passed to ``Axes.errorbar``.

        Returns
        -------
        CoefficientsDisplay
            The display itself.
        """
        count, k = len(self.estimates), len(self.names)
        height = 1.2 + 0.3 * k + 0.1 * k * (count - 1)
        self.figure_, (self.ax_,) = panels(ax, (1, 1), (6.0, height))
        rows = np.arange(k)
        for i, (label, estimate) in enumerate(self.estimates.items()):
            ends = self.intervals[label]
            color, marker = MARKS[i % len(MARKS)]
            color = STYLES[label]["color"] if label in STYLES else color
            style = {"color": color, "marker": marker, "linestyle": "none", "capsize": 3.0}
            place = rows + APART * ((i + 0.5) / count - 0.5)
            # An end at infinity is not drawn.
            far = np.where(np.isfinite(ends), np.abs(ends - estimate[:, None]), np.nan).T
            self.ax_.errorbar(estimate, place, xerr=far, **(style | {"label": label} | kwargs))
        self.ax_.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
        self.ax_.set_yticks(rows, self.names)
        self.ax_.set_ylim(k - 0.5, -0.5)
        self.ax_.locator_params(axis="x", nbins=6)  # long numbers stay apart
        title = f"{100.0 * self.level:g} % confidence intervals"
        self.ax_.set(xlabel="coefficient (units of y per unit of the feature)", title=title)
        self.ax_.legend()
        return self


def _labelled(estimator: Any) -> list[tuple[str | None, Any]]:
    """(label or None, model or inference) of each."""
    if isinstance(estimator, dict):
        return [(str(label), item) for label, item in estimator.items()]
    if isinstance(estimator, (list, tuple)):
        return [(None, item) for item in estimator]
    return [(None, estimator)]


def _new(label: str, labels: Any) -> str:
    """The label, or with a number if others have it."""
    number, found = 2, label
    while found in labels:
        found, number = f"{label} {number}", number + 1
    return found


def _shown(names: Any, tables: list[Inference]) -> tuple[str, ...]:
    """The names to show, in order; ValueError if no table has one of them."""
    known = list(dict.fromkeys(name for table in tables for name in table.names))
    if names is None:
        return tuple(name for name in known if name != "intercept") or tuple(known)
    asked = (names,) if isinstance(names, str) else tuple(names)
    if not asked:
        raise ValueError(f"names must be coefficients, {known}; got none.")
    for name in asked:
        if name not in known:
            raise ValueError(f"names must be coefficients, {known}; got {name!r}.")
    return asked


def _place(name: str, table: Inference) -> int:
    """The number of a coefficient; -1 if there is none of this name."""
    return table.names.index(name) if name in table.names else -1
