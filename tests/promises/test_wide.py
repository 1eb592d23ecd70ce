"""At least as many columns as rows: the least norm of all exact fits, and a ridge."""

import numpy as np
import pytest
from scipy import sparse

from robustreg import LinearRegressor, certify

LOSSES = ["mse", "huber", "mae"]
RNG = np.random.default_rng(0)


def dense(n, p):
    return RNG.standard_normal((n, p))


DESIGNS = {
    "wide": dense(30, 200),
    "square": dense(40, 40),
    "shifted": dense(20, 60) + 50.0,
    "decades apart": dense(20, 300) * 10.0 ** RNG.uniform(-6, 6, 300),
    "sparse": sparse.random_array((40, 90), density=0.2, rng=RNG, format="csr"),
    "two rows": dense(2, 5),
    "one row more than columns": dense(9, 8),
}


def targets(n):
    rng = np.random.default_rng(n)
    return 5.0 + rng.standard_t(2, n), rng.uniform(0.1, 2.0, n)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", DESIGNS)
def test_rows_that_do_not_depend_are_fitted_with_the_least_norm_at_once(kind, loss):
    X = DESIGNS[kind]
    y, w = targets(X.shape[0])
    A = np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=np.float64)
    model = LinearRegressor(loss).fit(X, y, w)
    assert (model.n_iter_, model.dual_gap_, model.rank_) == (1, 0.0, len(y) - 1)
    assert not model.orthogonal_
    size = np.abs(A) @ np.abs(model.coef_) + np.abs(model.intercept_) + np.abs(y)
    assert np.all(np.abs(A @ model.coef_ + model.intercept_ - y) <= 1e-14 * size)
    # The least norm: columns of unit size change nothing in it but the digits of the reference.
    Q = np.linalg.qr((A - A.mean(axis=0)).T)[0][:, : len(y) - 1]
    lost = model.coef_ - Q @ (Q.T @ model.coef_)
    assert np.linalg.norm(lost) <= 1e-10 * np.linalg.norm(model.coef_)


@pytest.mark.parametrize("alpha", [1e-4, 1.0, 30.0])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", DESIGNS)
def test_a_penalty_has_its_own_exact_minimum(kind, loss, alpha):
    X = DESIGNS[kind]
    y, w = targets(X.shape[0])
    model = LinearRegressor(loss, alpha=alpha).fit(X, y, w)
    assert model.dual_gap_ <= 1e-12
    assert certify(model, X, y, w).gap <= 1e-12


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_rows_may_come_in_any_order(loss, alpha):
    X = DESIGNS["wide"]
    y, w = targets(len(X))
    order = np.random.default_rng(1).permutation(len(X))
    one = LinearRegressor(loss, alpha=alpha).fit(X, y, w)
    other = LinearRegressor(loss, alpha=alpha).fit(X[order], y[order], w[order])
    np.testing.assert_allclose(other.coef_, one.coef_, rtol=1e-9, atol=1e-13)
    assert other.intercept_ == pytest.approx(one.intercept_, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_repeated_rows_are_as_one_row_with_their_weights(loss):
    """They depend on each other, so that there is no exact fit of both."""
    X = dense(12, 40)
    y, _ = targets(12)
    twice = np.append(np.arange(12), [3, 3, 7])
    model = LinearRegressor(loss).fit(X[twice], y[twice])
    w = np.bincount(twice).astype(float)
    np.testing.assert_allclose(model.coef_, LinearRegressor(loss).fit(X, y, w).coef_, rtol=1e-9)
    apart = y[twice] + 0.1 * np.arange(15)
    assert certify(LinearRegressor(loss).fit(X[twice], apart), X[twice], apart).gap <= 1e-9


def test_a_corner_under_a_penalty_needs_few_interior_points():
    """The first guess of the rows that are fitted exactly is found to be right."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((200, 200))
    model = LinearRegressor("mae", alpha=1.0).fit(X, X[:, 0] + rng.standard_t(2, 200))
    assert model.n_iter_ <= 12
