"""Where the minimiser is not unique the answer is still a function of the data alone."""

import numpy as np
import pytest
from problems import LOSSES, objective, slow
from scipy import sparse

from robustreg import LinearRegressor

SOLVERS = ["auto", "scipy"]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "y", [[1, 2, 3, 10], [5.0], [1, 2], [3, 3, 3, 7], [0, 0, 1, 1, 1], [1e300, -1e300]]
)
def test_an_intercept_alone_under_mae_is_the_median(y, solver):
    model = LinearRegressor("mae", solver=solver).fit(np.full((len(y), 2), 0.1), y)
    assert model.intercept_ == pytest.approx(np.median(y), rel=1e-14)
    assert not model.coef_.any()
    assert model.rank_ == 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_huber_without_inner_rows_takes_the_midpoint(solver):
    model = LinearRegressor("huber", delta=1.0, solver=solver).fit(np.zeros((2, 1)), [0.0, 10.0])
    assert model.intercept_ == pytest.approx(5.0)
    assert not model.unique_


@pytest.mark.parametrize("solver", SOLVERS)
def test_mae_among_tied_lines_takes_the_least_slope(solver):
    # Any line that separates the pairs at x = 0 and x = 1 is a median line; slopes from -1 to 1.
    X, y = [[0], [0], [1], [1]], [0, 1, 0, 1]
    model = LinearRegressor("mae", solver=solver).fit(X, y)
    np.testing.assert_allclose([model.coef_[0], model.intercept_], [0.0, 0.5], atol=1e-14)
    assert not model.unique_
    # Raised on one side: slopes from 1 to 3 now.
    model = LinearRegressor("mae", solver=solver).fit(X, [0, 1, 2, 3])
    np.testing.assert_allclose([model.coef_[0], model.intercept_], [1.0, 1.0], atol=1e-14)


def test_huber_pinned_by_rows_at_the_knot_is_unique():
    # No row is strictly inside, yet the rows at the knot leave no direction.
    model = LinearRegressor("huber", delta=0.1).fit([[1], [2], [3], [4]], [0.8, 1.5, 1.8, 2.0])
    np.testing.assert_allclose([model.coef_[0], model.intercept_], [0.4, 0.5], rtol=1e-12)
    assert model.unique_
    np.testing.assert_array_equal(model.outliers_, [False, True, False, False])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_duplicated_columns_share_and_constant_columns_get_nothing(loss, solver):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 2))
    y = X @ [1.0, 2.0] + rng.standard_t(2, 50)
    plain = LinearRegressor(loss, solver=solver).fit(X, y)
    model = LinearRegressor(loss, solver=solver).fit(
        np.column_stack([X, X[:, 0], np.full(50, 1e3)]), y
    )
    expected = [plain.coef_[0] / 2, plain.coef_[1], plain.coef_[0] / 2, 0.0]
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-10, atol=1e-12)
    assert model.rank_ == 2
    assert not model.unique_
    assert plain.unique_


@pytest.mark.parametrize("loss", LOSSES)
def test_more_columns_than_rows_interpolates_with_least_norm(loss):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((10, 25)), rng.standard_normal(10)
    model = LinearRegressor(loss).fit(X, y)
    centred = X - X.mean(axis=0)
    np.testing.assert_allclose(model.coef_, np.linalg.pinv(centred) @ (y - y.mean()), rtol=1e-9)
    assert model.dual_gap_ <= 1e-12


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_tied_designs_give_the_limit_of_a_vanishing_penalty_in_any_order(loss, seed):
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(2, 40)), int(rng.integers(1, 5))
    X = rng.integers(-1, 2, (n, p)).astype(float)
    y = rng.integers(0, 3, n).astype(float)
    make = lambda alpha=0.0: LinearRegressor(loss, delta=0.25, alpha=alpha)  # noqa: E731
    model = make().fit(X, y)
    order = rng.permutation(n)
    again = make().fit(X[order], y[order])
    np.testing.assert_allclose(again.coef_, model.coef_, atol=1e-10)
    np.testing.assert_allclose(again.intercept_, model.intercept_, atol=1e-10)
    assert again.unique_ == model.unique_
    ridge = make(1e-8).fit(X, y)
    np.testing.assert_allclose(ridge.coef_, model.coef_, atol=1e-5)
    ridge.alpha = 0.0
    assert objective(ridge, X, y) <= objective(model, X, y) * (1 + 1e-6) + 1e-12


