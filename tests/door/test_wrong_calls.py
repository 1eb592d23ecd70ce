"""Wrong calls as users make them: each error names what is wrong, what came, and what to do."""

import inspect
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold

from robustreg import (
    DeltaPathDisplay,
    FitDisplay,
    LinearRegressor,
    LinearRegressorCV,
    LossDisplay,
    ResidualsDisplay,
    certify,
    delta_path,
    infer,
    quantile_process,
)

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = X @ [1.0, 2.0, 3.0] + rng.standard_t(2, 40)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
COLOURS = ["red", "blue"] * 20
DAYS = pd.date_range("2024-01-01", periods=40)
POLARS = pl.DataFrame({"a": np.arange(40.0), "colour": COLOURS, "on": [True, False] * 20})
RECORDS = np.zeros(40, dtype=[("a", float), ("b", float)])
MODEL = LinearRegressor("mae").fit(X, y)
NAMED = LinearRegressor("mae").fit(FRAME, y)


def fit(loss="mse", **parameters):
    return lambda: LinearRegressor(loss, **parameters).fit(X, y)


def fitted_to(data, target=y, weights=None):
    return lambda: LinearRegressor().fit(data, target, weights)


def cv(loss="huber", **parameters):
    return lambda: LinearRegressorCV(loss, **parameters).fit(X, y)


