"""Coefficients, outliers and the error of cross-validation against delta."""

from __future__ import annotations

from typing import Any

import numpy as np

from .drawing import last_step, names_of, panels

LEAST_SHARE = 1e-4  # of its largest delta: the least delta that an exact path is drawn from
POINTS = 400  # where an exact path is evaluated, beside its breakpoints
LEGEND = 12  # features up to which there is a legend
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
DASHES = ["-", "--", "-.", ":"]


class DeltaPathDisplay:
    """Coefficients and the number of outliers against delta.

    The error of cross-validation, too, where there is one.

    Parameters
    ----------
    deltas : ndarray of shape (n_points,)
        Where the path is drawn.
    coefs : ndarray of shape (n_points, n_features)
        Coefficients there, in units of y per unit of the feature.
    knots, n_outliers : ndarray of shape (n_deltas,)
        Breakpoints, or the grid, and the number of rows beyond.
    names : list of str
        Names of the features.
    exact : bool
        Whether the path is known between the knots, too. The number of rows beyond is then drawn as
        steps, each with the number at its lower end; on a grid as points.
    error, spread : ndarray of shape (n_candidates,) or None
        Mean error of the folds at each candidate and its standard deviation.
    candidates : ndarray of shape (n_candidates,) or None
        Deltas of the cross-validation.
    chosen : float or None
        The delta that was chosen.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes of shape (2,) or (3,)
        Coefficients, outliers, error.
    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    delta_path : Every Huber solution at once.
    LinearRegressorCV : Chooses delta by cross-validation.

    Examples
    --------
    >>> from robustreg import DeltaPathDisplay, delta_path
    >>> path = delta_path([[1], [2], [3], [4], [5]], [0.8, 1.5, 1.8, 2.0, 25.0])
    >>> display = DeltaPathDisplay.from_path(path, plot=False)
    >>> display.coefs.shape == (len(display.deltas), 1)
    True
    """

    def __init__(
        self,
        *,
        deltas,
        coefs,
        knots,
        n_outliers,
        names,
        exact,
        error=None,
        spread=None,
        candidates=None,
        chosen=None,
    ):
        self.deltas, self.coefs, self.names = deltas, coefs, names
        self.knots, self.n_outliers, self.exact = knots, n_outliers, exact
        self.error, self.spread, self.candidates, self.chosen = error, spread, candidates, chosen

    @classmethod
    def from_path(cls, path: Any, *, feature_names: Any = None, ax: Any = None, plot: bool = True):
        """Take a path as :func:`delta_path` returns it.

        Parameters
        ----------
        path : DeltaPath
            Exact, or on a grid.
        feature_names : sequence of str or None, default=None
            Names for the legend.
        ax : matplotlib Axes, or one per panel, or None, default=None
            Where to draw.
        plot : bool, default=True
            Whether to draw at once.

        Returns
        -------
        DeltaPathDisplay
            The display.
        """
        display = cls(**_numbers(path, feature_names))
        return display.plot(ax) if plot else display

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, feature_names: Any = None, ax: Any = None, plot: bool = True
    ):
        """Take the path and the scores of a cross-validation.

        Parameters
        ----------
        estimator : LinearRegressorCV
            Fitted, with ``loss="huber"``; or a pipeline that ends in it.
        feature_names : sequence of str or None, default=None
            Names for the legend; None: those seen in fit or made by the steps before it, if any.
        ax : matplotlib Axes, or one per panel, or None, default=None
            Where to draw.
        plot : bool, default=True
            Whether to draw at once.

        Returns
        -------
        DeltaPathDisplay
            The display.
        """
        names = names_of(estimator) if feature_names is None else feature_names
        estimator = last_step(estimator)
        if not hasattr(estimator, "path_"):
            raise ValueError(
                "estimator must be a LinearRegressorCV fitted with loss='huber'; "
                f"got {estimator!r}. "
                "Of other data DeltaPathDisplay.from_path(delta_path(X, y)) draws the path."
            )
        results = estimator.cv_results_
        own = np.asarray(results["param_alpha"], dtype=float) == estimator.alpha_
        display = cls(
            **_numbers(estimator.path_, names),
            error=-results["mean_test_score"][own],
            spread=results["std_test_score"][own],
            candidates=np.asarray(results["param_delta"], dtype=float)[own],
            chosen=estimator.delta_,
        )
        return display.plot(ax) if plot else display

    def plot(self, ax: Any = None, **kwargs: Any):
        """Draw the path.

        Parameters
        ----------
        ax : matplotlib Axes, or one per panel, or None, default=None
            Where to draw; a single one is divided. None: a new figure.
        **kwargs : dict
            Passed to the lines of the coefficients.

        Returns
        -------
        DeltaPathDisplay
            The display itself.
        """
        count = 2 + (self.error is not None)
        self.figure_, self.ax_ = panels(ax, (count, 1), (7.0, 2.2 * count), sharex=True)
        for j, name in enumerate(self.names):
            style = {
                "color": COLORS[j % len(COLORS)],
                "linestyle": DASHES[j // len(COLORS) % len(DASHES)],
                "label": name,
            }
            self.ax_[0].plot(self.deltas, self.coefs[:, j], **(style | kwargs))
        if len(self.names) <= LEGEND:
            self.ax_[0].legend(fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
        self.ax_[0].set(xscale="log", ylabel="coefficient", title="path of Huber's loss")
        points = {"linestyle": "none", "marker": "o", "markersize": 3.5}
        style = {"drawstyle": "steps-post"} if self.exact else points
        self.ax_[1].plot(self.knots, self.n_outliers, color="#0072B2", **style)
        self.ax_[1].set(ylabel="rows beyond delta", ylim=(0.0, None))
        if self.error is not None:
            style = {"color": "#0072B2", "marker": "o", "markersize": 3.5}
            style |= {"capsize": 2.0, "linewidth": 1.2}
            self.ax_[2].errorbar(self.candidates, self.error, self.spread, **style)
            self.ax_[2].set(ylabel="error of the folds")
        if self.chosen is not None:
            for panel in self.ax_:
                style = {"color": "0.3", "linewidth": 1.0, "linestyle": ":"}
                panel.axvline(self.chosen, label="_chosen", **style)
        chosen = "" if self.chosen is None else f" (chosen: {self.chosen:.3g})"
        self.ax_[-1].set_xlabel("delta" + chosen)
        return self


def _numbers(path: Any, names: Any) -> dict:
    """What is drawn of a path.

    Of an exact one also points between breakpoints, as the axis is logarithmic.
    """
    if not hasattr(path, "deltas"):
        raise TypeError(
            f"path must be a DeltaPath, as delta_path returns it; got a {type(path).__name__}."
        )
    positive = path.deltas > (LEAST_SHARE * path.deltas[-1] if path.exact else 0.0)
    deltas = knots = path.deltas[positive]
    if path.exact and len(knots):
        least = max(knots[0] / 2.0, LEAST_SHARE * knots[-1])
        deltas = np.union1d(knots, np.geomspace(least, knots[-1], POINTS))
        coefs = path(deltas)[0]
    else:
        coefs = path.coefs[positive]
    p = path.coefs.shape[1]
    names = [f"x{j}" for j in range(p)] if names is None else [str(name) for name in names]
    if len(names) != p:
        raise ValueError(f"feature_names must have {p} entries, one per feature; got {len(names)}.")
    counts = {"knots": knots, "n_outliers": path.n_outliers[positive], "exact": path.exact}
    return {"deltas": deltas, "coefs": coefs, "names": names} | counts
