"""Rows that are repeated, X and y alike, are merged: a weight counts repeats."""

import numpy as np
import pytest

from robustreg import LinearRegressor, certify

N, P = 6_000, 3


def repeated(distinct, seed=0):
    """X (N, P), y (N,) of so many distinct rows, and which of them each row is."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((distinct, P))
    y = X @ np.ones(P) + rng.standard_t(2, distinct)
    group = np.r_[np.arange(distinct), rng.integers(0, distinct, N - distinct)]
    rng.shuffle(group)
    return X, y, group


@pytest.mark.parametrize("options", [{}, {"alpha": 0.1}, {"fit_intercept": False}])
@pytest.mark.parametrize("storage", [np.asarray, np.asfortranarray, np.float32])
@pytest.mark.parametrize(("loss", "scale"), [("mae", 1.0), ("huber", 1.0), ("huber", "mad")])
def test_the_fit_is_that_of_the_distinct_rows_with_weights(loss, scale, storage, options):
    X, y, group = repeated(40)
    X = storage(X)
    w = np.random.default_rng(1).uniform(0.5, 2.0, N)
    model = LinearRegressor(loss, scale=scale, **options).fit(X[group], y[group], w)
    few = LinearRegressor(loss, scale=scale, **options).fit(X, y, np.bincount(group, w))
    tolerance = 1e-6 if storage is np.float32 else 1e-11
    np.testing.assert_allclose(model.coef_, few.coef_, rtol=tolerance)
    np.testing.assert_allclose(model.objective_, few.objective_, rtol=tolerance)
    assert model.work_.n_repeats == N - 40
    assert (model.rank_, model.unique_, model.converged_) == (3, few.unique_, True)
    if loss == "huber":
        np.testing.assert_array_equal(model.outliers_, few.outliers_[group])
    if scale == 1.0 and storage is not np.float32:
        assert certify(model, X[group], y[group], w).gap < 1e-9


def test_rows_that_are_not_in_the_sample_are_kept_as_they_are():
    X, y, group = repeated(40)
    X, y = X[group], y[group]
    X[::100] = np.random.default_rng(2).standard_normal((60, P))
    model = LinearRegressor("mae").fit(X, y)
    assert 5_000 < model.work_.n_repeats <= N - 100
    _, first, count = np.unique(
        np.column_stack([X, y]), axis=0, return_index=True, return_counts=True
    )
    few = LinearRegressor("mae").fit(X[first], y[first], count)
    np.testing.assert_allclose(model.coef_, few.coef_, rtol=1e-11)


@pytest.mark.parametrize("distinct", [600, 900])
def test_distinct_rows_of_one_slot_are_no_repeats(distinct):
    X, y, group = repeated(distinct)
    model = LinearRegressor("mae").fit(X[group], y[group])
    assert N - 1.1 * distinct < model.work_.n_repeats <= N - distinct
    few = LinearRegressor("mae").fit(X, y, np.bincount(group))
    np.testing.assert_allclose(model.coef_, few.coef_, rtol=1e-11)


def test_a_last_bit_makes_another_row_and_the_sign_of_zero_does_not():
    X, y, group = repeated(40)
    X, y = X[group], y[group]
    X[:, 1] = 0.0
    assert LinearRegressor("mae").fit(X, y).work_.n_repeats == N - 40
    X[::2, 1] = -0.0
    assert LinearRegressor("mae").fit(X, y).work_.n_repeats == N - 40
    X[::2, 0] = np.nextafter(X[::2, 0], 9.0)
    n_distinct = len(np.unique(X[:, 0]))
    assert LinearRegressor("mae").fit(X, y).work_.n_repeats == N - n_distinct == N - 80


def test_of_several_targets_all_are_compared():
    X, y, group = repeated(40)
    Y = np.column_stack([y, y[::-1]])[group]
    model = LinearRegressor("huber").fit(X[group], Y)
    assert model.work_.n_repeats == N - 40
    assert model.outliers_.shape == (N, 2)
    alone = LinearRegressor("huber").fit(X[group], Y[:, 1])
    np.testing.assert_allclose(model.coef_[1], alone.coef_, rtol=1e-11)
    Y[:, 1] = np.random.default_rng(3).standard_normal(N)
    assert LinearRegressor("huber").fit(X[group], Y).work_.n_repeats == 0


def test_what_is_not_finite_among_repeats_is_refused():
    X, y, group = repeated(40)
    X = X[group]
    X[17, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        LinearRegressor("mae").fit(X, y[group])


def test_the_sentence_of_the_work_tells_the_repeats():
    X, y, group = repeated(40)
    work = LinearRegressor("mae").fit(X[group], y[group]).work_
    assert str(work).startswith("5,960 repeated rows merged. ")
