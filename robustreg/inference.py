"""infer: how sure the coefficients of a fit are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, overload

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from . import parameters
from .certificate import OURS, check_names, last_step
from .data.arrays import make_source
from .data.blocks import NotFiniteError
from .data.dask import in_memory, is_dask
from .data.source import Refused
from .data.threads import default_errors, one_blas_thread
from .fitting.beyond_memory import few_rows
from .fitting.specification import Specification
from .hints import near
from .inferring import density
from .inferring.bootstrap import Resampling
from .inferring.corner import Smoothing
from .inferring.covariance import COVARIANCES, NEED_ALL_ROWS, SMOOTHED, Asked, found
from .inferring.moments import first_look, is_minimum
from .inferring.record import FittedLine, Inference, WaldTest, intervals
from .inputs import CHECK, validated_pair
from .linear_regressor import LinearRegressor
from .linear_regressor_cv import LinearRegressorCV
from .on_dask import checked_source, checked_table
from .problem.losses import Loss, huber

# What quantreg calls a kind of standard errors, and its name here.
COV_OF_R = {"ker": "kernel", "boot": "bootstrap", "xy": "bootstrap"}

__all__ = ["FittedLine", "Inference", "WaldTest", "infer"]


@overload
def infer(
    model: Any, X: Any, y: Sequence[Sequence[float]], sample_weight: Any = ..., *,
    cov: str | None = ...,
    groups: Any = ..., level: float = ..., n_resamples: int = ..., random_state: Any = ...,
    bandwidth: str = ..., kernel: str | None = ...,
) -> list[Inference]: ...  # fmt: skip


@overload
def infer(
    model: Any, X: Any, y: Sequence[float], sample_weight: Any = ..., *, cov: str | None = ...,
    groups: Any = ..., level: float = ..., n_resamples: int = ..., random_state: Any = ...,
    bandwidth: str = ..., kernel: str | None = ...,
) -> Inference: ...  # fmt: skip


@overload
def infer(
    model: Any, X: Any, y: Any, sample_weight: Any = ..., *, cov: str | None = ...,
    groups: Any = ..., level: float = ..., n_resamples: int = ..., random_state: Any = ...,
    bandwidth: str = ..., kernel: str | None = ...,
) -> Any: ...  # fmt: skip


def infer(
    model: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    cov: str | None = None,
    groups: Any = None,
    level: float = 0.95,
    n_resamples: int = 999,
    random_state: Any = None,
    bandwidth: str = "hall-sheather",
    kernel: str | None = None,
) -> Any:
    """Tell how sure the coefficients of a fit are: standard errors, tests and intervals.

    All is computed from the data and the coefficients, in a few passes over the rows.

    Parameters
    ----------
    model : LinearRegressor or LinearRegressorCV
        Fitted, with ``alpha=0``; or a pipeline or search that ends with one, whose X is what the
        steps before make of it.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data it was fitted to. Those on Dask are read part by part, but for ``"cluster"``,
        ``"bootstrap"``, ``"rank"`` and ``"rank-nid"``, which bring them into memory; ``"iid"``,
        ``"kernel"`` and ``"robust"`` of quantiles bring the residuals.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        The targets.
    sample_weight : array-like of shape (n_samples,), float or None, default=None
        The weights of the fit, which count repeats: 2 is the row twice, in the number of rows, too.
        Weights that are no counts give the standard errors of as many rows as they add up to. With
        each row a group of its own, what they add up to counts in the corrections of few rows only.
    cov : str or None, default=None
        What is assumed of the errors; the page "Standard errors" compares them.

        - ``"mse"``: ``"HC3"`` (default), ``"HC0"``, ``"HC1"``, ``"HC2"``, ``"iid"``, ``"cluster"``,
          ``"bootstrap"``.
        - ``"huber"``: ``"sandwich"`` (default), ``"H1"``, ``"H2"``, ``"H3"`` (as statsmodels),
          ``"MASS"`` (as R's ``rlm``), ``"cluster"``, ``"bootstrap"``.
        - ``"mae"``, ``"quantile"``: ``"nid"`` (default), ``"iid"``, ``"kernel"`` (as R's
          quantreg), ``"robust"`` (as statsmodels), ``"rank"`` and ``"rank-nid"`` (intervals by
          inversion of rank tests, as quantreg; for up to about 10,000 rows), ``"cluster"``,
          ``"bootstrap"``.

        None: with ``groups`` ``"cluster"``; else the default of the loss. It assumes that rows are
        independent, and ``"nid"`` that the neighbouring quantiles are linear in X, too.
    groups : array-like of shape (n_samples,) or None, default=None
        The cluster of each row, any labels: rows of one may depend on each other. Required with
        ``cov="cluster"``; with ``"bootstrap"`` clusters are drawn, and not rows.
    level : float, default=0.95
        The probability with which an interval is to cover its coefficient, between 0 and 1.
    n_resamples : int, default=999
        How many resamples are fitted with ``cov="bootstrap"``.
    random_state : int, RandomState instance or None, default=None
        Draws the resamples; an int for the same ones again.
    bandwidth : {"hall-sheather", "bofinger", "chamberlain"}, default="hall-sheather"
        How many rows beside the fit tell the density of the errors there, with ``"mae"`` and
        ``"quantile"``.
    kernel : {"uniform", "gaussian", "epanechnikov", "biweight", "cosine", "parzen"}, default=None
        The kernel of that density. None: ``"gaussian"`` for ``"kernel"``, ``"uniform"`` for
        ``"cluster"``, ``"epanechnikov"`` for ``"robust"``; and none for ``"iid"``, which then takes
        the slope of the residuals in order, as quantreg does, and with a kernel is that of
        statsmodels. With ``"mae"`` and ``"quantile"`` only.

    Returns
    -------
    Inference
        ``print`` it for a table; a list with one per target, if y has two dimensions.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not what is allowed, or the data are not those of the fit; if the fit has
        a penalty, which moves coefficients away from what they estimate, so that an interval about
        them would not cover it; if there are not more rows than independent columns.

    See Also
    --------
    certify : How far a fit is from optimal.

    Notes
    -----
    Intervals and p-values are of the t distribution, with ``n_samples`` less the number of
    independent columns as degrees of freedom; with clusters, their number less 1.

    Where columns of X are dependent, coefficients that the data do not determine have NaN, and the
    table names them.

    An estimated scale of Huber's loss counts as if it were known: for errors that are symmetric
    about the fit that is right in large samples.

    References
    ----------
    .. [1] J. G. MacKinnon and H. White, "Some Heteroskedasticity-Consistent Covariance Matrix
       Estimators with Improved Finite Sample Properties", J. Econometrics 29 (1985).
    .. [2] P. J. Huber, "Robust Statistics", Wiley (1981), 7.6.
    .. [3] R. Koenker, "Quantile Regression", Cambridge University Press (2005), 3.4.

    Examples
    --------
    >>> from robustreg import LinearRegressor, infer
    >>> X, y = [[1], [2], [3], [4], [5]], [1.1, 1.9, 3.2, 3.8, 5.1]
    >>> table = infer(LinearRegressor().fit(X, y), X, y)
    >>> for name, (low, high) in zip(table.names, table.interval):
    ...     print(f"{name}: {low:.2f} to {high:.2f}")
    intercept: -0.55 to 0.65
    x0: 0.77 to 1.21
    """
    with default_errors():
        smoothing = bandwidth, kernel
        resampling = n_resamples, random_state
        return _inferred(model, X, y, sample_weight, cov, groups, level, smoothing, resampling)


def _inferred(model: Any, X, y, sample_weight, cov, groups, level, smoothing, resampling):
    """What ``infer`` returns for its arguments, which are checked here."""
    given = model
    model, X = last_step(model, X, "model", "infer(model, X, y)")
    loss = _checked_loss(model)
    names = _names(given, model, X)
    how, resampling = _smoothing(*smoothing), _resampling(*resampling)
    steps = _steps(given)
    if is_dask(X) and groups is None:
        asked = _asked(model, loss, cov, None, level, how, resampling)
        if asked.cov not in NEED_ALL_ROWS:
            tables = _on_dask(model, names, X, y, sample_weight, asked)
            return _told(tables, steps, np.ndim(y) == 1)
    X, y, sample_weight, groups = in_memory("infer", X, y, sample_weight, groups)
    data = X, y
    # A dense X is read often enough to see what is not finite on the way.
    seen_on_the_way = not hasattr(X, "tocsr") and sample_weight is None
    X, y = validated_pair(*data, **CHECK, ensure_all_finite=not seen_on_the_way)
    _check_columns(model, X)
    w = parameters.weights(sample_weight, len(y))
    groups = _groups(groups, len(y))
    if w is not None and not w.all():  # a row of weight zero is absent
        kept = w > 0.0
        X, y, w = X[kept], y[kept], w[kept]
        groups = None if groups is None else groups[kept]
    asked = _asked(model, loss, cov, groups, level, how, resampling)
    targets = np.ascontiguousarray(np.asarray(y, dtype=np.float64).T)
    try:
        tables = _of_targets(model, names, make_source(X, targets, w), asked)
    except (Refused, NotFiniteError) as reason:
        validated_pair(*data, **CHECK)
        raise _too_extreme(reason) from None
    return _told(tables, steps, targets.ndim == 1)


def _told(tables: list[Inference], steps: tuple, is_one: bool) -> Any:
    """One inference, or a list of them, that know the ``steps`` before the model."""
    tables = [replace(table, steps=steps) for table in tables]
    return tables[0] if is_one else tables


def _on_dask(model, names, X, y, sample_weight, asked: Asked) -> list[Inference]:
    """The inference for each target, in passes over the parts of X, y and weights."""
    _check_columns(model, X)
    table = checked_table(model, X, y, sample_weight, reset=False)
    source = checked_source(model, table, few_rows)
    try:
        return _of_targets(model, names, source, asked)
    except (Refused, NotFiniteError) as reason:
        raise _too_extreme(reason) from None


def _check_columns(model, X) -> None:
    if X.shape[1] != model.n_features_in_:
        raise ValueError(
            f"X must have the columns of the fit, {model.n_features_in_}; got {X.shape[1]}."
        )


def _too_extreme(reason: Exception) -> ValueError:
    return ValueError(f"X or y is in units too extreme for standard errors: {reason}")


def _of_targets(model, names, source: Any, asked: Asked) -> list[Inference]:
    """The inference for each target of a source."""
    coef = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    if len(coef) != source.n_targets:
        raise ValueError(f"y must have the {len(coef)} targets of the fit; got {source.n_targets}.")
    b0 = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), len(coef))
    with one_blas_thread():
        return [
            _of_target(
                model, names, source.target(k), b, float(c), _loss(model, asked.spec, k), asked
            )
            for k, (b, c) in enumerate(zip(coef, b0, strict=True))
        ]


def _of_target(model, names, source: Any, b, b0: float, loss: Loss, asked: Asked) -> Inference:
    """The inference for the one target of a source."""
    with np.errstate(all="ignore"):
        fit, at_fit = first_look(source, bool(model.fit_intercept), model.rank_, b, b0, loss)
        n, rank = source.weight, fit.at.rank
        if not rank:
            raise ValueError(
                "X must have a column that is not 0, or model an intercept: the data determine no "
                "coefficient."
            )
        if n <= rank:
            counted = "" if source.weight_range is None else ", counted by sample_weight"
            raise ValueError(
                f"X must have more rows than independent columns, {rank} with the intercept; "
                f"got n_samples={n:g}{counted}."
            )
        # The last digits of coefficients in float32 are those of other data.
        if model.coef_.dtype == np.float64 and not is_minimum(source, fit, at_fit):
            raise ValueError(
                "X, y and sample_weight must be those of the fit: the coefficients of model do not "
                "minimise its loss on them."
            )
        seen = found(source, fit, at_fit, asked)
    coef = np.append(b0, b) if model.fit_intercept else b
    df = n - rank if not asked.n_clusters else asked.n_clusters - 1.0
    undetermined = np.any(fit.at.null != 0.0, axis=1)
    std_err, known = seen.std_err.copy(), seen.covariance.copy()
    std_err[undetermined], known[undetermined], known[:, undetermined] = np.nan, np.nan, np.nan
    statistic, p_value, interval = intervals(coef, std_err, df, asked.level)
    if seen.interval is not None:
        interval = np.where(undetermined[:, None], np.nan, seen.interval)
    return Inference(
        names if model.fit_intercept else names[1:],
        coef, std_err, statistic, p_value, interval, known,
        n, n - rank, df, model.loss, asked.cov, asked.level, fit.at.null, seen.covariance,
        bool(model.fit_intercept), _known_names(model),
    )  # fmt: skip


def _checked_loss(model: Any) -> str:
    """The loss of a model; ValueError if it is none of ours, not fitted, or has a penalty."""
    if not isinstance(model, OURS):
        raise ValueError(
            "model must be a LinearRegressor or LinearRegressorCV, or a pipeline that ends with "
            f"one; got a {type(model).__name__}."
        )
    check_is_fitted(model)
    alpha = getattr(model, "alpha_", getattr(model, "alpha", 0.0))
    if np.any(alpha):
        raise ValueError(
            "model must have alpha=0: a penalty moves coefficients towards 0, and intervals about "
            f"them would not cover what they estimate; got alpha={alpha!r}."
        )
    return parameters.loss(model.loss)


def _known_names(model) -> tuple[str, ...] | None:
    """The names of the columns that the model was fitted to; None of an array."""
    known = getattr(model, "feature_names_in_", None)
    return None if known is None else tuple(map(str, known))


def _steps(given) -> tuple:
    """The transformers before the last step of a pipeline, fitted; none of a model."""
    given = getattr(given, "best_estimator_", given)
    if not hasattr(given, "steps"):
        return ()
    before = (step for _, step in given.steps[:-1] if step is not None and step != "passthrough")
    return (*before, *_steps(given.steps[-1][1]))


def _names(given, model, X) -> tuple[str, ...]:
    """The names of the coefficients; ValueError if X has other columns than the fit.

    Of a pipeline whose last step saw none they are those that the steps before give.
    """
    check_names(model, X)
    known = getattr(model, "feature_names_in_", None)
    if known is None:
        known = [f"x{j}" for j in range(model.n_features_in_)]
        with suppress(AttributeError, TypeError, ValueError):  # a step has no names
            pipeline = getattr(given, "best_estimator_", given)
            found = pipeline[:-1].get_feature_names_out()
            known = known if found is None else found
    return ("intercept", *(str(name) for name in known))


def _loss(model, spec: Specification, k: int) -> Loss:
    """The loss of target number k, with the knot that its scale gives."""
    if spec.rule is None:
        return spec.loss
    scale = float(np.atleast_1d(model.scale_)[k])
    if scale == 0.0:
        raise ValueError(
            "model must have a positive scale_: with 0 the coefficients are those of the absolute "
            'loss. Fit loss="mae".'
        )
    return huber(spec.rule.delta * scale)


def _groups(groups, n: int) -> np.ndarray | None:
    """Labels (n,) of the groups that np.unique can sort; ValueError if groups have another shape,
    miss entries, or hold what is no label.
    """
    if groups is None:
        return None
    # Of a list as text NaN would be the label "nan", and 1 the same as "1".
    parameters.refuse_masked("groups", groups)
    found = np.asarray(groups) if hasattr(groups, "dtype") else np.array(groups, dtype=object)
    if found.ndim != 1 or len(found) != n:
        raise ValueError(f"groups must have one entry per row of X, {n}; got shape {found.shape}.")
    labels = found.tolist()
    missing = np.array([parameters.is_missing(value) for value in labels], dtype=bool)
    if missing.any():
        raise ValueError(f"groups must have no missing entries; got {int(missing.sum())} of them.")
    if found.dtype != object:
        return found
    numbers: dict = {}  # text has no order beside numbers
    try:
        return np.array([numbers.setdefault(label, len(numbers)) for label in labels])
    except TypeError:
        raise ValueError("groups must hold labels that can be keys of a dict.") from None


def _asked(model, loss: str, cov, groups, level, how: Smoothing, resampling: Resampling) -> Asked:
    """The options, checked for the loss."""
    names = COVARIANCES[loss]
    if cov is None:
        cov = names[0] if groups is None else "cluster"
    if not isinstance(cov, str) or cov not in names:
        listed = ", ".join(repr(name) for name in names)
        hint = COV_OF_R.get(cov) if isinstance(cov, str) else None
        hint = f" Did you mean {hint!r}?" if hint in names else near(cov, names, " ")
        raise ValueError(f"cov must be one of {listed} with loss={loss!r}; got {cov!r}.{hint}")
    if (groups is None) == (cov == "cluster") and cov != "bootstrap":
        what = "given" if cov == "cluster" else "None"
        raise ValueError(f"groups must be {what} with cov={cov!r}.")
    if how.kernel is not None and (loss in ("mse", "huber") or cov not in SMOOTHED):
        raise ValueError(f"kernel must be None with loss={loss!r} and cov={cov!r}.")
    level = parameters.number("level", level, positive=True)
    if level >= 1.0:
        raise ValueError(
            f"level must be between 0 and 1; got {level!r}.{parameters.per_cent(level)}"
        )
    labels, number = np.unique([] if groups is None else groups, return_inverse=True)
    if groups is not None and len(labels) < 2:
        raise ValueError(f"groups must have at least two groups; got {len(labels)}.")
    return Asked(cov, level, how, number, len(labels), resampling, _specification(model))


def _smoothing(bandwidth, kernel) -> Smoothing:
    parameters.choice("bandwidth", bandwidth, density.BANDWIDTHS)
    if kernel is not None:
        parameters.choice("kernel", kernel, density.KERNELS)
    return Smoothing(bandwidth, kernel)


def _resampling(n_resamples, random_state) -> Resampling:
    n_resamples = parameters.count("n_resamples", n_resamples, least=2)
    seed = check_random_state(random_state).randint(2**31 - 1)
    return Resampling(n_resamples, np.random.default_rng(seed))


def _specification(model) -> Specification:
    """That of the model, or of the best candidate of a search."""
    if isinstance(model, LinearRegressorCV):
        model = LinearRegressor(
            model.loss, delta=getattr(model, "delta_", 1.0), scale=model.scale,
            quantile=model.quantile, fit_intercept=model.fit_intercept,
        )  # fmt: skip
    return model._specification()
