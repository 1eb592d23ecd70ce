"""Quantile regression at every level: the minimum, its proof, its symmetries and its definition."""

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from problems import naive_gap, objective, slow, way
from scipy.optimize import linprog
from scipy.sparse import csr_array
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_pinball_loss

from robustreg import LinearRegressor, certify

REFERENCE = Path(__file__).parents[1] / "reference"
LEVELS = [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999]
levels = pytest.mark.parametrize("level", LEVELS)


def at(level, **parameters):
    return LinearRegressor("quantile", quantile=level, **parameters)


def table(n, p=4, seed=0, noise="standard_normal"):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1.0) + (1.0 + 0.3 * X[:, 0]) * getattr(rng, noise)(
        size=n
    ) + 3.0


def random_table(seed):
    """(X, y, w or None, fit_intercept): ties, dependent columns, units, weights."""
    rng = np.random.default_rng(seed)
    n = max(1, int(rng.choice([1, 2, 3, 5, 10, 30, 100, 300]) * rng.uniform(0.5, 1.0)))
    p, kind = int(rng.integers(1, 11)), rng.integers(5)
    X = rng.standard_normal((n, p))
    X = np.round(2.0 * X) if kind == 1 else X
    X[:, -1] = X[:, 0] if kind == 2 else X[:, -1]
    X = X * 10.0 ** rng.uniform(-3.0, 3.0, p) if kind == 3 else X
    X = (rng.uniform(size=(n, p)) < 0.3) * 1.0 if kind == 4 else X
    y = X @ rng.standard_normal(p) + rng.standard_t(2, n)
    y = np.round(y) if rng.uniform() < 0.4 else y
    draw, w = rng.uniform(), None
    if draw < 0.3:
        w = np.append(1.0, rng.integers(0, 4, n - 1))
    elif draw < 0.5:
        w = 10.0 ** rng.uniform(-3.0, 3.0, n)
    return X, y, w, bool(rng.integers(2))


def by_highs(X, y, w, level, fit_intercept):
    """The least objective as HiGHS finds it, for columns and y of unit size."""
    w = np.ones(len(y)) if w is None else w
    size, unit = np.abs(X).max(axis=0), np.abs(y).max() or 1.0
    A = X / np.where(size > 0.0, size, 1.0)
    A = np.column_stack([A, np.ones(len(y))]) if fit_intercept else A
    n, m = A.shape
    cost = np.concatenate([np.zeros(m), level * w, (1.0 - level) * w]) / w.sum()
    equations = np.hstack([A, np.eye(n), -np.eye(n)])
    bounds = [(None, None)] * m + [(0.0, None)] * (2 * n)
    exact = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    program = linprog(cost, A_eq=equations, b_eq=y / unit, bounds=bounds, options=exact)
    return program.fun * unit


@pytest.mark.parametrize("block", [0, *slow(*range(1, 25))])
def test_the_minimum_is_that_of_highs_and_is_proved(block):
    for seed in range(20 * block, 20 * (block + 1)):
        X, y, w, fit_intercept = random_table(seed)
        for level in LEVELS:
            model = at(level, fit_intercept=fit_intercept).fit(X, y, w)
            assert model.converged_
            value, rounding = objective(model, X, y, w), 1e-13 * np.abs(y).mean()
            assert model.objective_ == pytest.approx(value, rel=1e-12, abs=rounding)
            theirs = by_highs(X, y, w, level, fit_intercept)
            assert value <= theirs * (1.0 + 1e-12) + rounding, (seed, level)
            assert naive_gap(model, X, y, w) <= 1e-11 * value + 100.0 * rounding, (seed, level)
            assert certify(model, X, y, w).gap <= 1e-11, (seed, level)
            mirrored = at(1.0 - level, fit_intercept=fit_intercept).fit(X, -y, w)
            fitted, size = model.predict(X), np.abs(y).max()
            np.testing.assert_allclose(-mirrored.predict(X), fitted, rtol=0.0, atol=1e-12 * size)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(5))
