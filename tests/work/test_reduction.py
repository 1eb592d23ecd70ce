"""Row reduction: what it costs, in passes and rows, and that nothing random or wrong in it reaches
the answer.
"""

from dataclasses import replace

import numpy as np
import pytest
from problems import slow, way
from stored import read_arrays

from robustreg import LinearRegressor, certify
from robustreg.passes import in_step, reduction
from robustreg.passes.pilot import COST, WIDTH

ROBUST = ["mae", "huber"]
DELTA = 1.0


def noise(kind, rng, X):
    n = len(X)
    return {
        "normal": lambda: rng.standard_normal(n),
        "t(2)": lambda: rng.standard_t(2, n),
        "cauchy": lambda: rng.standard_cauchy(n),
        "lognormal": lambda: rng.lognormal(0.0, 2.0, n),
        "heteroscedastic": lambda: np.exp(X[:, 0]) * rng.standard_normal(n),
        "sixths": lambda: np.round(6.0 * rng.standard_normal(n)) / 6.0,
    }[kind]()


def tall(kind="t(2)", n=20_000, p=8, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1.0) + noise(kind, rng, X) + 3.0


def directly(loss, X, y, w=None, **parameters):
    with way("direct"):
        return LinearRegressor(loss, delta=DELTA, **parameters).fit(X, y, w)


def assert_equal_fits(model, direct, X):
    spread = np.std(X, axis=0) * np.abs(direct.coef_)
    np.testing.assert_allclose(
        model.coef_, direct.coef_, rtol=1e-9, atol=1e-11 * spread.max(initial=1e-300)
    )
    np.testing.assert_allclose(
        model.intercept_, direct.intercept_, rtol=1e-9, atol=1e-11 * spread.max(initial=0.0)
    )
    assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)
    assert model.unique_ == direct.unique_
    assert model.dual_gap_ <= 1e-9
    if model.loss == "huber":
        np.testing.assert_array_equal(model.outliers_, direct.outliers_)


# -- cost ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize(
    "kind", ["t(2)", "cauchy", *slow("normal", "lognormal", "heteroscedastic")]
)
def test_passes_and_kept_rows(kind, loss):
    n, p = 200_000, 10
    X, y = tall(kind, n, p)
    knot = DELTA if loss == "huber" else 0.0
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    work, m = model.work_, p + 1
    assert work.way == "passes"
    assert work.n_passes <= 4
    assert work.n_fixups <= 2
    # The band of the theory, from the residuals and the density of all rows at the solution.
    size = np.abs(y - model.predict(X))
    sample = (0.5 * COST * WIDTH) ** (2 / 3) * n ** (2 / 3) * m ** (1 / 3)
    window = 0.02 * np.median(size) if loss == "mae" else DELTA
    inner = np.mean(size <= window)
    slope = window if loss == "mae" else np.sqrt(np.mean(np.minimum(size, DELTA) ** 2))
    s = np.sqrt(m / sample) * slope / inner
    band = WIDTH * s * (1.0 + 1.5 / np.sqrt(2.0 * m))
    predicted = np.count_nonzero(np.abs(size - knot) <= band)
    assert work.n_kept <= 1.3 * predicted
    assert work.n_kept < n / 3


@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize("rows_per_column", [150, 1000])
def test_of_many_columns_few_rows_are_kept(loss, rows_per_column):
    X, y = tall("t(2)", rows_per_column * 100, 100)  # too many to keep all of them open
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    work = model.work_
    assert work.way == "passes"
    assert work.n_passes <= 5 + work.n_fixups  # two steps, settle, verify, one for the gap at most
    assert work.n_kept < 0.25 * len(y)
    with way("direct"):
        direct = LinearRegressor(loss, delta=DELTA).fit(X, y)
    np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-10, atol=1e-12)
    assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)
    assert model.dual_gap_ < 1e-12


@pytest.mark.parametrize("loss", ROBUST)
def test_few_rows_of_many_columns_that_steps_do_not_reach_go_the_direct_way(loss):
    X, y = tall("t(2)", 15_000, 100)
    X = X * np.random.default_rng(3).standard_cauchy((len(y), 1))
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    assert model.work_.way == "direct"
    assert "small sample" in model.work_.refused
    assert model.dual_gap_ < 1e-10


