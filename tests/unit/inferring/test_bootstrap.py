"""Resamples are fits of the rows that were drawn."""

import numpy as np
import pytest

from robustreg import LinearRegressor, infer
from robustreg.data.threads import one_blas_thread
from robustreg.inferring.bootstrap import Resampling, draws, resampled

NO_CLUSTERS = (np.zeros(0, dtype=int), 0)


def some_data(seed, n=60):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, X @ [1.0, 2.0] + rng.standard_t(3, size=n), rng.integers(0, 12, size=n)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_each_resample_is_the_exact_fit_of_its_rows(loss):
    X, y, number = some_data(0)
    scale = {"scale": "mad"} if loss == "huber" else {}
    model = LinearRegressor(loss, **scale)
    for clusters in (NO_CLUSTERS, (number, 12)):
        how = Resampling(5, np.random.default_rng(3))
        found = resampled(X, y, None, model._specification(), 2, None, *clusters, how)
        for k, generator in enumerate(np.random.default_rng(3).spawn(5)):
            rows = np.repeat(np.arange(60), draws(np.ones(60), *clusters, generator).astype(int))
            model.fit(X[rows], y[rows])
            wanted = np.append(model.intercept_, model.coef_)
            np.testing.assert_allclose(found[k], wanted, rtol=1e-7)


def test_a_resample_has_as_many_rows_and_whole_clusters():
    w, rng = np.array([1.0, 0.5, 2.5, 3.0]), np.random.default_rng(4)
    assert draws(w, *NO_CLUSTERS, rng).sum() == 7.0
    number = np.array([0, 0, 1, 2])
    drawn = draws(w, number, 3, rng) / w
    assert drawn[0] == drawn[1]
    assert drawn[[0, 2, 3]].sum() == 3.0


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_it_is_near_what_large_samples_have_and_the_same_again(loss):
    X, y, _ = some_data(5, n=400)
    model = LinearRegressor(loss).fit(X, y)
    found = infer(model, X, y, cov="bootstrap", n_resamples=200, random_state=1)
    np.testing.assert_allclose(found.std_err, infer(model, X, y).std_err, rtol=0.35)
    again = infer(model, X, y, cov="bootstrap", n_resamples=200, random_state=1)
    np.testing.assert_array_equal(found.covariance, again.covariance)
    other = infer(model, X, y, cov="bootstrap", n_resamples=200, random_state=2)
    assert not np.array_equal(found.covariance, other.covariance)


def test_threads_do_not_change_it():
    X, y, _ = some_data(6)
    spec = LinearRegressor("huber")._specification()

    def found():
        return resampled(X, y, None, spec, 2, None, *NO_CLUSTERS, Resampling(20, rng()))

    def rng():
        return np.random.default_rng(7)

    with one_blas_thread():
        np.testing.assert_array_equal(found(), found())


def test_clusters_are_wider_where_rows_of_one_are_alike():
    rng = np.random.default_rng(8)
    number = np.repeat(np.arange(40), 10)
    x = rng.normal(size=40)[number]
    y = rng.normal(size=40)[number] + 0.1 * rng.normal(size=400)
    model = LinearRegressor().fit(x[:, None], y)
    asked = {"cov": "bootstrap", "n_resamples": 100, "random_state": 0}
    rows = infer(model, x[:, None], y, **asked)
    clusters = infer(model, x[:, None], y, groups=number, **asked)
    assert clusters.std_err[1] > 2.0 * rows.std_err[1]
    by_formula = infer(model, x[:, None], y, groups=number)
    np.testing.assert_allclose(clusters.std_err, by_formula.std_err, rtol=0.3)
    assert clusters.df == 39


def test_a_resample_without_a_column_is_drawn_again():
    X, y, _ = some_data(9)
    X[:, 1] = 0.0
    X[0, 1] = 1.0
    model = LinearRegressor().fit(X, y)
    found = infer(model, X, y, cov="bootstrap", n_resamples=20, random_state=0)
    assert np.isfinite(found.std_err).all()  # resamples without the row are drawn again


def test_columns_that_single_rows_tell_are_refused():
    X, y, _ = some_data(10)
    X = np.column_stack([X, np.eye(60)[:, :30]])
    model = LinearRegressor().fit(X, y)
    with pytest.raises(ValueError, match=r"needs resamples .* 100 in a row had fewer"):
        infer(model, X, y, cov="bootstrap", n_resamples=2, random_state=0)


def test_the_covariance_is_that_of_the_resamples_about_their_mean():
    X, y, _ = some_data(11)
    model = LinearRegressor().fit(X, y)
    found = infer(model, X, y, cov="bootstrap", n_resamples=7, random_state=3)
    seed = np.random.RandomState(3).randint(2**31 - 1)
    how = Resampling(7, np.random.default_rng(seed))
    B = resampled(X, y, None, model._specification(), 2, None, *NO_CLUSTERS, how)
    np.testing.assert_allclose(found.covariance, np.cov(B.T), rtol=1e-9)
    np.testing.assert_allclose(found.std_err, B.std(axis=0, ddof=1), rtol=1e-9)