@pytest.mark.parametrize("kind", [np.asarray, *slow(sparse.csr_array)])
@pytest.mark.parametrize("loss", LOSSES)
def test_weight_is_repeat(loss, kind):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((15, 30)), rng.integers(0, 3, 15).astype(float)
        w = rng.integers(0, 5, 15)
        weighted = LinearRegressor(loss, delta=0.1).fit(kind(X), y, w)
        repeated = LinearRegressor(loss, delta=0.1).fit(
            kind(np.repeat(X, w, axis=0)), np.repeat(y, w)
        )
        np.testing.assert_allclose(
            weighted.predict(kind(X)), repeated.predict(kind(X)), atol=1e-8, rtol=0
        )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("loss", LOSSES)
def test_weight_is_repeat_with_ties(loss, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, 3, (12, 3)).astype(float), rng.integers(0, 3, 12).astype(float)
    w = rng.integers(0, 4, 12)
    w[0] = 2
    weighted = LinearRegressor(loss, delta=0.5).fit(X, y, w)
    repeated = LinearRegressor(loss, delta=0.5).fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-10)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-10)
    assert weighted.unique_ == repeated.unique_
    assert weighted.rank_ == repeated.rank_


@pytest.mark.parametrize("loss", LOSSES)
def test_a_row_of_weight_zero_is_absent_whatever_it_holds(loss):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 2)), rng.standard_normal(30)
    far = np.vstack([X, [[1e9, -1e9]]])
    w = np.append(np.ones(30), 0.0)
    model = LinearRegressor(loss).fit(far, np.append(y, 1e12), w)
    np.testing.assert_array_equal(model.coef_, LinearRegressor(loss).fit(X, y).coef_)
    if loss == "huber":
        assert model.outliers_.shape == (31,)
        assert model.outliers_[-1]


@pytest.mark.parametrize("far", [1e5, 1e9, 1e20])
def test_an_interval_that_ends_at_a_row_far_away_has_its_middle_there(far):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(1000) % 2, far, 0.0) + rng.standard_normal(1000)
    for order in (np.arange(1000), rng.permutation(1000)):
        model = LinearRegressor("mae").fit(np.zeros((1000, 1)), y[order])
        assert model.intercept_ == pytest.approx(np.median(y), rel=1e-12)
        assert not model.unique_
    near = np.append(rng.standard_normal(99), far)
    w = np.append(np.ones(99, dtype=int), 99)
    for loss in ("mae", "huber"):
        weighted = LinearRegressor(loss, delta=1e-3).fit(np.zeros((100, 1)), near, w)
        repeated = LinearRegressor(loss, delta=1e-3).fit(np.zeros((198, 1)), np.repeat(near, w))
        assert weighted.intercept_ == pytest.approx(repeated.intercept_, rel=1e-12)
        assert weighted.intercept_ == pytest.approx((near[:99].max() + far) / 2, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-3, *slow(1e-6), 1e-8, *slow(1e-12)])
@pytest.mark.parametrize("copied", [None, 1, 2])
def test_a_column_in_small_units_beside_dependent_ones(unit, copied):
    """A coefficient of 1e8 leaves those of size 1 their digits, in any order of the rows."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = np.zeros((60, 4))  # the last column is 0
        X[:, 0] = rng.standard_normal(60)
        X[11, 1], X[[24, 31], 2] = 1.0, 1.0
        y = X[:, 0] + rng.standard_t(2, 60)
        y[[24, 31]] += 3.0
        X = X if copied is None else np.column_stack([X, X[:, copied]])
        small = X * np.where(X[11] == 1.0, unit, 1.0)
        for loss in ("mae", "huber"):
            expected = LinearRegressor(loss).fit(X, y)
            for order in (np.arange(60), rng.permutation(60)):
                model = LinearRegressor(loss).fit(small[order], y[order])
                same = model.coef_[[0, 2, 3]], expected.coef_[[0, 2, 3]]
                np.testing.assert_allclose(*same, rtol=1e-8, atol=1e-9)
                assert model.coef_[1] * unit == pytest.approx(expected.coef_[1], rel=1e-8)
