"""The lines that the losses, or several quantile levels, fit to one feature."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone

from .drawing import STYLES, panels, some_of, vector


class FitDisplay:
    """Points of one feature, and the lines that losses or quantile levels fit to them.

    Parameters
    ----------
    x, y : ndarray of shape (n_points,)
        The points; of many rows some, and those furthest from the lines.
    lines : dict of str to tuple of float
        Slope and intercept of each loss, or of each level as ``"quantile 0.05"``.
    band : tuple of str, optional
        The two lines between which the picture is shaded.
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

    def __init__(self, *, x, y, lines, band=None, names=("x", "y")):
        self.x, self.y, self.lines, self.band, self.names = x, y, lines, band, names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        losses: Any = ("mse", "mae", "huber"),
        quantiles: Any = None,
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
        quantiles : sequence of float or None, default=None
            Levels between 0 and 1, which are fitted in place of ``losses``; between the lowest and
            the highest the picture is shaded.
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
        if not hasattr(estimator, "set_params"):
            raise TypeError(
                f"estimator must be a LinearRegressor; got an object of type "
                f"{type(estimator).__name__}. The order is from_estimator(estimator, X, y)."
            )
        if np.ndim(X) != 2 or np.shape(X)[1] != 1:
            raise ValueError(
                "X must be of shape (n_samples, 1): the display shows one feature; "
                f"got {np.shape(X)}."
            )
        target, lines, far = vector("y", y), {}, 0.0
        x = np.asarray(X, dtype=np.float64)[:, 0]
        for name, parameters in _variants(losses, quantiles).items():
            copied: Any = clone(estimator)  # an estimator; the stubs allow for lists of them
            with warnings.catch_warnings():
                if name != estimator.loss:  # who compares losses did not choose its delta
                    warnings.filterwarnings("ignore", message="More than three quarters of")
                model = copied.set_params(**parameters).fit(X, target, sample_weight)
            lines[name] = float(model.coef_[0]), float(model.intercept_)
            far = np.maximum(far, np.abs(target - model.predict(X)))
        kept = some_of(np.broadcast_to(far, x.shape))
        names = str(getattr(X, "columns", ["x"])[0]), str(getattr(y, "name", None) or "y")
        band = tuple(lines)[:: len(lines) - 1] if quantiles is not None and len(lines) > 1 else None
        display = cls(x=x[kept], y=target[kept], lines=lines, band=band, names=names)
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
            style = {"label": label, "linewidth": 2.0} | STYLES.get(loss.split()[0], {})
            self.ax_.plot(ends, slope * ends + intercept, **style)
        if self.band is not None:
            low, high = (slope * ends + at for slope, at in (self.lines[end] for end in self.band))
            shade = {"color": STYLES["quantile"]["color"], "alpha": 0.15, "label": "_band"}
            self.ax_.fill_between(ends, low, high, **shade)
        title = "lines of the losses" if self.band is None else "lines of the quantiles"
        self.ax_.set(xlabel=self.names[0], ylabel=self.names[1], title=title)
        self.ax_.legend()
        return self


def _variants(losses: Any, quantiles: Any) -> dict[str, dict[str, Any]]:
    """The parameters of each line, by its name; a parameter of another loss has its default."""
    if quantiles is not None:
        levels = np.unique(np.asarray(quantiles, dtype=np.float64))
        common = {"loss": "quantile", "scale": 1.0}
        return {f"quantile {level:g}": common | {"quantile": float(level)} for level in levels}
    own = {"huber": "scale", "quantile": "quantile"}
    defaults = {"scale": 1.0, "quantile": 0.5}
    return {
        loss: {"loss": loss} | {k: v for k, v in defaults.items() if k != own.get(loss)}
        for loss in losses
    }
