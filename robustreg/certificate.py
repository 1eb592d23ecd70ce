"""certify: an independent proof of how far any fitted linear model is from optimal."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.utils.validation import check_is_fitted, check_X_y

from . import parameters
from .linear_regressor import LinearRegressor
from .linear_regressor_cv import LinearRegressorCV
from .proof import Certificate, judge

OURS = (LinearRegressor, LinearRegressorCV)
PENALTIES = ("alpha_", "lambda_", "alpha", "C")  # what fitted estimators call the strength of theirs


def certify(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    loss: str | None = None,
    delta: float | None = None,
    alpha: float | None = None,
) -> Certificate | list[Certificate]:
    """Prove how far a fitted linear model is from the minimum of its loss.

    Everything is recomputed from the data, ``coef_`` and ``intercept_``, by code that shares nothing with
    the solvers, so that other estimators can be judged too: those of scikit-learn with ``coef_``, when
    told the loss.

    Parameters
    ----------
    estimator : estimator
        A fitted ``LinearRegressor`` or ``LinearRegressorCV``, or another fitted linear model with ``coef_`` and
        ``intercept_``. If it has ``fit_intercept=False``, so has the problem.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data it was fitted to. Held several times in memory, as dense float64.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        The targets.
    sample_weight : array-like of shape (n_samples,), float or None, default=None
        The weights of the fit.
    loss : {"mse", "mae", "huber"}, optional
        The loss; that of a ``LinearRegressor`` by default, and required for any other estimator.
    delta : float, optional
        The knot of Huber's loss in units of y; that of a ``LinearRegressor``, ``delta * scale_``, by default. A scale
        that was estimated is taken as it is.
    alpha : float, optional
        The strength of the L2 penalty as ``LinearRegressor`` defines it: (alpha / 2) ||b||^2 beside the
        weighted mean of the losses. By default that of a ``LinearRegressor``; that of a scikit-learn
        ``Ridge`` or ``RidgeCV`` divided by the sum of the weights; for others 0.

    Returns
    -------
    Certificate
        The proof; a list with one per target, if y has two dimensions.

    Raises
    ------
    ValueError
        If a parameter is not what is allowed or missing, or the data do not fit the estimator; or if the
        estimator's own penalty is not one of this package and ``alpha`` is not given: ``alpha=0.0``
        judges the loss alone.

    Examples
    --------
    >>> from robustreg import LinearRegressor, certify
    >>> X, y = [[1], [2], [3], [4]], [0.8, 1.5, 1.8, 2.0]
    >>> print(certify(LinearRegressor("mae").fit(X, y), X, y))
    The mae objective 0.125 is the minimum, to rounding, which other coefficients reach too.
    """
    if not hasattr(estimator, "coef_") or is_classifier(estimator):
        check_is_fitted(estimator)
        raise ValueError(
            f"estimator must be a regressor with coef_ and intercept_; got {type(estimator).__name__}. "
            "Of a pipeline: certify(pipeline[-1], pipeline[:-1].transform(X), y); or best_estimator_ of a search."
        )
    ours = isinstance(estimator, OURS)
    loss = estimator.loss if loss is None and ours else loss
    if loss is None:
        raise ValueError(f"loss must be given for a {type(estimator).__name__}; got None.")
    loss = parameters.LOSSES[parameters.choice("loss", loss, parameters.LOSSES)]
    if loss == "huber" and delta is None and not ours:
        raise ValueError(f"delta must be given for a {type(estimator).__name__}; got None.")
    if loss == "mae" and getattr(estimator, "quantile", 0.5) != 0.5:
        raise ValueError(f"estimator must have quantile=0.5 for loss='mae'; got quantile={estimator.quantile!r}.")
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and hasattr(X, "columns") and list(X.columns) != list(names):
        raise ValueError(f"X must have the columns of the fit, {list(names)}; got {list(X.columns)}.")
    X, y = check_X_y(X, y, accept_sparse="csr", dtype=np.float64, multi_output=True, y_numeric=True)
    X = X.toarray() if hasattr(X, "toarray") else X
    w = parameters.weights(sample_weight, len(y))
    w = np.ones(len(y)) if w is None else w
    targets = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
    coef, intercepts = _coefficients(estimator, X.shape[1], targets.shape[1])
    alphas = np.broadcast_to(_penalty(estimator, alpha, w), len(coef))
    joint = ours and alpha is None and estimator.scale == "concomitant"
    scales = np.broadcast_to(getattr(estimator, "scale_", 1.0) if ours else 1.0, len(coef))
    present = w > 0.0
    # Beside a loss that vanishes with its scale a penalty allows no slopes.
    certificates = [
        judge(
            X[present] * (s > 0.0 or joint or not strength), target[present], w[present], b, b0,
            intercept=bool(getattr(estimator, "fit_intercept", True)),
            **_problem(estimator, loss, delta, float(strength), float(s), joint),
        )
        for b, b0, target, strength, s in zip(coef, intercepts, targets.T, alphas, scales, strict=True)
    ]  # fmt: skip
    return certificates[0] if np.ndim(y) == 1 else certificates


def _problem(estimator, loss, delta, strength, s, joint):
    """What is to be judged: loss, delta and alpha; if they are not given, those of a scale s that was estimated."""
    if loss != "huber":
        return {"loss": loss, "delta": np.inf, "alpha": strength}
    if delta is not None:
        return {"loss": loss, "delta": parameters.number("delta", delta, positive=True), "alpha": strength}
    delta = estimator.delta_ if isinstance(estimator, LinearRegressorCV) else estimator.delta
    delta = parameters.number("delta", delta, positive=True)
    if s > 0.0:
        return {"loss": loss, "delta": delta * s, "alpha": 0.5 * strength * s if joint else strength}
    return {"loss": "mae", "delta": np.inf, "alpha": 0.5 * strength / delta if joint else 0.0}


def _coefficients(estimator, n_features, n_targets):
    """coef_ (k, p) and intercept_ (k,) in their own precision."""
    coef, intercept = np.asarray(estimator.coef_), np.asarray(getattr(estimator, "intercept_", None))
    for name, value in (("coef_", coef), ("intercept_", intercept)):
        if value.dtype.kind not in "fiu" or not np.all(np.isfinite(value)):
            raise ValueError(f"estimator must have real and finite {name}; got {getattr(estimator, name, None)!r}.")
    if coef.size != n_features * n_targets or intercept.size not in (1, n_targets):
        raise ValueError(
            f"estimator must have one coefficient per column of X and target, {n_features} x {n_targets}; "
            f"got coef_ of shape {coef.shape} and intercept_ of shape {intercept.shape}."
        )
    return coef.reshape(n_targets, n_features), np.broadcast_to(intercept.ravel(), n_targets)


def _penalty(estimator, alpha, w):
    """alpha as given, or as this package would call the penalty of the estimator."""
    if alpha is not None:
        return parameters.number("alpha", alpha, positive=False)
    if isinstance(estimator, OURS):
        alpha = estimator.alpha_ if isinstance(estimator, LinearRegressorCV) else estimator.alpha
        return parameters.number("alpha", alpha, positive=False)
    own = {name: getattr(estimator, name) for name in PENALTIES if np.any(getattr(estimator, name, 0.0))}
    if isinstance(estimator, (Ridge, RidgeCV)):
        return np.asarray(own.get("alpha_", own.get("alpha", 0.0))) / w.sum()
    if own:
        raise ValueError(
            f"alpha must be given for a {type(estimator).__name__} with {own}, whose penalty is another than "
            "(alpha / 2) ||b||^2; alpha=0.0 judges the loss alone."
        )
    return 0.0
