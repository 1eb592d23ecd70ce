"""Huber's loss with an estimated scale: other packages' numbers, the equations, and what must not change them."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.linear_model import HuberRegressor

from robustreg import LinearRegressor, certify
from robustreg.fitting import scale

REFERENCE = Path(__file__).parent / "reference"
SCALES = ["mad", "concomitant", "proposal2"]


def huber(scale, delta=1.345, **parameters):
    return LinearRegressor("huber", delta=delta, scale=scale, **parameters)


def problem(seed, n=120, p=4):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return rng, X, X @ rng.standard_normal(p) + 1.0 + rng.standard_t(1.5, n)


def repeated_median(x, w):
    return np.median(np.repeat(x, w.astype(int)))


def equation(kind, delta, r, w, s, m):
    """How far s is from the scale of the residuals r by its definition, relative to s: naive, weights as repeats."""
    if kind == "mad":
        return repeated_median(np.abs(r), w) / 0.6745 / s - 1.0
    k = delta if kind == "concomitant" else 1.345
    total = w.sum()
    if kind == "proposal2":
        total = (w.sum() - m) * (norm.cdf(k) - norm.cdf(-k) - 2 * k * norm.pdf(k) + k * k * 2 * norm.sf(k))
    return w @ np.minimum(np.square(r / s), k * k) / total - 1.0


@pytest.mark.parametrize("kind", ["mad", "proposal2"])
@pytest.mark.parametrize(("name", "target"), [("stackloss", "stack.loss"), ("engel", "foodexp")])
def test_MASS_rlm(kind, name, target):
    expected = json.loads((REFERENCE / "r_reference.json").read_text())[name][f"huber_1.345_{kind}"]
    data = pd.read_csv(REFERENCE / f"{name}.csv")
    model = huber(kind).fit(data.drop(columns=target), data[target])
    np.testing.assert_allclose([model.intercept_, *model.coef_], expected["coef"], rtol=1e-11)
    assert model.scale_ == pytest.approx(expected["scale"], rel=1e-11)


DATA_SETS = [
    "stackloss", "engel", "longley", "ccard", "scotland", "cpunish", "copper", "committee", "cancer", "star98",
    "randhie", "heart", "fair", "anes96", "spector", "strikes",
]  # fmt: skip


@pytest.mark.parametrize("name", DATA_SETS)
def test_statsmodels_RLM(name):
    sm = pytest.importorskip("statsmodels.api")
    data = getattr(sm.datasets, name).load()
    X = np.asarray(data.exog, dtype=float).reshape(len(data.exog), -1)
    X, y = X[:, X.std(axis=0) > 0], np.asarray(data.endog, dtype=float).reshape(len(X), -1)[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sm.RLM(y, sm.add_constant(X), M=sm.robust.norms.HuberT(1.345)).fit(maxiter=20_000, tol=1e-14)
    quartile = norm.ppf(0.75)  # where MASS has 0.6745
    model = huber("mad", 1.345 * 0.6745 / quartile).fit(X, y)
    np.testing.assert_allclose([model.intercept_, *model.coef_], theirs.params, rtol=1e-6)
    assert model.scale_ * 0.6745 / quartile == pytest.approx(theirs.scale, rel=1e-6)


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_scale_is_that_of_the_residuals(kind, weighted):
    for seed in range(20):
        rng, X, y = problem(seed)
        w = rng.integers(0, 4, len(y)).astype(float) if weighted else np.ones(len(y))
        delta = float(rng.choice([1.1, 1.345, 3.0]))
        model = huber(kind, delta).fit(X, y, w if weighted else None)
        r = y - model.predict(X)
        assert abs(equation(kind, delta, r, w, model.scale_, 5)) <= 1e-10
        fixed = LinearRegressor("huber", delta=delta * model.scale_).fit(X, y, w)
        np.testing.assert_allclose(model.coef_, fixed.coef_, rtol=1e-9)
        np.testing.assert_array_equal(model.outliers_, fixed.outliers_)
        assert certify(model, X, y, w).gap <= 1e-12


def joint_objective(X, y, b, b0, s, delta, alpha_sum):
    """What scikit-learn's HuberRegressor minimises."""
    z = np.abs(y - X @ b - b0) / s
    return np.sum(s + s * np.where(z <= delta, z**2, 2 * delta * z - delta**2)) + alpha_sum * b @ b


