"""Huber's loss with an estimated scale: other packages' numbers, the equations, and what must not
change them.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from problems import slow
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor
from stored import read_arrays

from robustreg import LinearRegressor, certify
from robustreg.fitting import scale

REFERENCE = Path(__file__).parents[1] / "reference"
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
    """How far s is from the scale of the residuals r by its definition, relative to s: naive,
    weights as repeats.
    """
    if kind == "mad":
        return repeated_median(np.abs(r), w) / 0.6745 / s - 1.0
    k = delta if kind == "concomitant" else 1.345
    total = w.sum()
    if kind == "proposal2":
        total = (w.sum() - m) * (
            norm.cdf(k) - norm.cdf(-k) - 2 * k * norm.pdf(k) + k * k * 2 * norm.sf(k)
        )
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
    *slow("randhie"), "heart", *slow("fair"), "anes96", "spector", "strikes",
]  # fmt: skip


@pytest.mark.parametrize("name", DATA_SETS)
def test_statsmodels_RLM(name):
    sm = pytest.importorskip("statsmodels.api")
    data = getattr(sm.datasets, name).load()
    X = np.asarray(data.exog, dtype=float).reshape(len(data.exog), -1)
    X, y = X[:, X.std(axis=0) > 0], np.asarray(data.endog, dtype=float).reshape(len(X), -1)[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sm.RLM(y, sm.add_constant(X), M=sm.robust.norms.HuberT(1.345)).fit(
            maxiter=20_000, tol=1e-14
        )
    quartile = norm.ppf(0.75)  # where MASS has 0.6745
    model = huber("mad", 1.345 * 0.6745 / quartile).fit(X, y)
    np.testing.assert_allclose([model.intercept_, *model.coef_], theirs.params, rtol=1e-6)
    assert model.scale_ * 0.6745 / quartile == pytest.approx(theirs.scale, rel=1e-6)


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("weighted", [True, *slow(False)])
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


@pytest.mark.slow
def test_concomitant_is_at_least_as_good_as_HuberRegressor():
    better = 0
    for seed in range(200):
        rng, X, y = problem(
            seed, n=int(np.random.default_rng(seed).integers(15, 200)), p=1 + seed % 6
        )
        delta, alpha = float(rng.uniform(1.05, 3.0)), float(rng.choice([0.0, 1e-3, 1.0, 30.0]))
        ours = huber("concomitant", delta, alpha=2.0 * alpha / len(y)).fit(X, y)
        assert ours.converged_
        if ours.scale_ == 0.0:  # HuberRegressor stops above 0: at most what its objective tends to
            limit = (
                2.0 * delta * np.abs(y - ours.predict(X)).sum() + alpha * ours.coef_ @ ours.coef_
            )
            assert all(
                limit <= joint_objective(X, y, ours.coef_, ours.intercept_, s, delta, alpha)
                for s in (1e-3, 0.1)
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
        assert model.objective_ == pytest.approx(
            mae.objective_ * (2 * 1.345 if kind == "concomitant" else 1.0)
        )


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_constant_targets_and_fewer_rows_than_coefficients(kind, alpha):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5, 8))
    with pytest.warns(UserWarning, match="scale is 0"):
        assert not huber(kind, alpha=alpha).fit(X, np.full(5, 2.0)).coef_.any()
    if not alpha:
        with pytest.warns(UserWarning, match="scale is 0"):
            np.testing.assert_allclose(
                huber(kind).fit(X, y := np.arange(5.0)).predict(X), y, atol=1e-12
            )


@pytest.mark.slow
def test_a_scale_that_the_residuals_follow():
    # S(r) / s is nearly constant over decades: secants point outwards, and steps to S(r) creep.
    stored = read_arrays("scale_followed")
    for X, y in zip(stored["X"], stored["y"], strict=True):
        model = huber("concomitant", 1.05).fit(X, y)
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


def joint_bound(X, y, w, v, alpha, delta, intercept=True):
    """A lower bound of the joint objective from any v (n,), by weak duality.

    s H(r / s) >= v r - s v^2 / 4 for abs(v) <= 2 delta, and s (1 - sum w v^2 / (4 W)) >= 0 where
    sum w v^2 <= 4 W. What is left is linear in r and quadratic in b.
    """
    W = w.sum()
    assert np.abs(v).max() <= 2.0 * delta * (1.0 + 1e-9)
    assert w @ np.square(v) <= 4.0 * W * (1.0 + 1e-9)
    assert not intercept or abs(w @ v) <= 1e-9 * W
    pull = X.T @ (w * v) / W
    return w @ (v * y) / W - pull @ pull / (2.0 * alpha)


def dual_of(model, X, y, w):
    """v (n,) from the coefficients alone. Of rows fitted exactly, if s = 0: the least that the
    others leave.
    """
    r, s, delta, W = y - model.predict(X), model.scale_, model.delta, w.sum()
    if s > 0.0:
        return 2.0 * np.clip(r / s, -delta, delta)
    exact = np.abs(r) <= 1e-9 * np.abs(y).max()
    v = 2.0 * delta * np.where(exact, 0.0, np.sign(r))
    Z = np.column_stack([X, np.ones(len(y))]) if model.fit_intercept else X
    want = np.append(W * model.alpha * model.coef_, 0.0)[: Z.shape[1]] - Z.T @ (w * v)
    root = np.sqrt(w[exact])
    v[exact] = np.linalg.lstsq((root[:, None] * Z[exact]).T, want, rcond=1e-12)[0] / root
    return v


@pytest.mark.parametrize("solver", ["auto", "scipy"])
def test_a_joint_minimum_at_scale_0_beside_a_penalty(solver):
    # J(1, -2, 0) = alpha / 2 = 1 / 3, and v = (-1, 0, 1) proves that nothing is below.
    X, y = np.arange(3.0)[:, None], np.array([-2.0, -1.0, 0.0])
    with pytest.warns(UserWarning, match="the residuals' scale is 0"):
        model = huber("concomitant", 1.345, alpha=2.0 / 3.0, solver=solver).fit(X, y)
    assert model.scale_ == 0.0
    assert model.converged_
    np.testing.assert_allclose([*model.coef_, model.intercept_], [1.0, -2.0], rtol=1e-12)
    assert 3.0 * model.objective_ == pytest.approx(1.0, rel=1e-12)
    assert 3.0 * joint_bound(
        X, y, np.ones(3), np.array([-1.0, 0.0, 1.0]), 2.0 / 3.0, 1.345
    ) == pytest.approx(1.0)


@pytest.mark.parametrize("solver", ["auto", "scipy"])
@pytest.mark.parametrize("part", [0.9, *slow(0.5, 0.7)])
def test_nearly_as_many_columns_as_rows_and_a_faint_penalty(part, solver):
    vanished = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        n, p = 40, int(40 * part)
        X = rng.standard_normal((n, p))
        y = X @ rng.standard_normal(p) + rng.standard_normal(n)
        w = rng.integers(1, 3, n).astype(float) if seed % 2 else np.ones(n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("error", ConvergenceWarning)
            model = huber("concomitant", 1.35, alpha=2e-4 / n, solver=solver).fit(X, y, w)
        bound = joint_bound(X, y, w, dual_of(model, X, y, w), model.alpha, 1.35)
        assert bound <= model.objective_ * (1.0 + 1e-9)
        assert model.objective_ <= bound * (1.0 + 1e-6)
        assert certify(model, X, y, w).gap <= 1e-9
        vanished += model.scale_ == 0.0
    assert (vanished >= 4) == (part > 0.5)


@pytest.mark.parametrize("delta", [1.5, *slow(1.05, 3.0)])
def test_both_solvers_find_the_joint_minimum(delta):
    zero = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 20))
        p = int(rng.integers(1, n))
        X, alpha = rng.standard_normal((n, p)), float(rng.choice([1e-3, 0.1, 3.0]))
        y = np.round(X @ rng.standard_normal(p) + rng.standard_t(2, n), int(rng.integers(0, 3)))
        w, intercept = rng.integers(1, 4, n).astype(float), bool(rng.integers(2))
        models = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for solver in ("auto", "scipy"):
                model = huber(
                    "concomitant", delta, alpha=alpha, solver=solver, fit_intercept=intercept
                )
                models.append(model.fit(X, y, w))
        ours, theirs = models
        assert ours.converged_
        assert theirs.converged_
        bound = joint_bound(X, y, w, dual_of(ours, X, y, w), alpha, delta, intercept)
        assert ours.objective_ == pytest.approx(bound, rel=1e-9)
        assert theirs.objective_ == pytest.approx(bound, rel=1e-9)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-7 * np.abs(y).max())
        zero += ours.scale_ == 0.0
    assert zero >= 2


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("alpha", [0.2, *slow(0.0)])
def test_where_the_scale_is_0_it_falls_faster_than_what_it_is_the_scale_of(kind, alpha):
    zero = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((24, 3))
        y = np.full(24, 2.0) if alpha and kind != "concomitant" else X @ [1.0, -1.0, 2.0]
        out = rng.permutation(24)[: int(rng.integers(1, 14))]
        y[out] += 10.0 * rng.standard_normal(len(out))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = huber(kind, alpha=alpha).fit(X, y)
        assert model.converged_
        if model.scale_ > 0.0:
            assert (
                abs(equation(kind, 1.345, y - model.predict(X), np.ones(24), model.scale_, 4))
                <= 1e-9
            )
            continue
        zero += 1
        for s in (1e-3, 1e-5):
            a = 0.5 * alpha * s if kind == "concomitant" else alpha
            near = LinearRegressor("huber", delta=1.345 * s, alpha=a).fit(X, y)
            np.testing.assert_allclose(near.predict(X), model.predict(X), atol=100.0 * s)
            assert equation(kind, 1.345, y - near.predict(X), np.ones(24), s, 4) <= 0.0  # S(r) <= s
    assert 4 <= zero <= 19


def test_a_limit_of_residuals_that_are_0_need_not_be_a_fixed_point():
    # Under mad more than half of the residuals of the absolute loss are 0, but of Huber fits with
    # small knots half are more than 0.6745 s, as the outliers on one side pull them: the scale is
    # one that the residuals have.
    X, y = np.zeros((9, 1)), np.array([0.0] * 5 + [10.0, 11.0, 12.0, 13.0])
    model = huber("mad", 1.345).fit(X, y)
    r = y - model.predict(X)
    assert np.median(np.abs(r)) / 0.6745 == pytest.approx(model.scale_, rel=1e-12)
    assert model.scale_ > 1.0
    assert not LinearRegressor("mae").fit(X, y).predict(X).any()


FITS = [
    ("mse", {}),
    ("mae", {}),
    ("mae", {"alpha": 0.1}),
    ("huber", {}),
    ("huber", {"delta": 1e-3, "alpha": 0.1}),
]
FITS += [("huber", {"scale": kind, "alpha": alpha}) for kind in SCALES for alpha in (0.0, 1e-3)]


@pytest.mark.parametrize("solver", ["auto", *slow("scipy")])
@pytest.mark.parametrize(("loss", "parameters"), FITS)
def test_no_fit_takes_more_than_max_iter_iterations(loss, parameters, solver):
    cut = 0
    for n, p in [(6, 4), (30, 4), (4000, 13)][: 3 if solver == "auto" else 2]:
        _, X, y = problem(0, n, p)
        full = LinearRegressor(loss, solver=solver, **parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            full.fit(X, y)
        for max_iter in range(1, 6):
            model = LinearRegressor(loss, solver=solver, max_iter=max_iter, **parameters)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model.fit(X, y)
            assert 1 <= model.n_iter_ <= max_iter
            warned = [w.message for w in caught if issubclass(w.category, ConvergenceWarning)]
            assert model.converged_ == (not warned)
            cut += not model.converged_
            if model.converged_:
                np.testing.assert_allclose(model.predict(X), full.predict(X), rtol=1e-9, atol=1e-9)
            else:
                assert any("max_iter" in str(message) for message in warned)
                assert model.dual_gap_ > 0.0
    assert cut or loss != "huber"


def test_a_scale_that_was_not_reached_counts_in_the_gap():
    _, X, y = problem(0)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model = huber("mad", max_iter=2).fit(X, y)
    scale_of_residuals = np.median(np.abs(y - model.predict(X))) / 0.6745
    assert model.dual_gap_ >= 1.9 * abs(scale_of_residuals / model.scale_ - 1.0) > 0.0


def test_more_rows_than_coefficients_for_proposal2():
    with pytest.raises(
        ValueError,
        match=r"more rows than coefficients, 2; got n_samples=2, counted by sample_weight",
    ):
        huber("proposal2", alpha=0.1).fit([[0.0], [1.0], [3.0]], [0.0, 1.0, 5.0], [1.0, 1.0, 0.0])
