"""Models that are saved predict the same when they are loaded: by later versions, by skops, as
ONNX.
"""

import json
import pickle

import joblib
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import saved_models
import skops.io
from skl2onnx import to_onnx
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import robustreg
from robustreg import (
    LinearRegressor,
    LinearRegressorCV,
    certify,
    delta_path,
    infer,
    quantile_process,
)
from robustreg import saved as module
from robustreg.onnx import register

SAVED = saved_models.FOLDER
VERSIONS = sorted(path.stem for path in SAVED.glob("*.pickle"))
MODEL = "robustreg.linear_regressor.LinearRegressor"
WORK = "robustreg.problem.solution.Work"
TRUSTED = {
    "LinearRegressor": {MODEL, WORK},
    "LinearRegressorCV": {
        "robustreg.linear_regressor_cv.LinearRegressorCV",
        "robustreg.path.DeltaPath",
        WORK,
    },
    "partial_fit": {
        MODEL,
        WORK,
        "robustreg.fitting.running.Running",
        "robustreg.data.moments.Moments",
    },
}


def data(n_targets=0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, 0.0]
    y = X @ rng.standard_normal((3, max(n_targets, 1))) + rng.standard_t(2, (60, max(n_targets, 1)))
    return X, y if n_targets else y[:, 0]


MODELS = {
    "mse": LinearRegressor("mse"),
    "mae": LinearRegressor("mae"),
    "huber": LinearRegressor("huber", delta=0.5),
    "quantile": LinearRegressor("quantile", quantile=0.9),
    "scale": LinearRegressor("huber", scale="concomitant"),
    "penalty": LinearRegressor("mae", alpha=0.1),
    "through_zero": LinearRegressor("mae", fit_intercept=False),
    "cv": LinearRegressorCV(),
}


@pytest.fixture(scope="module", params=VERSIONS)
def stored(request):
    """What a version saved: (models by name, predictions by name)."""
    path = SAVED / request.param
    predicted = json.loads(path.with_name(path.name + ".json").read_text())
    return pickle.loads(path.with_name(path.name + ".pickle").read_bytes()), predicted


def test_there_is_a_file_of_each_version_with_another_second_number():
    major, minor = robustreg.__version__.split(".")[:2]
    assert any(version.startswith(f"{major}.{minor}.") for version in VERSIONS)


def test_models_of_earlier_versions_predict_as_they_did(stored):
    models, predicted = stored
    X, _ = saved_models.data()
    assert set(predicted) == set(models) - {"unfitted"}
    for name, values in predicted.items():
        np.testing.assert_allclose(models[name].predict(X[:5]), values, rtol=1e-14)


def test_models_of_earlier_versions_can_be_fitted_and_asked(stored):
    models, _ = stored
    X, y = saved_models.data()
    for name in ("mse", "mae", "huber", "quantile", "scale", "cv", "unfitted"):
        model = models[name]
        again = clone(model).fit(X, y)
        if name != "unfitted":
            np.testing.assert_allclose(model.coef_, again.coef_, rtol=1e-9)
            assert "iteration" in str(model.work_)
            assert certify(model, X, y).gap <= 1e-9
    whole = LinearRegressor("mse").fit(X, y)
    np.testing.assert_allclose(
        models["batches"].partial_fit(X[30:], y[30:]).coef_, whole.coef_, rtol=1e-9
    )


@pytest.mark.parametrize("saved_by", ["0.2.0", "0.10.0", "1.0.0rc1"])
@pytest.mark.parametrize("model", [LinearRegressor(), LinearRegressorCV()])
def test_a_model_of_a_newer_version_is_refused(monkeypatch, model, saved_by):
    monkeypatch.setattr(module, "__version__", saved_by)
    saved = pickle.dumps(model)
    monkeypatch.setattr(module, "__version__", "0.1.2")
    name = type(model).__name__
    with pytest.raises(ValueError, match=f"This {name} was saved by robustreg {saved_by}, .*0.1.2"):
        pickle.loads(saved)


