"""What a fit tells while it goes on: lines, and scikit-learn's callbacks where it has them."""

import re

import numpy as np
import pytest
from problems import slow
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import LinearRegressor, LinearRegressorCV

LINE = re.compile(
    r"^ *(?P<seconds>\d+\.\d{3}) s  (?P<step>.+?) +(?P<rows>[\d,]+) rows kept(  gap (?P<gap>\S+))?$"
)
LAST = re.compile(
    r"^ *\d+\.\d{3} s  (?P<work>.* iterations?\..*)$"
)  # the sentence of work_, after each fit
rng = np.random.default_rng(0)
X = rng.standard_normal((20_000, 5))
y = X @ [1.0, 2.0, 3.0, 4.0, 5.0] + rng.standard_t(2, 20_000)


def lines(capsys):
    *steps, last = capsys.readouterr().out.splitlines()
    assert LAST.match(last)
    found = [LINE.match(line) for line in steps]
    assert all(found)
    return found


@pytest.mark.parametrize("solver", ["auto", "scipy"])
def test_the_last_line_is_the_sentence_of_the_work(capsys, solver):
    model = LinearRegressor("huber", solver=solver, verbose=1).fit(X[:2000], y[:2000])
    assert LAST.match(capsys.readouterr().out.splitlines()[-1])["work"] == str(model.work_)


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_a_line_for_each_pass_and_iteration(capsys, loss):
    model = LinearRegressor(loss, verbose=1).fit(X, y)
    told = lines(capsys)
    kept = [int(line["rows"].replace(",", "")) for line in told]
    assert [line["step"] for line in told if "pass" in line["step"]] == [
        "pass 1: settle",
        "pass 2: verify",
    ]
    assert max(kept) < 20_000 // 2
    assert float(told[-1]["gap"]) == pytest.approx(model.dual_gap_, rel=0.06, abs=0.0)
    seconds = [float(line["seconds"]) for line in told]
    assert seconds == sorted(seconds)


def test_least_squares_tells_of_its_passes(capsys):
    model = LinearRegressor("mse", verbose=1).fit(X, y)
    told = lines(capsys)
    assert [(line["step"], line["rows"]) for line in told] == [
        ("pass 1: normal equations", "20,000"),
        ("pass 2: refinement", "20,000"),
    ]
    assert float(told[-1]["gap"]) == pytest.approx(model.dual_gap_, rel=0.06, abs=0.0)


@pytest.mark.parametrize("solver", ["auto", "scipy"])
def test_the_direct_way_ends_with_its_proof(capsys, solver):
    LinearRegressor("mae", solver=solver, verbose=1).fit(X[:8], y[:8])
    assert lines(capsys)[-1]["step"].endswith("proof")


def test_a_line_for_each_scale_and_candidate(capsys):
    LinearRegressor("huber", scale="mad", verbose=1).fit(X[:500], y[:500])
    assert sum(line["step"].startswith("scale") for line in lines(capsys)) >= 3
    LinearRegressorCV(deltas=[0.5, 1.0, 2.0], cv=3, verbose=1).fit(X, y)
    told = [line["step"] for line in lines(capsys) if line["step"].startswith("delta")]
    assert told == ["delta 2, 4 of 4 sets", "delta 1, 4 of 4 sets", "delta 0.5, 4 of 4 sets"]


def test_silence(capsys):
    LinearRegressorCV(deltas=3).fit(X[:100], y[:100])
    assert capsys.readouterr().out == ""


class Recorder:
    """Notes which tasks begin and end, and how many steps were announced for each."""

    max_propagation_depth = None

    def __init__(self):
        self.begun, self.ended, self.announced, self.torn_down = [], [], {}, 0

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(path(context))
        self.announced[path(context)] = context.max_subtasks

    def on_fit_task_end(self, estimator, context):
        self.ended.append(path(context))

    def teardown(self, estimator, context):
        self.torn_down += 1


def path(context):
    own = (context.task_name, context.task_id)
    return (own,) if context.parent is None else (*path(context.parent), own)


@pytest.fixture
def recorder():
    pytest.importorskip("sklearn.callback")
    return Recorder()


def test_callbacks_hear_of_each_step(recorder, capsys):
    model = LinearRegressor("mae", verbose=1).set_callbacks(recorder).fit(X, y)
    steps = [line["step"] for line in lines(capsys)]
    assert [at[-1][0] for at in recorder.ended] == [*steps, "fit"]
    assert sorted(recorder.begun) == sorted(recorder.ended)
    assert recorder.torn_down == 1
    np.testing.assert_array_equal(model.coef_, LinearRegressor("mae").fit(X, y).coef_)
    assert not any("context" in name for name in vars(model))


@pytest.mark.parametrize(
    "model",
    [
        LinearRegressorCV(deltas=4),
        LinearRegressorCV(deltas=[1.0, 2.0], alphas=[0.0, 1.0], scale="mad"),
        LinearRegressorCV("mae", alphas=[0.1, 1.0], cv=3),
    ],
)
def test_cross_validation_does_the_steps_that_it_announces(recorder, model):
    model.set_callbacks(recorder).fit(X[:300], y[:300])
    assert sorted(recorder.begun) == sorted(recorder.ended)
    for task, announced in recorder.announced.items():
        steps = {at for at in recorder.ended if at[:-1] == task}
        assert announced in (len(steps), None)
    assert [name for at in recorder.begun if len(at) == 2 for name, _ in at[1:]] == [
        "candidates",
        *(f"alpha {alpha:g}" for alpha in model.alphas),
        "fit",
    ]


def test_callbacks_come_with_searches_and_pipelines(recorder):
    pipeline = make_pipeline(StandardScaler(), LinearRegressor("huber"))
    search = GridSearchCV(pipeline, {"linearregressor__delta": [1.0, 2.0]}, cv=3)
    search.set_callbacks(recorder).fit(X[:300], y[:300])  # a warning would tell that they do not
    assert sum(at[-1][0] == "pass 1: verify" for at in recorder.ended) == 2 * 3 + 1


@pytest.mark.parametrize("model", [LinearRegressor("mae"), LinearRegressorCV()])
def test_a_fit_that_fails_tears_its_callbacks_down_and_leaves_the_earlier_one(recorder, model):
    model = clone(model).fit(X[:100], y[:100]).set_callbacks(recorder)
    before = vars(model).copy()
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X[:100], np.full(100, np.nan))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.where(X[:100] > 2.5, np.nan, X[:100]), y[:100])
    assert vars(model) == before
    assert len(recorder.begun) - len(recorder.ended) == recorder.torn_down


@pytest.mark.parametrize("n_jobs", [None, *slow(2)])
def test_scikit_learns_progress_bar(capfd, n_jobs):
    pytest.importorskip("rich")
    callback = pytest.importorskip("sklearn.callback")
    LinearRegressorCV(deltas=3, n_jobs=n_jobs).set_callbacks(callback.ProgressBar()).fit(
        X[:300], y[:300]
    )
    out = capfd.readouterr().out
    assert re.search(r"LinearRegressorCV - fit .*100%", out)
    assert re.search(r"LinearRegressorCV - alpha 0 #1 .*100%", out)
    assert re.search(r"LinearRegressor - fit .*100%", out)
