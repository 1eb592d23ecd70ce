"""certify: an independent proof of how far any fitted linear model is from optimal."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from . import parameters
from .data.dask import in_memory
from .data.present import rows_where
from .data.threads import default_errors, one_blas_thread
from .inputs import CHECK, validated_pair
from .linear_regressor import LinearRegressor
from .linear_regressor_cv import LinearRegressorCV
from .proof.certificate import Certificate
from .proof.coordinates import NotFiniteError
from .proof.judge import judge, make_table
from .proof.judged_problem import loss_of

OURS = (LinearRegressor, LinearRegressorCV)
SOME = 20  # rows whose predictions are compared with the coefficients
UNLIKE = 1e-3  # of the terms of a prediction: more than float32 rounds
# What fitted estimators call the strength of theirs.
PENALTIES = ("alpha_", "lambda_", "alpha", "C")


@overload
def certify(
    estimator: Any, X: Any, y: Sequence[Sequence[float]], sample_weight: Any = ..., *,
    loss: str | None = ..., delta: float | None = ..., quantile: float | None = ...,
    alpha: float | None = ...,
) -> list[Certificate]: ...  # fmt: skip


@overload
def certify(
    estimator: Any, X: Any, y: Sequence[float], sample_weight: Any = ..., *,
    loss: str | None = ..., delta: float | None = ..., quantile: float | None = ...,
    alpha: float | None = ...,
) -> Certificate: ...  # fmt: skip


@overload
def certify(
    estimator: Any, X: Any, y: Any, sample_weight: Any = ..., *,
    loss: str | None = ..., delta: float | None = ..., quantile: float | None = ...,
    alpha: float | None = ...,
) -> Any: ...  # fmt: skip


def certify(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    loss: str | None = None,
    delta: float | None = None,
    quantile: float | None = None,
    alpha: float | None = None,
) -> Any:
    """Prove how far a fitted linear model is from the minimum of its loss.

    Everything is recomputed from the data, ``coef_`` and ``intercept_``, by code that shares
    nothing with the solvers, so that any linear model can be judged when the loss is told. What is
    claimed is true by construction, whatever the data: a feasible dual point is shown to exist, and
    all rounding is bounded.

    Parameters
    ----------
    estimator : object
        A fitted ``LinearRegressor`` or ``LinearRegressorCV``; or any other object with ``coef_``
        and ``intercept_``. If it has ``fit_intercept=False``, so has the problem. A pipeline or a
        search is judged by its last step, on what the steps before make of X.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data it was fitted to; read by blocks of rows, a few times. A sparse X stays sparse,
        unless it has less than about a million entries. What the estimator predicts for the first
        rows, given as they are in X, is compared with the coefficients, unless X is an array and it
        predicts from frames only.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        The targets.
    sample_weight : array-like of shape (n_samples,), float or None, default=None
        The weights of the fit.
    loss : {"mse", "mae", "huber", "quantile"}, optional
        The loss; that of a ``LinearRegressor`` by default, and required for any other estimator.
    delta : float, optional
        The knot of Huber's loss in units of y; that of a ``LinearRegressor``, ``delta * scale_``,
        by default. A scale that was estimated is taken as it is.
    quantile : float, optional
        The level of the quantile loss, between 0 and 1; that of the estimator, which a
        scikit-learn ``QuantileRegressor`` has, too, by default.
    alpha : float, optional
        The strength of the L2 penalty as ``LinearRegressor`` defines it: (alpha / 2) ||b||^2 beside
        the weighted mean of the losses. By default that of a ``LinearRegressor``; that of a
        scikit-learn
        ``Ridge`` or ``RidgeCV`` divided by the sum of the weights; for others 0.

    Returns
    -------
    Certificate
        The proof; a list with one per target, if y has two dimensions.

    Raises
    ------
    ValueError
        If a parameter is not what is allowed or missing, or the data do not fit the estimator; or
        if the estimator's own penalty is not one of this package and ``alpha`` is not given:
        ``alpha=0.0`` judges the loss alone.

    Notes
    -----
    X is never copied, so that it may be larger than memory (``numpy.memmap``); about ten numbers
    are held for each row.

    While it runs BLAS keeps to one thread in the whole process, and threads of its own share the
    rows, as in a fit. The algebra is on the page "The certificate".

    Examples
    --------
    >>> from robustreg import LinearRegressor, certify
    >>> X, y = [[1], [2], [3], [4]], [0.8, 1.5, 1.8, 2.0]
    >>> print(certify(LinearRegressor("mae").fit(X, y), X, y))
    The mae objective 0.125 is the minimum, to rounding, which other coefficients reach too.
    """
    with default_errors():
        estimator, X = last_step(estimator, X)
        X, y, sample_weight = in_memory("a certificate", X, y, sample_weight)
        return _certified(estimator, X, y, sample_weight, loss, delta, quantile, alpha)


def _certified(estimator, X, y, sample_weight, loss, delta, quantile, alpha):
    """What ``certify`` returns for a model and X as it sees it; the arguments are checked here."""
    ours = isinstance(estimator, OURS)
    loss = _loss(estimator, loss, delta)
    level = _level(estimator, loss, quantile)
    check_names(estimator, X)
    # A dense X is read often enough to see what is not finite on the way.
    data, given = (X, y), X
    X, y = validated_pair(*data, **CHECK, ensure_all_finite=hasattr(X, "tocsr"))
    w = parameters.weights(sample_weight, len(y))
    targets = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    if not np.all(np.isfinite(targets)):
        raise ValueError(
            f"y must be finite; got {targets[~np.isfinite(targets)][0]} among its entries."
        )
    coef, intercepts = _coefficients(estimator, X.shape[1], targets.shape[1])
    _check_predictions(estimator, given, X[:SOME].astype(np.float64), coef, intercepts)
    alphas = np.broadcast_to(
        _penalty(estimator, alpha, np.ones(len(y)) if w is None else w), len(coef)
    )
    joint = ours and alpha is None and estimator.scale == "concomitant"
    scales = np.broadcast_to(getattr(estimator, "scale_", 1.0) if ours else 1.0, len(coef))
    if w is not None and not w.all():  # a row of weight zero is absent
        X, targets, w = rows_where(X, w > 0.0), targets[w > 0.0], w[w > 0.0]
    intercept = bool(getattr(estimator, "fit_intercept", True))
    try:
        with one_blas_thread():
            table, flat, certificates = make_table(X, intercept), None, []
            for b, b0, target, strength, s in zip(
                coef, intercepts, targets.T, alphas, scales, strict=True
            ):
                problem = _problem(estimator, loss, delta, level, float(strength), float(s), joint)
                # Beside a loss that vanishes a penalty allows no slopes.
                if s == 0.0 and strength and not joint:
                    flat = flat or make_table(np.zeros((len(target), 0)), intercept)
                    certificates.append(judge(flat, target, w, b[:0], b0, **problem))
                else:
                    certificates.append(judge(table, target, w, b, b0, **problem))
    except NotFiniteError:
        validated_pair(*data, **CHECK)
        raise
    return certificates[0] if np.ndim(y) == 1 else certificates


def check_names(estimator, X) -> None:
    """ValueError if the columns of a frame X have other names than those of the fit."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and hasattr(X, "columns") and list(X.columns) != list(names):
        raise ValueError(
            f"X must have the columns of the fit, {list(names)}; got {list(X.columns)}."
        )


