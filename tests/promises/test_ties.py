"""Designs full of ties: integer targets and columns, dependent columns, more columns than rows."""

import warnings

import numpy as np
import pytest
from problems import LOSSES, objective, slow
from scipy import sparse
from scipy.optimize import linprog

from robustreg import LinearRegressor, certify


def least_absolute_deviations(X, y):
    """The minimum of mean(abs(y - X b - b0)), by HiGHS, with the value recomputed from its dual."""
    n = len(y)
    A = np.column_stack([X, np.ones(n)])
    eye = sparse.eye_array(n, format="csc")
    program = linprog(
        np.concatenate([np.zeros(A.shape[1]), np.ones(2 * n)]),
        A_eq=sparse.hstack([sparse.csc_array(A), eye, -eye]), b_eq=y,
        bounds=[(None, None)] * A.shape[1] + [(0, None)] * (2 * n), method="highs",
    )  # fmt: skip
    return np.abs(y - A @ program.x[: A.shape[1]]).mean()


@pytest.mark.parametrize("block", [0, *slow(*range(1, 10))])
def test_classes_on_integers_under_mae(block):
    for seed in range(20 * block, 20 * (block + 1)):
        rng = np.random.default_rng(seed)
        n, p = int(rng.integers(1, 401)), int(rng.integers(1, 9))
        X, y = rng.integers(-2, 3, (n, p)).astype(float), rng.integers(0, 3, n).astype(float)
        model = LinearRegressor("mae").fit(X, y)
        assert model.converged_, seed
        assert model.objective_ == pytest.approx(
            least_absolute_deviations(X, y), rel=1e-12, abs=1e-15
        ), seed
        assert certify(model, X, y).gap <= 1e-11, seed
        order = rng.permutation(n)
        shuffled = LinearRegressor("mae").fit(X[order], y[order])
        np.testing.assert_allclose(shuffled.coef_, model.coef_, atol=1e-8, err_msg=str(seed))
        np.testing.assert_allclose(
            shuffled.intercept_, model.intercept_, atol=1e-8, err_msg=str(seed)
        )
        w = rng.integers(1, 4, n)
        weighted = LinearRegressor("mae").fit(X, y, w)
        repeated = LinearRegressor("mae").fit(np.repeat(X, w, axis=0), np.repeat(y, w))
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8, err_msg=str(seed))
        np.testing.assert_allclose(
            weighted.intercept_, repeated.intercept_, atol=1e-8, err_msg=str(seed)
        )


