"""LinearRegressorCV: delta, and alpha, chosen by cross-validation."""

from __future__ import annotations

import numbers
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn import get_config
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import validate_data

from . import parameters
from .data.threads import one_blas_thread
from .linear_regressor import DTYPES, LinearRegressor
from .path import DeltaPath
from .paths.grid import candidates, on_grid
from .paths.selection import chosen, present, results, scores_of, training_sets
from .progress import CallbackSupportMixin, begun, with_callbacks

DELTAS = 20
SCORING = "neg_mean_absolute_error"
FITTED = ("coef_", "intercept_", "objective_", "dual_gap_", "converged_", "unique_", "rank_", "n_iter_",
          "orthogonal_", "scale_", "outliers_")  # fmt: skip


class LinearRegressorCV(CallbackSupportMixin, RegressorMixin, BaseEstimator):
    """Linear regression with delta, and alpha, chosen by cross-validation.

    Every candidate is the exact minimiser that :class:`LinearRegressor` finds. Those that share their rows are
    computed together: all folds and all deltas take a few passes over the data.

    Parameters
    ----------
    loss : {"huber", "mse", "mae"}, default="huber"
        As of :class:`LinearRegressor`. With ``"mse"`` and ``"mae"`` only alpha is chosen.
    deltas : int or array-like of shape (n_deltas,), default=20
        Candidates for delta, or how many: they are then chosen from the data, from nearly the absolute loss, 0.05
        times the scale of the residuals, to least squares.
    alphas : array-like of shape (n_alphas,), default=(0.0,)
        Candidates for the strength of the L2 penalty.
    scale : float or {"mad", "concomitant", "proposal2"}, default=1.0
        What delta is a multiple of, as of :class:`LinearRegressor`.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    cv : int, splitter or iterable, default=None
        How to split into folds: a number of folds (None: 5), a splitter of scikit-learn, or pairs of index arrays
        (train, test).
    scoring : str or callable, default=None
        A scorer, higher is better; None is the negative mean absolute error. See the notes.
    one_standard_error : bool, default=False
        Of all candidates whose mean score is within one standard error of the best take the one with the
        largest alpha and then the largest delta: the most regularised, and the nearest to least squares.
    n_jobs : int or None, default=None
        Number of processes. Within one, fits use threads already.
    max_iter : int, default=1000
        As of :class:`LinearRegressor`.
    tol : float, default=1e-9
        As of :class:`LinearRegressor`.
    verbose : int, default=0
        1 prints a line for each candidate and for each step of the fit to all rows, as :class:`LinearRegressor` does.
        Set 0 is that of all rows, the others are training sets.

    Attributes
    ----------
    delta_ : float
        The delta chosen; only with ``loss="huber"``.
    alpha_ : float
        The alpha chosen.
    best_score_ : float
        Mean score of the candidate chosen.
    cv_results_ : dict of str to array
        For each candidate ``param_delta``, ``param_alpha``, ``params``, ``split0_test_score`` and so on,
        ``mean_test_score``, ``std_test_score`` and ``rank_test_score``: a data frame, once given to pandas. alpha
        is outermost, both ascend.
    path_ : DeltaPath
        All candidates for delta fitted to all rows, for the alpha chosen; only with ``loss="huber"``.
    coef_, intercept_, objective_, dual_gap_, converged_, unique_, rank_, n_iter_, orthogonal_, scale_, outliers_
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
    R2 and the squared error are decided by a few outliers in a validation fold, and so choose a fit that follows
    outliers; the mean absolute error does not. Sample weights are used both for fitting and for scoring.

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
    delta = 0.23, coef = [0.92 1.92 3.14]
    """

    def __init__(
        self,
        loss: str = "huber",
        *,
        deltas: Any = DELTAS,
        alphas: Any = (0.0,),
        scale: float | str = 1.0,
        fit_intercept: bool = True,
        cv: Any = None,
        scoring: Any = None,
        one_standard_error: bool = False,
        n_jobs: int | None = None,
        max_iter: int = 1000,
        tol: float = 1e-9,
        verbose: int = 0,
    ):
        self.loss = loss
        self.deltas = deltas
        self.alphas = alphas
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.one_standard_error = one_standard_error
        self.n_jobs = n_jobs
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose

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
            What the splitter and the scorer ask for, such as ``groups``; only with scikit-learn's metadata routing
            enabled.

        Returns
        -------
        LinearRegressorCV
            The fitted estimator itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter, X, y or sample_weight is not what is allowed; an earlier fit is then left as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If a fit is not certified.
        """
        before = self.__dict__.copy()
        try:
            if not self._fit(X, y, sample_weight, params):
                warnings.warn(
                    "Some fits of the cross-validation are not certified: scores may belong to other coefficients.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        return self

    predict = LinearRegressor.predict

    def get_metadata_routing(self) -> MetadataRouter:
        """Who gets which metadata: the scorer those for ``score``, the splitter those for ``split``.

        Returns
        -------
        MetadataRouter
            As scikit-learn's user guide on metadata routing describes.
        """
        return (
            MetadataRouter(owner=type(self).__name__)
            .add_self_request(self)
            .add(scorer=self._scorer(), method_mapping=MethodMapping().add(caller="fit", callee="score"))
            .add(splitter=check_cv(self.cv), method_mapping=MethodMapping().add(caller="fit", callee="split"))
        )

    def _scorer(self):
        scorer = get_scorer(SCORING if self.scoring is None else self.scoring)
        if self.scoring is None and get_config()["enable_metadata_routing"]:
            scorer.set_score_request(sample_weight=True)
        return scorer

    @with_callbacks
    def _fit(self, X, y, sample_weight, params) -> bool:
        """Whether all fits of the cross-validation are certified."""
        # 1. What was given.
        model = LinearRegressor(
            self.loss, scale=self.scale, fit_intercept=self.fit_intercept, max_iter=self.max_iter, tol=self.tol,
            verbose=self.verbose,
        )  # fmt: skip
        spec, deltas, alphas = self._checked(model)
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=DTYPES, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        w = parameters.weights(sample_weight, len(y))
        splitter, scorer = check_cv(self.cv), None if self.scoring in (None, SCORING) else self._scorer()
        split_params, score_params = self._routed(w, params)
        splits = list(splitter.split(X, y, **split_params))
        sets = [w, *training_sets(splits, w, len(y))]
        n_groups = min(effective_n_jobs(self.n_jobs), len(splits))
        with begun(self, self.verbose, len(alphas) * n_groups + 2) as progress:
            # 2. The candidates, fitted to all rows and to each training set.
            scale, base = self.scale if spec.rule is None else 1.0, None
            with progress.task("candidates", None) as task, one_blas_thread():
                if spec.loss != "huber":
                    deltas = np.ones(1)
                elif isinstance(deltas, int):
                    deltas, base = candidates(*present(X, y, w), replace(spec, tell=task.tell), deltas)
                    deltas = deltas / scale
            groups = [range(1 + i, len(sets), n_groups) for i in range(n_groups)]
            jobs = [(replace(spec, alpha=float(alpha)), group) for alpha in alphas for group in groups]
            tasks = [progress.task(f"alpha {job.alpha:g}", (1 + len(group)) * len(deltas)) for job, group in jobs]
            grids = Parallel(n_jobs=self.n_jobs)(
                delayed(_solved)(X, y, job, deltas * scale, [w, *(sets[s] for s in group)], base, task)
                for (job, group), task in zip(jobs, tasks, strict=True)
            )
            # 3. Their scores, and the choice.
            scores = np.empty((len(splits), len(alphas), len(deltas)))
            for job, (grid, (_, group)) in enumerate(zip(grids, jobs, strict=True)):
                for place, s in enumerate(group, start=1):
                    rows = X, y, splits[s - 1][1]
                    scores[s - 1, job // n_groups] = scores_of(
                        model, scorer, score_params, *rows, grid.coef[place], grid.intercept[place]
                    )
            self.cv_results_ = results(scores, alphas, deltas if spec.loss == "huber" else None)
            a, k = chosen(scores, self.one_standard_error)
            self.alpha_, self.best_score_ = float(alphas[a]), float(scores[:, a, k].mean())
            for name in ("delta_", "path_", "scale_", "outliers_"):
                self.__dict__.pop(name, None)
            if spec.loss == "huber":
                self.delta_, full = float(deltas[k]), grids[a * n_groups]
                self.path_ = DeltaPath(
                    deltas, full.coef[0], full.intercept[0], full.n_outliers, full.objective, full.gap,
                    full.scale[0] * scale, False,
                )  # fmt: skip
            # 4. The fit to all rows.
            model.set_params(alpha=self.alpha_, delta=getattr(self, "delta_", model.delta))
            with progress.handed_to(model):
                model.fit(X, y, sample_weight)
            self.__dict__.update({name: value for name, value in vars(model).items() if name in FITTED})
        return all(bool(grid.exact.all()) for grid in grids)

    def _checked(self, model: LinearRegressor):
        """(specification, deltas (k,) or how many, alphas (k,)), or an error that names the wrong one."""
        spec = model._specification()
        parameters.flag("one_standard_error", self.one_standard_error)
        alphas = np.unique(parameters.vector("alphas", self.alphas, positive=False))
        if isinstance(self.deltas, numbers.Integral):
            deltas = parameters.count("deltas", self.deltas, least=1)
        else:
            deltas = np.unique(parameters.vector("deltas", self.deltas, positive=True))
            parameters.scale(self.scale, spec.loss, float(deltas[0]))
        if spec.loss != "huber" and not (isinstance(deltas, int) and deltas == DELTAS):
            none = f"deltas must be left at {DELTAS} with loss={self.loss!r}, which has no delta to choose"
            raise ValueError(f"{none}; got {self.deltas!r}.")
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
                f"fit takes {names} only with metadata routing: sklearn.set_config(enable_metadata_routing=True). "
                "Or give cv as pairs of index arrays."
            )
        return {}, {} if w is None else {"sample_weight": w}


def _solved(X, y, spec, knots, sets, base, task):
    with task, one_blas_thread():
        return on_grid(X, y, replace(spec, tell=task.tell), knots, sets, None if spec.alpha else base)