@pytest.mark.parametrize("loss", ROBUST)
def test_a_small_fit_reads_the_data_once_after_its_least_squares(loss):
    assert LinearRegressor(loss, delta=DELTA).fit(*tall(n=442, p=10)).work_.n_passes == 1


def test_least_squares_takes_two_passes():
    X, y = tall(n=20_000, p=10)
    model = LinearRegressor("mse").fit(X, y)
    assert (model.work_.way, model.work_.n_passes) == ("passes", 2)
    np.testing.assert_allclose(
        model.coef_, np.linalg.lstsq(X - X.mean(0), y - y.mean(), rcond=None)[0], rtol=1e-12
    )


# -- the same answer -------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize(
    "kind", ["normal", "t(2)", "cauchy", "lognormal", "heteroscedastic", "sixths"]
)
def test_the_answer_is_the_direct_one(kind, loss):
    X, y = tall(kind)
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    assert model.work_.way == "passes"
    assert_equal_fits(model, directly(loss, X, y), X)
    assert certify(model, X[:2000], y[:2000]).objective > 0.0


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 10.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ROBUST)
def test_with_weights_penalties_and_offsets(loss, weighted, alpha, fit_intercept):
    X, y = tall(n=15_001, p=4)
    X[:, 1] += 1e4
    X[:, 2] *= 1e-2
    w = np.random.default_rng(1).integers(0, 4, len(y)) if weighted else None
    parameters = {"alpha": alpha, "fit_intercept": fit_intercept}
    model = LinearRegressor(loss, delta=DELTA, **parameters).fit(X, y, w)
    direct = directly(loss, X, y, w, **parameters)
    np.testing.assert_allclose(model.predict(X), direct.predict(X), rtol=0, atol=1e-8)
    assert model.objective_ == pytest.approx(direct.objective_, rel=1e-11)
    if fit_intercept:
        assert model.work_.way == "passes"


@pytest.mark.parametrize("loss", ROBUST)
def test_weight_is_repeat(loss):
    X, y = tall(n=12_000, p=3)
    w = np.random.default_rng(1).integers(0, 3, len(y))
    weighted = LinearRegressor(loss, delta=DELTA).fit(X, y, w)
    repeated = LinearRegressor(loss, delta=DELTA).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-10)