def test_at_one_half_it_is_mae_to_the_last_digit(seed, alpha):
    X, y, w, fit_intercept = random_table(seed)
    half = at(0.5, alpha=alpha, fit_intercept=fit_intercept).fit(X, y, w)
    mae = LinearRegressor("mae", alpha=2.0 * alpha, fit_intercept=fit_intercept).fit(X, y, w)
    np.testing.assert_array_equal(half.coef_, mae.coef_)
    assert half.intercept_ == mae.intercept_
    assert half.objective_ == 0.5 * mae.objective_
    assert half.unique_ == mae.unique_


@levels
@pytest.mark.parametrize("noise", ["standard_normal", "exponential", "standard_cauchy"])
def test_both_ways_find_the_same(noise, level):
    X, y = table(5000, seed=1, noise=noise)
    found = {}
    for name in ("passes", "direct"):
        with way(name):
            found[name] = at(level).fit(X, y)
    passes, direct = found["passes"], found["direct"]
    np.testing.assert_allclose(passes.coef_, direct.coef_, rtol=1e-10, atol=1e-11)
    assert passes.objective_ == pytest.approx(direct.objective_, rel=1e-12)
    assert certify(passes, X, y).gap <= 1e-11
    below = np.mean(y < passes.predict(X) - 1e-9)
    assert below <= level <= below + 6.0 / 5000  # the fit goes through five rows


@pytest.mark.parametrize("level", [0.01, 0.1, 0.9, 0.99])
def test_extreme_levels_keep_few_rows(level):
    X, y = table(60_000, seed=2)
    work = at(level).fit(X, y).work_
    median = LinearRegressor("mae").fit(X, y).work_
    assert work.way == "passes"
    assert work.n_passes == 2 + work.n_fixups
    assert work.n_kept <= median.n_kept


@pytest.mark.parametrize("level", [0.02, 0.25, 0.9])
def test_all_storages_and_targets_agree(level):
    X, y = table(6000, seed=3)
    w = np.random.default_rng(3).integers(1, 4, 6000).astype(float)
    X[:, 3] *= np.random.default_rng(4).uniform(size=6000) < 0.1
    expected = at(level).fit(X, y, w)
    for data in (np.asfortranarray(X), csr_array(X)):
        np.testing.assert_allclose(at(level).fit(data, y, w).coef_, expected.coef_, rtol=1e-10)
    several = at(level).fit(X, np.column_stack([np.abs(y), y, -y]), w)
    np.testing.assert_allclose(several.coef_[1], expected.coef_, rtol=1e-10)
    mirrored = at(1.0 - level).fit(X, y, w)
    np.testing.assert_allclose(-several.coef_[2], mirrored.coef_, rtol=1e-10)
    assert not hasattr(expected, "outliers_")
    assert not hasattr(expected, "scale_")


@levels
def test_dependent_columns_share_by_least_norm(level):
    X, y = table(3000, 3, seed=5)
    once = at(level).fit(X, y)
    twice = at(level).fit(np.column_stack([X, X[:, 0], np.full(3000, 7.0)]), y)
    halves = [once.coef_[0] / 2, *once.coef_[1:], once.coef_[0] / 2, 0.0]
    np.testing.assert_allclose(twice.coef_, halves, rtol=1e-9, atol=1e-12)
    assert not twice.unique_
    assert twice.rank_ == 3


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_a_penalised_fit_equals_scipys(alpha, level):
    X, y = table(80, 3, seed=6)
    ours = at(level, alpha=alpha).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = at(level, alpha=alpha, solver="scipy").fit(X, y)
    assert ours.objective_ <= theirs.objective_ * (1.0 + 1e-12)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    assert naive_gap(ours, X, y) <= 1e-11 * ours.objective_
    assert certify(ours, X, y).gap <= 1e-11


