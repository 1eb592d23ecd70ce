"""Two steps of Newton's method on all rows end near the minimiser, or are not believed."""

import numpy as np
import pytest

from robustreg import LinearRegressor
from robustreg.data.arrays import make_source
from robustreg.data.frame import make_frame
from robustreg.data.source import Refused, sweep
from robustreg.passes import pilot as pilots
from robustreg.passes.all_rows import all_rows
from robustreg.passes.nearer import PART, moved_nearer
from robustreg.passes.pilot import Levels, pilot
from robustreg.problem.losses import ABSOLUTE, huber, pinball
from unit.constructed import OPTIONS, tally

N, P = 20_000, 4
CASES = {"mae": ABSOLUTE, "huber": huber(1.0), "quantile": pinball(0.97)}
losses = pytest.mark.parametrize("loss", CASES.values(), ids=CASES)


def case(loss, alpha=0.0):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, P))
    y = X @ np.arange(1.0, P + 1.0) + rng.standard_t(4, N)
    source = make_source(X, y, None)
    return X, y, all_rows(source, make_frame(source, True), loss, alpha)


def driven(problem, enough=True, changed=lambda seen, number: seen):
    """The pilot that the steps return, with what each pass sees ``changed``."""
    steps, sent, number = moved_nearer(problem, OPTIONS, tally(), enough), None, 0
    while True:
        try:
            asked = steps.send(sent)
        except StopIteration as end:
            return end.value, number
        number += 1
        sent = changed(sweep(problem.source, asked.kernel, asked.frame, *asked.arguments), number)


def way_off(seen, number):
    """The second gradient as large as if the first step had gone the wrong way."""
    return 100.0 * seen if number == 2 else seen


@losses
@pytest.mark.parametrize("alpha", [0.0, 0.001])
def test_steps_come_nearer_and_tell_how_near(loss, alpha):
    X, y, problem = case(loss, alpha)
    name = next(name for name, one in CASES.items() if one is loss)
    given = {"quantile": 0.97} if name == "quantile" else {"delta": 1.0}
    model = LinearRegressor(name, alpha=alpha, **given).fit(X, y)

    def off(found):
        b, b0 = problem.frame.raw(found.phi)
        away = X @ (b - model.coef_) + b0 - model.intercept_
        return np.sqrt(np.mean(np.square(away))) / problem.frame.y_scale

    start, whole = pilot(problem, tally(), PART), pilot(problem, tally())
    found, n_passes = driven(problem)
    assert n_passes == 2
    assert off(found) < 0.25 * off(start)
    assert off(found) <= found.rho < 0.5 * whole.rho


@losses
def test_steps_that_do_not_contract_are_not_believed(loss):
    problem = case(loss)[2]
    found, whole = driven(problem, changed=way_off)[0], pilot(problem, tally())
    np.testing.assert_array_equal(found.phi, whole.phi)
    assert found.rho == whole.rho
    with pytest.raises(Refused, match="Steps from a small sample do not tell where the fit is"):
        driven(problem, enough=False, changed=way_off)


@losses
@pytest.mark.parametrize("change", [None, "exact", "tiny units", "huge units"])
def test_gradients_are_rough_where_float32_is_far_finer_than_the_pilot(loss, change):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, P))
    noise = rng.standard_t(4, N)
    y = X @ np.arange(1.0, P + 1.0) + (1e-6 if change == "exact" else 1.0) * noise
    unit = {"tiny units": 1e-30, "huge units": 1e30}.get(change, 1.0)
    source = make_source(X * np.append(unit, np.ones(P - 1)), y, None)
    problem = all_rows(source, make_frame(source, True), loss, 0.0)
    steps = moved_nearer(problem, OPTIONS, tally(), True)
    assert next(steps).rough is (change is None)


def test_no_level_begins_where_another_has_failed(monkeypatch):
    problem, levels = case(pinball(0.9))[2], Levels()
    monkeypatch.setattr(
        pilots, "approach", lambda problem, phi, *_: (np.nan * phi, problem.rows.y, np.nan)
    )
    with pytest.raises(Refused, match="Most rows of a sample are fitted exactly"):
        pilot(problem, tally(), PART, levels=levels)
    assert levels.phi is None
    monkeypatch.undo()
    found = pilot(problem, tally(), PART, levels=levels)
    np.testing.assert_array_equal(found.phi, pilot(problem, tally(), PART).phi)
    np.testing.assert_array_equal(levels.phi, found.phi)
