"""The lines that the three losses fit to one feature."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from .drawing import STYLES, panels, some_of, vector


class FitDisplay:
    """Points of one feature, and the lines that the losses fit to them.

    Parameters
    ----------
    x, y : ndarray of shape (n_points,)
        The points; of many rows some, and those furthest from the lines.
    lines : dict of str to tuple of float
        Slope and intercept of each loss.
    names : tuple of str
        Labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    LossDisplay : The losses themselves.

    Examples
    --------
    >>> from robustreg import FitDisplay, LinearRegressor
    >>> X, y = [[1], [2], [3], [4], [5]], [0.8, 1.5, 1.8, 2.0, 25.0]
    >>> display = FitDisplay.from_estimator(LinearRegressor("huber", delta=0.1), X, y, plot=False)
    >>> for loss, (slope, intercept) in display.lines.items():
    ...     print(f"{loss:<5} {slope:.2f} x {intercept:+.2f}")
    mse   4.89 x -8.45
    mae   0.50 x +0.30
    huber 0.55 x +0.25
    """

    def __init__(self, *, x, y, lines, names=("x", "y")):
        self.x, self.y, self.lines, self.names = x, y, lines, names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        losses: Any = ("mse", "mae", "huber"),
        sample_weight: Any = None,
        ax: Any = None,
        plot: bool = True,
    ):
        """Fit a copy of an estimator under each of the losses; the estimator itself is left alone.

        Parameters
        ----------
        estimator : LinearRegressor
            Whose parameters, but for the loss, are used.
        X : array-like of shape (n_samples, 1)
            One feature.
        y : array-like of shape (n_samples,)
            Targets.
        losses : sequence of str, default=("mse", "mae", "huber")
            Which losses.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights >= 0.
        ax : matplotlib Axes or None, default=None
            Where to draw.
        plot : bool, default=True
            Whether to draw at once.

        Returns
        -------
        FitDisplay
            The display.
        """
        if np.ndim(X) != 2 or np.shape(X)[1] != 1:
            raise ValueError(
                "X must be of shape (n_samples, 1): the display shows one feature; "
                f"got {np.shape(X)}."
            )
        target, lines, far = vector("y", y), {}, 0.0
        x = np.asarray(X, dtype=np.float64)[:, 0]
        for loss in losses:
            scale = {} if loss == "huber" else {"scale": 1.0}
            copied: Any = clone(estimator)  # an estimator; the stubs allow for lists of them
            model = copied.set_params(loss=loss, **scale).fit(X, target, sample_weight)
            lines[loss] = float(model.coef_[0]), float(model.intercept_)
            far = np.maximum(far, np.abs(target - model.predict(X)))
        kept = some_of(np.broadcast_to(far, x.shape))
        names = str(getattr(X, "columns", ["x"])[0]), str(getattr(y, "name", None) or "y")
        display = cls(x=x[kept], y=target[kept], lines=lines, names=names)
        return display.plot(ax) if plot else display

    def plot(self, ax: Any = None, **kwargs: Any):
        """Draw points and lines.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None: a new figure.
        **kwargs : dict
            Passed to the points.

        Returns
        -------
        FitDisplay
            The display itself.
        """
        self.figure_, (self.ax_,) = panels(ax, (1, 1), (6.0, 4.0))
        style = {"color": "0.4", "s": 16, "alpha": 0.7, "label": "_points"}
        self.ax_.scatter(self.x, self.y, **(style | kwargs))
        ends = np.array([self.x.min(), self.x.max()])
        for loss, (slope, intercept) in self.lines.items():
            label = f"{loss}: {slope:.3g} x {intercept:+.3g}"
            style = {"label": label, "linewidth": 2.0} | STYLES.get(loss, {})
            self.ax_.plot(ends, slope * ends + intercept, **style)
        self.ax_.set(xlabel=self.names[0], ylabel=self.names[1], title="lines of the losses")
        self.ax_.legend()
        return self