@pytest.mark.parametrize("installed", ["0.1.0", "0.1.7", "0.2.0", "1.0.0"])
def test_a_model_of_an_older_version_is_read(monkeypatch, installed):
    monkeypatch.setattr(module, "__version__", "0.1.3")
    saved = pickle.dumps(LinearRegressor("mae", alpha=0.5))
    monkeypatch.setattr(module, "__version__", installed)
    loaded = pickle.loads(saved)
    assert loaded.get_params() == LinearRegressor("mae", alpha=0.5).get_params()
    assert vars(loaded) == vars(LinearRegressor("mae", alpha=0.5)), "nothing is left behind"


@pytest.mark.parametrize("name", MODELS)
def test_joblib_gives_back_every_attribute(tmp_path, name):
    X, y = data()
    model = clone(MODELS[name]).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    assert vars(loaded).keys() == vars(model).keys()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_records_can_be_pickled():
    X, y = data()
    model = LinearRegressor("mse").fit(X, y)
    for record in (
        delta_path(X, y),
        quantile_process(X, y),
        infer(model, X, y),
        certify(model, X, y),
    ):
        assert str(pickle.loads(pickle.dumps(record))) == str(record)


@pytest.mark.parametrize("name", MODELS)
def test_skops_needs_to_trust_classes_of_robustreg_only(name):
    X, y = data()
    model = clone(MODELS[name]).fit(X, y)
    written = skops.io.dumps(model)
    trusted = TRUSTED[type(model).__name__]
    assert set(skops.io.get_untrusted_types(data=written)) <= trusted
    loaded = skops.io.loads(written, trusted=sorted(trusted))
    assert vars(loaded).keys() == vars(model).keys()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_skops_goes_on_with_batches(dtype):
    X, y = data()
    X = X.astype(dtype)
    written = skops.io.dumps(LinearRegressor("mse").partial_fit(X[:40], y[:40]))
    trusted = TRUSTED["partial_fit"]
    assert set(skops.io.get_untrusted_types(data=written)) == trusted
    loaded = skops.io.loads(written, trusted=sorted(trusted)).partial_fit(X[40:], y[40:])
    whole = LinearRegressor("mse").fit(X, y)
    assert loaded.coef_.dtype == dtype
    np.testing.assert_allclose(loaded.coef_, whole.coef_, rtol=100 * np.finfo(dtype).eps)


def through_onnx(model, X):
    """What onnxruntime predicts for X, an array or a frame, whose types are those of the graph."""
    register()
    session = onnxruntime.InferenceSession(
        to_onnx(model, X[:1]).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    columns = {name: X[[name]].to_numpy() for name in getattr(X, "columns", ())}
    return session.run(None, columns or {"X": X})[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "n_targets"),
    [(name, k) for name in MODELS for k in (0, 1, 2) if name != "cv" or not k],
)
def test_onnx_predicts_to_rounding(name, n_targets, dtype):
    X, y = data(n_targets)
    model = clone(MODELS[name]).fit(X, y)
    X = X.astype(dtype)
    found = through_onnx(model, X)
    coef = np.atleast_2d(model.coef_).T
    terms = np.abs(X) @ np.abs(coef) + np.abs(model.intercept_)
    assert found.dtype == dtype
    assert found.shape == terms.shape
    off = np.abs(found - (X.astype(np.float64) @ coef + model.intercept_))
    assert np.all(off <= 8 * np.finfo(dtype).eps * terms)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_onnx_of_a_pipeline_with_numbers_and_words(dtype):
    X, y = data()
    frame = pd.DataFrame(X.astype(dtype), columns=["a", "b", "c"])
    frame["word"] = np.resize(np.array(["x", "y", "z"], dtype=object), 60)
    columns = make_column_transformer(
        (StandardScaler(), ["a", "b", "c"]), (OneHotEncoder(handle_unknown="ignore"), ["word"])
    )
    pipeline = make_pipeline(columns, LinearRegressor("huber", delta=0.5, alpha=1e-3))
    predicted = pipeline.fit(frame, y).predict(frame)
    # Whatever the dtype of X, the converter of OneHotEncoder makes the graph float32.
    rounding = 16 * np.finfo(np.float32).eps * np.abs(y).max()
    assert np.all(np.abs(through_onnx(pipeline, frame).ravel() - predicted) <= rounding)