PARAMETERS = [
    (lambda: LinearRegressor(epsilon=1.35), "no parameter 'epsilon'.*delta; with scale='concom"),
    (lambda: LinearRegressor(tau=0.9), "no parameter 'tau'. The level is quantile"),
    (lambda: LinearRegressor(quantiles=[0.1]), "no parameter 'quantiles'.*quantile_process"),
    (
        lambda: LinearRegressor(penalty="l2"),
        "no parameter 'penalty'. The only penalty is L2.*alpha",
    ),
    (lambda: LinearRegressor(l1_ratio=0.5), "no parameter 'l1_ratio'.*there is no L1"),
    (lambda: LinearRegressor(n_jobs=2), "no parameter 'n_jobs'. Fits use threads already"),
    (lambda: LinearRegressor(random_state=0), "no parameter 'random_state'. Nothing is random"),
    (lambda: LinearRegressor(weights=y), r"no parameter 'weights'.*fit\(X, y, sample_weight"),
    (lambda: LinearRegressor(dleta=1.0), "no parameter 'dleta'. Did you mean 'delta'"),
    (
        lambda: LinearRegressor(zzz=1.0),
        "no parameter 'zzz'. Its parameters are loss, delta, .*verb",
    ),
    (
        lambda: LinearRegressor("huber", 1.35),
        "by name; got 1.35 beside loss. Did you mean delta=1.35",
    ),
    (lambda: LinearRegressorCV(delta=1.0), "LinearRegressorCV has no parameter 'delta'.*deltas="),
    (lambda: LinearRegressorCV(alpha=1.0), "no parameter 'alpha'. Candidates are alphas"),
    (lambda: LinearRegressorCV(groups=y), "no parameter 'groups'.*metadata routing"),
    (lambda: LinearRegressor().set_params(epsilon=1), "Invalid parameter 'epsilon'"),
    (fit("l1"), "loss must be one of .*; got 'l1'. Did you mean 'mae'"),
    (fit("lad"), "got 'lad'. Did you mean 'mae'"),
    (fit("median"), "got 'median'. Did you mean 'mae'"),
    (fit("squared"), "got 'squared'. Did you mean 'mse'"),
    (fit("ols"), "got 'ols'. Did you mean 'mse'"),
    (fit("Least Squares"), "got 'Least Squares'. Did you mean 'mse'"),
    (fit("hubber"), "got 'hubber'. Did you mean 'huber'"),
    (fit("MAE"), "got 'MAE'. Did you mean 'mae'"),
    (fit("pinball"), "got 'pinball'. Did you mean 'quantile'"),
    (fit("tukey"), "got 'tukey'. Losses that are not convex"),
    (fit("psi.bisquare"), "got 'psi.bisquare'. Losses that are not convex.*TukeyBiweight"),
    (
        lambda: LinearRegressor("y ~ x", np.ones((3, 2))),
        r"got a ndarray of shape \(3, 2\). Data go",
    ),
    (lambda: LinearRegressor().fit("y ~ x", y), "got 'y ~ x'. formulaic.model_matrix"),
    (
        lambda: LinearRegressor().fit(FRAME.assign(a=["?", *FRAME["a"][1:]]), y),
        r"the column 'a' \(object, '\?'\). Where numbers stand beside: pandas.to_numeric",
    ),
    (lambda: LinearRegressor().fit(pa.table({"a": ["1"] * 40}), y), "hold numbers.*'a'"),
    (lambda: LinearRegressor().fit(X, pa.array(["1"] * 40)), "y must hold numbers"),
    (lambda: LinearRegressor().fit(X, [pd.NA, *y[1:]]), "y must be finite; got <NA> in row 0"),
    (lambda: LinearRegressor().fit(X, y, ["2"] * 40), "sample_weight must hold real numbers"),
    (
        lambda: LinearRegressor().fit(X, y, np.array(["2026-01-01"] * 40, dtype="M8[D]")),
        "sample_weight must hold real numbers",
    ),
    (
        lambda: LinearRegressor().fit(X, y, np.ma.masked_array(np.ones(40), mask=y > y[0])),
        "sample_weight must have no masked entries",
    ),
    (lambda: LinearRegressor(X, y), r"got a ndarray of shape \(40,\). Data go to fit"),
    (lambda: LinearRegressor().fit([["1,5"]] * len(y), y), "'1,5' may be a number, which pandas"),
    (fit(None), "loss must be one of .*; got None"),
    (fit(LinearRegressor()), r"loss must be one of .*; got LinearRegressor\(\)"),
    (fit(solver="lbfgs"), "solver must be one of 'auto', 'scipy'; got 'lbfgs'"),
    (fit("huber", scale="MAD"), "scale must be .*; got 'MAD'. Did you mean 'mad'"),
    (fit("huber", delta=-1), "delta must be a positive finite number; got -1"),
    (fit("huber", delta="1"), "delta must be .*; got '1' of type str"),
    (fit("huber", delta=[1.0, 2.0]), r"got \[1.0, 2.0\] of type list. LinearRegressorCV\(deltas"),
    (fit("huber", delta=y), r"delta must be .*; got a ndarray of shape \(40,\)"),
    (fit("quantile", quantile=[0.1, 0.9]), r"quantile must be .*\[0.1, 0.9\].*quantile_process"),
    (fit("quantile", quantile=50), "quantile must be .*; got 50. 50 per cent are 0.5"),
    (fit(alpha=-1), "alpha must be a finite number >= 0; got -1"),
    (fit(max_iter=0), "max_iter must be an integer >= 1; got 0"),
    (fit(tol=-1), "tol must be a positive finite number; got -1"),
    (fit(fit_intercept="no"), "fit_intercept must be True or False; got 'no' of type str"),
    (cv(deltas="auto"), "deltas must be a list .* how many, .*; got 'auto' of type str"),
    (cv(scoring="mae"), "'mae' is not a valid scoring value"),
    (cv(cv="five"), "cv.*five"),
    (cv(cv=GroupKFold(3)), "'groups' parameter should not be None"),
    (
        lambda: LinearRegressorCV(cv=GroupKFold(3)).fit(X, y, groups=np.arange(40)),
        "fit takes groups only with metadata routing",
    ),
    (lambda: LinearRegressor("mae").partial_fit(X, y), "partial_fit needs loss='mse', got 'mae'"),
]