def _loss(estimator, loss, delta):
    """The loss to judge by the name that the proof has for it; ValueError if it or its delta is
    missing or wrong.
    """
    ours = isinstance(estimator, OURS)
    loss = estimator.loss if loss is None and ours else loss
    if loss is None:
        raise ValueError(f"loss must be given for a {type(estimator).__name__}; got None.")
    loss = parameters.loss(loss)
    if delta is not None:
        parameters.number("delta", delta, positive=True)
    elif loss == "huber" and not ours:
        raise ValueError(f"delta must be given for a {type(estimator).__name__}; got None.")
    if loss == "mae" and not ours and getattr(estimator, "quantile", 0.5) != 0.5:
        raise ValueError(
            f"estimator must have quantile=0.5 for loss='mae'; got quantile={estimator.quantile!r}."
        )
    return loss


def _level(estimator, loss, quantile) -> float:
    """The level of the quantile loss, ValueError if it is missing or wrong; 0.5 for others."""
    if quantile is None and loss == "quantile":
        quantile = getattr(estimator, "quantile", None)
        if quantile is None:
            raise ValueError(f"quantile must be given for a {type(estimator).__name__}; got None.")
    return 0.5 if quantile is None else parameters.quantile(quantile, loss)


def last_step(estimator, X, name="estimator", call="certify(estimator, X, y)"):
    """(the fitted linear model, X as it sees it): the last step of a pipeline, the best estimator
    of a search. ``name`` and ``call`` are those of the argument and the function that took it.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    if hasattr(estimator, "steps") and hasattr(estimator, "predict"):
        check_is_fitted(estimator)
        for _, step in estimator.steps[:-1]:
            X = X if step is None or step == "passthrough" else step.transform(X)
        return last_step(estimator.steps[-1][1], X, name, call)
    if not hasattr(estimator, "coef_") or getattr(estimator, "classes_", None) is not None:
        is_class = isinstance(estimator, type)
        if hasattr(estimator, "get_params") and not is_class and not hasattr(estimator, "classes_"):
            check_is_fitted(estimator)
        got = f"the class {estimator.__name__}" if is_class else _called(estimator)
        exchanged = "" if hasattr(estimator, "predict") else f" The order is {call}."
        raise ValueError(
            f"{name} must be a fitted regressor with coef_ and intercept_, or a pipeline that "
            f"ends with one; got {got}.{exchanged}"
        )
    return estimator, X


def _called(value):
    """What to call a value in a message: not all of its entries."""
    shape = getattr(value, "shape", None)
    return f"an object of type {type(value).__name__}" + (
        "" if shape is None else f" and shape {tuple(shape)}"
    )


def _problem(estimator, loss, delta, level, strength, s, joint):
    """What is to be judged: loss and alpha; if delta is not given, those of a scale s that was
    estimated.
    """
    if loss == "huber" and delta is None:
        delta = estimator.delta_ if isinstance(estimator, LinearRegressorCV) else estimator.delta
        delta = parameters.number("delta", delta, positive=True)
        if s > 0.0:
            strength, delta = 0.5 * strength * s if joint else strength, delta * s
        else:
            loss, strength = "mae", 0.5 * strength / delta if joint else 0.0
    return {"loss": loss_of(loss, delta, level), "alpha": strength, "name": loss}


def _coefficients(estimator, n_features, n_targets):
    """coef_ (k, p) and intercept_ (k,) in their own precision."""
    none = None if getattr(estimator, "fit_intercept", True) else 0.0
    coef, intercept = (
        np.asarray(estimator.coef_),
        np.asarray(getattr(estimator, "intercept_", none)),
    )
    for name, value in (("coef_", coef), ("intercept_", intercept)):
        if value.dtype.kind not in "fiu" or not np.all(np.isfinite(value)):
            raise ValueError(
                f"estimator must have real and finite {name}; got "
                f"{getattr(estimator, name, None)!r}."
            )
    if coef.size != n_features * n_targets or intercept.size not in (1, n_targets):
        raise ValueError(
            "estimator must have one coefficient per column of X and target, "
            f"{n_features} x {n_targets}; "
            f"got coef_ of shape {coef.shape} and intercept_ of shape {intercept.shape}."
        )
    coef, intercept = (
        value.astype(np.float64) if value.dtype.kind in "iu" else value
        for value in (coef, intercept)
    )
    return coef.reshape(n_targets, n_features), np.broadcast_to(intercept.ravel(), n_targets)


def _check_predictions(estimator, given, X, coef, intercepts):
    """ValueError if the estimator predicts anything else than X b + b0, as with a link function or
    another X.

    ``given`` is X as it was given; X are some of its rows, as an array or CSR.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of feature names that an array has not
        predicted = _predicted(estimator, given, X)
        if predicted is None:
            return
        predicted = np.asarray(predicted, dtype=np.float64)
        terms = abs(X) @ np.abs(coef).T + np.abs(intercepts)
        off = np.abs(predicted.reshape(terms.shape) - (X @ coef.T + intercepts))
    if np.any(off > UNLIKE * terms):
        raise ValueError(
            "estimator must predict X @ coef_.T + intercept_; a "
            f"{type(estimator).__name__} predicts something else."
        )


