"""What infer accepts, what it says of bad input, and how its table looks."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import LinearRegressor, LinearRegressorCV, infer


def some_data(seed=0, n=60):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, X @ [1.0, -1.0] + rng.standard_t(3, size=n)


X, Y = some_data()
MODELS = {loss: LinearRegressor(loss).fit(X, Y) for loss in ("mse", "mae", "huber")}
FRAME = pd.DataFrame(X, columns=["height", "a<b"])


def bad(match, model="mse", data=X, target=Y, error=ValueError, **kwargs):
    return pytest.param(match, model, data, target, error, kwargs)


@pytest.mark.parametrize(
    ("match", "model", "data", "target", "error", "kwargs"),
    [
        bad("cov must be one of 'HC3', 'iid', .* with loss='mse'; got 'nid'", cov="nid"),
        bad("cov must be one of 'sandwich', .*; got 'HC0'", "huber", cov="HC0"),
        bad("cov must be one of 'nid', .*; got 3", "mae", cov=3),
        bad("groups must be given with cov='cluster'", cov="cluster"),
        bad("groups must be None with cov='HC1'", cov="HC1", groups=np.arange(60)),
        bad("groups must have one entry per row of X, 60; got shape \\(3,\\)", groups=[1, 2, 3]),
        bad("groups must have no missing entries; got 1", groups=[np.nan] + [1.0] * 59),
        bad("groups must have no missing entries; got 30", groups=["a", np.nan] * 30),
        bad("groups must hold labels that can be keys", groups=[[1], [1, 2]] * 30),
        bad("groups must have at least two groups; got 1", groups=np.ones(60)),
        bad("level must be between 0 and 1; got 95", level=95),
        bad(
            "level must be a positive finite number; got '95%' of type str",
            error=TypeError,
            level="95%",
        ),
        bad("bandwidth must be one of 'hall-sheather', .*; got 'hs'", "mae", bandwidth="hs"),
        bad("kernel must be one of 'uniform', .*; got 'epa'", "mae", cov="iid", kernel="epa"),
        bad("kernel must be None with loss='mse' and cov='iid'", cov="iid", kernel="gaussian"),
        bad("kernel must be None with loss='mae' and cov='nid'", "mae", kernel="gaussian"),
        bad("n_resamples must be an integer >= 2; got 1", cov="bootstrap", n_resamples=1),
        bad("cannot be used to seed", cov="bootstrap", random_state="x"),
        bad("groups must be None with cov='rank'", "mae", cov="rank", groups=np.arange(60)),
        bad("X must have the columns of the fit, 2; got 1", data=X[:, :1]),
        bad("those of the fit: the coefficients of model do not minimise", data=X[::-1]),
        bad("those of the fit", "mae", target=Y + X[:, 0]),
        bad("those of the fit", "huber", sample_weight=1.0 + (X[:, 0] > 0) * 9.0),
        bad("y must have one entry per row of X, 60; got 59", target=Y[:-1]),
        bad("sample_weight must be >= 0", sample_weight=-np.ones(60)),
        bad("NaN", data=np.where(X > 2.0, np.nan, X)),
    ],
)
def test_bad_input(match, model, data, target, error, kwargs):
    with pytest.raises(error, match=match):
        infer(MODELS[model], data, target, **kwargs)


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        (LinearRegressor(), ValueError, "not fitted"),
        (LinearRegression().fit(X, Y), ValueError, "model must be a LinearRegressor"),
        (LinearRegressor(alpha=0.1).fit(X, Y), ValueError, "model must have alpha=0"),
        (LinearRegressor().fit(FRAME, Y), ValueError, r"columns of the fit.*got \['b', 'a'\]"),
        (LinearRegressor().fit(X, np.c_[Y, Y]), ValueError, "y must have the 2 targets"),
        ("mse", ValueError, "model must be a fitted regressor"),
    ],
)
def test_a_model_that_is_none(model, error, match):
    data = pd.DataFrame(X, columns=["b", "a"]) if "columns" in match else X
    with pytest.raises((error, NotFittedError), match=match):
        infer(model, data, Y)


def test_too_few_rows_and_a_scale_of_zero():
    with pytest.raises(ValueError, match="more rows than independent columns, 3 with the interc"):
        infer(LinearRegressor().fit(X[:3], Y[:3]), X[:3], Y[:3])
    nothing = np.zeros((60, 2))
    for loss in MODELS:
        model = LinearRegressor(loss, fit_intercept=False).fit(nothing, Y)
        with pytest.raises(ValueError, match="the data determine no coefficient"):
            infer(model, nothing, Y)
    line = 2.0 * X[:, 0]
    with pytest.warns(UserWarning, match="scale"):
        model = LinearRegressor("huber", scale="mad").fit(X, line)
    with pytest.raises(ValueError, match="model must have a positive scale_"):
        infer(model, X, line)


def test_names_pipelines_searches_and_several_targets():
    found = infer(LinearRegressor().fit(FRAME, Y), FRAME, Y)
    assert found.names == ("intercept", "height", "a<b")
    pipe = make_pipeline(StandardScaler(), LinearRegressor("huber")).fit(FRAME, Y)
    other = infer(pipe, FRAME, Y)
    assert other.names == found.names
    Z = StandardScaler().fit_transform(X)
    wanted = infer(LinearRegressor("huber").fit(Z, Y), Z, Y)
    np.testing.assert_allclose(other.std_err, wanted.std_err)
    search = LinearRegressorCV("huber").fit(X, Y)
    wanted = infer(LinearRegressor("huber", delta=search.delta_).fit(X, Y), X, Y)
    np.testing.assert_allclose(infer(search, X, Y).std_err, wanted.std_err)
    both = infer(LinearRegressor().fit(X, np.c_[Y, -2.0 * Y]), X, np.c_[Y, -2.0 * Y])
    np.testing.assert_allclose(both[1].std_err, 2.0 * both[0].std_err)


def test_groups_may_have_any_labels_and_choose_the_covariance():
    groups = np.arange(60) // 4
    found = infer(MODELS["mse"], X, Y, groups=groups)
    labels = [f"family {g}" for g in groups]
    other = infer(MODELS["mse"], X, Y, groups=labels)
    np.testing.assert_allclose(other.interval, found.interval, rtol=1e-12)
    mixed = ["1" if g == 0 else g for g in groups]  # "1" is another group than 1
    other = infer(MODELS["mse"], X, Y, groups=mixed)
    np.testing.assert_allclose(other.interval, found.interval, rtol=1e-12)
    assert other.df == found.df
    weights = np.arange(60) % 3 + 0.0
    model = LinearRegressor().fit(X, Y, weights)
    kept = weights > 0
    found = infer(model, X, Y, weights, groups=groups)
    other = infer(model, X[kept], Y[kept], weights[kept], groups=groups[kept])
    np.testing.assert_array_equal(found.std_err, other.std_err)


def test_the_table_as_text_html_frame_and_latex():
    found = infer(LinearRegressor().fit(FRAME, Y), FRAME, Y, level=0.9)
    lines = str(found).splitlines()
    assert lines[0] == 'mse, cov="HC3": 60 rows, 57 degrees of freedom'
    assert lines[1].split() == ["coef", "std", "err", "t", "P>|t|", "[0.05", "0.95]"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert repr(found) == str(found)
    html = found._repr_html_()
    assert "<th>a&lt;b</th>" in html
    assert html.count("<tr>") == 4
    frame = found.to_frame()
    assert list(frame.index) == list(found.names)
    np.testing.assert_array_equal(frame[["lower", "upper"]], found.interval)
    other = found.to_frame("polars")
    assert other.columns == ["name", *frame.columns]
    assert tuple(other["name"]) == found.names
    np.testing.assert_array_equal(other.drop("name").to_numpy(), frame.to_numpy())
    with pytest.raises(ValueError, match="library must be 'pandas' or 'polars'; got 'arrow'"):
        found.to_frame("arrow")
    pytest.importorskip("jinja2")
    latex = found.to_latex(caption="Heights")
    assert "begin{tabular}" in latex
    assert "Heights" in latex


def test_dollars_are_printed_as_dollars():
    found = infer(LinearRegressor().fit(FRAME * 1e-3, 70.0 * Y), FRAME * 1e-3, 70.0 * Y)
    assert "e+0" not in str(found)
    assert str(found).splitlines()[3].split()[1] == f"{found.coef[1]:.0f}"
    assert repr(found.test(["height", "a<b"], 1e9)).endswith("p < 0.001")


def test_rank_intervals_have_no_standard_errors():
    found = infer(MODELS["mae"], FRAME.to_numpy(), Y, cov="rank-nid")
    lines = str(found).splitlines()
    assert lines[1].split() == ["coef", "[0.025", "0.975]"]
    assert np.isnan(found.std_err).all()
    assert np.all((found.interval[:, 0] < found.coef) & (found.coef < found.interval[:, 1]))
    for call in (lambda: found.predict(X), lambda: found.test("x0")):
        with pytest.raises(ValueError, match="cov='rank-nid' has intervals only"):
            call()


@pytest.mark.parametrize(
    ("R", "q", "match"),
    [
        ("weight", 0.0, "R must name coefficients"),
        ([1.0, 2.0], 0.0, "R must have 3 columns"),
        ([[0, 1, 0], [0, 2, 0]], 0.0, "R must have independent rows"),
        ([0, np.nan, 0], 0.0, "R must be finite"),
        ("x0", [1.0, 2.0], "q must be a number, or one per row of R"),
        ("x0", np.nan, "q must be finite"),
        ("x0", "one", "q must hold numbers; got 'one'"),
        (["x0", 1.0], 0.0, "R must hold numbers"),
    ],
)
def test_bad_hypotheses(R, q, match):
    with pytest.raises(ValueError, match=match):
        infer(MODELS["mse"], X, Y).test(R, q)


def test_hypotheses_by_name_may_be_any_sequence():
    found = infer(LinearRegressor().fit(FRAME, Y), FRAME, Y)
    wanted = found.test([[0, 1, 0], [0, 0, 1]])
    for names in (["height", "a<b"], ("height", "a<b"), np.array(["height", "a<b"]), FRAME.columns):
        assert found.test(names) == wanted


def test_hypotheses_by_values_and_by_labelled_weights():
    found = infer(LinearRegressor().fit(FRAME, Y), FRAME, Y)
    wanted = found.test([[0, 1, 0], [0, 0, 1]], [0.5, -1.0])
    assert found.test({"a<b": -1.0, "height": 0.5}) == found.test(["a<b", "height"], [-1.0, 0.5])
    assert found.test({"height": 0.5, "a<b": -1.0}) == wanted
    one = found.test([0.0, 1.0, -2.0])
    weights = {"a<b": [-2.0], "intercept": [0.0], "height": [1.0]}
    assert found.test(pd.DataFrame(weights)) == one
    assert found.test(pl.DataFrame(weights)) == one
    assert found.test(pd.DataFrame(weights).iloc[0]) == one
    for R, match in [
        (pd.DataFrame({"height": [1.0], "a<b": [0.0]}), "R must have weights for .*; got some for"),
        ({"height", "a<b"}, "R must be in an order, as a list is"),
        ("height = 2", r"got 'height = 2'. That one is 2 is test\('a<b', 2.0\)"),
        (["height", "height"], "independent rows, none of them twice"),
    ]:
        with pytest.raises(ValueError, match=match):
            found.test(R)
    with pytest.raises(ValueError, match="q must be left out, as R has the values; got 2"):
        found.test({"height": 1.0}, 2.0)
    with pytest.raises(ValueError, match=r"q must hold numbers; got '0.5'"):
        found.test("height", "0.5")


def test_labels_decide_in_every_kind_of_table_or_are_refused():
    found = infer(LinearRegressor().fit(FRAME, Y), FRAME, Y)
    one = found.test([0.0, 1.0, -2.0])
    weights = {"a<b": [-2.0], "intercept": [0.0], "height": [1.0]}
    assert found.test(pa.table(weights)) == one
    assert found.test([pd.DataFrame(weights).iloc[0]]) == one
    with pytest.raises(ValueError, match="q must be in the order of R and have no labels"):
        found.test(["height", "a<b"], pd.Series([1.0, 2.0], index=["a<b", "height"]))
    with pytest.raises(ValueError, match="R must hold numbers"):
        found.test(np.ma.masked_array([0.0, 1.0, 1.0], mask=[0, 0, 1]))
    frame = FRAME.set_axis(["intercept", "b"], axis=1)
    twice = infer(LinearRegressor().fit(frame, Y), frame, Y)
    with pytest.raises(ValueError, match="R must have weights for"):
        twice.test(pd.DataFrame([[1.0, 0.0, 0.0]], columns=["intercept", "intercept", "b"]))


def test_a_pipeline_predicts_from_the_rows_that_it_takes():
    pipeline = make_pipeline(StandardScaler(), LinearRegressor("mae")).fit(FRAME, Y)
    line = infer(pipeline, FRAME, Y).predict(FRAME[:5])
    np.testing.assert_allclose(line.mean, pipeline.predict(FRAME[:5]), rtol=1e-12)
    search = GridSearchCV(pipeline, {"linearregressor__loss": ["mse"]}, cv=2).fit(FRAME, Y)
    line = infer(search, FRAME, Y).predict(FRAME[:5])
    np.testing.assert_allclose(line.mean, search.predict(FRAME[:5]), rtol=1e-12)
    alone = make_pipeline(LinearRegressor()).fit(X, Y)
    assert infer(alone, X, Y).names == ("intercept", "x0", "x1")


def test_names_that_look_like_none_are_names():
    frame = pd.DataFrame(X, columns=["x0", "x1"])
    found = infer(LinearRegressor().fit(frame, Y), frame, Y)
    with pytest.raises(ValueError, match="X must have the columns"):
        found.predict(frame[["x1", "x0"]])


def test_names_that_r_has_are_understood():
    mae = MODELS["mae"]
    for given, meant in {
        "ker": "kernel",
        "boot": "bootstrap",
        "Rank": "rank",
        "NID": "nid",
    }.items():
        with pytest.raises(ValueError, match=f"got '{given}'. Did you mean '{meant}'"):
            infer(mae, X, Y, cov=given)
    with pytest.raises(ValueError, match=r"got 'hc3'. Did you mean 'HC3'"):
        infer(MODELS["mse"], X, Y, cov="hc3")


def test_a_feature_may_be_named_intercept():
    frame = pd.DataFrame(np.column_stack([np.ones(60), X]), columns=["intercept", "a", "b"])
    found = infer(LinearRegressor(fit_intercept=False).fit(frame, Y), frame, Y)
    wanted = infer(MODELS["mse"], X, Y)
    np.testing.assert_allclose(found.predict(frame).interval, wanted.predict(X).interval)
    assert found.test("intercept").p_value == pytest.approx(wanted.test("intercept").p_value)
    frame["intercept"] = Y**2
    both = infer(LinearRegressor().fit(frame, Y), frame, Y)
    assert both.names == ("intercept", "intercept", "a", "b")
    with pytest.raises(ValueError, match="several coefficients are named 'intercept'"):
        both.test("intercept")


def test_bad_rows_to_predict():
    named = infer(LinearRegressor().fit(FRAME, Y), FRAME, Y)
    with pytest.raises(ValueError, match="X must have the columns"):
        named.predict(FRAME[["a<b", "height"]])
    np.testing.assert_allclose(named.predict(FRAME).std_err, named.predict(X).std_err, rtol=1e-12)
    found = infer(MODELS["mse"], X, Y)
    with pytest.raises(ValueError, match=r"X must be of shape \(n_samples, 2\)"):
        found.predict(X[:, :1])
    with pytest.raises(ValueError, match="X must be finite"):
        found.predict(X * np.nan)
    with pytest.raises(ValueError, match="X must hold numbers"):
        found.predict([["a", "b"]])


def test_inputs_are_left_alone():
    data, target, weights = X.copy(), Y.copy(), np.ones(60)
    for model in MODELS.values():
        before = {key: np.copy(value) for key, value in vars(model).items()}
        infer(model, data, target, weights)
        for key, value in before.items():
            np.testing.assert_array_equal(vars(model)[key], value)
    np.testing.assert_array_equal(data, X)
    np.testing.assert_array_equal(target, Y)
