"""Fits that go through many rows, as where y is mostly zero, a count, or on a line for a part of the
rows: what they cost, and that they are exact.
"""

import numpy as np
import pytest
from problems import way

from robustreg import LinearRegressor, certify

N, P = 20_000, 5


def columns(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P))
    return rng, X, X @ np.arange(1.0, P + 1.0)


def mostly_zeros():
    rng, X, line = columns()
    return X, np.where(rng.random(N) < 0.7, 0.0, line + rng.standard_t(2, N))


def counts():
    rng, X, _ = columns()
    return X, rng.poisson(np.exp(0.1 * X.sum(axis=1))).astype(float)


def on_a_line(part):
    rng, X, line = columns()
    return X, line + 3.0 + np.where(rng.random(N) < part, 0.0, rng.standard_t(2, N))


def half_on_a_line():
    return on_a_line(0.5)


def most_on_a_line():
    return on_a_line(0.97)


def a_fifth_on_a_line():
    return on_a_line(0.2)


def a_tenth_on_a_line():
    return on_a_line(0.1)


def ratings():
    rng, X, line = columns()
    return X, np.clip(np.round(3.0 + 0.2 * line + rng.standard_t(2, N)), 1.0, 5.0)


def censored():
    rng, X, line = columns()
    y = line + rng.standard_t(2, N)
    return X, np.maximum(y, np.quantile(y, 0.4))


# kind of data: (passes at most, the largest part of rows kept)
TABLE = {
    mostly_zeros: (4, 0.0),
    half_on_a_line: (2, 0.0),
    most_on_a_line: (4, 0.0),
    a_fifth_on_a_line: (2, 0.5),
    a_tenth_on_a_line: (2, 0.4),
    counts: (4, 0.5),
    ratings: (3, 0.3),
    censored: (3, 0.4),
}


@pytest.mark.parametrize(("kind", "passes", "kept"), [(k, *v) for k, v in TABLE.items()])
def test_many_ties_cost_few_passes_and_iterations(kind, passes, kept):
    work = LinearRegressor("mae").fit(*kind()).work_
    assert (work.way, work.refused) == ("passes", "")
    assert work.n_passes <= passes
    assert work.n_kept <= kept * N
    assert work.n_iter <= 25


@pytest.mark.parametrize("kind", [mostly_zeros, counts, half_on_a_line, a_fifth_on_a_line])
def test_many_ties_cost_few_iterations_directly(kind):
    with way("direct"):
        assert LinearRegressor("mae").fit(*kind()).n_iter_ <= 15


WEIGHTS = {
    "none": lambda rng: None,
    "counts": lambda rng: rng.integers(0, 4, N).astype(float),
    "decades": lambda rng: 10.0 ** rng.uniform(-2, 2, N),
}


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_many_ties_are_fitted_exactly(kind, weights):
    X, y = kind()
    w = WEIGHTS[weights](np.random.default_rng(1))
    for given in ({}, {"alpha": 0.1}, {"fit_intercept": False}):
        model = LinearRegressor("mae", **given).fit(X, y, w)
        with way("direct"):
            direct = LinearRegressor("mae", **given).fit(X, y, w)
        np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(model.intercept_, direct.intercept_, rtol=1e-9, atol=1e-12)
        assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)
        assert model.unique_ == direct.unique_
        assert model.dual_gap_ <= 1e-12
        assert certify(model, X, y, w).gap <= 1e-9


@pytest.mark.parametrize("kind", [mostly_zeros, half_on_a_line])
def test_the_order_of_rows_and_units_do_not_matter_where_many_are_tied(kind):
    X, y = kind()
    order = np.random.default_rng(3).permutation(N)
    model = LinearRegressor("mae").fit(X, y)
    other = LinearRegressor("mae").fit(4.0 * X[order], 1e6 * y[order])
    np.testing.assert_allclose(other.coef_, 2.5e5 * model.coef_, rtol=1e-12)
    np.testing.assert_allclose(other.intercept_, 1e6 * model.intercept_, rtol=1e-12)


def test_zeros_are_predicted_where_most_of_y_is_zero():
    model = LinearRegressor("mae").fit(*mostly_zeros())
    assert not model.coef_.any()
    assert model.intercept_ == 0.0


def test_a_line_with_all_other_rows_on_one_side_is_not_always_the_fit():
    rng, X, line = columns()
    on_line = rng.random(N) < 0.4  # fewer than the others, which pull to their side
    y = line + np.where(on_line, 0.0, np.abs(rng.standard_t(2, N)))
    model = LinearRegressor("mae").fit(X, y)
    with way("direct"):
        direct = LinearRegressor("mae").fit(X, y)
    np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-9)
    assert certify(model, X, y).gap <= 1e-9