def test_concomitant_is_at_least_as_good_as_HuberRegressor():
    better = 0
    for seed in range(200):
        rng, X, y = problem(seed, n=int(np.random.default_rng(seed).integers(15, 200)), p=1 + seed % 6)
        delta, alpha = float(rng.uniform(1.05, 3.0)), float(rng.choice([0.0, 1e-3, 1.0, 30.0]))
        ours = huber("concomitant", delta, alpha=2.0 * alpha / len(y)).fit(X, y)
        assert ours.converged_
        if ours.scale_ == 0.0:  # HuberRegressor stops above 0: at most what its objective tends to
            limit = 2.0 * delta * np.abs(y - ours.predict(X)).sum() + alpha * ours.coef_ @ ours.coef_
            assert all(
                limit <= joint_objective(X, y, ours.coef_, ours.intercept_, s, delta, alpha) for s in (1e-3, 0.1)
            )
            continue
        theirs = HuberRegressor(epsilon=delta, alpha=alpha, max_iter=10_000, tol=1e-10).fit(X, y)
        value = joint_objective(X, y, ours.coef_, ours.intercept_, ours.scale_, delta, alpha)
        other = joint_objective(X, y, theirs.coef_, theirs.intercept_, theirs.scale_, delta, alpha)
        assert value <= other * (1 + 1e-14)
        assert ours.objective_ == pytest.approx(value / len(y), rel=1e-12)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)
        r = y - ours.predict(X)
        assert abs(np.minimum((r / ours.scale_) ** 2, delta**2).sum() / len(y) - 1.0) <= 1e-10
        better += value < other
    assert better >= 100


@pytest.mark.parametrize("kind", SCALES)
def test_a_weight_counts_repeats(kind):
    for seed in range(10):
        rng, X, y = problem(seed, n=60)
        w = rng.integers(0, 4, len(y))
        weighted = huber(kind).fit(X, y, w)
        repeated = huber(kind).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
        assert weighted.scale_ == pytest.approx(repeated.scale_, rel=1e-10)
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-9)


def test_weighted_median_is_the_median_of_repeats():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 6, rng.integers(1, 12)).astype(float) + 0.1 * rng.integers(0, 2)
        w = rng.integers(1, 5, len(x)).astype(float)
        for unit in (1.0, 0.1, 1e-7, 3e8):
            assert scale.weighted_median(x, w * unit) == repeated_median(x, w)


def test_m_scale_solves_its_equation_or_says_that_there_is_no_root():
    for seed in range(300):
        rng = np.random.default_rng(seed)
        r = np.abs(rng.standard_cauchy(rng.integers(1, 30))) * (rng.uniform(size=1) < 0.9)
        r[rng.uniform(size=len(r)) < 0.4] = 0.0
        w, k = rng.uniform(0.5, 3.0, len(r)), float(rng.uniform(1.0, 3.0))
        total = float(rng.uniform(0.2, 1.2) * w.sum())
        s = scale.m_scale(r, w, k, total)
        if k * k * w[r > 0].sum() <= total:
            assert s == 0.0
        else:
            assert w @ np.minimum(np.square(r / s), k * k) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("kind", SCALES)
