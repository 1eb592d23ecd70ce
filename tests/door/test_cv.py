"""LinearRegressorCV against GridSearchCV, and what only it does."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from problems import LOSSES, slow
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    get_scorer,
    make_scorer,
    mean_pinball_loss,
    median_absolute_error,
)
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedKFold,
    ShuffleSplit,
    check_cv,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from robustreg import LinearRegressor, LinearRegressorCV, certify, delta_path
from robustreg.paths import grid
from robustreg.paths.selection import chosen

MAE = "neg_mean_absolute_error"


def problem(seed, n=150, p=4):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return (
        X,
        X @ rng.standard_normal(p) + rng.standard_t(1.5, n),
        rng.integers(0, 3, n).astype(float),
    )


def assert_same(ours, search, rtol=1e-9):
    """The scores of all candidates, the choice, and the fit to all rows."""
    theirs = search.cv_results_
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs["mean_test_score"], rtol=rtol
    )
    np.testing.assert_allclose(
        ours.cv_results_["std_test_score"], theirs["std_test_score"], rtol=1e-6, atol=1e-9
    )
    np.testing.assert_array_equal(ours.cv_results_["rank_test_score"], theirs["rank_test_score"])
    assert ours.cv_results_["params"] == theirs["params"]
    assert ours.best_score_ == pytest.approx(search.best_score_, rel=rtol)
    np.testing.assert_allclose(ours.coef_, search.best_estimator_.coef_, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("level", [0.1, 0.75])
def test_a_quantile_is_scored_by_its_own_loss(level, weighted):
    X, y, w = problem(3)
    w = w + 1.0 if weighted else None
    alphas, folds = [1e-3, 0.1, 1.0], KFold(4, shuffle=True, random_state=0)
    ours = LinearRegressorCV("quantile", quantile=level, alphas=alphas, cv=folds).fit(X, y, w)
    scores = np.zeros((4, 3))
    for i, (train, test) in enumerate(folds.split(X)):
        for k, alpha in enumerate(alphas):
            model = LinearRegressor("quantile", quantile=level, alpha=alpha)
            model.fit(X[train], y[train], None if w is None else w[train])
            given = {} if w is None else {"sample_weight": w[test]}
            scores[i, k] = -mean_pinball_loss(y[test], model.predict(X[test]), alpha=level, **given)
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], scores.mean(axis=0), rtol=1e-9)
    assert ours.alpha_ == alphas[np.argmax(scores.mean(axis=0))]
    best = LinearRegressor("quantile", quantile=level, alpha=ours.alpha_).fit(X, y, w)
    np.testing.assert_allclose(ours.coef_, best.coef_, rtol=1e-10)
    assert certify(ours, X, y, w).gap <= 1e-11
    absolute = LinearRegressorCV("quantile", quantile=level, alphas=alphas, cv=folds, scoring=MAE)
    expected = -np.mean(np.abs(y - ours.predict(X)))
    assert absolute.fit(X, y, w).best_score_ == pytest.approx(expected, rel=0.5)
    with pytest.raises(ValueError, match=r"quantile must be 0\.5 with loss='huber'"):
        LinearRegressorCV(quantile=level).fit(X, y)


@pytest.mark.parametrize("seed", [0, 1, *slow(*range(2, 20))])
def test_the_choice_of_GridSearchCV(seed):
    X, y, _ = problem(seed)
    folds = KFold(5, shuffle=True, random_state=seed)
    ours = LinearRegressorCV(cv=folds).fit(X, y)
    search = GridSearchCV(
        LinearRegressor("huber"), {"delta": ours.path_.deltas}, cv=folds, scoring=MAE
    ).fit(X, y)
    assert ours.delta_ == search.best_params_["delta"]
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"], rtol=1e-10
    )


@pytest.mark.parametrize("scale", ["mad", *slow(2.0, "concomitant", "proposal2")])
@pytest.mark.parametrize(
    "scoring", [MAE, "r2", make_scorer(median_absolute_error, greater_is_better=False)]
)
def test_scales_and_scorers(scale, scoring):
    X, y, _ = problem(3, n=90)
    deltas = [1.1, 1.5, 2.0, 5.0]
    ours = LinearRegressorCV(deltas=deltas, scale=scale, scoring=scoring).fit(X, y)
    search = GridSearchCV(
        LinearRegressor("huber", scale=scale), {"delta": deltas}, scoring=scoring
    ).fit(X, y)
    theirs = search.cv_results_
    assert ours.delta_ == search.best_params_["delta"]
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs["mean_test_score"], rtol=1e-8
    )
    assert ours.scale_ == pytest.approx(search.best_estimator_.scale_, rel=1e-9)
    for k, delta in enumerate(deltas):
        one = LinearRegressor("huber", delta=delta, scale=scale).fit(X, y)
        np.testing.assert_allclose(ours.path_.coefs[k], one.coef_, rtol=1e-8)
        assert ours.path_.scales[k] == pytest.approx(one.scale_, rel=1e-8)
        assert ours.path_.n_outliers[k] == one.outliers_.sum()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n_jobs", [None, *slow(2)])
def test_alphas(loss, n_jobs):
    X, y, _ = problem(4, n=60, p=12)
    candidates = {"alpha": [0.0, 0.01, 0.1, 1.0]} | (
        {"delta": [0.5, 1.0, 3.0]} if loss == "huber" else {}
    )
    deltas = {"deltas": candidates["delta"]} if loss == "huber" else {}
    ours = LinearRegressorCV(loss, alphas=candidates["alpha"], **deltas, n_jobs=n_jobs).fit(X, y)
    search = GridSearchCV(LinearRegressor(loss), candidates, scoring=MAE).fit(X, y)
    assert_same(ours, search)
    assert certify(ours, X, y).gap <= 1e-9
    assert ours.alpha_ == search.best_params_["alpha"]
    assert hasattr(ours, "delta_") == hasattr(ours, "path_") == (loss == "huber")


@pytest.mark.parametrize(
    "cv",
    [
        3,
        ShuffleSplit(4, random_state=0),
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        "pairs",
    ],
)
def test_splitters(cv):
    X, y, _ = problem(5)
    if cv == "pairs":
        rng = np.random.default_rng(0)
        cv = [(rng.integers(0, 150, 100), np.arange(50)), (np.arange(50, 150), np.arange(150) < 50)]
    deltas = [0.3, 1.0, 3.0]
    ours = LinearRegressorCV(deltas=deltas, cv=cv).fit(X, y)
    for i, (train, test) in enumerate(check_cv(cv).split(X)):
        for k, delta in enumerate(deltas):
            model = LinearRegressor("huber", delta=delta).fit(X[train], y[train])
            error = -np.abs(y[test] - model.predict(X[test])).mean()
            assert ours.cv_results_[f"split{i}_test_score"][k] == pytest.approx(error, rel=1e-9)


def test_weights_in_fit_and_score():
    X, y, w = problem(6)
    folds, deltas = KFold(4), [0.3, 1.0, 3.0]
    ours = LinearRegressorCV(deltas=deltas, cv=folds).fit(X, y, w)
    for i, (train, test) in enumerate(folds.split(X)):
        for k, delta in enumerate(deltas):
            model = LinearRegressor("huber", delta=delta).fit(X[train], y[train], w[train])
            error = -np.average(np.abs(y[test] - model.predict(X[test])), weights=w[test])
            assert ours.cv_results_[f"split{i}_test_score"][k] == pytest.approx(error, rel=1e-9)
    named = LinearRegressorCV(deltas=deltas, cv=folds, scoring="neg_mean_squared_error").fit(
        X, y, w
    )
    train, test = next(folds.split(X))
    model = LinearRegressor("huber", delta=0.3).fit(X[train], y[train], w[train])
    scorer = get_scorer("neg_mean_squared_error")
    expected = scorer(model, X[test], y[test], sample_weight=w[test])
    assert named.cv_results_["split0_test_score"][0] == pytest.approx(expected, rel=1e-9)


def test_metadata_is_routed():
    X, y, w = problem(7)
    groups = np.arange(150) % 7
    with pytest.raises(ValueError, match="fit takes groups only with metadata routing"):
        LinearRegressorCV(cv=GroupKFold(3)).fit(X, y, groups=groups)
    expected = LinearRegressorCV(cv=list(GroupKFold(3).split(X, y, groups))).fit(X, y, w)
    with sklearn.config_context(enable_metadata_routing=True):
        ours = (
            LinearRegressorCV(cv=GroupKFold(3))
            .set_fit_request(sample_weight=True)
            .fit(X, y, w, groups=groups)
        )
        np.testing.assert_array_equal(
            ours.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
        )
        scorer = get_scorer("neg_mean_squared_error").set_score_request(sample_weight=False)
        plain = LinearRegressorCV(deltas=[1.0], cv=KFold(3), scoring=scorer).set_fit_request(
            sample_weight=True
        )
        train, test = next(KFold(3).split(X))
        model = LinearRegressor("huber", delta=1.0).fit(X[train], y[train], w[train])
        error = -np.mean((y[test] - model.predict(X[test])) ** 2)
        assert plain.fit(X, y, w).cv_results_["split0_test_score"][0] == pytest.approx(
            error, rel=1e-9
        )
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), ours).fit(
            X, y, sample_weight=w, groups=groups
        )
        assert pipeline[-1].delta_ > 0


def test_one_standard_error_takes_the_largest_near_the_best():
    scores = np.zeros((3, 2, 4))
    scores[:, 0] = np.array(
        [[-1.0, -0.8, -0.85, -2.0], [-1.2, -1.0, -1.05, -2.0], [-0.8, -0.6, -0.65, -2.0]]
    )
    scores[:, 1] = scores[:, 0] - 0.06
    scores[:, 1, 2] -= 1.0
    assert chosen(scores, False) == (0, 1)
    assert chosen(scores, True) == (1, 1)  # -0.86 and a standard error of 0.115; (1, 2) is -1.91
    X, y, _ = problem(8)
    best, simple = (
        LinearRegressorCV().fit(X, y),
        LinearRegressorCV(one_standard_error=True).fit(X, y),
    )
    mean = best.cv_results_["mean_test_score"]
    k = int(np.argmax(mean))
    error = np.std(
        [best.cv_results_[f"split{i}_test_score"][k] for i in range(5)], ddof=1
    ) / np.sqrt(5)
    assert simple.delta_ == best.path_.deltas[np.flatnonzero(mean >= mean[k] - error)[-1]]
    assert best.delta_ == best.path_.deltas[k] <= simple.delta_


@pytest.mark.parametrize("n", [442, 10_000])
@pytest.mark.parametrize(
    "parameters", [{}, {"deltas": [0.1, 1.0, 2.0]}, {"deltas": [1.0, 2.0], "alphas": [0.0, 0.1]}]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_folds_share_their_work(n, parameters, weighted, monkeypatch):
    """No fit of its own for a fold or a delta: two to find candidates, or one per alpha to begin
    with.
    """
    X, y, w = problem(11, n=n)
    calls, fit = [], grid.fit
    monkeypatch.setattr(grid, "fit", lambda *arguments: calls.append(1) or fit(*arguments))
    LinearRegressorCV(**parameters).fit(X, y, w if weighted else None)
    assert len(calls) <= 2


def test_what_is_fitted():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = LinearRegressorCV().fit(X, y)
    plain = LinearRegressor("huber", delta=model.delta_).fit(X, y)
    for name in (
        "coef_",
        "intercept_",
        "objective_",
        "dual_gap_",
        "converged_",
        "unique_",
        "rank_",
        "outliers_",
        "scale_",
    ):
        np.testing.assert_array_equal(getattr(model, name), getattr(plain, name))
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    assert list(model.feature_names_in_) == list(X.columns)
    frame = pd.DataFrame(model.cv_results_)
    assert frame.shape == (20, 11)
    assert frame.loc[frame["rank_test_score"] == 1, "param_delta"].item() == model.delta_
    assert certify(model, X, y).gap <= 1e-12
    path = delta_path(X, y, deltas=model.path_.deltas)
    np.testing.assert_allclose(model.path_.coefs, path.coefs, rtol=1e-9)
    np.testing.assert_array_equal(model.path_.n_outliers, path.n_outliers)


def test_candidates_have_the_units_of_y():
    X, y, _ = problem(9)
    plain = LinearRegressorCV().fit(X, y)
    for unit in (1e-9, 1e9):
        model = LinearRegressorCV().fit(X, unit * y)
        assert model.delta_ == pytest.approx(unit * plain.delta_, rel=1e-6)
        np.testing.assert_allclose(model.coef_, unit * plain.coef_, rtol=1e-6)
        relative = LinearRegressorCV(scale="mad", deltas=5).fit(X, unit * y)
        np.testing.assert_allclose(
            relative.path_.deltas, LinearRegressorCV(scale="mad", deltas=5).fit(X, y).path_.deltas
        )
    halves = LinearRegressorCV(scale=0.5).fit(X, y)
    assert (0.5 * halves.delta_, halves.scale_) == (pytest.approx(plain.delta_), 0.5)
    np.testing.assert_allclose(halves.path_.scales, 0.5)
    top = np.abs(y - LinearRegressor("mse").fit(X, y).predict(X)).max()
    assert plain.path_.deltas[-1] == pytest.approx(top, rel=1e-9)
    assert plain.path_.n_outliers[-1] == 0


@pytest.mark.parametrize("p", [48, 60, 85])
def test_candidates_are_never_rounding(p):
    """A fit with the absolute loss goes through p rows: with p > n / 2 their median is rounding."""
    rng = np.random.default_rng(p)
    X, y = rng.standard_normal((100, p)), rng.standard_t(2, 100)
    rows = np.append(np.arange(100), np.arange(50))  # weights count repeats
    deltas = []
    for unit in (np.ones(p), 10.0 ** rng.uniform(-6, 6, p)):
        model = LinearRegressorCV(deltas=4, cv=3).fit(X * unit, y)
        deltas.append(model.path_.deltas)
        deltas.append(LinearRegressorCV(deltas=4, cv=3).fit(X[rows] * unit, y[rows]).path_.deltas)
    weighted = LinearRegressorCV(deltas=4, cv=3).fit(X, y, np.bincount(rows).astype(float))
    np.testing.assert_allclose(deltas[1::2], [weighted.path_.deltas] * 2, rtol=1e-6)
    np.testing.assert_allclose(deltas[0], deltas[2], rtol=1e-6)
    assert 1e-3 < deltas[0][0] < 1.0


def test_candidates_where_all_is_fitted_exactly():
    X, y, _ = problem(3, n=30, p=40)
    assert LinearRegressorCV(deltas=3).fit(X, y).path_.deltas[0] > 1e-3
    assert LinearRegressorCV(deltas=3).fit(X, np.zeros(30)).path_.deltas[0] > 0.0


@pytest.mark.slow
def test_cubes_of_diabetes():
    """The choice among 285 nearly dependent columns of 442 rows, and its proof."""
    X, y = load_diabetes(return_X_y=True)
    X = PolynomialFeatures(3, include_bias=False).fit_transform(X)
    X = StandardScaler().fit_transform(X)
    model = LinearRegressorCV(deltas=5).fit(X, y)
    assert model.path_.deltas[0] > 1.0
    plain = LinearRegressor("huber", delta=model.delta_).fit(X, y)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-9)
    assert certify(model, X, y).gap <= 1e-9


def test_outliers_make_delta_small():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.standard_normal(300)
    clean = LinearRegressorCV(one_standard_error=True).fit(X, y)
    y[:30] += 100.0
    dirty = LinearRegressorCV(cv=KFold(5, shuffle=True, random_state=0)).fit(X, y)
    assert clean.delta_ > 2.0
    assert dirty.delta_ < 2.0
    assert dirty.outliers_[:30].all()


@pytest.mark.slow
def test_folds_whose_minimiser_is_not_unique():
    """Their canonical answer is scored, as everywhere."""
    for seed in range(15):
        rng = np.random.default_rng(seed)
        X, y = rng.integers(-2, 3, (20, 2)).astype(float), rng.integers(-3, 4, 20).astype(float)
        for alpha in (0.0, 10.0):
            ours = LinearRegressorCV(alphas=[alpha], deltas=8, cv=4).fit(X, y)
            model = LinearRegressor("huber", alpha=alpha)
            search = GridSearchCV(model, {"delta": ours.path_.deltas}, cv=4, scoring=MAE).fit(X, y)
            np.testing.assert_allclose(
                ours.cv_results_["mean_test_score"],
                search.cv_results_["mean_test_score"],
                rtol=1e-9,
            )


@pytest.mark.parametrize("size", [1e5, 1e6, 1e8])
def test_a_fold_without_the_row_that_made_a_column_large(size):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((100, 3))
    X[7] *= size
    y = X.sum(axis=1) + rng.standard_normal(100)
    ours = LinearRegressorCV(deltas=[0.1, 1.0, 5.0]).fit(X, y)
    search = GridSearchCV(LinearRegressor("huber"), {"delta": [0.1, 1.0, 5.0]}, scoring=MAE).fit(
        X, y
    )
    np.testing.assert_allclose(
        ours.cv_results_["split0_test_score"], search.cv_results_["split0_test_score"], rtol=1e-9
    )


def test_an_exact_fit_and_constant_targets():
    X = np.arange(40.0).reshape(20, 2) ** 1.5
    for y in (X @ [1.0, 2.0], np.ones(20)):
        model = LinearRegressorCV(deltas=4).fit(X, y)
        np.testing.assert_allclose(model.predict(X), y, rtol=1e-9)


@pytest.mark.parametrize("storage", [sparse.csr_array, np.asfortranarray, np.float32])
def test_storage(storage):
    X, y, _ = problem(10)
    X = np.round(X, 1).astype(np.float32).astype(float)
    plain, other = (
        LinearRegressorCV().fit(X, y),
        LinearRegressorCV(deltas=LinearRegressorCV().fit(X, y).path_.deltas),
    )
    np.testing.assert_allclose(
        other.fit(storage(X), y).cv_results_["mean_test_score"],
        plain.cv_results_["mean_test_score"],
        rtol=1e-5,
    )


@pytest.mark.parametrize("deltas", [4, [0.5], [0.1, 1.0]])
@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_deltas_that_the_loss_does_not_use_are_ignored(loss, deltas):
    X, y, _ = problem(0)
    plain = LinearRegressorCV(loss, alphas=[0.0, 0.1]).fit(X, y)
    model = LinearRegressorCV(loss, alphas=[0.0, 0.1], deltas=deltas).fit(X, y)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    assert model.alpha_ == plain.alpha_
    assert "param_delta" not in model.cv_results_
    assert not hasattr(model, "delta_")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"deltas": 0}, "deltas must be .* or how many, an integer >= 2; got 0"),
        ({"deltas": []}, "deltas must have one dimension and an entry"),
        ({"deltas": [1.0, -2.0]}, r"deltas must hold finite numbers > 0; got -2.0"),
        ({"deltas": [np.nan]}, "deltas must hold finite numbers > 0; got nan"),
        ({"deltas": 1}, r"deltas must be .* got 1 of type int. deltas=\[1\] is one candidate"),
        ({"deltas": 1.0}, r"deltas must be .* got 1.0 .* deltas=\[1.0\] is one candidate"),
        ({"deltas": True}, "deltas must be .*; got True of type bool"),
        ({"deltas": None}, "deltas must be .*; got None"),
        ({"loss": "mae", "deltas": 0}, "deltas must be .*; got 0"),
        ({"loss": "mse", "deltas": [1.0, -2.0]}, r"deltas must hold finite numbers > 0; got -2.0"),
        ({"loss": "mse", "deltas": "many"}, "deltas must be .*; got 'many'"),
        ({"alphas": []}, "alphas must have one dimension and an entry"),
        ({"alphas": [-1.0]}, r"alphas must hold finite numbers >= 0; got -1.0"),
        ({"scale": "iqr"}, "scale must be .*; got 'iqr'"),
        ({"scale": 0.0}, "scale must be .*; got 0.0"),
        (
            {"scale": "concomitant", "deltas": [0.5, 2.0]},
            "delta must be greater than 1 with scale='concomitant'; got 0.5",
        ),
        ({"loss": "mse", "scale": "mad"}, "scale must be 1.0 with loss='mse'"),
        ({"one_standard_error": 1}, "one_standard_error must be True or False; got 1"),
        ({"scoring": "best"}, "'best' is not a valid scoring"),
        ({"alphas": 10}, r"alphas must be .*; got 10 .* alphas=\[10\] is one candidate"),
        ({"cv": 1}, "cv must be an integer >= 2; got 1"),
        ({"cv": 10_000}, "cv must be at most the number of rows; got cv=10000 and n_samples="),
        ({"n_jobs": 0}, "n_jobs must be None or an integer that is not 0; got 0"),
        ({"n_jobs": "all"}, "n_jobs must be an integer; got 'all' of type str"),
    ],
)
def test_bad_parameters(parameters, message):
    X, y, _ = problem(0)
    model = LinearRegressorCV().fit(X, y)
    coef = model.coef_
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(**parameters).fit(X, y)
    assert model.coef_ is coef


def test_folds_without_weight_and_fits_without_proof():
    X, y, _ = problem(0)
    w = np.ones(150)
    w[:30] = 0.0
    with pytest.raises(
        ValueError, match=r"a positive entry in every training and test set; not in 0\."
    ):
        LinearRegressorCV().fit(X, y, w)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = LinearRegressorCV("mae", max_iter=1).fit(X[:, :2], y)
    assert not model.converged_
    assert "fits of the cross-validation are not certified" in str(caught[-1].message)
