"""LinearRegressorCV: delta, and alpha, chosen by cross-validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn import get_config
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, make_scorer, mean_pinball_loss
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed

from . import parameters
from .data.dask import in_memory
from .data.threads import default_errors, one_blas_thread
from .fitting.specification import Specification
from .hints import told_of_unknown
from .inputs import validated
from .linear_regressor import LinearRegressor
from .path import DeltaPath
from .paths.grid import Grid, candidates, on_grid
from .paths.selection import Scoring, chosen, present, results, scores_of, training_sets
from .problem.losses import ABSOLUTE
from .progress import CallbackSupportMixin, begun, with_callbacks
from .saved import with_version, without_version

DELTAS = 20
SCORING = "neg_mean_absolute_error"
FITTED = ("coef_", "intercept_", "objective_", "dual_gap_", "converged_", "unique_", "rank_",
          "n_iter_", "orthogonal_", "work_", "scale_", "outliers_")  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a cross-validation was given: ``deltas`` (k,) or how many, ``alphas`` (k,), weights
    ``w`` (n,) or None,
    the test rows of each fold, the weights of its training set, and how test rows are scored.
    """

    model: LinearRegressor
    spec: Specification
    deltas: Any
    alphas: np.ndarray
    w: np.ndarray | None
    tests: list
    sets: list
    scoring: Scoring


@dataclass(frozen=True, slots=True)
class Job:
    """The candidates of alpha number ``alpha``, for all rows and for the training rows of some
    ``folds``.
    """

    alpha: int
    spec: Specification
    folds: range