DATA = [
    (fitted_to(FRAME.assign(colour=COLOURS)), "X .*the column 'colour' .*OneHotEncoder"),
    (
        fitted_to(FRAME.assign(colour=COLOURS, g=pd.Categorical(COLOURS))),
        "X .*the columns 'colour' .*, 'g' .category.*OneHotEncoder",
    ),
    (fitted_to(POLARS), r"the column 'colour' \(String\)"),
    (
        fitted_to(POLARS.with_columns(day=pl.Series(list(DAYS)))),
        "'colour' .*'day' .*Encode .* days since the first",
    ),
    (fitted_to(FRAME.assign(colour=COLOURS).to_numpy()), "the text 'red' in column 3. Encode"),
    (fitted_to(FRAME.assign(day=DAYS)), "the column 'day' .datetime64.*days since the first"),
    (fitted_to(FRAME.assign(took=DAYS - DAYS[0])), "the column 'took' .timedelta64"),
    (fitted_to(FRAME.assign(z=1j)), r"the column 'z' \(complex128\). Complex data not supported"),
    (fitted_to(X.astype(complex)), "X must hold numbers; got complex128"),
    (fitted_to(X.astype(str)), "X must hold numbers; got the text '.*' in column 0. astype.float"),
    (fitted_to([["1", "2"]] * 40), "got the text '1' in column 0. astype"),
    (fitted_to(FRAME.astype(str)), "the columns 'a' .*, 'b' .*, 'c' .*. astype"),
    (fitted_to(FRAME.assign(b="1").astype(object)), "the column 'b' .object.*astype"),
    (fitted_to(np.array([[{}]] * 40)), "X must hold numbers: .* not 'dict', in column 0"),
    (fitted_to(RECORDS), "X must be a matrix; got a record array with the fields 'a', 'b'"),
    (fitted_to("data.csv"), "X must be a table of numbers; got 'data.csv'. Read a file first"),
    (fitted_to(Path("data.csv")), "got PosixPath.'data.csv'.*|got WindowsPath.*"),
    (fitted_to(pl.LazyFrame({"a": [1.0]})), "X must be in memory or on Dask; got a LazyFrame"),
    (fitted_to(row for row in X), "X must be .* on Dask; got an iterator of type generator"),
    (fitted_to(map(list, X)), "got an iterator of type map. .* batches of rows to partial_fit"),
    (fitted_to({"a": y}), "X must be a table; got a dict. pandas.DataFrame"),
    (fitted_to(None), "X must be an array or a frame of numbers; got None"),
    (fitted_to([[1.0, 2.0], [3.0]]), "X must have rows of one length"),
    (fitted_to(FRAME["a"]), r"X must have two dimensions, .*\(40,\). X.to_frame"),
    (fitted_to(X[:, 0]), r"X must have two dimensions, .*\(40,\). Reshape your data"),
    (fitted_to(FRAME.set_axis(["a", "b", "a"], axis=1)), "different names; got 'a' twice"),
    (fitted_to(X, None), "requires y to be passed"),
    (fitted_to(X, [None, *y[1:]]), "y must be finite; got None in row 0"),
    (fitted_to(X, pd.Series([*y[:-1], None], dtype=object)), "y must be finite; got .* in row 39"),
    (fitted_to(X, [np.nan, *y[1:]]), "y contains NaN"),
    (fitted_to(FRAME, "a"), r"y must have one number per row; got 'a'. .*frame\['a'\]"),
    (fitted_to(X, COLOURS), "y must hold numbers; got the text 'red' in row 0. Labels"),
    (fitted_to(X, pd.Series(COLOURS, dtype="category")), "y must .* the text 'red'.*classifier"),
    (fitted_to(X, y.astype(str)), "y must hold numbers; got the text .* astype"),
    (fitted_to(X, pd.Series(DAYS)), "y must hold numbers; got datetime64"),
    (fitted_to(X, pd.DataFrame({"day": DAYS})), "y must hold numbers; got the column 'day'"),
    (fitted_to(X, (v for v in y)), "y must be .*; got an iterator of type generator"),
    (fitted_to(X, y[:-1]), "y must have one entry per row of X, 40; got 39"),
    (fitted_to(X, sparse.csr_array(y[:, None])), "y must be dense; got a csr_array"),
    (fitted_to(X, y, "w"), r"sample_weight must hold real numbers; got 'w'. .*frame\['w'\]"),
    (fitted_to(X, y, -np.ones(40)), "sample_weight must be >= 0; got -1.0 among"),
    (fitted_to(X, y, np.zeros(40)), "sample_weight must have a positive entry; got only zeros"),
    (fitted_to(X, y, np.full(40, np.nan)), "sample_weight must be finite; got nan"),
    (
        fitted_to(X, y, ["heavy"] * 5000),
        r"sample_weight must .*got \['heavy', .{,80}\.\.\. of type",
    ),
    (lambda: LinearRegressor().predict(X), "not fitted yet"),
    (lambda: MODEL.predict(X[:, :2]), "X has 2 features.* expecting 3"),
    (lambda: MODEL.predict(X[0]), r"X must have two dimensions.*\(3,\). Reshape"),
    (lambda: NAMED.predict(FRAME[["b", "a", "c"]]), "feature names should match"),
    (lambda: NAMED.predict(FRAME.assign(c=COLOURS)), "the column 'c'.*OneHotEncoder"),
]

