"""The estimator inside scikit-learn's compositions, each with a result that is checked."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from problems import LOSSES, slow
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.ensemble import AdaBoostRegressor, BaggingRegressor, StackingRegressor
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, RANSACRegressor
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from robustreg import LinearRegressor

X, y = load_diabetes(return_X_y=True)


def test_mse_is_linear_regression():
    ours, theirs = LinearRegressor().fit(X, y), LinearRegression().fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y))


@pytest.mark.parametrize("loss", LOSSES)
def test_pipeline_scales_without_changing_the_fit(loss):
    pipeline = make_pipeline(StandardScaler(), LinearRegressor(loss, delta=50.0)).fit(X, y)
    np.testing.assert_allclose(
        pipeline.predict(X), LinearRegressor(loss, delta=50.0).fit(X, y).predict(X), rtol=1e-8
    )


@pytest.mark.parametrize("n_jobs", [1, *slow(2)])
def test_grid_search_over_delta(n_jobs):
    deltas = np.geomspace(1, 300, 8)
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(make_pipeline(StandardScaler(), LinearRegressor("huber")),
                          {"linearregressor__delta": deltas}, cv=folds,
                          scoring="neg_mean_absolute_error", n_jobs=n_jobs).fit(X, y)  # fmt: skip
    by_hand = [
        np.mean([np.abs(y[test] - LinearRegressor("huber", delta=d).fit(X[train], y[train]).predict(X[test])).mean()
                 for train, test in folds.split(X)])
        for d in deltas
    ]  # fmt: skip
    np.testing.assert_allclose(-search.cv_results_["mean_test_score"], by_hand, rtol=1e-9)
    assert search.best_params_["linearregressor__delta"] == deltas[np.argmin(by_hand)]


def test_cross_val_score_over_losses():
    for loss in LOSSES:
        scores = cross_val_score(LinearRegressor(loss, delta=50.0), X, y, cv=5, scoring="r2")
        assert scores.mean() > 0.4


def test_sample_weight_is_routed_through_pipeline_and_grid_search():
    w = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        model = LinearRegressor("mae").set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        scorer = get_scorer("neg_mean_absolute_error").set_score_request(sample_weight=True)
        search = GridSearchCV(pipeline, {"linearregressor__alpha": [0.0]}, cv=3, scoring=scorer)
        search.fit(X, y, sample_weight=w)
    repeat = w.astype(int)
    expected = LinearRegressor("mae").fit(np.repeat(X, repeat, axis=0), np.repeat(y, repeat))
    np.testing.assert_allclose(search.predict(X), expected.predict(X), rtol=1e-8)


def test_transformed_target():
    model = TransformedTargetRegressor(
        LinearRegressor("mae"), func=np.log, inverse_func=np.exp
    ).fit(X, y)
    np.testing.assert_allclose(
        model.predict(X), np.exp(LinearRegressor("mae").fit(X, np.log(y)).predict(X))
    )


def test_stacking():
    stack = StackingRegressor([(loss, LinearRegressor(loss, delta=50.0)) for loss in LOSSES],
                              final_estimator=LinearRegressor("mse", alpha=1.0), cv=3).fit(X, y)  # fmt: skip
    assert stack.score(X, y) > 0.45
    assert stack.final_estimator_.coef_.shape == (3,)


def test_bagging_draws_weights():
    bag = BaggingRegressor(
        LinearRegressor("huber", delta=50.0), n_estimators=5, random_state=0
    ).fit(X, y)
    expected = np.mean([e.predict(X) for e in bag.estimators_], axis=0)
    np.testing.assert_allclose(bag.predict(X), expected)
    assert bag.score(X, y) > 0.45


def test_adaboost():
    boosted = AdaBoostRegressor(LinearRegressor("mae"), n_estimators=5, random_state=0).fit(X, y)
    assert boosted.score(X, y) > 0.4


def test_ransac_finds_the_line_behind_outliers():
    A = np.linspace(0, 1, 50)[:, None]
    b = 3 * A[:, 0] + 1
    b[:15] += 100
    model = RANSACRegressor(estimator=LinearRegressor("mae"), min_samples=2, random_state=0).fit(
        A, b
    )
    np.testing.assert_allclose(model.estimator_.coef_, [3.0], rtol=1e-10)


def test_multi_output_regressor_equals_several_targets():
    Y = np.column_stack([y, -y, X[:, 0] + y])
    np.testing.assert_allclose(MultiOutputRegressor(LinearRegressor("mae")).fit(X, Y).predict(X),
                               LinearRegressor("mae").fit(X, Y).predict(X))  # fmt: skip


def test_sequential_feature_selection_finds_the_columns():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((200, 6))
    b = 3 * A[:, 1] - 2 * A[:, 4] + rng.standard_t(1.5, 200)
    selector = SequentialFeatureSelector(LinearRegressor("mae"), n_features_to_select=2,
                                         scoring="neg_mean_absolute_error").fit(A, b)  # fmt: skip
    assert list(selector.get_support(indices=True)) == [1, 4]


def test_permutation_importance_ranks_columns():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((200, 3))
    b = A @ [0.0, 1.0, 5.0] + rng.standard_normal(200)
    importance = permutation_importance(LinearRegressor("huber").fit(A, b), A, b, random_state=0)
    assert list(np.argsort(importance.importances_mean)) == [0, 1, 2]


def test_column_transformer_on_a_frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.uniform(0, 9, 300), "town": rng.choice(["a", "b", "c"], 300)})
    b = 2 * frame["size"] + frame["town"].map({"a": 0.0, "b": 5.0, "c": 9.0})
    b[:20] += 1000.0
    columns = ColumnTransformer([("n", "passthrough", ["size"]), ("w", OneHotEncoder(), ["town"])])
    model = make_pipeline(columns, LinearRegressor("mae")).fit(frame, b)
    slope, *towns = model[-1].coef_
    np.testing.assert_allclose(
        [slope, towns[1] - towns[0], towns[2] - towns[0]], [2.0, 5.0, 9.0], rtol=1e-10
    )
    assert model[-1].rank_ == 3


@pytest.mark.parametrize("loss", LOSSES)
def test_clone_pickle_joblib(loss, tmp_path):
    model = LinearRegressor(loss, delta=2.0, alpha=0.1).fit(X, y)
    assert clone(model).get_params() == model.get_params()
    joblib.dump(model, tmp_path / "model")
    for copy in [pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model")]:
        np.testing.assert_array_equal(copy.predict(X), model.predict(X))


def test_long_names_mean_the_same():
    for long, short in [("squared_error", "mse"), ("absolute_error", "mae")]:
        np.testing.assert_array_equal(
            LinearRegressor(long).fit(X, y).coef_, LinearRegressor(short).fit(X, y).coef_
        )