HOSTILE = {
    "sorted by y": lambda X, y, rng: (X[np.argsort(y)], np.sort(y)),
    "sorted by x": lambda X, y, rng: (X[np.argsort(X[:, 0])], y[np.argsort(X[:, 0])]),
    "rare dummies": lambda X, y, rng: (np.column_stack([X, np.arange(len(y)) % 5003 == 7]), y),
    "a column in one row": lambda X, y, rng: (np.column_stack([X, np.arange(len(y)) == 7]), y),
    "dummies": lambda X, y, rng: (np.eye(9)[rng.integers(0, 9, len(y))][:, 1:], y),
    "heavy rows": lambda X, y, rng: (rng.standard_t(1.5, X.shape), y),
    "clusters": lambda X, y, rng: (np.repeat(X[: len(y) // 50], 50, axis=0), y),
    "the same residuals in runs": lambda X, y, rng: (
        X,
        X[:, 0] + np.repeat(rng.standard_t(2, len(y) // 500), 500),
    ),
    "a constant target": lambda X, y, rng: (X, np.full(len(y), 3.0)),
    "an exact line": lambda X, y, rng: (X, X[:, 0] - 2.0),
    "mostly zeros": lambda X, y, rng: (
        X,
        np.where(rng.uniform(size=len(y)) < 0.7, 0.0, np.exp(y / 30)),
    ),
    "two values": lambda X, y, rng: (X, (y > 0).astype(float)),
    "a duplicated column": lambda X, y, rng: (X[:, [0, 1, 2, 0]], y),
    "a constant column": lambda X, y, rng: (np.column_stack([X, np.full(len(y), 1e6)]), y),
    "one target of 1e20": lambda X, y, rng: (X, np.where(np.arange(len(y)) == 11, 1e20, y)),
    "one huge row": lambda X, y, rng: (np.where(np.arange(len(y))[:, None] == 11, 1e6 * X, X), y),
    "periods of the sampling": lambda X, y, rng: (
        X,
        X[:, 0] + 5.0 * np.sin(np.arange(len(y)) / 7.0),
    ),
}


@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_data_cost_time_at_worst(kind, loss):
    X, y = HOSTILE[kind](*tall(n=15_000, p=6), np.random.default_rng(2))
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    assert model.converged_
    direct = directly(loss, X, y)
    assert_equal_fits(model, direct, X)


@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize(
    "spoiled", ["far off", "too sure", "much too sure", "unsure", "far off and sure"]
)
def test_a_bad_pilot_ends_exact(spoiled, loss, monkeypatch):
    X, y = tall()
    pilot = reduction.pilot

    def bad(*arguments):
        good = pilot(*arguments)
        shift = 5.0 if "far off" in spoiled else 0.0
        rho = good.rho * {
            "too sure": 0.2,
            "much too sure": 1e-3,
            "unsure": 5.0,
            "far off and sure": 0.1,
        }.get(spoiled, 1.0)
        return replace(good, phi=good.phi + shift, rho=rho)

    direct = directly(loss, X, y)
    monkeypatch.setattr(reduction, "pilot", bad)
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    assert model.work_.n_passes or model.work_.refused
    assert_equal_fits(model, direct, X)


def test_too_many_kept_rows_are_not_copied(monkeypatch):
    X, y = tall(n=40_000, p=8)
    pilot = reduction.pilot
    monkeypatch.setattr(reduction, "pilot", lambda *a: replace(pilot(*a), rho=1e3))
    sweep, found = in_step.sweep, []

    def watched(*arguments):
        found.append(sweep(*arguments))
        return found[-1]

    monkeypatch.setattr(in_step, "sweep", watched)
    model = LinearRegressor("mae").fit(X, y)
    assert model.converged_
    assert model.work_.way == "direct"
    assert "near a knot" in model.work_.refused
    assert found[0].kept.count == 40_000
    assert sum(map(len, found[0].kept.C)) <= 20_000


@pytest.mark.parametrize("loss", ROBUST)
def test_a_wrong_dual_proves_nothing(loss, monkeypatch):
    # The certificate of a reduction is recomputed from all rows: a core that is off by 1e-4 does
    # not pass.
    X, y = tall()
    exact = LinearRegressor(loss, delta=DELTA).fit(X, y)
    from_near = reduction.from_near

    def off(problem, *rest):
        pair = from_near(problem, *rest)
        return replace(pair, phi=pair.phi + 1e-4)

    monkeypatch.setattr(reduction, "from_near", off)
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    if model.work_.way == "direct":
        assert model.work_.refused
    # One step of Newton's method may have mended it.
    assert model.objective_ <= exact.objective_ * (1 + 1e-9)


@pytest.mark.parametrize("alpha", [0.0, *slow(1.0, 1e6)])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("name", ["4", *slow("12", "22")])
def test_two_values_leave_no_row_open(name, fit_intercept, alpha):
    stored, rng = read_arrays("two_values"), np.random.default_rng(0)
    dummies = stored[f"X-{name}"].astype(float), stored[f"y-{name}"].astype(float)
    for X, y in (dummies, (rng.standard_normal((20_000, 2)), rng.choice([-1.0, 1.0], size=20_000))):
        parameters = {"alpha": alpha, "fit_intercept": fit_intercept}
        model = LinearRegressor("mae", **parameters).fit(X, y)
        direct = directly("mae", X, y, **parameters)
        assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)
        np.testing.assert_allclose(model.predict(X), direct.predict(X), atol=1e-9)


def test_outliers_at_a_knot_that_rounding_reaches():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 1)) + 1.0
    y = 1e7 * X[:, 0] + 1e-7 * rng.standard_normal(500)
    model = LinearRegressor("huber", delta=1e-12, fit_intercept=False).fit(X, y)
    with way("direct"):
        again = LinearRegressor("huber", delta=1e-12, fit_intercept=False).fit(X, y)
    np.testing.assert_array_equal(model.outliers_, again.outliers_)
