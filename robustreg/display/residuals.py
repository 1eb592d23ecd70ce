"""Residuals against predictions and against quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from .drawing import knot_of, last_step, panels, predicted, some_of, vector

QUANTILES = 1000  # that are drawn of more residuals


class ResidualsDisplay:
    """Residuals against predictions, and against the quantiles of a distribution.

    Those beyond delta are marked.

    Parameters
    ----------
    prediction, residual : ndarray of shape (n_points,)
        In units of y; of many rows some, and those of the largest residuals.
    beyond : ndarray of bool of shape (n_points,)
        Which of them have ``abs(residual) > delta``.
    n_beyond, n_samples : int
        How many of all rows.
    delta : float or None
        The knot, in units of y.
    theoretical, observed : ndarray of shape (n_quantiles,)
        Quantiles of the distribution and of all residuals.
    distribution : {"normal", "laplace"}
        Which distribution.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes of shape (2,)
        Residuals, and quantiles.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    LossDisplay : The losses above the residuals.

    Examples
    --------
    >>> from robustreg import ResidualsDisplay
    >>> y, prediction = [1.0, 2.0, 9.0], [1.5, 2.0, 3.0]
    >>> display = ResidualsDisplay.from_predictions(y, prediction, delta=1.0, plot=False)
    >>> display.n_beyond
    1
    """

    def __init__(
        self,
        *,
        prediction,
        residual,
        beyond,
        n_beyond,
        n_samples,
        delta,
        theoretical,
        observed,
        distribution,
    ):
        self.prediction, self.residual, self.beyond = prediction, residual, beyond
        self.n_beyond, self.n_samples, self.delta = n_beyond, n_samples, delta
        self.theoretical, self.observed, self.distribution = theoretical, observed, distribution

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        delta: Any = None,
        distribution: str = "normal",
        ax: Any = None,
        plot: bool = True,
    ):
        """Take residuals as ``y_true - y_pred``.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,)
            Targets and predictions.
        delta : float or None, default=None
            Rows beyond it are marked.
        distribution : {"normal", "laplace"}, default="normal"
            What the quantiles are compared with: squared loss suits the first, absolute loss the
            second.
        ax : matplotlib Axes, or two of them, or None, default=None
            Where to draw.
        plot : bool, default=True
            Whether to draw at once.

        Returns
        -------
        ResidualsDisplay
            The display.
        """
        if distribution not in ("normal", "laplace"):
            raise ValueError(f"distribution must be 'normal' or 'laplace'; got {distribution!r}.")
        y_true, y_pred = vector("y_true", y_true), vector("y_pred", y_pred)
        if len(y_true) != len(y_pred):
            raise ValueError(
                f"y_true and y_pred must be of one length; got {len(y_true)} and {len(y_pred)}."
            )
        r = y_true - y_pred
        beyond = np.abs(r) > (np.inf if delta is None else delta)
        count = min(len(r), QUANTILES)
        levels = (np.arange(count) + 0.5) / count
        if distribution == "normal":
            theoretical = ndtri(levels)
        else:
            theoretical = -np.sign(levels - 0.5) * np.log1p(-2.0 * np.abs(levels - 0.5))
        kept = some_of(r)
        display = cls(
            prediction=y_pred[kept],
            residual=r[kept],
            beyond=beyond[kept],
            n_beyond=int(beyond.sum()),
            n_samples=len(r),
            delta=delta,
            theoretical=theoretical,
            observed=np.quantile(r, levels, method="hazen"),
            distribution=distribution,
        )
        return display.plot(ax) if plot else display

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        distribution: str = "normal",
        ax: Any = None,
        plot: bool = True,
    ):
        """Take the residuals of a fitted estimator, and its knot if it has one.

        Parameters
        ----------
        estimator : estimator
            Fitted; any regressor, pipeline or search.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Targets.
        distribution : {"normal", "laplace"}, default="normal"
            What the quantiles are compared with.
        ax : matplotlib Axes, or two of them, or None, default=None
            Where to draw.
        plot : bool, default=True
            Whether to draw at once.

        Returns
        -------
        ResidualsDisplay
            The display.
        """
        delta = knot_of(estimator) if hasattr(last_step(estimator), "outliers_") else None
        return cls.from_predictions(
            y, predicted(estimator, X), delta=delta, distribution=distribution, ax=ax, plot=plot
        )

    def plot(self, ax: Any = None, **kwargs: Any):
        """Draw residuals and quantiles.

        Parameters
        ----------
        ax : matplotlib Axes, or two of them, or None, default=None
            Where to draw; a single one is divided. None: a new figure.
        **kwargs : dict
            Passed to the points.

        Returns
        -------
        ResidualsDisplay
            The display itself.
        """
        self.figure_, (left, right) = panels(ax, (1, 2), figsize=(9.0, 3.8))
        self.ax_ = np.array([left, right])
        inner, size = ~self.beyond, {"s": 14, "alpha": 0.6}
        style = {"color": "#0072B2", "label": "_in"} | size | kwargs
        left.scatter(self.prediction[inner], self.residual[inner], **style)
        left.axhline(0.0, color="0.3", linewidth=0.8)
        if self.delta is not None:
            label = f"{self.n_beyond} of {self.n_samples} beyond delta"
            style = {"color": "#D55E00", "marker": "x", "label": label} | size | kwargs
            left.scatter(self.prediction[self.beyond], self.residual[self.beyond], **style)
            for knot in (-self.delta, self.delta):
                left.axhline(knot, color="0.6", linewidth=0.8, linestyle=":")
            left.legend()
        left.set(
            xlabel="prediction (units of y)", ylabel="residual (units of y)", title="residuals"
        )
        right.scatter(self.theoretical, self.observed, **({"color": "#0072B2"} | size | kwargs))
        low = len(self.theoretical) // 4
        high = len(self.theoretical) - 1 - low
        if high > low:  # through the quartiles
            rise = self.observed[high] - self.observed[low]
            slope = rise / (self.theoretical[high] - self.theoretical[low])
            start = self.theoretical[low], self.observed[low]
            right.axline(start, slope=slope, color="0.3", linewidth=0.8)
        right.set(xlabel=f"quantile of the {self.distribution} distribution", title="quantiles")
        right.set_ylabel("quantile of the residuals (units of y)")
        return self
