"""Row reduction: what it costs, in passes and rows, and that nothing random or wrong in it reaches the answer."""

from dataclasses import replace

import numpy as np
import pytest

from robustreg import LinearRegressor, certify
from robustreg.data.stream import make_stream
from robustreg.data.threads import one_blas_thread
from robustreg.fitting import at_knot as fitting
from robustreg.passes import reduction
from robustreg.passes.pilot import COST, WIDTH
from robustreg.problem.solution import Options

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


def directly(monkeypatch, loss, X, y, w=None, **parameters):
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "TALL", np.inf)
        return LinearRegressor(loss, delta=DELTA, **parameters).fit(X, y, w)


def assert_equal_fits(model, direct, X):
    spread = np.std(X, axis=0) * np.abs(direct.coef_)
    np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-9, atol=1e-11 * spread.max(initial=1e-300))
    np.testing.assert_allclose(model.intercept_, direct.intercept_, rtol=1e-9, atol=1e-11 * spread.max(initial=0.0))
    assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)
    assert model.unique_ == direct.unique_
    assert model.dual_gap_ <= 1e-9
    if model.loss == "huber":
        np.testing.assert_array_equal(model.outliers_, direct.outliers_)


@pytest.fixture
def streamed(monkeypatch):
    """The solutions that came from streams, as they come; None for one that was refused."""
    found, reduced = [], fitting.reduced

    def spy(*arguments):
        found.append(reduced(*arguments))
        return found[-1]

    monkeypatch.setattr(fitting, "reduced", spy)
    return found


# -- cost ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize("kind", ["normal", "t(2)", "cauchy", "lognormal", "heteroscedastic"])
def test_passes_and_kept_rows(kind, loss):
    n, p = 200_000, 10
    X, y = tall(kind, n, p)
    knot = DELTA if loss == "huber" else 0.0
    with one_blas_thread():
        solution = reduction.reduced(make_stream(X, y, None, True), knot, 0.0, Options(1000))
    work, m = solution.work, p + 1
    assert work.n_passes <= 4
    assert work.n_fixups <= 2
    # The band of the theory, from the residuals and the density of all rows at the solution.
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
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
def test_a_small_fit_reads_the_data_once_after_its_least_squares(loss, streamed):
    LinearRegressor(loss, delta=DELTA).fit(*tall(n=442, p=10))
    assert streamed[0].work.n_passes == 1


def test_least_squares_takes_two_passes(monkeypatch):
    X, y = tall(n=20_000, p=10)
    stream = make_stream(X, y, None, True)
    swept = []
    sweep = type(stream.columns.inner).sweep
    monkeypatch.setattr(type(stream.columns.inner), "sweep", lambda *a: swept.append(1) or sweep(*a))
    model = LinearRegressor("mse").fit(X, y)
    assert len(swept) == 2
    np.testing.assert_allclose(model.coef_, np.linalg.lstsq(X - X.mean(0), y - y.mean(), rcond=None)[0], rtol=1e-12)


