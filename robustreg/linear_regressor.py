"""LinearRegressor: check the parameters, solve, assign."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from . import parameters
from ._version import PAGES
from .data.blocks import NotFiniteError, fitted_values
from .data.dask import in_memory, is_dask, sketch
from .data.dask_lazy import predicted, told_of_rows
from .data.threads import default_errors, one_blas_thread
from .fitting.beyond_memory import fit_beyond_memory, outside, sample_size
from .fitting.fit import fit
from .fitting.running import Running, fit_of
from .fitting.scale import Rule
from .fitting.specification import Fit, Specification
from .hints import only_if, told_of_unknown
from .inputs import CHECK, validated
from .on_dask import checked_source, checked_table
from .problem.losses import ABSOLUTE, SQUARED, huber, pinball
from .problem.solution import Status
from .progress import CallbackSupportMixin, begun, with_callbacks
from .saved import with_version, without_version

DELTA = 1.35
# A share of the rows. Of normal errors 1.35 standard deviations leave 0.18 of them beyond; 0.75 are
# beyond less than a third of a standard deviation. A choice, that leaves out what may be wanted.
MANY_BEYOND = 0.75
ALMOST_ABSOLUTE = (
    "More than three quarters of the rows are beyond delta=1.35, the default, which is in units of "
    "y: this is nearly the fit of the absolute loss. Give delta in units of y; or scale='mad', "
    "which makes delta a multiple of the residuals' scale; or let LinearRegressorCV choose delta."
)


def _adds_up(estimator: LinearRegressor) -> None:
    """AttributeError if a fit needs more than sums over the rows."""
    loss = estimator.loss
    if parameters.LOSSES.get(loss) != "mse":
        raise AttributeError(
            f"partial_fit needs loss='mse', got {loss!r}: sums over the rows decide least squares, "
            "but any row may decide another loss. Fit all rows at once, from disk if need be."
        )


class LinearRegressor(CallbackSupportMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Linear regression under squared, absolute, Huber or quantile loss, solved exactly.

    Minimises over coefficients b and intercept b0::

        (1 / W) sum_i w_i l(y_i - x_i'b - b0) + (alpha / 2) ||b||_2^2,     W = sum_i w_i,

    and proves it: ``dual_gap_`` bounds how far the objective is from its minimum. Where the
    minimiser is not unique, the answer is the one of least ``||b||_2`` and then, if the intercept
    is still free in an interval, the interval's midpoint; it depends neither on the order of the
    rows nor on whether a row is repeated or weighted.

    Parameters
    ----------
    loss : {"mse", "mae", "huber", "quantile"}, default="mse"
        ``"mse"`` (or ``"squared_error"``): r^2 / 2. ``"mae"`` (or ``"absolute_error"``): abs(r).
        ``"huber"``: r^2 / 2 up to ``abs(r) = delta`` and ``delta * (abs(r) - delta / 2)`` beyond.
        ``"quantile"``: ``quantile * r`` for r > 0 and ``(quantile - 1) * r`` for r < 0.
    delta : float, default=1.35
        The residual at which Huber's loss turns from quadratic to linear, in the units of y.
        Positive; in units of ``scale`` if that is another than 1. The default suits errors of a
        standard deviation near 1; a fit warns if more than three quarters of the rows are beyond
        it. Used by ``loss="huber"`` only.
    quantile : float, default=0.5
        The level of the quantile that is fitted, between 0 and 1: the part of the rows below the
        fit. Other than 0.5 with ``loss="quantile"`` only. At 0.5 the coefficients are those of
        ``"mae"``, and ``objective_`` is half of its.
    scale : float or {"mad", "concomitant", "proposal2"}, default=1.0
        What ``delta`` is a multiple of: the knot of Huber's loss is at ``delta * scale_``. A
        positive number is taken as it is, in units of y. The others estimate the scale of the
        residuals together with the coefficients, so that the same ``delta`` fits y in any units:
        ``"mad"`` (the median absolute residual / 0.6745, as ``MASS::rlm`` and statsmodels'
        ``RLM``), ``"concomitant"`` (the minimum over both of the objective of scikit-learn's
        ``HuberRegressor``; needs ``delta > 1``), ``"proposal2"`` (Huber's Proposal 2 with k =
        1.345, as ``MASS::rlm``). Other than 1.0 with ``loss="huber"`` only.
    alpha : float, default=0.0
        Strength of the L2 penalty on the coefficients, at least 0. The intercept is not penalised.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    solver : {"auto", "scipy"}, default="auto"
        ``"auto"``: refined normal equations (mse), Newton's method on active sets (huber),
        smoothing, interior point and crossover (mae, quantile); of many rows only those near a
        knot, once one pass over the data has settled the others and until another has verified it.
        ``"scipy"``: the same problems through ``scipy.linalg.lstsq``, ``scipy.optimize.minimize``
        and ``scipy.optimize.linprog``; slow, for a second opinion.
    max_iter : int, default=1000
        The most iterations of a fit, per target. An exact fit commonly takes 3 to 30; a scale that
        is estimated takes several fits, which share them.
    tol : float, default=1e-9
        The relative duality gap up to which a fit counts as converged. The solvers go on to the
        exact minimiser whatever ``tol`` is.
    warm_start : bool, default=False
        Start from the coefficients of the previous fit. This can save iterations and never changes
        the answer.
    verbose : int, default=0
        1 prints a line for each pass over the data and each iteration: seconds since the fit began,
        how many rows are still open, and the relative gap of the problem that the step solves.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Coefficients, in units of y per unit of the feature. float32 if X is, else float64.
    intercept_ : float or ndarray of shape (n_targets,)
        Intercept, in units of y; 0.0 without one.
    objective_ : float or ndarray of shape (n_targets,)
        The value minimised; with a scale that is estimated, for that scale. With
        ``scale="concomitant"`` it is (1 / W) sum_i w_i (s + s H(r_i / s)) + (alpha / 2) ||b||^2 for
        s = ``scale_``, H(z) = z^2 up to delta and 2 delta abs(z) - delta^2 beyond.
    dual_gap_ : float or ndarray of shape (n_targets,)
        (P - D) / P, where P is ``objective_`` and D the value of a feasible point of the Fenchel
        dual, less what rounding of the residuals explains where rows are few: 0.0, or 1e-11 and
        less on many rows, means that float64 cannot show any excess over the minimum. Outliers very
        far away do not count in P, so that they cannot hide the others. It belongs to the float64
        solution, before a rounding to float32. How far ``scale_`` is from the scale of the
        residuals, relative to it, is added.
    converged_ : bool
        Whether ``dual_gap_ <= tol`` and the canonical minimiser was found, for every target.
    unique_ : bool
        Whether the minimiser is unique, for every target.
    rank_ : int
        Number of linearly independent columns of X (centred, if there is an intercept), decided on
        columns of equal size; a direction that only the last place of the numbers makes does not
        count.
    n_iter_ : int
        Iterations of the slowest target, from 1 to ``max_iter``.
    orthogonal_ : bool
        Whether the columns were so nearly dependent that an orthogonal factorisation was used.
    scale_ : float or ndarray of shape (n_targets,)
        The scale, given or estimated, in units of y; 0.0 where so many rows can be fitted exactly
        that none is left. Only with ``loss="huber"``.
    outliers_ : ndarray of bool of shape (n_samples,) or (n_samples, n_targets)
        Rows of the training data with ``abs(residual) > delta * scale_``. Only with
        ``loss="huber"``. For X on Dask it is a lazy Dask array with the chunks of X.
    work_ : Work
        What the fit took, a record; ``print(model.work_)`` is a sentence. ``way`` is "passes" (over
        the rows), "direct" (all rows in memory), "scipy" or "sums" (``partial_fit``); ``n_passes``
        over all rows; ``n_kept``, the most rows kept open in passes; ``n_fixups``, rounds in which
        rows were found that had been settled wrongly; ``n_iter`` as ``n_iter_``; ``refused``, why
        passes could not solve the problem; ``left_out``, directions of X too small for float64,
        though not dependent; ``n_repeats``, repeated rows, X and y alike, that were merged;
        ``digits`` that are right, where ``partial_fit`` knows of less than ten; ``gathered``,
        whether rows on Dask were brought into memory, as they were few.
    n_features_in_ : int
        Number of features seen by ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X had names that are all strings.

    See Also
    --------
    certify : An independent proof of how far a fit is from optimal.
    sklearn.linear_model.LinearRegression : Least squares.
    sklearn.linear_model.HuberRegressor : Huber's loss with a jointly estimated scale.
    quantile_process : Many levels of a quantile at once.
    sklearn.linear_model.QuantileRegressor : Quantile loss by linear programming.

    Notes
    -----
    Dense X are read in two or three passes by as many threads as BLAS would use (``threadpoolctl``
    and joblib set both), without a copy, in any memory order and of any dtype, so that X may be a
    file larger than memory (``numpy.memmap``, ``numpy.load(mmap_mode="r")``). The number of
    threads does not change a single bit of the answer, nor does ``np.errstate``.

    X on Dask is read part by part in three passes: one looks at every row, checks it and draws a
    sample, the others are those above. A pass is one ``dask.compute`` with a task for each part, on
    the scheduler or client in use. Small arrays alone come back: the rows near a knot, and sums.
    The same chunks give the same bits on any number of workers. Parts are read again in each pass,
    so that ``X.persist()`` pays where the cluster's memory has room for them. A scale that is
    estimated takes three passes for each of about five fits. Up to 4 million entries of X, and
    where passes cannot solve the problem, all rows are brought into memory, if it has room.

    While a fit runs BLAS keeps to one thread, with most builds (that of NumPy's wheels is one) in
    the whole process: matrix products in other threads of a server take longer meanwhile, unless
    fits have a process of their own.

    With scikit-learn 1.9 or later, callbacks such as ``sklearn.callback.ProgressBar`` hear of the
    same steps as ``verbose`` prints: ``set_callbacks(ProgressBar())``. It needs rich, and in a
    notebook ipywidgets: ``pip install "robustreg[progress]"``. A fit ends where it is exact,
    whatever they ask.

    References
    ----------
    .. [1] P. J. Huber, "Robust Estimation of a Location Parameter", Ann. Math. Statist. 35 (1964).
    .. [2] S. Portnoy and R. Koenker, "The Gaussian Hare and the Laplacian Tortoise", Statist. Sci.
       12 (1997).
    .. [3] R. Koenker and G. Bassett, "Regression Quantiles", Econometrica 46 (1978).
    .. [4] K. Madsen and H. B. Nielsen, "Finite algorithms for robust linear regression", BIT 30
       (1990).

    Examples
    --------
    >>> from robustreg import LinearRegressor
    >>> X, y = [[1], [2], [3], [4]], [0.8, 1.5, 1.8, 2.0]
    >>> model = LinearRegressor(loss="mse").fit(X, y)
    >>> print(f"{model.coef_[0]:.2f} x + {model.intercept_:.2f}")
    0.39 x + 0.55
    """

    # The box in a notebook links to the page of the class.
    _doc_link_module = "robustreg"
    _doc_link_template: Any = PAGES + "api/robustreg.{estimator_name}.html"

    @told_of_unknown
    def __init__(
        self,
        loss: parameters.Loss = "mse",
        *,
        delta: float = DELTA,
        quantile: float = 0.5,
        scale: parameters.Scale = 1.0,
        alpha: float = 0.0,
        fit_intercept: bool = True,
        solver: parameters.Solver = "auto",
        max_iter: int = 1000,
        tol: float = 1e-9,
        warm_start: bool = False,
        verbose: int = 0,
    ):
        self.loss = loss
        self.delta = delta
        self.quantile = quantile
        self.scale = scale
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def __getstate__(self):
        return with_version(super().__getstate__())

    def __setstate__(self, state):
        super().__setstate__(without_version(type(self).__name__, state))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearRegressor:
        """Fit to training data; neither X, y nor sample_weight is changed.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask array or frame} of shape (n_samples, n_features)
            Features: an array, a frame, or a SciPy sparse matrix or array; or a Dask array, of
            dense or sparse chunks, or a Dask frame, which are read part by part.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets. For X on Dask they may be on Dask or in memory.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weights >= 0, on Dask or in memory. A weight counts repeats: 2 is the row twice, 0 the
            row absent.

        Returns
        -------
        LinearRegressor
            The fitted estimator itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter, X, y or sample_weight is not what is allowed, or X on Dask has too many
            rows for memory and cannot be fitted in passes; an earlier fit is then left as it was.
        MemoryError
            If X has so many columns that a matrix with a number for each two of them is too large.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If ``dual_gap_ > tol``, if the canonical one of several minimisers was not found, no
            scale that fits, or none before ``max_iter`` was reached.
        UserWarning
            If the estimated scale is 0: the coefficients are then those of the absolute loss. If
            more than three quarters of the rows are beyond ``delta=1.35`` with ``scale=1.0``, the
            defaults; of X on Dask that is not told.
        """
        with self._as_before_if_it_fails():
            fitted = self._fit(X, y, sample_weight)
            self.__dict__.pop("_running", None)  # the rows of partial_fit are forgotten
        self._warn(fitted)  # a warning that is made an error takes nothing back
        self._warn_of_the_default(sample_weight)
        return self

    @only_if(_adds_up)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearRegressor:
        """Fit to these rows and those of all earlier calls; for ``loss="mse"`` only.

        However the rows are split, and in whatever order they come, the fit is that of all of them:
        what is kept is not the rows but their moments, of as many numbers as there are pairs of
        columns, and each call solves for the exact minimiser again.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Some of the rows, at least one; the first call fixes the columns. A sparse X is made
            dense by blocks.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Their targets; the first call fixes how many.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weights >= 0. A weight counts repeats: 2 is the row twice, 0 the row absent. All rows of
            a batch may be absent, but not of the first.

        Returns
        -------
        LinearRegressor
            The fitted estimator itself.

        Raises
        ------
        AttributeError
            If ``loss`` is not ``"mse"``.
        ValueError, TypeError
            If a parameter, X, y or sample_weight is not what is allowed, or not as in the first
            call; earlier calls then count as before.
        MemoryError
            If X has so many columns that a matrix with a number for each two of them is too large.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If ``dual_gap_ > tol``; or if the columns are so nearly dependent that directions of X
            were left out, and the objective could be lowered in them by more than ``tol``.

        See Also
        --------
        fit : The fit of rows that can be read at once; it forgets those of ``partial_fit``.

        Notes
        -----
        Coefficients have the digits of a QR factorisation of all rows: 16, less a digit for each
        decade by which columns are nearly dependent, and half of one for each decade of calls.
        Where less than ten are left ``work_.digits`` has their number, and ``print(model.work_)``
        says so; ``fit`` finds more of them.

        ``alpha`` and ``fit_intercept`` may be changed between calls; ``solver``, ``max_iter``,
        ``warm_start`` and ``verbose`` change nothing here.

        Examples
        --------
        >>> from robustreg import LinearRegressor
        >>> model = LinearRegressor("mse").partial_fit([[1], [2]], [0.8, 1.5])
        >>> model = model.partial_fit([[3], [4]], [1.8, 2.0])
        >>> print(f"{model.coef_[0]:.2f} x + {model.intercept_:.2f}")
        0.39 x + 0.55
        """
        with self._as_before_if_it_fails():
            fitted = self._partial_fit(X, y, sample_weight)
        self._warn(fitted)
        return self

    @contextmanager
    def _as_before_if_it_fails(self) -> Iterator[None]:
        before = self.__dict__.copy()
        try:
            with default_errors():
                yield
        except BaseException:
            self.__dict__ = before
            raise

    @with_callbacks
    def _fit(self, X, y, sample_weight) -> Fit:
        spec = self._specification()
        if is_dask(X):
            return self._fit_dask(X, y, sample_weight, spec)
        data = X, y
        # A dense X is read often enough to see what is not finite on the way.
        checked: Any = validated(self, *data, **CHECK, ensure_all_finite=hasattr(X, "tocsr"))
        X, y = checked
        w = parameters.weights(sample_weight, X.shape[0])
        y = np.asarray(y, dtype=np.float64)
        try:
            with begun(self, self.verbose) as progress, one_blas_thread():
                spec = replace(spec, tell=progress.tell)
                fitted = fit(X, y.reshape(len(y), -1), w, spec, self._start_of(y.shape[1:]))
                progress.end(fitted.work)
        except NotFiniteError:
            validated(self, *data, **CHECK)
            raise
        self._assign(fitted, X.dtype, y.ndim, spec.has_knots)
        return fitted

    def _partial_fit(self, X, y, sample_weight) -> Fit:
        _adds_up(self)
        spec, running = self._specification(), getattr(self, "_running", None)
        X, y, sample_weight = in_memory("partial_fit", X, y, sample_weight)
        checked: Any = validated(self, X, y, **CHECK, reset=running is None)
        X, y = checked
        w = parameters.weights(sample_weight, X.shape[0], or_none=running is not None)
        y = np.asarray(y, dtype=np.float64)
        if running is not None and y.shape[1:] != running.y_shape:
            raise ValueError(
                f"y must have the targets of the first call, of shape (n_samples, "
                f"{', '.join(map(str, running.y_shape))}); got shape {y.shape}."
            )
        with one_blas_thread():
            running = Running.of(X, y, w) if running is None else running.with_rows(X, y, w)
            fitted = fit_of(running, spec)
        self._assign(fitted, np.dtype(running.dtype), y.ndim, spec.has_knots)
        self._running = running
        return fitted

    def _fit_dask(self, X, y, sample_weight, spec: Specification) -> Fit:
        """The same for X on Dask, of which this sees no rows."""
        table = checked_table(self, X, y, sample_weight, reset=True)
        with begun(self, self.verbose) as progress, one_blas_thread():
            spec = replace(spec, tell=progress.tell)
            source = checked_source(self, table, sample_size(spec.loss))
            if spec.tell:
                spec.tell("pass 1: look", source.n_rows)
            found = fit_beyond_memory(source, spec, self._start_of(table.layout.y_shape))
            progress.end(found.work)
        self._assign(found, table.layout.dtype, 1 + len(table.layout.y_shape), spec.has_knots)
        if spec.has_knots:
            told = outside, found.coef, found.intercept, found.losses
            self.outliers_ = told_of_rows(table, source.lengths, *told)
        return found

    def predict(self, X: Any) -> Any:
        """Predicted targets.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask array or frame} of shape (n_samples, n_features)
            Features, with the same columns as in ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            ``X @ coef_.T + intercept_``, in units of y. For X on Dask it is lazy, with the chunks
            of X; for a frame a series or frame with its index.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If X has other columns than in ``fit``, or is not finite.
        """
        check_is_fitted(self)
        check = {"accept_sparse": "csr", "dtype": parameters.DTYPES, "reset": False}
        if is_dask(X):
            empty: Any = validated(self, sketch(X), **check, ensure_min_samples=0)
            return predicted(X, empty.dtype, self.coef_, self.intercept_)
        # A dense X is read once, by blocks of rows.
        checked: Any = validated(self, X, **check, ensure_all_finite=hasattr(X, "tocsr"))
        try:
            return fitted_values(checked, self.coef_, self.intercept_)
        except NotFiniteError:
            validated(self, X, **check)
            raise

    def _specification(self) -> Specification:
        """The parameters, checked; ValueError or TypeError names the first that is wrong."""
        parameters.flag("warm_start", self.warm_start)
        loss = parameters.loss(self.loss)
        parameters.count("verbose", self.verbose, least=0)
        delta = parameters.number("delta", self.delta, positive=True)
        level = parameters.quantile(self.quantile, loss)
        scale = parameters.scale(self.scale, loss, delta)
        knot = delta if isinstance(scale, str) else delta * scale
        losses = {"mse": SQUARED, "mae": ABSOLUTE, "huber": huber(knot), "quantile": pinball(level)}
        return Specification(
            loss=losses[loss],
            rule=Rule(scale, delta) if isinstance(scale, str) else None,
            alpha=parameters.number("alpha", self.alpha, positive=False),
            fit_intercept=parameters.flag("fit_intercept", self.fit_intercept),
            solver=parameters.choice("solver", self.solver, parameters.SOLVERS),
            max_iter=parameters.count("max_iter", self.max_iter, least=1),
            tol=parameters.number("tol", self.tol, positive=True),
        )

    def _start_of(self, y_shape: tuple[int, ...]):
        """(coef (k, p), intercept (k,)) of the last fit for a warm start of y (n, *y_shape), or
        None.
        """
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        shape = (prod(y_shape), getattr(self, "n_features_in_", 0))
        coef = np.atleast_2d(np.asarray(self.coef_, dtype=np.float64))
        intercept = np.broadcast_to(np.atleast_1d(self.intercept_), coef.shape[:1])
        return (coef, intercept) if coef.shape == shape else None

    def _assign(self, fitted: Fit, dtype, y_ndim: int, has_knots: bool) -> None:
        """Fitted attributes from a record; one target given as a vector loses its axis."""
        dtype = np.float32 if dtype.newbyteorder("=") == np.float32 else np.float64
        one = y_ndim == 1
        self.coef_ = parameters.in_dtype(dtype, fitted.coef[0] if one else fitted.coef)
        self.intercept_ = parameters.in_dtype(
            dtype, fitted.intercept[0] if one else fitted.intercept
        )
        self.objective_ = float(fitted.objective[0]) if one else fitted.objective
        self.dual_gap_ = float(fitted.gap[0]) if one else fitted.gap
        self.converged_ = fitted.statuses <= {Status.EXACT, Status.NO_SCALE} and bool(
            np.all(fitted.gap <= self.tol)
        )
        self.unique_ = fitted.unique
        self.rank_ = fitted.rank
        self.n_iter_ = fitted.n_iter
        self.orthogonal_ = fitted.orthogonal
        self.work_ = fitted.work
        for name in ("outliers_", "scale_"):
            self.__dict__.pop(name, None)
        if fitted.outliers is not None:
            self.outliers_ = fitted.outliers[:, 0] if one else fitted.outliers
        if has_knots:
            scale = (
                np.full(len(fitted.gap), float(self.scale))
                if fitted.scale is None
                else fitted.scale
            )
            self.scale_ = float(scale[0]) if one else scale

    def _warn_of_the_default(self, sample_weight) -> None:
        """Warn if delta and scale were left alone, and do not fit the units of y."""
        outliers = getattr(self, "outliers_", None)
        left_alone = self.delta == DELTA and self.scale == 1.0
        if not left_alone or not isinstance(outliers, np.ndarray):
            return
        with default_errors():
            w = parameters.weights(sample_weight, len(outliers))
            w = np.ones(len(outliers)) if w is None else w / w.max()  # a sum may overflow
            share = np.max(np.average(outliers, axis=0, weights=w))
        if share > MANY_BEYOND:
            warnings.warn(ALMOST_ABSOLUTE, UserWarning, stacklevel=3)

    def _warn(self, fitted: Fit) -> None:
        for status in fitted.statuses - {Status.EXACT, Status.NO_SCALE}:
            message = f"{status.value} dual_gap_={np.max(fitted.gap):.3g}, tol={self.tol:g}."
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        if Status.NO_SCALE in fitted.statuses:
            warnings.warn(Status.NO_SCALE.value, UserWarning, stacklevel=3)
