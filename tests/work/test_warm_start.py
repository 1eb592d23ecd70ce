"""A warm start at the exact minimiser costs one iteration: the step that certifies it."""

import numpy as np
import pytest

from robustreg import LinearRegressor

SIZES = [(50, 3), (400, 5), (3_000, 5), (60_000, 12)]


def cases():
    for loss, delta in [("mse", 1.0), ("mae", 1.0), ("huber", 0.5), ("huber", 0.01)]:
        for n, p in SIZES:
            marks = [pytest.mark.slow] if n > 1_000 else []
            yield pytest.param(loss, delta, n, p, marks=marks, id=f"{loss}-{delta}-{n}x{p}")


def data(n, p, weighted):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = X.sum(axis=1) + rng.standard_t(2, n)
    return X, y, rng.integers(1, 4, n).astype(float) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize(("loss", "delta", "n", "p"), list(cases()))
def test_a_second_fit_to_the_same_data_takes_one_iteration(loss, delta, n, p, alpha, weighted):
    X, y, w = data(n, p, weighted)
    model = LinearRegressor(loss, delta=delta, alpha=alpha, warm_start=True).fit(X, y, w)
    coef = model.coef_.copy()
    model.fit(X, y, w)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-10)
    assert model.converged_
    # A row at the knot but for rounding goes to and fro, and other rows do not hold the fit alone.
    assert model.n_iter_ == 1 or "not unique" in model.work_.refused


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize(("loss", "delta", "n", "p"), list(cases()))
def test_a_fit_to_the_same_rows_with_all_weights_tripled_takes_one_iteration(
    loss, delta, n, p, alpha
):
    X, y, w = data(n, p, True)
    model = LinearRegressor(loss, delta=delta, alpha=alpha, warm_start=True).fit(X, y, w)
    coef = model.coef_.copy()
    model.fit(X, y, 3.0 * w)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-10)
    assert model.converged_
    assert model.n_iter_ == 1


@pytest.mark.parametrize(("loss", "delta", "n", "p"), list(cases()))
def test_a_warm_start_without_the_intercept_takes_one_iteration(loss, delta, n, p):
    X, y, w = data(n, p, True)
    model = LinearRegressor(loss, delta=delta, fit_intercept=False, warm_start=True).fit(X, y, w)
    assert model.fit(X, y, w).n_iter_ == 1


@pytest.mark.parametrize("loss", ["mae", "huber"])
@pytest.mark.parametrize(("n", "p"), [SIZES[0], pytest.param(*SIZES[3], marks=pytest.mark.slow)])
def test_a_warm_start_far_away_is_no_worse_an_answer(loss, n, p):
    X, y, w = data(n, p, True)
    cold = LinearRegressor(loss, delta=0.1).fit(X, y, w)
    model = LinearRegressor(loss, delta=0.1, warm_start=True).fit(X, 1e6 * X[:, 0] - 1e3, w)
    model.fit(X, y, w)
    np.testing.assert_allclose(model.coef_, cold.coef_, rtol=1e-10)
    assert model.converged_