@levels
def test_units_and_order_change_nothing(level):
    X, y = table(400, 3, seed=7)
    expected = at(level).fit(X, y)
    order = np.random.default_rng(7).permutation(400)
    units = np.array([1e-7, 1.0, 1e9])
    moved = at(level).fit(X[order] * units, 1e-12 * y[order])
    np.testing.assert_allclose(moved.coef_ * units * 1e12, expected.coef_, rtol=1e-9)
    shifted = at(level).fit(X, y - X @ [1.0, 2.0, 3.0] + 50.0)
    np.testing.assert_allclose(shifted.coef_ + np.arange(1.0, 4.0), expected.coef_, rtol=1e-11)
    assert shifted.intercept_ == pytest.approx(expected.intercept_ + 50.0, rel=1e-12)


@levels
def test_a_weight_counts_repeats(level):
    X, y, rng = *table(120, 3, seed=8), np.random.default_rng(8)
    w = rng.integers(0, 4, 120)
    weighted = at(level).fit(X, y, w)
    repeated = at(level).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-10)
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 10, 11, 200])
@pytest.mark.parametrize("weighted", [False, True])
def test_of_an_intercept_alone_it_is_the_averaged_inverted_distribution(n, weighted):
    """As ``numpy.quantile`` with that method: the middle between two values where both fit."""
    rng = np.random.default_rng(n)
    y = rng.permutation(np.round(10.0 * rng.standard_normal(n), 1))
    w = rng.integers(1, 5, n) if weighted else np.ones(n, dtype=int)
    for level in [*LEVELS, 0.2, 0.3, 0.7, 0.8]:
        model = at(level).fit(np.zeros((n, 1)), y, w)
        expected = np.quantile(np.repeat(y, w), level, method="averaged_inverted_cdf")
        assert model.intercept_ == pytest.approx(expected, rel=1e-12, abs=1e-12), level


