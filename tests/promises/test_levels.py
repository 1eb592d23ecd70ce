"""Many quantile levels at once: each is the fit that it is alone, in fewer passes."""

import tracemalloc
import warnings

import numpy as np
import pytest
from problems import way
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning

from robustreg import LinearRegressor, certify, quantile_process
from robustreg.data.source import Refused
from robustreg.fitting import at_knot
from robustreg.fitting.at_knot import LEVELS_TOGETHER
from robustreg.solvers import mae
from robustreg.solvers.crossover import crossover

FEW = [0.02, 0.3, 0.5, 0.9, 0.99]


def table(n, p=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    y = X @ np.arange(1.0, p + 1.0) + np.exp(0.3 * X[:, 0]) * rng.standard_t(3, n) + 3.0
    return X, y


def check(process, X, y, w=None, **parameters):
    """Each level beside the fit of it alone."""
    for k, level in enumerate(process.quantiles):
        alone = LinearRegressor("quantile", quantile=level, **parameters).fit(X, y, w)
        np.testing.assert_allclose(process.coefs[k], alone.coef_, rtol=1e-9, atol=1e-11)
        assert process.intercepts[k] == pytest.approx(alone.intercept_, rel=1e-9, abs=1e-11)
        assert process.objectives[k] == pytest.approx(alone.objective_, rel=1e-11)
        judged = LinearRegressor("quantile", quantile=level, **parameters)
        judged.coef_, judged.intercept_ = process.coefs[k], process.intercepts[k]
        assert certify(judged, X, y, w).gap <= 1e-10
    assert process.converged.all()
    assert np.all(process.dual_gaps <= 1e-9)


@pytest.mark.parametrize("n", [12, 300, 5000, 20_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_each_level_is_the_fit_alone(n, weighted):
    X, y = table(n)
    w = np.random.default_rng(1).integers(0, 4, n) if weighted else None
    check(quantile_process(X, y, FEW, w), X, y, w)


@pytest.mark.parametrize("parameters", [{"alpha": 0.1}, {"fit_intercept": False}])
def test_with_a_penalty_and_without_an_intercept(parameters):
    X, y = table(6000, seed=2)
    check(quantile_process(X, y, FEW, **parameters), X, y, **parameters)


def test_dependent_sparse_and_repeated_rows():
    X, y = table(6000, seed=3)
    check(quantile_process(np.column_stack([X, X[:, 0]]), y, FEW), np.column_stack([X, X[:, 0]]), y)
    sparse = csr_array(X * (np.random.default_rng(3).uniform(size=X.shape) < 0.3))
    check(quantile_process(sparse, y, FEW), sparse, y)
    X, y = np.round(X[:, :1]), np.round(y)
    check(quantile_process(X, y, FEW), X, y)


def test_levels_share_their_passes():
    X, y = table(60_000, 5, seed=4)
    process = quantile_process(X, y)
    assert len(process.quantiles) == 19
    assert process.work.way == "passes"
    assert process.work.n_passes <= 6
    with way("direct"):
        direct = quantile_process(X, y, [0.05, 0.5])
    np.testing.assert_allclose(process.coefs[[0, 9]], direct.coefs, rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_a_spread_that_grows_with_X_costs_no_pass_more(seed):
    """Steps contract, though the density of residuals is another one for each row."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.uniform(0.0, 3.0, 100_000), rng.standard_normal((100_000, 7))])
    y = X.sum(axis=1) + (0.2 + X[:, 0]) * rng.standard_normal(100_000)
    work = quantile_process(X, y).work
    assert work.way == "passes"
    assert work.n_passes == 4
    assert work.n_kept <= 10_000


def test_a_level_whose_open_rows_were_chosen_badly_tries_few_crossovers(monkeypatch):
    """Its small problem has no minimiser: that is found soon, and the level is fitted alone."""
    tried = []

    def counted(problem, guess):
        found = crossover(problem, guess)
        tried.append(found[1])
        return found

    monkeypatch.setattr(mae, "crossover", counted)
    rng = np.random.default_rng(0)
    X = rng.standard_t(3, (20_000, 20))
    spread = np.exp(2.0 * np.clip(X[:, 0] / X[:, 0].std(), -4.0, 4.0))
    y = X @ rng.standard_normal(20) + spread * rng.standard_normal(20_000)
    levels = [0.1, 0.5, 0.9]
    process = quantile_process(X, y, levels)
    assert process.converged.all()
    assert tried.count(False) <= 60
    for k, level in enumerate(levels):
        alone = LinearRegressor("quantile", quantile=level).fit(X, y)
        assert process.objectives[k] == pytest.approx(alone.objective_, rel=1e-12)


def test_extreme_levels_share_their_passes_too():
    X, y = table(100_000, 5, seed=7)
    process = quantile_process(X, y, [0.01, 0.02, 0.98, 0.99])
    assert process.work.way == "passes"
    assert process.work.n_kept <= 10_000
    assert process.converged.all()


def test_a_large_offset_of_y_costs_a_level_no_more_digits_than_alone():
    X, y = table(20_000, 3, seed=6)
    y = y + 1e9
    process = quantile_process(X, y, FEW)
    assert process.work.way == "passes"
    for k, level in enumerate(FEW):
        alone = LinearRegressor("quantile", quantile=level).fit(X, y)
        np.testing.assert_allclose(process.coefs[k], alone.coef_, rtol=1e-11)


def test_more_levels_than_share_their_passes():
    X, y = table(4000, 2, seed=8)
    levels = np.linspace(0.02, 0.98, LEVELS_TOGETHER + 5)
    process = quantile_process(X, y, levels)
    assert process.work.way == "passes"
    last = quantile_process(X, y, levels[-7:])
    np.testing.assert_allclose(process.coefs[-7:], last.coefs, rtol=1e-10)


def test_levels_whose_passes_are_refused_are_fitted_each_alone(monkeypatch):
    in_passes = at_knot.in_passes

    def of_one(sources, *rest):
        sources = list(sources)
        if sources[0].n_targets > 1:
            raise Refused("There are several.")
        return in_passes(sources, *rest)

    monkeypatch.setattr(at_knot, "in_passes", of_one)
    X, y = table(5000, seed=9)
    process = quantile_process(X, y, FEW)
    assert process.work.way == "passes"
    check(process, X, y)


def test_the_minimiser_of_one_level_may_not_be_unique():
    X, y = np.zeros((10, 1)), np.arange(10.0)
    X[:5] = 1.0
    assert quantile_process(X, y, [0.1, 0.3, 0.7]).unique
    assert not quantile_process(X, y, [0.1, 0.2, 0.3]).unique


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_a_memory_map_is_predicted_by_blocks(dtype, tmp_path):
    X = np.random.default_rng(10).integers(-9, 9, (60_000, 40)).astype(dtype)
    process = quantile_process(X[:500], X[:500, 0] + np.sin(np.arange(500.0)), [0.2, 0.7])
    X.tofile(tmp_path / "X")
    mapped = np.memmap(tmp_path / "X", dtype=dtype, mode="r", shape=X.shape)
    tracemalloc.start()
    found = process.predict(mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 8 * X.size
    expected = X.astype(float) @ process.coefs.T + process.intercepts
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert found.dtype == np.float64


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_what_is_not_finite_is_an_error(kind, bad):
    X, y = table(3000, seed=11)
    process, w = quantile_process(X, y, [0.2, 0.5, 0.8]), np.ones(3000)
    X[2999, 1] = bad
    w[2999] = 0.0
    message = "X contains (NaN|infinity)"
    for name in ("passes", "direct"):
        with way(name), pytest.raises(ValueError, match=message):
            quantile_process(kind(X), y, [0.2, 0.5, 0.8])
        with way(name), pytest.raises(ValueError, match=message):
            quantile_process(kind(X), y, [0.2, 0.5, 0.8], w)
    with pytest.raises(ValueError, match=message):
        process.predict(kind(X))
    with pytest.raises(ValueError, match=message):
        process.crossings(kind(X))


def test_predictions_and_crossings():
    X, y = table(500, seed=5)
    process = quantile_process(X, y, [0.9, 0.1, 0.5, 0.5])
    np.testing.assert_array_equal(process.quantiles, [0.1, 0.5, 0.9])
    coef, intercept = process(0.5)
    np.testing.assert_allclose(process.predict(X)[:, 1], X @ coef + intercept)
    np.testing.assert_allclose(process.predict(csr_array(X)), process.predict(X), rtol=1e-11)
    far = np.vstack([X.mean(axis=0), 1e6 * np.eye(3), -1e6 * np.eye(3)])
    lines = process.predict(far)
    expected = np.sum(lines[:, :-1] > lines[:, 1:], axis=0)
    np.testing.assert_array_equal(process.crossings(far), expected)
    assert np.all(expected > 0)  # lines of different slopes cross
    assert process.crossings(far[:1]).sum() == 0
    assert quantile_process(X, y, 0.3).crossings(X).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quantiles": [0.5, 1.0]}, "quantiles must hold numbers between 0 and 1, .*; got 1 among"),
        ({"quantiles": [0.0, 0.5]}, "quantiles must hold finite numbers > 0; got 0.0 among"),
        ({"quantiles": []}, "quantiles must hold|quantiles must have"),
        ({"quantiles": ["a"]}, "quantiles must hold finite numbers"),
        ({"alpha": -1.0}, "alpha must be a finite number >= 0; got -1.0"),
        ({"fit_intercept": 1}, "fit_intercept must be True or False; got 1"),
        ({"sample_weight": [-1.0] * 30}, "sample_weight must be >= 0"),
    ],
)
def test_bad_arguments(arguments, message):
    X, y = table(30)
    with pytest.raises((ValueError, TypeError), match=message):
        quantile_process(X, y, **arguments)


def test_levels_and_columns_that_are_not_there():
    process = quantile_process(*table(30), quantiles=[0.2, 0.8])
    with pytest.raises(ValueError, match=r"quantile must be one of the levels 0.2, 0.8; got 0.5"):
        process(0.5)
    with pytest.raises(ValueError, match=r"one of the levels 0.2, 0.8; got \[0.2, 0.8\]"):
        process([0.2, 0.8])
    nearly = quantile_process(*table(30), quantiles=np.arange(1, 4) * 0.1)
    with pytest.raises(ValueError, match=r"0.1, 0.2, 0.30000000000000004; got 0.3"):
        nearly(0.3)
    with pytest.raises(ValueError, match="X must have the columns of the fit, 3; got 2"):
        process.predict(np.ones((4, 2)))


def test_a_fit_that_is_not_certified_warns():
    X = np.array([[1.0, 1.0], [1e-8, 1e8], [3.0, 1.0]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        process = quantile_process(X, [1.0, 2.0, 3.0])
    assert all(issubclass(one.category, ConvergenceWarning) for one in caught)
    assert process.converged.all() or caught