def _predicted(estimator, given, X):
    """Predictions for the first rows of ``given``, which X holds as an array or CSR; None where
    there are none.

    The estimator is asked with rows as they were given, for it may need the names of a frame, and
    then with X. Where it accepts neither, its error is raised if a frame was given: it is then the
    frame that is wrong. If not, it may want a frame that the user does not have; the coefficients
    can be judged all the same.
    """
    if not hasattr(estimator, "predict"):
        return None
    if hasattr(given, "tocsr"):  # a sparse X of any format
        given = X
    try:
        return estimator.predict(_safe_indexing(given, np.arange(X.shape[0])))
    except Exception:
        try:
            return estimator.predict(X)
        except Exception:
            pass
        if hasattr(given, "columns"):
            raise
    return None


def _penalty(estimator, alpha, w):
    """alpha as given, or as this package would call the penalty of the estimator."""
    if alpha is not None:
        return parameters.number("alpha", alpha, positive=False)
    if isinstance(estimator, OURS):
        alpha = estimator.alpha_ if isinstance(estimator, LinearRegressorCV) else estimator.alpha
        return parameters.number("alpha", alpha, positive=False)
    own = {
        name: getattr(estimator, name)
        for name in PENALTIES
        if np.any(getattr(estimator, name, 0.0))
    }
    if isinstance(estimator, (Ridge, RidgeCV)):
        return np.asarray(own.get("alpha_", own.get("alpha", 0.0))) / w.sum()
    if own:
        raise ValueError(
            f"alpha must be given for a {type(estimator).__name__} with {own}, whose penalty is "
            "another than "
            "(alpha / 2) ||b||^2; alpha=0.0 judges the loss alone."
        )
    return 0.0
