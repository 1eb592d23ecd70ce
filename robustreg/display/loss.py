"""The losses and their slopes, and the residuals of a fit below them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problem.losses import ABSOLUTE, SQUARED, huber, pinball
from .drawing import STYLES, knot_of, last_step, number, panels, predicted, vector

POINTS = 601  # where the curves are evaluated: an odd number, so that 0 is one of them
RUG_LINES = 2000  # lines of the rug at most


class LossDisplay:
    """The losses and their slopes against the residual.

    The absolute loss is drawn times delta, so that all have the units of y squared and it is the
    limit of Huber's for large residuals; that of a quantile times 2 delta, as it is half of the
    absolute one at 0.5.

    Parameters
    ----------
    residual : ndarray of shape (n_points,)
        Where the losses are evaluated, in units of y.
    loss, slope : dict of str to ndarray of shape (n_points,)
        Value and derivative of ``"mse"``, ``"mae"`` and ``"huber"``, and ``"quantile"`` if there is
        a level.
    delta : float
        The knot of Huber's loss, in units of y.
    quantile : float or None
        The level of the quantile loss.
    rug : ndarray of shape (n_samples,) or None
        Residuals of a fit, drawn below the losses.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes of shape (2,)
        The losses and their slopes.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    ResidualsDisplay : The residuals of one fit.

    Examples
    --------
    >>> from robustreg import LossDisplay
    >>> display = LossDisplay.from_delta(1.0, plot=False)
    >>> float(display.loss["huber"][-1]), float(display.slope["huber"][-1])
    (2.5, 1.0)
    """

    def __init__(self, *, residual, loss, slope, delta, quantile=None, rug=None):
        self.residual, self.loss, self.slope = residual, loss, slope
        self.delta, self.quantile, self.rug = delta, quantile, rug

    @classmethod
    def from_delta(
        cls,
        delta: float = 1.35,
        *,
        quantile: float | None = None,
        residuals: Any = None,
        ax: Any = None,
        plot: bool = True,
    ):
        """Losses for a given knot.

        Parameters
        ----------
        delta : float, default=1.35
            The knot of Huber's loss, positive.
        quantile : float or None, default=None
            Level of a quantile loss that is drawn, too, between 0 and 1.
        residuals : array-like of shape (n_samples,) or None, default=None
            Residuals of a fit for the rug.
        ax : matplotlib Axes, or two of them, or None, default=None
            Where to draw.
        plot : bool, default=True
            Whether to draw at once.

        Returns
        -------
        LossDisplay
            The display.
        """
        delta = number("delta", delta, "a finite number > 0")
        if quantile is not None:
            quantile = number("quantile", quantile, "between 0 and 1, both excluded", below=1.0)
        rug = None if residuals is None else vector("residuals", residuals)
        limit = 3.0 * delta
        if rug is not None:  # most residuals, and the knots, are in the picture
            limit = float(np.clip(1.5 * np.quantile(np.abs(rug), 0.9), 2.0 * delta, 6.0 * delta))
        r = np.linspace(-limit, limit, POINTS)
        losses = {"mse": (SQUARED, 1.0), "mae": (ABSOLUTE, delta), "huber": (huber(delta), 1.0)}
        if quantile is not None:
            losses["quantile"] = pinball(quantile), 2.0 * delta
        display = cls(
            residual=r,
            loss={name: unit * loss.value(r) for name, (loss, unit) in losses.items()},
            slope={name: unit * loss.slope(r) for name, (loss, unit) in losses.items()},
            delta=delta,
            quantile=quantile,
            rug=rug,
        )
        return display.plot(ax) if plot else display

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None, plot: bool = True):
        """Draw the losses for the knot of a fitted estimator, above its residuals.

        Parameters
        ----------
        estimator : LinearRegressor or LinearRegressorCV
            Fitted; or a pipeline or search that ends in it.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Targets.
        ax : matplotlib Axes, or two of them, or None, default=None
            Where to draw.
        plot : bool, default=True
            Whether to draw at once.

        Returns
        -------
        LossDisplay
            The display.
        """
        predictions = vector("predictions", predicted(estimator, X))
        residuals = vector("y", y) - predictions
        fitted, given = last_step(estimator), {"residuals": residuals, "ax": ax, "plot": plot}
        quantile = fitted.quantile if getattr(fitted, "loss", None) == "quantile" else None
        return cls.from_delta(knot_of(estimator), quantile=quantile, **given)

    def plot(self, ax: Any = None, **kwargs: Any):
        """Draw the losses and their slopes.

        Parameters
        ----------
        ax : matplotlib Axes, or two of them, or None, default=None
            Where to draw; a single one is divided. None: a new figure.
        **kwargs : dict
            Passed to the lines.

        Returns
        -------
        LossDisplay
            The display itself.
        """
        self.figure_, self.ax_ = panels(ax, (1, 2), figsize=(9.0, 3.6))
        names = {"mse": "mse", "mae": "mae, times delta", "huber": "huber"}
        names["quantile"] = f"quantile {self.quantile}, times 2 delta"
        shown = {"loss": self.loss, "slope of the loss": self.slope}
        for panel, (label, curves) in zip(self.ax_, shown.items(), strict=True):
            for name, curve in curves.items():
                panel.plot(self.residual, curve, **({"label": names[name]} | STYLES[name] | kwargs))
            for knot in (-self.delta, self.delta):
                panel.axvline(knot, color="0.6", linewidth=0.8, linestyle=":")
            ends = self.residual[0], self.residual[-1]
            panel.set(xlabel="residual (units of y)", ylabel=label, xlim=ends)
        top, delta = self.loss["huber"][-1], self.delta
        self.ax_[0].set(ylim=(-0.05 * top, 1.6 * top), title="losses")
        self.ax_[1].set(ylim=(-1.8 * delta, 1.8 * delta), title=f"slopes, delta = {delta:.3g}")
        self.ax_[0].legend(loc="upper center")
        if self.rug is not None:
            inside = np.abs(self.rug) <= self.residual[-1]
            levels = np.linspace(0.0, 1.0, min(RUG_LINES, np.count_nonzero(inside)))
            some, style = np.quantile(self.rug[inside], levels), {"color": "0.2", "alpha": 0.4}
            self.ax_[0].plot(some, np.zeros(len(some)), "|", markersize=9, label="_rug", **style)
            if outside := np.count_nonzero(~inside):
                self.ax_[0].set_xlabel(f"residual (units of y); {outside} beyond the picture")
        return self
