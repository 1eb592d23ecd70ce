"""Displays: the numbers first, then labels and legends of what is drawn."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import (
    CoefficientsDisplay,
    DeltaPathDisplay,
    FitDisplay,
    LinearRegressor,
    LinearRegressorCV,
    LossDisplay,
    ResidualsDisplay,
    delta_path,
    infer,
)

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_losses_by_their_formulas():
    display = LossDisplay.from_delta(2.0, plot=False)
    r = display.residual
    assert (r[0], r[-1]) == (-6.0, 6.0)
    np.testing.assert_allclose(display.loss["mse"], r**2 / 2)
    np.testing.assert_allclose(display.loss["mae"], 2.0 * np.abs(r))
    np.testing.assert_allclose(
        display.loss["huber"], np.where(np.abs(r) <= 2, r**2 / 2, 2 * np.abs(r) - 2)
    )
    np.testing.assert_allclose(display.slope["mae"], 2.0 * np.sign(r))
    np.testing.assert_allclose(display.slope["huber"], np.clip(r, -2, 2))
    assert not hasattr(display, "ax_")
    assert display.plot() is display
    assert labels(display.ax_[0]) == ["mse", "mae, times delta", "huber"]
    assert display.ax_[0].get_xlabel() == "residual (units of y)"
    assert [line.get_linestyle() for line in display.ax_[1].lines[:3]] == ["-", "--", "-."]


def test_losses_over_the_residuals_of_a_fit():
    X, y = load_diabetes(return_X_y=True)
    model = LinearRegressor("huber", scale="mad").fit(X, y)
    display = LossDisplay.from_estimator(model, X, y)
    np.testing.assert_allclose(display.rug, y - model.predict(X))
    assert display.delta == pytest.approx(1.35 * model.scale_)
    assert display.figure_ is display.ax_[0].figure


def test_residuals_and_those_beyond():
    X, y = load_diabetes(return_X_y=True)
    model = LinearRegressor("huber", delta=50.0).fit(X, y)
    display = ResidualsDisplay.from_estimator(model, X, y)
    np.testing.assert_array_equal(display.beyond, model.outliers_)
    np.testing.assert_allclose(display.residual, y - model.predict(X))
    assert labels(display.ax_[0]) == [f"{model.outliers_.sum()} of 442 beyond delta"]
    assert display.ax_[0].get_ylabel() == "residual (units of y)"
    assert display.ax_[1].get_xlabel() == "quantile of the normal distribution"


@pytest.mark.parametrize(
    ("name", "distribution"), [("normal", stats.norm), ("laplace", stats.laplace)]
)
def test_quantiles(name, distribution):
    y = distribution.ppf((np.arange(500) + 0.5) / 500)
    display = ResidualsDisplay.from_predictions(
        3.0 * y, np.zeros(500), distribution=name, plot=False
    )
    np.testing.assert_allclose(display.theoretical, y, atol=1e-12)
    np.testing.assert_allclose(display.observed, 3.0 * y, atol=1e-12)


def test_one_row_and_a_million():
    one = ResidualsDisplay.from_predictions([1.0], [2.0], delta=0.5)
    assert (one.n_samples, one.n_beyond) == (1, 1)
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal(10**6), rng.standard_t(2, 10**6)
    display = ResidualsDisplay.from_predictions(x + noise, x, delta=3.0)
    display.figure_.canvas.draw()
    assert len(display.residual) < 6000
    assert display.n_beyond == np.count_nonzero(np.abs(noise) > 3.0)
    assert np.abs(display.residual).max() == pytest.approx(np.abs(noise).max())


def test_the_path_and_its_outliers():
    X, y = load_diabetes(return_X_y=True)
    path = delta_path(X, y)
    display = DeltaPathDisplay.from_path(path)
    for k in range(0, len(display.deltas), 50):
        np.testing.assert_allclose(display.coefs[k], path(display.deltas[k])[0])
    np.testing.assert_array_equal(display.n_outliers, path.n_outliers[-len(display.knots) :])
    assert len(display.ax_) == 2
    assert display.ax_[0].get_xscale() == "log"
    assert labels(display.ax_[0]) == [f"x{j}" for j in range(10)]
    assert display.ax_[-1].get_xlabel() == "delta"
    grid = DeltaPathDisplay.from_path(
        delta_path(X, y, deltas=[10.0, 50.0]), feature_names=list("abcdefghij")
    )
    np.testing.assert_array_equal(grid.deltas, [10.0, 50.0])
    assert labels(grid.ax_[0]) == list("abcdefghij")


def test_the_number_beyond_is_drawn_where_it_holds():
    X, y = load_diabetes(return_X_y=True)
    path = delta_path(X, y)
    (line,) = DeltaPathDisplay.from_path(path).ax_[1].lines
    assert line.get_drawstyle() == "steps-post"
    knots, drawn = line.get_data()
    middle = 0.5 * (knots[1:] + knots[:-1])
    coefs, intercepts = path(middle)
    beyond = np.sum(np.abs(y - coefs @ X.T - intercepts[:, None]) > middle[:, None], axis=1)
    assert (
        np.abs(beyond - drawn[:-1]).max() <= 1
    )  # a row that comes back counts at its breakpoint only
    assert np.mean(beyond == drawn[:-1]) > 0.99
    grid = DeltaPathDisplay.from_path(delta_path(X, y, deltas=[10.0, 50.0])).ax_[1].lines[0]
    assert (grid.get_linestyle(), grid.get_marker()) == (
        "None",
        "o",
    )  # nothing is said between them


def test_the_path_of_a_cross_validation():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = LinearRegressorCV(deltas=6, alphas=[0.0, 1e-4]).fit(X, y)
    display = DeltaPathDisplay.from_estimator(model)
    assert display.names == list(X.columns)
    np.testing.assert_array_equal(display.candidates, model.path_.deltas)
    assert display.error[np.flatnonzero(display.candidates == model.delta_)[0]] == pytest.approx(
        -model.best_score_
    )
    assert len(display.ax_) == 3
    assert display.ax_[2].get_xlabel() == f"delta (chosen: {model.delta_:.3g})"
    assert display.ax_[2].get_ylabel() == "error of the folds"


def test_pipelines_and_searches_are_seen_through():
    X, y = load_diabetes(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LinearRegressorCV(deltas=5)).fit(X, y)
    model = pipeline[-1]
    residuals = ResidualsDisplay.from_estimator(pipeline, X, y, plot=False)
    np.testing.assert_array_equal(residuals.beyond, model.outliers_)
    assert LossDisplay.from_estimator(pipeline, X, y, plot=False).delta == model.delta_
    display = DeltaPathDisplay.from_estimator(pipeline)
    np.testing.assert_array_equal(display.candidates, model.path_.deltas)
    assert display.names == [f"x{j}" for j in range(10)]
    frame = load_diabetes(as_frame=True).data
    named = make_pipeline(
        make_column_transformer((StandardScaler(), ["bmi", "bp"])), LinearRegressorCV(deltas=3)
    )
    assert DeltaPathDisplay.from_estimator(named.fit(frame, y)).names == [
        "standardscaler__bmi",
        "standardscaler__bp",
    ]
    pipeline = make_pipeline(StandardScaler(), LinearRegressor("huber"))
    search = GridSearchCV(pipeline, {"linearregressor__delta": [40.0]})
    assert LossDisplay.from_estimator(search.fit(X, y), X, y, plot=False).delta == 40.0


def test_lines_of_one_feature():
    X = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0, 5.0]})
    y = pd.Series([0.8, 1.5, 1.8, 2.0, 25.0], name="price")
    display = FitDisplay.from_estimator(LinearRegressor(delta=0.1, scale=1.0), X, y)
    for loss, (slope, intercept) in display.lines.items():
        model = LinearRegressor(loss, delta=0.1).fit(X, y)
        assert (slope, intercept) == (model.coef_[0], model.intercept_)
    assert labels(display.ax_) == ["mse: 4.89 x -8.45", "mae: 0.5 x +0.3", "huber: 0.55 x +0.25"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("size", "price")
    relative = FitDisplay.from_estimator(LinearRegressor("huber", scale="mad"), X, y, plot=False)
    assert set(relative.lines) == {"mse", "mae", "huber"}


def test_lines_of_several_quantiles_have_a_band():
    X, y = np.arange(40.0)[:, None], np.arange(40.0) + np.tile([0.0, 1.0, 3.0, 8.0], 10)
    estimator = LinearRegressor("huber", scale="mad")
    display = FitDisplay.from_estimator(estimator, X, y, quantiles=(0.9, 0.1, 0.5))
    assert list(display.lines) == ["quantile 0.1", "quantile 0.5", "quantile 0.9"]
    model = LinearRegressor("quantile", quantile=0.9).fit(X, y)
    assert display.lines["quantile 0.9"] == (model.coef_[0], model.intercept_)
    assert display.band == ("quantile 0.1", "quantile 0.9")
    assert len(display.ax_.collections) == 2  # points and band
    both = FitDisplay.from_estimator(model, X, y, losses=("mse", "quantile"), plot=False)
    assert both.lines["quantile"] == display.lines["quantile 0.9"]
    assert both.band is None
    with pytest.raises(ValueError, match="quantile must be a number between 0 and 1"):
        FitDisplay.from_estimator(estimator, X, y, quantiles=(0.1, 1.0))


def test_who_draws_other_losses_is_not_warned_of_their_delta(recwarn):
    X, y = np.arange(50.0)[:, None], 1000.0 * np.random.default_rng(0).standard_normal(50)
    FitDisplay.from_estimator(LinearRegressor("mae"), X, y, plot=False)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="More than three quarters"):
        FitDisplay.from_estimator(LinearRegressor("huber"), X, y, plot=False)


def test_a_quantile_is_drawn_among_the_losses():
    X, y = np.arange(40.0)[:, None], np.tile([0.0, 1.0, 3.0, 8.0], 10)
    model = LinearRegressor("quantile", quantile=0.25, delta=2.0).fit(X, y)
    display = LossDisplay.from_estimator(model, X, y)
    r = display.residual
    np.testing.assert_allclose(display.loss["quantile"], np.where(r > 0.0, r, -3.0 * r))
    assert "quantile 0.25, times 2 delta" in display.ax_[0].get_legend_handles_labels()[1]
    assert "quantile" not in LossDisplay.from_delta(2.0, plot=False).loss
    with pytest.raises(ValueError, match="quantile must be between 0 and 1"):
        LossDisplay.from_delta(2.0, quantile=1.0)


def test_axes_that_are_given():
    figure, axes = plt.subplots(1, 2)
    assert LossDisplay.from_delta(1.0, ax=axes).figure_ is figure
    figure, ax = plt.subplots()
    display = ResidualsDisplay.from_predictions([1.0, 2.0], [1.0, 1.0], ax=ax)
    assert display.figure_ is figure
    assert len(figure.axes) == 3
    with pytest.raises(ValueError, match="ax must be one Axes, or 2 of them; got 3"):
        LossDisplay.from_delta(1.0, ax=plt.subplots(1, 3)[1])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda X, y: LossDisplay.from_delta(-1.0), "delta must be a finite number > 0; got -1.0"),
        (
            lambda X, y: LossDisplay.from_estimator(LinearRegression().fit(X, y), X, y),
            "estimator must have a delta",
        ),
        (lambda X, y: ResidualsDisplay.from_predictions(y, y[:3]), "of one length; got 20 and 3"),
        (
            lambda X, y: ResidualsDisplay.from_predictions(X, X),
            r"y_true must be .*one target; got shape \(20, 2\)",
        ),
        (
            lambda X, y: ResidualsDisplay.from_predictions(y, y, distribution="cauchy"),
            "'normal' or 'laplace'; got",
        ),
        (
            lambda X, y: FitDisplay.from_estimator(LinearRegressor(), X, y),
            r"shows one feature; got \(20, 2\)",
        ),
        (
            lambda X, y: DeltaPathDisplay.from_estimator(LinearRegressor().fit(X, y)),
            "must be a LinearRegressorCV",
        ),
        (
            lambda X, y: DeltaPathDisplay.from_path(delta_path(X, y), feature_names=["a"]),
            "must have 2 entries",
        ),
    ],
)
def test_what_cannot_be_drawn(draw, message):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 2)), rng.standard_normal(20)
    with pytest.raises(ValueError, match=message):
        draw(X, y)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = LossDisplay.from_delta(1.0, plot=False)
    with pytest.raises(ImportError, match=r"pip install matplotlib"):
        display.plot()


def test_importing_robustreg_does_not_import_matplotlib():
    code = "import sys, robustreg; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_versions():
    out = subprocess.run(
        [sys.executable, "-m", "robustreg"], capture_output=True, text=True, check=True
    ).stdout
    for word in ("robustreg", "numpy", "scipy", "scikit-learn", "threads"):
        assert word in out


def test_coefficients_of_models_and_inferences_beside_each_other():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    models = {loss: LinearRegressor(loss, delta=50.0).fit(X, y) for loss in ("mse", "huber")}
    display = CoefficientsDisplay.from_estimator(models, X, y, plot=False)
    assert display.names == tuple(X.columns)
    found = infer(models["huber"], X, y)
    np.testing.assert_array_equal(display.estimates["huber"], found.coef[1:])
    np.testing.assert_array_equal(display.intervals["huber"], found.interval[1:])
    assert display.plot() is display
    assert labels(display.ax_) == ["mse", "huber"]
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == list(X.columns)
    assert display.ax_.get_title() == "95 % confidence intervals"
    # One record, some of its coefficients, and models of different columns.
    some = infer(LinearRegressor().fit(X[["bmi", "age"]], y), X[["bmi", "age"]], y)
    one = CoefficientsDisplay.from_estimator(some, names=["age", "intercept"], plot=False)
    np.testing.assert_array_equal(one.estimates["mse"], some.coef[[2, 0]])
    both = CoefficientsDisplay.from_estimator([found, some, some], names="sex")
    assert list(both.estimates) == ["huber", "mse", "mse 2"]
    assert np.isnan(both.estimates["mse"]).all()


@pytest.mark.parametrize(
    ("estimator", "names", "match"),
    [
        ([], None, "estimator must hold a model or an Inference"),
        ("both levels", None, "inferences of one level"),
        ("one", "weight", "names must be coefficients"),
        ("two targets", None, "y must have one dimension"),
        ("one", [], "names must be coefficients, .*; got none"),
        ("intercept twice", None, "mse must have coefficients of different names"),
    ],
)
def test_coefficients_of_bad_input(estimator, names, match):
    X, y = load_diabetes(return_X_y=True)
    model = LinearRegressor().fit(X, y)
    if estimator == "both levels":
        estimator = [infer(model, X, y), infer(model, X, y, level=0.9)]
    elif estimator == "one":
        estimator = model
    elif estimator == "intercept twice":
        X = pd.DataFrame(X[:, :2], columns=["intercept", "a"])
        estimator = LinearRegressor().fit(X, y)
    elif estimator == "two targets":
        y = np.column_stack([y, y])
        estimator = LinearRegressor().fit(X, y)
    with pytest.raises(ValueError, match=match):
        CoefficientsDisplay.from_estimator(estimator, X, y, names=names, plot=False)