@pytest.mark.parametrize("data", ["stackloss", "engel"])
@pytest.mark.parametrize("level", [0.25, 0.5, 0.9])
def test_coefficients_equal_those_of_r_quantreg(level, data):
    with open(REFERENCE / f"{data}.csv") as file:
        rows = np.array([[float(x) for x in row] for row in list(csv.reader(file))[1:]])
    expected = json.loads((REFERENCE / "r_quantiles.json").read_text())[data][str(level)]
    model = at(level).fit(rows[:, :-1], rows[:, -1])
    np.testing.assert_allclose([model.intercept_, *model.coef_], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("level", [0.1, 0.9])
def test_an_interval_that_ends_far_away_has_its_middle(level):
    y = np.append(np.arange(9.0), 1e12)
    assert at(0.9).fit(np.zeros((10, 1)), y).intercept_ == pytest.approx(0.5 * (8.0 + 1e12))
    assert at(level).fit(np.zeros((10, 1)), np.zeros(10)).intercept_ == 0.0


@pytest.mark.parametrize("level", [1e-9, 1e-6, 1.0 - 1e-6])
def test_beyond_all_rows_it_is_their_envelope(level):
    X, y = table(300, 2, seed=9)
    model = at(level).fit(X, y)
    r = y - model.predict(X)
    assert model.converged_
    assert np.all((r if level < 0.5 else -r) >= -1e-12)
    assert certify(model, X, y).gap <= 1e-9


@pytest.mark.parametrize("level", [0.001, 0.999])
@pytest.mark.parametrize("p", [1, 2])
def test_all_rows_on_one_side_of_no_line_at_all(p, level):
    X, y = np.zeros((40, p)), np.arange(1.0, 41.0)
    X[0, p - 1] = p - 1.0
    with way("passes"):
        model = at(level, fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(model.coef_, [0.0] * (p - 1) + [p - 1.0])
    assert certify(model, X, y).gap <= 1e-11


def test_counts_with_many_ties():
    rng = np.random.default_rng(10)
    X = rng.standard_normal((20_000, 2))
    y = rng.poisson(np.exp(0.3 * X[:, 0])).astype(float)
    for level in (0.1, 0.3, 0.5, 0.9):
        model = at(level).fit(X, y)
        assert model.converged_
        assert certify(model, X, y).gap <= 1e-11


def test_a_warm_start_never_changes_the_answer():
    X, y = table(4000, seed=11)
    cold = at(0.9).fit(X, y)
    model = at(0.2, warm_start=True).fit(X, y).set_params(quantile=0.9).fit(X, y)
    np.testing.assert_allclose(model.coef_, cold.coef_, rtol=1e-11)


class AsQuantileRegressor(LinearRegressor):
    """The adapter that scikit-learn's tests of QuantileRegressor need: its parameters, no penalty."""

    def __init__(self, quantile=0.5, fit_intercept=True):
        super().__init__("quantile", quantile=quantile, fit_intercept=fit_intercept)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("level", [0.2, 0.5, 0.8])
def test_the_pinball_loss_is_no_worse_than_scikit_learns(level, fit_intercept):
    X, y = table(100, 3, seed=12)
    ours = AsQuantileRegressor(level, fit_intercept).fit(X, y)
    theirs = QuantileRegressor(quantile=level, alpha=0.0, fit_intercept=fit_intercept).fit(X, y)
    loss = mean_pinball_loss(y, ours.predict(X), alpha=level)
    assert loss <= mean_pinball_loss(y, theirs.predict(X), alpha=level) * (1.0 + 1e-12)
    assert ours.objective_ == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    assert certify(theirs, X, y, loss="quantile").gap <= 1e-6
    assert certify(theirs, X, y, loss="quantile", quantile=0.5 * level).gap > 1e-3


@pytest.mark.parametrize("level", [0.05, 0.5, 0.95])
def test_the_part_below_is_the_level_and_the_slopes_are_stationary(level):
    X, y = table(2000, 3, seed=13, noise="exponential")
    r = y - AsQuantileRegressor(level).fit(X, y).predict(X)
    assert np.mean(r < 0.0) == pytest.approx(level, abs=0.01)
    pull = np.where(r < -1e-9, level - 1.0, level) * (np.abs(r) > 1e-9)
    assert np.all(np.abs(X.T @ pull) <= np.abs(X).max() * 5)


@pytest.mark.parametrize("level", [0.1, 0.7])
def test_quantiles_are_equivariant(level):
    """Koenker 2005, theorem 2.2: scale, shift and reparametrisation."""
    X, y, rng = *table(300, 3, seed=14), np.random.default_rng(14)
    model, A = AsQuantileRegressor(level).fit(X, y), rng.standard_normal((3, 3))
    scaled = AsQuantileRegressor(level).fit(X, 2.5 * y)
    np.testing.assert_allclose(scaled.coef_, 2.5 * model.coef_, rtol=1e-10)
    b = np.array([1.0, -1.0, 2.0])
    moved = AsQuantileRegressor(level).fit(X, y + X @ b)
    np.testing.assert_allclose(moved.coef_, model.coef_ + b, rtol=1e-10)
    turned = AsQuantileRegressor(level).fit(X @ A, y)
    np.testing.assert_allclose(turned.coef_, np.linalg.solve(A, model.coef_), rtol=1e-8)


def test_a_few_points_whose_quantiles_are_known():
    """Three points on one x: the line may turn about the median of each group."""
    X, y = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])[:, None], [1.0, 2.0, 11.0, 10.0, 20.0, 110.0]
    for level, ends in ((0.2, (1.0, 10.0)), (0.5, (2.0, 20.0)), (0.9, (11.0, 110.0))):
        model = AsQuantileRegressor(level).fit(X, y)
        np.testing.assert_allclose(model.predict([[0.0], [1.0]]), ends, rtol=1e-12)


@pytest.mark.parametrize("level", [0.0005, 0.002, 0.01, 0.99, 0.998])
@pytest.mark.parametrize("weighted", [False, True])
def test_levels_at_an_end_converge_where_columns_are_counts(level, weighted):
    """Few rows are below, and those above have slopes so small that paths once lost their centre."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.poisson(2.0, (13_000, 1)).astype(float)
        y = rng.standard_t(3, 13_000)
        w = rng.integers(1, 6, 13_000).astype(float) if weighted else None
        model = LinearRegressor("quantile", quantile=level).fit(X, y, w)
        assert model.converged_
        assert model.dual_gap_ <= 1e-11
        assert model.n_iter_ <= 60
