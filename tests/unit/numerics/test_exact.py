"""Products with about twice the digits of float64, beside rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from exact import rational

from robustreg.numerics.exact import ExactMatrix, added, product

EPS = np.finfo(np.float64).eps
TWICE = Fraction(2) ** -96  # of the size of the terms: 2^-106, and the rounding of 150 terms


def total(parts):
    """Arrays whose sum it is, as a list of fractions."""
    return [sum(map(Fraction, (float(x) for x in entry))) for entry in zip(*parts, strict=True)]


def multiplied(A, x):
    """(A x, abs(A) abs(x)) for lists of fractions."""
    return (
        [sum(a * b for a, b in zip(row, x, strict=True)) for row in A],
        [sum(abs(a * b) for a, b in zip(row, x, strict=True)) for row in A],
    )


RNG = np.random.default_rng(0)
MATRICES = {
    "plain": RNG.standard_normal((40, 4)),
    "one row": RNG.standard_normal((1, 3)),
    "many rows": RNG.standard_normal((150, 2)),
    "columns decades apart": RNG.standard_normal((30, 4))
    * 10.0 ** np.array([-200.0, -3.0, 5.0, 200.0]),
    "entries decades apart": RNG.standard_normal((30, 3)) * 10.0 ** RNG.uniform(-20, 0, (30, 3)),
    "integers": RNG.integers(-9, 10, (20, 3)).astype(np.float64),
    "float32": RNG.standard_normal((20, 3)).astype(np.float32),
    "a column of zeros": RNG.standard_normal((20, 3)) * [1.0, 0.0, 1.0],
    "wide": RNG.standard_normal((3, 50)),
}


@pytest.fixture(
    scope="module",
    params=[(kind, intercept) for kind in MATRICES for intercept in (False, True)],
    ids=str,
)
def matrix(request):
    """(the exact matrix, its scaled columns as fractions)."""
    kind, intercept = request.param
    X = np.asarray(MATRICES[kind], dtype=np.float64)
    A = ExactMatrix(X, intercept)
    full = np.column_stack([X, np.ones(len(X))]) if intercept else X
    scaled = [
        [Fraction(a) * Fraction(2) ** int(-e) for a, e in zip(row, A.exponent, strict=True)]
        for row in full
    ]
    return A, scaled


def pair(rng, n, size=1.0):
    """(hi, lo), the digits of lo below those of hi."""
    hi = size * rng.standard_normal(n)
    return hi, EPS * hi * rng.uniform(-0.5, 0.5, n)


@pytest.mark.parametrize("size", [1.0, 1e-100])
def test_products_have_twice_the_digits(matrix, size):
    A, scaled = matrix
    transposed = [list(column) for column in zip(*scaled, strict=True)]
    rng = np.random.default_rng(1)
    for times, exact in ((A.dot, scaled), (A.tdot, transposed)):
        x = pair(rng, len(exact[0]), size)
        expected, terms = multiplied(exact, total(x))
        largest = max(abs(v) for v in total(x))
        for found, wanted in zip(total(times(x)), expected, strict=True):
            assert abs(found - wanted) <= TWICE * largest * len(x[0])
        assert max(map(abs, expected)) <= max(terms)


def test_columns_are_scaled_to_the_largest_entry_one(matrix):
    for column in zip(*matrix[1], strict=True):
        assert not any(column) or Fraction(1, 2) <= max(map(abs, column)) <= 1


def test_a_product_of_zeros_is_zero(matrix):
    A, scaled = matrix
    zero = np.zeros(len(scaled[0]))
    assert not any(total(A.dot((zero, zero))))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("unit", [1.0, 1e-60])
def test_a_residual_is_right_to_its_last_digits_however_much_cancels(unit, intercept):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((30, 3)) * unit
    x = np.append(rng.standard_normal(3) / unit, 0.25)[: 3 + intercept]
    fitted = X @ x[:3] + (x[3] if intercept else 0.0)
    for left in (0.0, 1e-12, 1.0):
        y = fitted + left * rng.standard_normal(30)
        found = ExactMatrix(X, intercept).residual(y, x)
        full = np.column_stack([X, np.ones(30)])[:, : 3 + intercept]
        expected, _ = multiplied(rational(full), rational(x))
        for r, target, value in zip(found, y, expected, strict=True):
            exact = Fraction(target) - value
            assert abs(Fraction(r) - exact) <= Fraction(EPS) * abs(exact) + 8 * TWICE


@pytest.mark.parametrize("scale", [1.0, 1e-10, 1e10, 1e-300, 1e290])
def test_two_numbers_are_added_without_error(scale):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(200), scale * rng.standard_normal(200)
    hi, lo = added([a, b])
    np.testing.assert_array_equal(hi, a + b)
    for first, second, high, low in zip(a, b, hi, lo, strict=True):
        assert Fraction(high) + Fraction(low) == Fraction(first) + Fraction(second)


def test_many_numbers_are_added_to_twice_the_digits():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        terms = [
            *(rng.standard_normal((30, 12)) * 10.0 ** rng.uniform(-18, 0, (30, 12))),
            np.zeros(12),
        ]
        terms += [-t for t in terms[3:20]]  # most of it cancels
        hi, lo = added(terms)
        for j in range(12):
            exact = sum(Fraction(t[j]) for t in terms)
            noise = 50 * Fraction(EPS) ** 2
            assert abs(Fraction(hi[j]) + Fraction(lo[j]) - exact) <= noise
            assert abs(Fraction(hi[j]) - exact) <= Fraction(EPS) * abs(exact) + noise


@pytest.mark.parametrize("scale", [1.0, 1e-100, 1e100])
def test_a_product_has_no_error(scale):
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal(300) * scale, rng.standard_normal(300)
    b[:3] = 0.0, 1.0, 1.0 / 3.0
    hi, lo = product(a, b)
    np.testing.assert_array_equal(hi, a * b)
    for x, z, high, low in zip(a, b, hi, lo, strict=True):
        assert Fraction(high) + Fraction(low) == Fraction(x) * Fraction(z)