FUNCTIONS = [
    (lambda: certify(X, y, MODEL), r"estimator must be .*shape \(40, 3\). .*certify\(estimator"),
    (
        lambda: certify(MODEL, y, X[:, :2]),
        "X must have two dimensions.*X and y seem to be exchanged",
    ),
    (lambda: certify(LinearRegressor, X, y), "estimator must be .*; got the class LinearRegressor"),
    (lambda: certify(LinearRegressor(), X, y), "not fitted yet"),
    (lambda: certify(MODEL, X, y, loss="l1"), "loss must be .*; got 'l1'. Did you mean 'mae'"),
    (lambda: infer(X, y, MODEL), r"model must be .*The order is infer\(model, X, y\)"),
    (lambda: infer(MODEL, y, X), "X and y seem to be exchanged"),
    (lambda: infer(LinearRegressor(), X, y), "not fitted yet"),
    (lambda: infer(MODEL, X, y, cov="HC3"), "cov must be one of 'nid', .*loss='mae'; got 'HC3'"),
    (lambda: infer(MODEL, X, y, level=95), "level must be .*; got 95.0. 95 per cent are 0.95"),
    (lambda: infer(MODEL, X, y, groups="a"), "groups must have one entry per row"),
    (lambda: delta_path(X, y, deltas=["a", "b"]), r"deltas must hold .*; got \['a', 'b'\]"),
    (lambda: delta_path(X, y, deltas=0), "deltas must hold .*; got 0.0"),
    (lambda: delta_path(FRAME.assign(c=COLOURS), y), "the column 'c'"),
    (lambda: quantile_process(X, y, 1.5), "quantiles must hold .*; got 1.5"),
    (lambda: quantile_process(X, y, 95), "quantiles .*; got 95 .* 95 per cent are 0.95"),
    (lambda: quantile_process(X, y, ["median"]), r"quantiles must hold .*; got \['median'\]"),
    (lambda: quantile_process(X, y).predict(y), "X must have two dimensions"),
    (lambda: ResidualsDisplay.from_estimator(X, y, MODEL), "estimator must be .*The order is"),
    (lambda: LossDisplay.from_estimator(X, y, MODEL), "estimator must be .*The order is"),
    (lambda: LossDisplay.from_delta("mad"), "delta must be a finite number > 0; got 'mad'"),
    (lambda: LossDisplay.from_delta(quantile=2), "quantile must be between 0 and 1.*; got 2"),
    (lambda: FitDisplay.from_estimator(X, y, MODEL), "estimator must be a LinearRegressor; got"),
    (lambda: DeltaPathDisplay.from_path(MODEL), "path must be a DeltaPath.*got a LinearRegressor"),
]


@pytest.mark.parametrize(("call", "message"), PARAMETERS + DATA + FUNCTIONS)
def test_a_wrong_call_is_told(call, message):
    errors = (ValueError, TypeError, AttributeError, NotFittedError)
    with pytest.raises(errors, match=re.compile(message, re.DOTALL)) as told:
        call()
    assert len(str(told.value)) < 1000  # no array is printed in full


@pytest.mark.parametrize(
    "data",
    [
        FRAME.astype(object),
        FRAME.assign(a=pd.array([1, 2] * 20, dtype="Int64")),
        FRAME.assign(a=[True, False] * 20),
        POLARS.drop("colour"),
        X.astype(object),
        X.tolist(),
        X.astype(">f8"),
        sparse.coo_array(X),
    ],
)
def test_numbers_in_whatever_container_are_taken(data):
    plain = data.toarray() if sparse.issparse(data) else np.asarray(data, dtype=np.float64)
    model = LinearRegressor("mae").fit(data, list(y))
    expected = LinearRegressor("mae").fit(plain, y).coef_
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_text_is_found_whatever_its_dtype(dtype):
    frame = FRAME.assign(colour=pd.Series(COLOURS).astype(dtype))
    with pytest.raises(ValueError, match="the column 'colour'"):
        LinearRegressor().fit(frame, y)


def test_text_on_dask_is_found_before_any_row_is_read():
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(FRAME.assign(colour=COLOURS), npartitions=2)
    with pytest.raises(ValueError, match="the column 'colour'"):
        LinearRegressor().fit(frame, y)


@pytest.mark.parametrize("kind", [LinearRegressor, LinearRegressorCV])
def test_the_hints_leave_the_signature_and_the_conventions_alone(kind):
    parameters = inspect.signature(kind).parameters
    assert next(iter(parameters)) == "loss"
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
    assert set(kind().get_params()) == set(parameters)
    assert clone(kind(alphas=[1.0]) if kind is LinearRegressorCV else kind(alpha=1.0))
    assert pickle.loads(pickle.dumps(kind("mae"))).loss == "mae"