class LinearRegressorCV(CallbackSupportMixin, RegressorMixin, BaseEstimator):
    """Linear regression with delta, and alpha, chosen by cross-validation.

    Every candidate is the exact minimiser that :class:`LinearRegressor` finds. Those that share
    their rows are computed together: all folds and all deltas take a few passes over the data.

    Parameters
    ----------
    loss : {"huber", "mse", "mae", "quantile"}, default="huber"
        As of :class:`LinearRegressor`. But for ``"huber"`` only alpha is chosen.
    deltas : int or array-like of shape (n_deltas,), default=20
        Candidates for delta, or how many, at least 2: they are then chosen from the data, from
        nearly the absolute loss, 0.05 times the scale of the residuals, to least squares. A single
        candidate is a list, too: ``[1.0]``. Used by ``loss="huber"`` only.
    alphas : array-like of shape (n_alphas,), default=(0.0,)
        Candidates for the strength of the L2 penalty. With a loss other than ``"huber"`` there is
        nothing to choose unless they are at least two.
    quantile : float, default=0.5
        The level of the quantile that is fitted, as of :class:`LinearRegressor`; it says what is
        wanted, and so is not chosen.
    scale : float or {"mad", "concomitant", "proposal2"}, default=1.0
        What delta is a multiple of, as of :class:`LinearRegressor`.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    cv : int, splitter or iterable, default=None
        How to split into folds: a number of folds (None: 5), a splitter of scikit-learn, or pairs
        of index arrays (train, test).
    scoring : str or callable, default=None
        A scorer, higher is better; None is the negative mean absolute error, and with
        ``loss="quantile"`` the negative mean pinball loss at that level. See the notes.
    one_standard_error : bool, default=False
        Of all candidates whose mean score is within one standard error of the best take the one
        with the largest alpha and then the largest delta: the most regularised, and the nearest to
        least squares.
    n_jobs : int or None, default=None
        Number of processes. Within one, fits use threads already.
    max_iter : int, default=1000
        As of :class:`LinearRegressor`.
    tol : float, default=1e-9
        As of :class:`LinearRegressor`.
    verbose : int, default=0
        1 prints a line for each candidate and for each step of the fit to all rows, as
        :class:`LinearRegressor` does. Set 0 is that of all rows, the others are training sets.

    Attributes
    ----------
    delta_ : float
        The delta chosen; only with ``loss="huber"``.
    alpha_ : float
        The alpha chosen.
    best_score_ : float
        Mean score of the candidate chosen.
    cv_results_ : dict of str to array
        For each candidate ``param_delta``, ``param_alpha``, ``params``, ``split0_test_score`` and
        so on, ``mean_test_score``, ``std_test_score`` and ``rank_test_score``: a data frame, once
        given to pandas. alpha is outermost, both ascend.
    path_ : DeltaPath
        All candidates for delta fitted to all rows, for the alpha chosen; only with
        ``loss="huber"``.
    coef_, intercept_, objective_, dual_gap_, converged_, unique_, rank_, n_iter_, orthogonal_,
    scale_, outliers_
        As of :class:`LinearRegressor` with ``delta_`` and ``alpha_``, fitted to all rows.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of features, where X had names that are all strings.

    See Also
    --------
    LinearRegressor : The same with given delta and alpha.
    delta_path : All solutions, without a choice.
    sklearn.model_selection.GridSearchCV : Chooses any parameter, one fit at a time.

    Notes
    -----
    R2 and the squared error are decided by a few outliers in a validation fold, and so choose a fit
    that follows outliers; the mean absolute error does not. Sample weights are used both for
    fitting and for scoring.

    Threads, BLAS and ``np.errstate``: as of :class:`LinearRegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import LinearRegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 3))
    >>> y = X @ [1.0, 2.0, 3.0] + rng.standard_normal(200)
    >>> y[::10] += 50.0  # gross errors
    >>> model = LinearRegressorCV().fit(X, y)
    >>> print(f"delta = {model.delta_:.2f}, coef =", model.coef_.round(2))
    delta = 0.23, coef = [0.92 1.93 3.14]
    """

    _doc_link_module = LinearRegressor._doc_link_module
    _doc_link_template: Any = LinearRegressor._doc_link_template

    @told_of_unknown
    def __init__(
        self,
        loss: parameters.Loss = "huber",
        *,
        deltas: Any = DELTAS,
        alphas: Any = (0.0,),
        quantile: float = 0.5,
        scale: parameters.Scale = 1.0,
        fit_intercept: bool = True,
        cv: Any = None,
        scoring: Any = None,
        one_standard_error: bool = False,
        n_jobs: int | None = None,
        max_iter: int = 1000,
        tol: float = 1e-9,
        verbose: int = 0,
    ):
        self.loss: parameters.Loss = loss
        self.deltas = deltas
        self.alphas = alphas
        self.quantile = quantile
        self.scale: parameters.Scale = scale
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.n_jobs = n_jobs
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose

    def __getstate__(self):
        return with_version(super().__getstate__())

    def __setstate__(self, state):
        super().__setstate__(without_version(type(self).__name__, state))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> LinearRegressorCV:
        """Choose delta and alpha, and fit to all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weights >= 0, for fitting and scoring. A weight counts repeats.
        **params : dict
            What the splitter and the scorer ask for, such as ``groups``; only with scikit-learn's
            metadata routing enabled.

        Returns
        -------
        LinearRegressorCV
            The fitted estimator itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter, X, y or sample_weight is not what is allowed; an earlier fit is then
            left as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If a fit is not certified.
        UserWarning
            If there is nothing to choose: a loss without a delta, and one candidate for alpha. If
            the estimated scale of the fit to all rows is 0, as of :class:`LinearRegressor`.
        """
        before = self.__dict__.copy()
        try:
            with default_errors():
                model, fitted, certified = self._fit(X, y, sample_weight, params)
        except BaseException:
            self.__dict__ = before
            raise
        model._warn(fitted)  # a warning that is made an error takes nothing back
        if self.loss != "huber" and np.size(self.alphas) == 1:
            warnings.warn(
                f"Nothing was chosen: loss={self.loss!r} has no delta, and alphas={self.alphas!r} "
                "is one candidate. Give several, such as alphas=numpy.logspace(-4, 2, 13).",
                UserWarning,
                stacklevel=2,
            )
        if not certified:
            message = (
                "Some fits of the cross-validation are not certified: scores may belong to other "
                "coefficients."
            )
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
        return self

    predict = LinearRegressor.predict

    def get_metadata_routing(self) -> MetadataRouter:
        """Who gets which metadata: the scorer for ``score``, the splitter for ``split``.

        Returns
        -------
        MetadataRouter
            As scikit-learn's user guide on metadata routing describes.
        """
        return (
            MetadataRouter(owner=type(self).__name__)
            .add_self_request(self)
            .add(
                scorer=self._scorer(),
                method_mapping=MethodMapping().add(caller="fit", callee="score"),
            )
            .add(
                splitter=check_cv(self.cv),
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        )

    def _scorer(self):
        scorer = get_scorer(SCORING if self.scoring is None else self.scoring)
        if self.scoring is None and self.loss == "quantile":
            level: Any = {"alpha": self.quantile}
            scorer = make_scorer(mean_pinball_loss, greater_is_better=False, **level)
        if self.scoring is None and get_config()["enable_metadata_routing"]:
            scorer.set_score_request(sample_weight=True)
        return scorer

    @with_callbacks
    def _fit(self, X, y, sample_weight, params):
        """(the model fitted to all rows, its record, whether all fits of the cross-validation are
        certified).
        """
        X, y, sample_weight = in_memory("cross-validation", X, y, sample_weight)
        given = self._given(X, y, sample_weight, params)
        n_jobs: Any = self.n_jobs  # None is what joblib's context says
        n_groups = min(effective_n_jobs(n_jobs), len(given.tests))
        with begun(self, self.verbose, len(given.alphas) * n_groups + 2) as progress:
            deltas, base = self._candidates(given, progress)
            jobs = _jobs(given, n_groups)
            grids = self._grids(given, jobs, deltas, base, progress)
            scores = _scores(given, jobs, grids, len(deltas))
            self._choose(given, scores, deltas, grids[:: len(jobs) // len(given.alphas)])
            # The fit to all rows.
            model = given.model.set_params(
                alpha=self.alpha_, delta=getattr(self, "delta_", given.model.delta)
            )
            with progress.handed_to(model):
                fitted = model._fit(X, y, sample_weight)
            self.__dict__.update(
                {name: value for name, value in vars(model).items() if name in FITTED}
            )
        return model, fitted, all(bool(grid.exact.all()) for grid in grids)

    def _given(self, X, y, sample_weight, params) -> Given:
        """What was given, checked."""
        model = LinearRegressor(
            self.loss, quantile=self.quantile, scale=self.scale, fit_intercept=self.fit_intercept,
            max_iter=self.max_iter, tol=self.tol, verbose=self.verbose,
        )  # fmt: skip
        spec, deltas, alphas = self._checked(model)
        X, y = validated(self, X, y, accept_sparse="csr", dtype=parameters.DTYPES, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        w = parameters.weights(sample_weight, len(y))
        if isinstance(self.cv, (int, np.integer)) and self.cv > len(y):
            raise ValueError(
                f"cv must be at most the number of rows; got cv={self.cv} and n_samples={len(y)}."
            )
        split_params, score_params = self._routed(w, params)
        cv: Any = self.cv
        splitter: Any = check_cv(cv)
        tests = []

        def splits():  # numbers of training rows are not kept, as they are larger than X may be
            for train, test in splitter.split(X, y, **split_params):
                tests.append(test)
                yield train, test

        sets = list(training_sets(splits(), w, len(y)))
        scorer = None if self.scoring in (None, SCORING) else self._scorer()
        is_pinball = self.scoring is None and self.loss == "quantile"
        scoring = Scoring(model, scorer, score_params, X, y, spec.loss if is_pinball else ABSOLUTE)
        return Given(model, spec, deltas, alphas, w, tests, sets, scoring)

    def _candidates(self, given: Given, progress):
        """(deltas (K,), (b, b0) near all of their fits, or None)."""
        spec, data = given.spec, given.scoring
        with progress.task("candidates", None) as task, one_blas_thread():
            if not spec.has_knots:
                return np.ones(1), None
            if not isinstance(given.deltas, int):
                return given.deltas, None
            rows = present(data.X, data.y, given.w)
            deltas, base = candidates(*rows, replace(spec, tell=task.tell), given.deltas)
            return deltas / self._unit(given), base

    def _grids(self, given: Given, jobs: list[Job], deltas, base, progress) -> list[Grid]:
        """The candidates fitted to all rows and to the training sets of each job."""
        steps = [(1 + len(job.folds)) * len(deltas) for job in jobs]
        tasks = [
            progress.task(f"alpha {job.spec.alpha:g}", n)
            for job, n in zip(jobs, steps, strict=True)
        ]
        knots, data = deltas * self._unit(given), given.scoring
        tasks_of_jobs = (
            (job.spec, [given.w, *(given.sets[fold] for fold in job.folds)], task)
            for job, task in zip(jobs, tasks, strict=True)
        )
        grids: Any = Parallel(n_jobs=self.n_jobs)(
            delayed(_solved)(data.X, data.y, spec, knots, sets, base, task)
            for spec, sets, task in tasks_of_jobs
        )
        return grids

    def _choose(self, given: Given, scores, deltas, of_all_rows: list[Grid]) -> None:
        """Assign the best candidate by scores (n_folds, n_alphas, n_deltas); one grid of all rows
        for each alpha.
        """
        self.cv_results_ = results(scores, given.alphas, deltas if given.spec.has_knots else None)
        a, k = chosen(scores, self.one_standard_error)
        self.alpha_, self.best_score_ = float(given.alphas[a]), float(scores[:, a, k].mean())
        for name in ("delta_", "path_", "scale_", "outliers_"):
            self.__dict__.pop(name, None)
        if given.spec.has_knots:
            self.delta_, grid = float(deltas[k]), of_all_rows[a]
            self.path_ = DeltaPath(
                deltas, grid.coef[0], grid.intercept[0], grid.n_outliers, grid.objective, grid.gap,
                grid.scale[0] * self._unit(given), False,
            )  # fmt: skip

    def _unit(self, given: Given) -> float:
        """What a delta is a multiple of, where that is given."""
        return float(self.scale) if given.spec.rule is None else 1.0

    def _checked(self, model: LinearRegressor):
        """(specification, deltas (k,) or how many, alphas (k,)), or an error that names the wrong
        one.
        """
        spec = model._specification()
        parameters.flag("one_standard_error", self.one_standard_error)
        if isinstance(self.cv, (int, np.integer)):
            parameters.count("cv", self.cv, least=2)
        if self.n_jobs is not None and parameters.count("n_jobs", self.n_jobs, least=None) == 0:
            raise ValueError("n_jobs must be None or an integer that is not 0; got 0.")
        alphas = parameters.candidates("alphas", self.alphas, positive=False)
        deltas = parameters.candidates("deltas", self.deltas, positive=True, or_how_many=True)
        if not isinstance(deltas, int):
            parameters.scale(self.scale, parameters.loss(self.loss), float(deltas[0]))
        return spec, deltas, alphas

    def _routed(self, w, params):
        """(parameters of the splitter, parameters of the scorer)."""
        if get_config()["enable_metadata_routing"]:
            given = params if w is None else params | {"sample_weight": w}
            routed = process_routing(self, "fit", **given)
            return routed.splitter.split, routed.scorer.score
        if params:
            names = ", ".join(sorted(params))
            raise ValueError(
                f"fit takes {names} only with metadata routing: "
                "sklearn.set_config(enable_metadata_routing=True). "
                "Or give cv as pairs of index arrays."
            )
        return {}, {} if w is None else {"sample_weight": w}


def _jobs(given: Given, n_groups: int) -> list[Job]:
    """Every alpha with every group of folds, alpha by alpha."""
    groups = [range(i, len(given.tests), n_groups) for i in range(n_groups)]
    return [Job(a, replace(given.spec, alpha=float(alpha)), group)
            for a, alpha in enumerate(given.alphas) for group in groups]  # fmt: skip


def _scores(given: Given, jobs: list[Job], grids: list[Grid], n_deltas: int) -> np.ndarray:
    """Scores on the test rows of each fold, (n_folds, n_alphas, n_deltas)."""
    scores = np.empty((len(given.tests), len(given.alphas), n_deltas))
    for job, grid in zip(jobs, grids, strict=True):
        # The first set of a grid is that of all rows.
        for place, fold in enumerate(job.folds, start=1):
            test = given.tests[fold]
            scores[fold, job.alpha] = scores_of(
                given.scoring, test, grid.coef[place], grid.intercept[place]
            )
    return scores


def _solved(X, y, spec, knots, sets, base, task):
    with task, default_errors(), one_blas_thread():  # perhaps in another process
        return on_grid(
            X, y, replace(spec, tell=task.tell), knots, sets, None if spec.alpha else base
        )
