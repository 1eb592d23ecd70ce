"""Correct digits of least squares, against the exact rational solution of the very data."""

from fractions import Fraction

import numpy as np
import pytest
from exact import exact_solution
from scipy.sparse import csr_array
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from stored import read_nist

from robustreg import LinearRegressor
from robustreg.numerics.exact import ExactMatrix


def correct_digits(model, exact):
    """-log10 of the largest relative error of a coefficient; 17 if there is none."""
    found = [*model.coef_, *([model.intercept_] if model.fit_intercept else [])]
    worst = max(abs((Fraction(float(a)) - b) / b) for a, b in zip(found, exact, strict=True))
    return -np.log10(float(worst)) if worst else 17.0


@pytest.mark.parametrize(
    ("name", "degree", "intercept", "digits"),
    [
        ("norris", 1, True, 15.5),
        ("noint1", 1, False, 15.5),
        ("pontius", 2, True, 15.5),
        ("longley", 1, True, 15.5),
        ("wampler1", 5, True, 15.5),
        ("wampler4", 5, True, 15.5),
    ],
)
def test_nist_reference_data(name, degree, intercept, digits):
    X, y = read_nist(name)
    powers = PolynomialFeatures(degree, include_bias=False)
    model = make_pipeline(powers, LinearRegressor("mse", fit_intercept=intercept)).fit(X, y)
    assert correct_digits(model[-1], exact_solution(powers.transform(X), y, intercept)) >= digits


@pytest.mark.parametrize(
    ("name", "degree"),
    [("norris", 1), ("pontius", 2), ("longley", 1), ("wampler1", 5), ("wampler4", 5)],
)
def test_huber_with_every_row_inside_is_least_squares_to_the_last_digit(name, degree):
    X, y = read_nist(name)
    X = PolynomialFeatures(degree, include_bias=False).fit_transform(X)
    squares, huber = LinearRegressor("mse").fit(X, y), LinearRegressor("huber", delta=1e9).fit(X, y)
    np.testing.assert_array_equal(huber.coef_, squares.coef_)
    assert huber.intercept_ == squares.intercept_
    assert not huber.outliers_.any()


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(5))
def test_so_it_is_for_random_data_of_any_storage(seed, alpha):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((60, 5)) + 100.0, rng.standard_normal(60)
    for store in (np.asarray, csr_array):
        squares = LinearRegressor("mse", alpha=alpha).fit(store(X), y)
        huber = LinearRegressor("huber", delta=10.0, alpha=alpha).fit(store(X), y)
        np.testing.assert_array_equal(huber.coef_, squares.coef_)
        assert huber.intercept_ == squares.intercept_


@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_nearly_dependent_columns_keep_every_digit(intercept, weighted, offset):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((30, 4)) + offset
    X[:, 3] = X[:, 0] + 1e-7 * rng.standard_normal(30)
    y = rng.standard_normal(30)
    w = 10.0 ** rng.uniform(-3, 3, 30) if weighted else None
    model = LinearRegressor("mse", fit_intercept=intercept).fit(X, y, w)
    assert model.orthogonal_
    assert correct_digits(model, exact_solution(X, y, intercept, w)) >= 15.5


def test_a_polynomial_of_degree_ten_keeps_every_digit():
    # Condition 1e15 as given: the last digits of the powers decide, so they are taken as exact.
    x = np.linspace(-9.0, -3.0, 82)
    X = np.column_stack([x**k for k in range(1, 11)])
    y = np.sin(x) + 1e-3 * np.cos(50 * x)
    model = LinearRegressor("mse").fit(X, y)
    assert correct_digits(model, exact_solution(X, y, True)) >= 15.0


@pytest.mark.parametrize("seed", range(20))
def test_products_carry_twice_the_digits(seed):
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 60)), int(rng.integers(1, 9))
    X = rng.standard_normal((n, m)) * 10.0 ** rng.uniform(-100, 100, m)
    A = ExactMatrix(X, False)
    x = rng.standard_normal(m), 1e-17 * rng.standard_normal(m)
    v = rng.standard_normal(n), 1e-17 * rng.standard_normal(n)
    held = np.ldexp(X, -A.exponent)
    for got, matrix, vector in [(A.dot(x), held, x), (A.tdot(v), held.T, v)]:
        for i, row in enumerate(matrix):
            exact = sum(
                Fraction(a) * (Fraction(h) + Fraction(t))
                for a, h, t in zip(row, *vector, strict=True)
            )
            size = sum(abs(a * h) for a, h in zip(row, vector[0], strict=True))
            total = sum(Fraction(float(part[i])) for part in got)
            assert abs(total - exact) <= Fraction(1e-25) * Fraction(float(size))


def test_the_worked_example_is_correctly_rounded():
    X, y = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0.8, 1.5, 1.8, 2.0])
    slope, intercept = exact_solution(X, y, True)
    model = LinearRegressor("mse").fit(X, y)
    assert model.coef_[0] == float(slope)
    assert model.intercept_ == float(intercept)
