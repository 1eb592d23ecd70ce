"""What the displays share: axes, styles, and the numbers of a fitted estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

STYLES = {
    "mse": {"color": "#0072B2", "linestyle": "-"},
    "mae": {"color": "#D55E00", "linestyle": "--"},
    "huber": {"color": "#009E73", "linestyle": "-."},
    "quantile": {"color": "#CC79A7", "linestyle": (0, (3, 1, 1, 1, 1, 1))},
}
MOST_POINTS = 5000  # of more rows so many are drawn, at random,
EXTREME_POINTS = 100  # and so many of the most extreme


def panels(
    ax: Any, shape: tuple[int, int], figsize: tuple[float, float], **kwargs: Any
) -> tuple[Any, np.ndarray]:
    """(figure, axes (k,)) in rows and columns of ``shape``: new, within one Axes, or as given."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'Displays need matplotlib: pip install matplotlib, or "robustreg[plots]".'
        ) from error
    count = shape[0] * shape[1]
    if ax is None:
        figure, axes = plt.subplots(*shape, figsize=figsize, layout="constrained", **kwargs)
        return figure, np.atleast_1d(axes).ravel()
    given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(given) == 1 and count > 1:
        given[0].set_axis_off()
        grid = given[0].get_subplotspec().subgridspec(*shape)
        return given[0].figure, grid.subplots(**kwargs).ravel()
    if len(given) != count:
        raise ValueError(f"ax must be one Axes, or {count} of them; got {len(given)}.")
    return given[0].figure, given


def vector(name: str, values: Any) -> np.ndarray:
    """The values as an array (n,); ValueError if they have another shape."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"{name} must be of shape (n_samples,): a display shows one target; "
            f"got shape {array.shape}."
        )
    return array


def number(name: str, value: Any, kind: str, below: float = np.inf) -> float:
    """A number between 0 and ``below``; ValueError, which says ``kind``, if it is none."""
    try:
        if 0.0 < float(value) < below:
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name} must be {kind}; got {value!r}.")


def predicted(estimator: Any, X: Any) -> Any:
    """The predictions of an estimator; TypeError if it is none."""
    if not hasattr(estimator, "predict"):
        raise TypeError(
            f"estimator must be a fitted regressor; got an object of type "
            f"{type(estimator).__name__}. The order is from_estimator(estimator, X, y)."
        )
    return estimator.predict(X)


def last_step(estimator: Any) -> Any:
    """The final estimator of a search and of a pipeline, or the estimator itself."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def names_of(estimator: Any) -> Any:
    """Names of the features that an estimator was fitted to, or None.

    Of a pipeline those that its last step was fitted to.
    """
    last = last_step(estimator)
    if last is estimator or hasattr(last, "feature_names_in_"):
        return getattr(last, "feature_names_in_", None)
    try:
        return estimator[:-1].get_feature_names_out()
    except (AttributeError, TypeError, ValueError):  # a step has none, or it is a search
        return None


def knot_of(estimator: Any) -> float:
    """The knot of Huber's loss in units of y.

    ValueError if there is none, or one for each of several targets.
    """
    estimator = last_step(estimator)
    delta = getattr(estimator, "delta_", getattr(estimator, "delta", None))
    if delta is None:
        raise ValueError(f"estimator must have a delta, as LinearRegressor has; got {estimator!r}.")
    scale: Any = getattr(estimator, "scale_", 1.0)
    if np.ndim(scale):
        raise ValueError(f"estimator must be fitted to one target; got one with {len(scale)}.")
    return float(delta * scale)


def some_of(size: np.ndarray) -> np.ndarray:
    """Indices of the rows to draw, by ``size`` (n,): all, or a sample and the most extreme.

    The sample is drawn at random, always the same one.
    """
    if len(size) <= MOST_POINTS:
        return np.arange(len(size))
    extreme = np.argpartition(np.abs(size), -EXTREME_POINTS)[-EXTREME_POINTS:]
    return np.union1d(
        np.random.default_rng(0).choice(len(size), MOST_POINTS, replace=False), extreme
    )