def test_an_exact_fit_of_most_rows_ends_in_the_absolute_loss(kind):
    for seed in range(10):
        rng, X, _ = problem(seed, n=50, p=2)
        y = X @ [1.0, -2.0] + 3.0
        y[:12] += 10.0 * rng.standard_normal(12)
        with pytest.warns(UserWarning, match="the residuals' scale is 0"):
            model = huber(kind).fit(X, y)
        assert model.scale_ == 0.0
        assert model.converged_
        mae = LinearRegressor("mae").fit(X, y)
        np.testing.assert_allclose(model.coef_, mae.coef_, rtol=1e-12)
        np.testing.assert_array_equal(model.outliers_, np.arange(50) < 12)
        assert certify(model, X, y).gap <= 1e-12
        assert model.objective_ == pytest.approx(mae.objective_ * (2 * 1.345 if kind == "concomitant" else 1.0))


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_constant_targets_and_fewer_rows_than_coefficients(kind, alpha):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5, 8))
    with pytest.warns(UserWarning, match="scale is 0"):
        assert not huber(kind, alpha=alpha).fit(X, np.full(5, 2.0)).coef_.any()
    if not alpha:
        with pytest.warns(UserWarning, match="scale is 0"):
            np.testing.assert_allclose(huber(kind).fit(X, y := np.arange(5.0)).predict(X), y, atol=1e-12)


def test_a_scale_that_the_residuals_follow():
    # S(r) / s is nearly constant over decades: secants point outwards, and steps to S(r) creep.
    for seed in range(300, 400):
        rng = np.random.default_rng(seed)
        X = rng.standard_t(2, (40, 5))
        model = huber("concomitant", 1.05).fit(X, X.sum(axis=1) + rng.standard_t(1.5, 40))
        assert model.converged_


def test_rows_of_zeros_that_are_fitted_exactly():
    # Their rounding is nothing: that of other rows tells what is a scale.
    for kind, delta, X, y in [
        ("concomitant", 1.05, np.zeros((3, 1)), [1.0, 0.0, 0.0]),
        ("mad", 0.01, np.arange(10.0)[:, None], np.append(np.zeros(9), 5.0)),
    ]:
        with pytest.warns(UserWarning, match="scale is 0"):
            assert huber(kind, delta).fit(X, y).scale_ == 0.0


@pytest.mark.parametrize("kind", SCALES)
def test_targets_have_scales_of_their_own(kind):
    _, X, y = problem(0)
    Y = np.column_stack([y, 1000.0 * y[::-1]])
    model = huber(kind).fit(X, Y)
    for k in range(2):
        one = huber(kind).fit(X, Y[:, k])
        assert model.scale_[k] == one.scale_
        np.testing.assert_array_equal(model.coef_[k], one.coef_)
        np.testing.assert_array_equal(model.outliers_[:, k], one.outliers_)
    assert [c.gap <= 1e-12 for c in certify(model, X, Y)] == [True, True]


def test_a_number_is_a_unit_for_delta():
    _, X, y = problem(1)
    model, plain = huber(2.5, 0.4).fit(X, y), huber(1.0, 1.0).fit(X, y)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    assert (model.scale_, plain.scale_) == (2.5, 1.0)
    assert certify(model, X, y).gap <= 1e-12
    assert not hasattr(LinearRegressor("mae").fit(X, y), "scale_")


@pytest.mark.parametrize("kind", SCALES)
def test_many_rows(kind):
    _, X, y = problem(2, n=30_000, p=3)
    y[::100] = 1e20  # fill values
    model = huber(kind).fit(X, y)
    r = y - model.predict(X)
    assert abs(equation(kind, 1.345, r, np.ones(len(y)), model.scale_, 4)) <= 1e-10
    assert certify(model, X, y).gap <= 1e-12


@pytest.mark.parametrize("kind", SCALES)
def test_few_fits_find_the_scale(kind, monkeypatch):
    for seed in range(20):
        _, X, y = problem(seed)
        count = [0]

        def spy(fit, s, count=count):
            def counted(s):
                count[0] += 1
                return fit(s)

            return scale.fixed_point(counted, s)

        monkeypatch.setattr("robustreg.fitting.at_scale.fixed_point", spy)
        huber(kind).fit(X, y)
        assert 2 <= count[0] <= 9