# -- the same answer -------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize("kind", ["normal", "t(2)", "cauchy", "lognormal", "heteroscedastic", "sixths"])
def test_the_answer_is_the_direct_one(kind, loss, monkeypatch, streamed):
    X, y = tall(kind)
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    assert streamed[0] is not None
    assert_equal_fits(model, directly(monkeypatch, loss, X, y), X)
    assert certify(model, X[:2000], y[:2000]).objective > 0.0


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 10.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ROBUST)
def test_with_weights_penalties_and_offsets(loss, weighted, alpha, fit_intercept, monkeypatch, streamed):
    X, y = tall(n=15_001, p=4)
    X[:, 1] += 1e4
    X[:, 2] *= 1e-2
    w = np.random.default_rng(1).integers(0, 4, len(y)) if weighted else None
    parameters = {"alpha": alpha, "fit_intercept": fit_intercept}
    model = LinearRegressor(loss, delta=DELTA, **parameters).fit(X, y, w)
    direct = directly(monkeypatch, loss, X, y, w, **parameters)
    np.testing.assert_allclose(model.predict(X), direct.predict(X), rtol=0, atol=1e-8)
    assert model.objective_ == pytest.approx(direct.objective_, rel=1e-11)
    if fit_intercept:
        assert streamed[0] is not None


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
    "the same residuals in runs": lambda X, y, rng: (X, X[:, 0] + np.repeat(rng.standard_t(2, len(y) // 500), 500)),
    "a constant target": lambda X, y, rng: (X, np.full(len(y), 3.0)),
    "an exact line": lambda X, y, rng: (X, X[:, 0] - 2.0),
    "mostly zeros": lambda X, y, rng: (X, np.where(rng.uniform(size=len(y)) < 0.7, 0.0, np.exp(y / 30))),
    "two values": lambda X, y, rng: (X, (y > 0).astype(float)),
    "a duplicated column": lambda X, y, rng: (X[:, [0, 1, 2, 0]], y),
    "a constant column": lambda X, y, rng: (np.column_stack([X, np.full(len(y), 1e6)]), y),
    "one target of 1e20": lambda X, y, rng: (X, np.where(np.arange(len(y)) == 11, 1e20, y)),
    "one huge row": lambda X, y, rng: (np.where(np.arange(len(y))[:, None] == 11, 1e6 * X, X), y),
    "periods of the sampling": lambda X, y, rng: (X, X[:, 0] + 5.0 * np.sin(np.arange(len(y)) / 7.0)),
}


@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_data_cost_time_at_worst(kind, loss, monkeypatch):
    X, y = HOSTILE[kind](*tall(n=15_000, p=6), np.random.default_rng(2))
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    assert model.converged_
    direct = directly(monkeypatch, loss, X, y)
    assert_equal_fits(model, direct, X)


@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize("spoiled", ["far off", "too sure", "much too sure", "unsure", "far off and sure"])
def test_a_bad_pilot_ends_exact(spoiled, loss, monkeypatch, streamed):
    X, y = tall()
    pilot = reduction.pilot

    def bad(*arguments):
        good = pilot(*arguments)
        shift = 5.0 if "far off" in spoiled else 0.0
        s = good.s * {"too sure": 0.2, "much too sure": 1e-3, "unsure": 5.0, "far off and sure": 0.1}.get(
            spoiled, 1.0
        )
        return replace(good, phi=good.phi + shift, s=s)

    direct = directly(monkeypatch, loss, X, y)
    monkeypatch.setattr(reduction, "pilot", bad)
    model = LinearRegressor(loss, delta=DELTA).fit(X, y)
    assert len(streamed) == 1
    assert_equal_fits(model, direct, X)


def test_too_many_kept_rows_are_not_copied(monkeypatch, streamed):
    X, y = tall(n=40_000, p=8)
    pilot = reduction.pilot
    monkeypatch.setattr(reduction, "pilot", lambda *a: replace(pilot(*a), s=1e3))
    settle, sizes = reduction.settle, []

    def watched(*arguments):
        settled = settle(*arguments)
        sizes.append((len(settled.index), len(settled.Z)))
        return settled

    monkeypatch.setattr(reduction, "settle", watched)
    assert LinearRegressor("mae").fit(X, y).converged_
    assert streamed == [None]
    assert sizes[0][0] == 40_000
    assert sizes[0][1] <= 20_000


@pytest.mark.parametrize("knot", [0.0, 1.0])
def test_a_wrong_dual_proves_nothing(knot, monkeypatch):
    # The certificate of a stream is recomputed from all rows: a core that is off by 1e-4 does not pass.
    X, y = tall()
    module = reduction.huber if knot else reduction.mae
    from_near = module.from_near

    def off(problem, *rest):
        pair = from_near(problem, *rest)
        return replace(pair, phi=pair.phi + 1e-4)

    monkeypatch.setattr(module, "from_near", off)
    with one_blas_thread():
        solution = reduction.reduced(make_stream(X, y, None, True), knot, 0.0, Options(1000))
    exact = LinearRegressor("huber" if knot else "mae", delta=DELTA)
    monkeypatch.undo()
    exact.fit(X, y)
    if solution is not None:  # one step of Newton's method may have mended it
        assert solution.objective <= exact.objective_ * (1 + 1e-9)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("seed", [4, 12, 22])
def test_two_values_leave_no_row_open(seed, fit_intercept, alpha, monkeypatch):
    rng = np.random.default_rng(seed)
    D = (rng.uniform(size=(20_000, 2)) < 0.3).astype(float)
    for X in (D, rng.standard_normal((20_000, 2))):
        y = rng.choice([-1.0, 1.0], size=len(X))
        parameters = {"alpha": alpha, "fit_intercept": fit_intercept}
        model = LinearRegressor("mae", **parameters).fit(X, y)
        direct = directly(monkeypatch, "mae", X, y, **parameters)
        assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)
        np.testing.assert_allclose(model.predict(X), direct.predict(X), atol=1e-9)


def test_outliers_at_a_knot_that_rounding_reaches(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 1)) + 1.0
    y = 1e7 * X[:, 0] + 1e-7 * rng.standard_normal(500)
    model = LinearRegressor("huber", delta=1e-12, fit_intercept=False).fit(X, y)
    monkeypatch.setattr(fitting, "TALL", np.inf)
    again = LinearRegressor("huber", delta=1e-12, fit_intercept=False).fit(X, y)
    np.testing.assert_array_equal(model.outliers_, again.outliers_)