def warnings_of(call):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        call()
    return [str(warning.message) for warning in shown if warning.category is UserWarning]


def test_the_default_delta_warns_where_most_rows_are_beyond_it():
    (told,) = warnings_of(lambda: LinearRegressor("huber").fit(X, 1000.0 * y))
    assert re.match("More than three quarters of the rows are beyond delta=1.35, the default", told)
    assert "scale='mad'" in told


@pytest.mark.parametrize(
    "call",
    [
        lambda: LinearRegressor("huber").fit(X, y),
        lambda: LinearRegressor("huber", delta=1.0).fit(X, 1000.0 * y),
        lambda: LinearRegressor("huber", scale="mad").fit(X, 1000.0 * y),
        lambda: LinearRegressor("huber", scale=2.0).fit(X, 1000.0 * y),
        lambda: LinearRegressor("mae").fit(X, 1000.0 * y),
        lambda: LinearRegressorCV(deltas=[1.35]).fit(X, 1000.0 * y),
        lambda: delta_path(X, 1000.0 * y, deltas=[1.35]),
        lambda: GridSearchCV(LinearRegressor("huber"), {"delta": [1.0, 10.0]}).fit(X, 1000.0 * y),
    ],
)
def test_a_delta_that_was_chosen_does_not_warn(call):
    assert not warnings_of(call)


def test_three_quarters_count_weights_as_repeats():
    line, target = np.ones((8, 1)), np.array([-9.0, -9.0, -9.0, 0.0, 0.0, 9.0, 9.0, 9.0])
    model = LinearRegressor("huber", fit_intercept=False)
    assert not warnings_of(lambda: model.fit(line, target))  # three quarters, and not more
    w = np.array([2, 1, 1, 1, 1, 1, 1, 2])
    assert warnings_of(lambda: model.fit(line, target, w))
    assert warnings_of(lambda: model.fit(line.repeat(w, axis=0), target.repeat(w)))
    absent = np.array([1, 1, 1, 0, 1, 1, 1, 1])
    assert warnings_of(lambda: model.fit(line, target, absent))


def test_a_cross_validation_with_nothing_to_choose_says_so():
    (told,) = warnings_of(lambda: LinearRegressorCV("mae").fit(X, y))
    assert told.startswith("Nothing was chosen: loss='mae' has no delta, and alphas=(0.0,)")
    assert not warnings_of(lambda: LinearRegressorCV("mae", alphas=[0.0, 0.1]).fit(X, y))
    assert not warnings_of(lambda: LinearRegressorCV(deltas=[1.0]).fit(X, y))


RECORDS_SHOWN = [
    (lambda: delta_path(X, y), r"DeltaPath of 3 features: \d+ breakpoints, 0 to \d+"),
    (
        lambda: delta_path(X, y, deltas=[1, 2]),
        "DeltaPath of 3 features: 2 deltas of a grid, 1 to 2",
    ),
    (lambda: quantile_process(X, y), "QuantileProcess of 3 features: 19 levels, 0.05 to 0.95"),
    (lambda: certify(MODEL, X, y), "The mae objective .* is the minimum"),
    (lambda: MODEL.work_, r".*\d+ iterations?\."),
    (lambda: infer(MODEL, X, y).test("x0"), r"F\(1, 36\) = .*, p < 0.001"),
    (lambda: infer(MODEL, X, y).predict(X), "FittedLine of 40 rows"),
]


@pytest.mark.parametrize(("record", "shown"), RECORDS_SHOWN)
def test_a_record_at_a_prompt_is_one_line(record, shown):
    text = repr(record())
    assert re.match(shown, text)
    assert len(text) < 200
    assert "\n" not in text


@pytest.mark.parametrize("of", [delta_path, quantile_process])
def test_a_notebook_shows_some_of_the_fits(of):
    found = of(X, y)
    table = found._repr_html_()
    assert table.count("<tr>") == 1 + 10
    assert f"<td>{found.coefs[0, 2]:.4g}</td></tr>" in table
    assert f"<td>{found.coefs[-1, 2]:.4g}</td></tr>" in table


@pytest.mark.parametrize("kind", [LinearRegressor, LinearRegressorCV])
def test_the_box_of_an_estimator_links_to_its_page(kind):
    page = f"https://robustreg.readthedocs.io/page/api/robustreg.{kind.__name__}.html"
    assert f'href="{page}"' in kind()._repr_html_()
