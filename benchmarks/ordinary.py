"""Ordinary tables: one-hot factors, sparse and constant columns, ties, repeats, heavy tails, units of weights.

Each function returns (X, y, parameters of LinearRegressor, weights or None). Noise is t(2) where no other is told.
"""

import numpy as np
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import PolynomialFeatures, StandardScaler


def noisy(fitted, rng):
    return fitted + rng.standard_t(2, np.shape(fitted))


def normal(n=300_000, p=10):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    return X, noisy(X @ np.ones(p), rng)


def levels(n, k, rng):
    """All levels of a factor, CSR."""
    return sparse.csr_array((np.ones(n), (np.arange(n), rng.integers(0, k, n))), shape=(n, k))


def with_columns(*more):
    X, y = normal()
    return np.column_stack([X, *more]), y, {}, None


def plain():
    return with_columns()


def a_constant():
    return with_columns(np.full(300_000, 2.0))


def a_copy():
    X, y = normal()
    return np.column_stack([X, X[:, 0]]), y, {}, None


def eleven_dummies():
    return with_columns(levels(300_000, 12, np.random.default_rng(1)).toarray()[:, 1:])


def twelve_dummies():
    return with_columns(levels(300_000, 12, np.random.default_rng(1)).toarray())


def a_level_of_five_rows():
    return with_columns(np.isin(np.arange(300_000), [5, 100, 3_000, 70_000, 200_000]))


def two_hundred_dummies():
    rng = np.random.default_rng(0)
    X = np.column_stack([levels(200_000, 100, rng).toarray() for _ in range(2)])
    return X, noisy(X @ rng.standard_normal(200), rng), {}, None


def filled(n, p, density):
    rng = np.random.default_rng(0)
    X = sparse.random_array((n, p), density=density, rng=rng, format="csr")
    return X, noisy(X @ rng.standard_normal(p), rng), {}, None


def one_per_cent_filled():
    return filled(200_000, 300, 0.01)


def factors(n, sizes, numbers=0, drop=0):
    rng = np.random.default_rng(0)
    blocks = [levels(n, k, rng)[:, drop:] for k in sizes]
    blocks += [sparse.csr_array(rng.standard_normal((n, numbers)))] if numbers else []
    X = sparse.csr_array(sparse.hstack(blocks, format="csr"))
    return X, noisy(X @ rng.standard_normal(X.shape[1]), rng), {}, None


def two_factors_of_a_thousand():
    return factors(20_000, [1_000, 1_000], numbers=2)


def three_factors():
    return factors(100_000, [200, 200, 200])


def three_factors_first_dropped():
    return factors(100_000, [200, 200, 200], drop=1)


def counts_of_words():
    """Twenty words in each row: the counts of 500 words have a constant sum."""
    n, rng = 50_000, np.random.default_rng(0)
    words = rng.integers(0, 500, (n, 20)).ravel()
    X = sparse.csr_array((np.ones(20 * n), (np.repeat(np.arange(n), 20), words)), shape=(n, 500))
    X.sum_duplicates()
    return X, noisy(X @ rng.standard_normal(500), rng), {}, None


def mostly_zeros():
    X, y = normal(200_000)
    return X, np.where(np.random.default_rng(1).random(len(y)) < 0.7, 0.0, y), {}, None


def poisson_counts():
    X, _ = normal(200_000)
    return X, np.random.default_rng(1).poisson(np.exp(0.1 * X.sum(axis=1))).astype(float), {}, None


def four_distinct_rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 2))[rng.integers(0, 4, 1_000_000)]
    return X, noisy(X @ np.ones(2), rng), {}, None


def points(n, k):
    rng = np.random.default_rng(0)
    X = rng.integers(0, k, (n, 1)).astype(float)
    return X, noisy(X[:, 0], rng), {"delta": 1e-3}, None


def three_points():
    return points(100_000, 3)


def twenty_points():
    return points(3_000, 20)


def fifty_rows_repeated():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 50, 100_000)
    X = rng.standard_normal((50, 3))
    return X[rows], noisy(X @ np.ones(3), rng)[rows], {"delta": 1e-3}, None


def cauchy_columns():
    rng = np.random.default_rng(0)
    X = rng.standard_cauchy((200_000, 10))
    return X, noisy(X @ np.ones(10), rng), {}, None


def a_tiny_delta():
    X, y = normal()
    return X, y, {"delta": 1e-7}, None


def weights_over_seven_decades():
    X, y = normal()
    return X, y, {}, 10.0 ** np.random.default_rng(3).uniform(-7, 0, len(y))


def ten_targets():
    X, y = normal(200_000)
    return X, noisy(np.tile(y[:, None], 10), np.random.default_rng(2)), {}, None


def fifty_targets():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 20))
    return X, noisy(X @ rng.standard_normal((20, 50)), rng), {}, None


def gaussian(n, p):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    return X, noisy(X[:, 0], rng), {}, None


def wide():
    return gaussian(200, 5_000)


def wider():
    return gaussian(1_000, 5_000)


def square():
    return gaussian(1_000, 1_000)


def terms_of_texts():
    return filled(3_000, 3_000, 0.01)


def terms_of_texts_with_penalty():
    X, y, _, _ = filled(3_000, 3_000, 0.01)
    return X, y, {"alpha": 1e-3}, None


def moving_averages():
    rng = np.random.default_rng(0)
    series = rng.standard_normal(119).cumsum()
    X = np.column_stack([np.convolve(series, np.ones(k) / k, "valid")[:100] for k in range(1, 21)])
    return X, noisy(X[:, 0], rng), {}, None


def cubes_of_diabetes():
    X, y = load_diabetes(return_X_y=True)
    X = PolynomialFeatures(3, include_bias=False).fit_transform(X)
    return StandardScaler().fit_transform(X), y, {"delta": 50.0}, None