def deficient(seed):
    """(X, y) with dependent columns or more columns than rows; every third in integers."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(2, 40)), int(rng.integers(2, 12))
    X = rng.standard_normal((n, p)) if seed % 3 else rng.integers(-2, 3, (n, p)).astype(float)
    if n > p:
        X[:, -1] = X[:, 0] - 2 * X[:, p // 2]
    if seed % 4 == 0:
        X = np.eye(p)[rng.integers(0, p, n)]  # dummies of every level: dependent with the intercept
    if seed % 7 == 0:
        X[:, 0] = 3.7
    y = rng.standard_normal(n) if seed % 2 else rng.integers(0, 3, n).astype(float)
    return X, y


@pytest.mark.parametrize("block", [0, *slow(*range(1, 10))])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_least_norm_of_all_minimisers(loss, block):
    # A penalty going to 0 has it as its limit, and no minimiser has a smaller norm than the
    # penalised fit of any strength would let it: ||b_alpha|| <= ||b|| for every minimiser b.
    for seed in range(20 * block, 20 * (block + 1)):
        X, y = deficient(seed)
        model = LinearRegressor(loss, delta=0.5).fit(X, y)
        assert model.converged_, seed
        assert certify(model, X, y).gap <= 1e-11, seed
        ridge = LinearRegressor(
            loss, delta=0.5, alpha=1e-10, solver="scipy" if loss == "mse" else "auto"
        ).fit(X, y)
        norm, limit = np.linalg.norm(model.coef_), np.linalg.norm(ridge.coef_)
        assert limit <= norm * (1 + 1e-8) + 1e-6, seed
        assert norm <= limit * (1 + 1e-4) + 1e-4, seed
        np.testing.assert_allclose(
            ridge.coef_, model.coef_, atol=1e-4 * max(1.0, norm), err_msg=str(seed)
        )
        ridge.alpha = 0.0
        terms = np.mean(np.abs(y) + np.abs(X) @ np.abs(model.coef_) + abs(model.intercept_))
        assert (
            objective(model, X, y)
            <= objective(ridge, X, y) * (1 + 1e-12) + np.finfo(float).eps * terms
        ), seed
        order = np.random.default_rng(seed).permutation(len(y))
        shuffled = LinearRegressor(loss, delta=0.5).fit(X[order], y[order])
        np.testing.assert_allclose(
            shuffled.predict(X), model.predict(X), atol=1e-8, err_msg=str(seed)
        )
        np.testing.assert_allclose(shuffled.coef_, model.coef_, atol=1e-8, err_msg=str(seed))


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_least_squares_of_dependent_columns_equals_the_pseudoinverse(loss):
    for seed in range(40):
        X, y = deficient(seed)
        model = LinearRegressor(loss, delta=1e6).fit(X, y)  # which no residual reaches
        expected = np.linalg.pinv(X - X.mean(axis=0), rcond=1e-12) @ (y - y.mean())
        np.testing.assert_allclose(model.coef_, expected, atol=1e-10, err_msg=str(seed))


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_rows_on_an_exact_line(loss, share):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 3))
    y = X @ [1.0, -2.0, 3.0] + 4.0
    off = rng.permutation(100)[: round(100 * (1 - share))]
    y[off] += 10 * rng.standard_cauchy(len(off))
    model = LinearRegressor(loss, delta=1e-9).fit(X, y)
    np.testing.assert_allclose(
        model.coef_, [1.0, -2.0, 3.0], atol=1e-8 if loss == "huber" else 1e-13
    )
    assert certify(model, X, y).gap <= 1e-11


@pytest.mark.parametrize("loss", LOSSES)
def test_one_row_one_column_and_one_huge_weight(loss):
    one = LinearRegressor(loss).fit([[2.0]], [3.0])
    assert (one.coef_[0], one.intercept_, one.unique_) == (0.0, 3.0, False)
    through = LinearRegressor(loss, fit_intercept=False).fit([[2.0]], [3.0])
    assert through.coef_[0] == pytest.approx(1.5, rel=1e-15)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 2)), rng.standard_normal(50)
    w = np.ones(50)
    w[7] = 1e12
    model = LinearRegressor(loss).fit(X, y, w)
    assert model.predict(X[7:8])[0] == pytest.approx(y[7], rel=1e-9)
    assert certify(model, X, y, w).gap <= 1e-9
    # In the limit the row is a constraint: the others are fitted relative to it, without an
    # intercept.
    rest = np.arange(50) != 7
    limit = LinearRegressor(loss, fit_intercept=False).fit(X[rest] - X[7], y[rest] - y[7])
    np.testing.assert_allclose(model.coef_, limit.coef_, rtol=1e-7)


@pytest.mark.parametrize("seed", [1, 5, *slow(*range(40))])
def test_ratings_by_all_levels_of_a_factor(seed):
    """Most rows are fitted exactly, and a smoothed problem leaves rows of one level alone."""
    rng = np.random.default_rng(seed)
    X = np.eye(11)[rng.integers(0, 11, 6000)]
    y = rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], 6000, p=[0.05, 0.05, 0.1, 0.3, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LinearRegressor("mae").fit(X, y)
    best = sum(np.abs(y[level] - np.median(y[level])).sum() for level in X.T == 1.0)
    assert model.objective_ == pytest.approx(best / 6000, rel=1e-14)


def test_narrowing_that_fails_leaves_iterations_for_all_rows():
    """Ratings by all levels of three factors with a penalty: most rows are all but exactly fitted."""
    rng = np.random.default_rng(634600276)
    rng.choice([2000, 20000])
    levels = [int(k) for k in rng.integers(2, 25, rng.integers(1, 4))]
    codes = [rng.integers(0, k, 20000) for k in levels]
    X = np.hstack([np.eye(k)[code] for k, code in zip(levels, codes, strict=True)])
    rng.integers(4)
    y = rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], 20000, p=[0.05, 0.05, 0.1, 0.3, 0.5])
    model = LinearRegressor("mae", alpha=1e-3).fit(X, y)
    assert model.converged_
    assert certify(model, X, y).gap <= 1e-12
