"""Factors, the rank rule and solutions of least norm, beside NumPy and rational arithmetic."""

import numpy as np
import pytest
from exact import rational, solve

from robustreg.numerics import linalg
from robustreg.numerics.linalg import least_norm, spectrum

EPS = np.finfo(np.float64).eps


def orthonormal(rng, n, m):
    return np.linalg.qr(rng.standard_normal((n, m)))[0]


def with_singular_values(seed, n, sigma):
    """A matrix (n, m) with these singular values, and its right singular vectors."""
    rng, m = np.random.default_rng(seed), len(sigma)
    V = orthonormal(rng, m, m)
    return (orthonormal(rng, n, m) * sigma) @ V.T, V


# -- factors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 7, 30])
@pytest.mark.parametrize("decades", [0, 6, 100])
def test_a_factor_solves_whatever_the_units(m, decades):
    """The solution of D G D x = b is that of G, divided by the units D."""
    rng = np.random.default_rng(m)
    Z, unit = rng.standard_normal((m + 20, m)), 10.0 ** rng.uniform(-decades, decades, m)
    found = linalg.factor((Z * unit).T @ (Z * unit))
    assert found.sound
    for b in (rng.standard_normal(m), rng.standard_normal((m, 3))):
        expected = np.linalg.solve(Z.T @ Z, b)
        scaled = (b.T * unit).T
        np.testing.assert_allclose(
            (found.solve(scaled).T * unit).T, expected, rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4, 1e-6])
def test_the_condition_is_about_that_of_numpy(spread):
    for seed in range(5):
        Z, _ = with_singular_values(seed, 40, np.geomspace(1.0, spread, 8))
        G = Z.T @ Z
        unit = np.sqrt(np.diag(G))
        true = 1.0 / np.linalg.cond(G / np.outer(unit, unit), 1)
        assert 0.9 * true <= linalg.factor(G).rcond <= 5.0 * true
        root = linalg.factor_of_root(Z).rcond
        assert true / 30.0 <= root <= 30.0 * true


def test_the_condition_has_no_units():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((20, 4))
    unit = 2.0 ** rng.integers(-200, 200, 4)
    assert linalg.factor((Z * unit).T @ (Z * unit)).rcond == linalg.factor(Z.T @ Z).rcond
    assert linalg.factor_of_root(Z * unit).rcond == pytest.approx(linalg.factor_of_root(Z).rcond)


@pytest.mark.parametrize("m", [1, 5, 30])
def test_the_inverse_and_its_root(m):
    rng = np.random.default_rng(m)
    Z, unit = rng.standard_normal((m + 20, m)), 10.0 ** rng.uniform(-6, 6, m)
    M = (Z * unit).T @ (Z * unit)
    found = linalg.factor(M)
    K = found.inverse_root()
    for inverse in (found.inverse(), K.T @ K):
        scaled = inverse * np.outer(unit, unit)
        np.testing.assert_allclose(scaled, np.linalg.inv(Z.T @ Z), rtol=1e-9, atol=1e-12)


NOT_DEFINITE = {
    "indefinite": np.array([[1.0, 2.0], [2.0, 1.0]]),
    "singular": np.ones((3, 3)),
    "a zero on the diagonal": np.diag([1.0, 0.0, 2.0]),
    "negative": np.diag([1.0, -1.0]),
    "zero": np.zeros((2, 2)),
    "NaN on the diagonal": np.diag([1.0, np.nan]),
    "NaN beside it": np.array([[1.0, np.nan], [np.nan, 1.0]]),
}


@pytest.mark.parametrize("kind", NOT_DEFINITE)
def test_what_is_not_positive_definite_is_not_sound(kind):
    found = linalg.factor(NOT_DEFINITE[kind])
    assert not found.sound
    assert found.rcond <= 1e-15


@pytest.mark.parametrize(
    "kind", ["indefinite", "a zero on the diagonal", "negative", "zero", "NaN beside it"]
)
def test_what_is_clearly_not_positive_definite_has_the_condition_zero(kind):
    assert linalg.factor(NOT_DEFINITE[kind]).rcond == 0.0


def test_sound_is_what_refinement_needs():
    """A solution of a sound factor, refined twice, is right to the last digits."""
    for seed in range(10):
        Z, _ = with_singular_values(seed, 30, np.geomspace(1.0, 2e-5, 6))
        x = np.random.default_rng(seed).standard_normal(6)
        found = linalg.factor(Z.T @ Z)
        assert found.sound
        y, phi = Z @ x, np.zeros(6)
        for _ in range(3):
            phi = phi + found.solve(Z.T @ (y - Z @ phi))
        np.testing.assert_allclose(phi, x, atol=1e-10)
    Z, _ = with_singular_values(0, 30, np.geomspace(1.0, 1e-6, 6))
    assert not linalg.factor(Z.T @ Z).sound


def test_no_columns_have_a_sound_factor():
    for found in (
        linalg.factor(np.zeros((0, 0))),
        linalg.factor_shifted(np.zeros((0, 0)), np.zeros((0, 0))),
    ):
        assert found.sound
        assert found.solve(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("spread", [1.0, 1e-5, 1e-8])
def test_a_factor_of_a_root_does_not_square_the_condition(spread):
    """Z times the solution is as right as the condition of Z, not of Z'Z, lets it be."""
    Z, _ = with_singular_values(1, 50, np.geomspace(1.0, spread, 6))
    found = linalg.factor_of_root(Z)
    assert found.sound
    y = Z @ np.random.default_rng(2).standard_normal(6)
    np.testing.assert_allclose(Z @ found.solve(Z.T @ y), y, atol=1e-13 / spread)
    assert 1e-2 * spread <= np.sqrt(found.rcond) <= 50.0 * spread


@pytest.mark.parametrize("k", [0, 3])
def test_fewer_rows_than_columns_are_no_root(k):
    found = linalg.factor_of_root(np.random.default_rng(0).standard_normal((k, 4)))
    assert found.rcond == 0.0
    assert not found.sound


def test_dependent_columns_are_no_sound_root():
    Z = np.random.default_rng(0).standard_normal((9, 4))
    Z[:, 2] = 0.0
    assert linalg.factor_of_root(Z).rcond == 0.0
    Z[:, 2] = Z[:, 0] - Z[:, 3]
    assert not linalg.factor_of_root(Z).sound


def test_a_sound_matrix_is_not_shifted():
    Z = np.random.default_rng(0).standard_normal((9, 4))
    found, plain = linalg.factor_shifted(Z.T @ Z, np.eye(4)), linalg.factor(Z.T @ Z)
    np.testing.assert_array_equal(found.cholesky, plain.cholesky)


@pytest.mark.parametrize("rank", [0, 1, 3])
@pytest.mark.parametrize("size", [1e-8, 1.0, 1e4])
def test_a_singular_matrix_is_shifted_by_the_least_that_is_sound(rank, size):
    rng = np.random.default_rng(rank)
    Z = rng.standard_normal((rank, 4))
    reference = size * np.diag([1.0, 2.0, 3.0, 4.0])
    found, b = linalg.factor_shifted(Z.T @ Z, reference), rng.standard_normal(4)
    assert found.sound
    shifts = [10.0**k for k in range(-10, 5, 2)]
    x = found.solve(b)
    used = [
        tau
        for tau in shifts
        if np.allclose((Z.T @ Z + tau * reference) @ x, b, rtol=1e-4, atol=1e-4)
        and np.abs(x).max() > 0.0
    ]
    assert len(used) == 1
    assert all(
        not linalg.factor(Z.T @ Z + tau * reference).sound for tau in shifts if tau < used[0]
    )


# -- the rank rule -----------------------------------------------------------------------------


@pytest.mark.parametrize("m", [3, 8, 40])
def test_singular_values_count_from_10_m_eps_of_the_largest(m):
    """The last two are a half more and a half less than the cut: rounding is far less."""
    cut = 10.0 * m * EPS
    sigma = np.append(np.geomspace(7.0, 0.7, m - 2), [7.0 * 1.5 * cut, 7.0 * 0.5 * cut])
    for seed in range(5):
        R, V = with_singular_values(seed, m + 5, sigma)
        R = np.linalg.qr(R, mode="r")
        found = spectrum(R)
        assert found.rank == m - 1
        np.testing.assert_allclose(found.sigma, sigma[:-1], rtol=1e-12, atol=1e-15 * 7.0 * m)
        assert found.N.shape == (m, 1)
        if m == 3:  # where singular values are far apart from each other
            assert abs(found.N[:, 0] @ V[:, -1]) == pytest.approx(1.0, abs=0.2)


def test_noise_hides_twice_what_it_may_make():
    """Singular values of a diagonal matrix, beside the noise of their own columns."""
    R = np.diag([1.0, 3e-6, 2e-6, 1e-6])
    assert spectrum(R).rank == 4
    assert spectrum(R, np.array([0.0, 1.4e-6, 0.9e-6, 0.4e-6])).rank == 4
    found = spectrum(R, np.array([0.0, 1.6e-6, 0.9e-6, 0.6e-6]))
    np.testing.assert_allclose(found.sigma, [1.0, 2e-6], rtol=1e-12)
    np.testing.assert_allclose(np.abs(found.V[[0, 2], [0, 1]]), 1.0, rtol=1e-12)
    # A noise in one column blurs a singular vector as far as it has a share of it.
    c, s = np.cos(0.3), np.sin(0.3)
    turned = np.diag([1.0, 1e-6]) @ np.array([[c, s], [-s, c]])
    assert spectrum(turned, np.array([0.99 * 0.5e-6 / s, 0.0])).rank == 2
    assert spectrum(turned, np.array([1.01 * 0.5e-6 / s, 0.0])).rank == 1


@pytest.mark.parametrize("shape", [(6, 6), (3, 6), (1, 6)])
def test_the_row_space_and_the_null_space_are_all(shape):
    R = np.random.default_rng(0).standard_normal(shape)
    R[:, 1] = R[:, 0]
    found = spectrum(R)
    assert found.rank == np.linalg.matrix_rank(R)
    basis = np.column_stack([found.V, found.N])
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-14)
    np.testing.assert_allclose(R @ found.N, 0.0, atol=1e-14)
    np.testing.assert_allclose(R @ found.V @ found.V.T, R, atol=1e-13)
    short = spectrum(R, full=False)
    np.testing.assert_allclose(short.sigma, found.sigma, rtol=1e-13)
    np.testing.assert_allclose(short.V @ short.V.T, found.V @ found.V.T, atol=1e-13)


@pytest.mark.parametrize("k", [0, 3])
def test_a_matrix_of_zeros_has_no_rank(k):
    found = spectrum(np.zeros((k, 3)))
    assert found.rank == 0
    np.testing.assert_array_equal(found.N, np.eye(3))
    np.testing.assert_array_equal(found.solve(np.zeros(3)), np.zeros(3))


def test_a_spectrum_solves_with_least_norm():
    R = np.random.default_rng(0).standard_normal((4, 7))
    b = R.T @ R @ np.random.default_rng(1).standard_normal(7)
    np.testing.assert_allclose(
        spectrum(R).solve(b), np.linalg.pinv(R.T @ R, rcond=1e-10) @ b, atol=1e-11
    )


# -- least norm --------------------------------------------------------------------------------


def of_rank(seed, n, p, rank):
    """A matrix of small integers with this rank."""
    rng = np.random.default_rng(seed)
    while True:
        A = (rng.integers(-3, 4, (n, rank)) @ rng.integers(-3, 4, (rank, p))).astype(np.float64)
        if np.linalg.matrix_rank(A) == rank and A.any(axis=0).all():
            return A


def least_norm_of(X, inverse_scale):
    """(B, U): X B = U, orthonormal columns, as ``data/rows.py`` uses it."""
    R = X * inverse_scale
    S = spectrum(R, full=False)
    return least_norm(S, inverse_scale), R @ S.V / S.sigma


@pytest.mark.parametrize("decades", [0, 1, 2, 3])
@pytest.mark.parametrize(("n", "p", "rank"), [(8, 5, 3), (4, 9, 4), (6, 6, 1), (7, 4, 4)])
def test_least_norm_is_that_of_numpy(n, p, rank, decades):
    for seed in range(5):
        unit = 10.0 ** np.random.default_rng(seed).uniform(-decades, decades, p)
        X = of_rank(seed, n, p, rank) * unit
        B, U = least_norm_of(X, 1.0 / np.linalg.norm(X, axis=0))
        assert B.shape == (p, rank)
        np.testing.assert_allclose(X @ B, U, atol=1e-10)
        np.testing.assert_allclose(U.T @ U, np.eye(rank), atol=1e-12)
        pinv = np.linalg.pinv(X, rcond=1e-13) @ U
        np.testing.assert_allclose(B, pinv, rtol=1e-6, atol=1e-9 * np.abs(pinv).max())


@pytest.mark.parametrize("exponent", [3, 30, 100])
@pytest.mark.parametrize(("n", "p", "rank"), [(5, 4, 2), (4, 6, 3), (6, 5, 4), (3, 5, 1)])
def test_every_coefficient_of_least_norm_is_right_however_small(n, p, rank, exponent):
    """b = X_k' (X_k X_k')^-1 f_k for f = X c and rows k that span the others, in fractions."""
    for seed in range(4):
        rng = np.random.default_rng(100 * seed + rank)
        A, unit = of_rank(seed, n, p, rank), 2.0 ** rng.integers(-exponent, exponent + 1, p)
        X = A * unit
        # 1. In fractions.
        rows = []
        for i in range(n):
            if np.linalg.matrix_rank(A[[*rows, i]]) > len(rows):
                rows.append(i)
        f = A @ rng.integers(-4, 5, p)
        Xk, fk = rational(X[rows]), rational(f[rows])
        G = [[sum(a * b for a, b in zip(x, z, strict=True)) for z in Xk] for x in Xk]
        e = solve(G, fk)
        b = np.array([float(sum(x[j] * ei for x, ei in zip(Xk, e, strict=True))) for j in range(p)])
        # 2. By the singular values.
        B, U = least_norm_of(X, 1.0 / np.linalg.norm(X, axis=0))
        found = B @ (U.T @ f)
        close = np.abs(found - b) <= 1e-9 * np.abs(B) @ np.abs(U.T @ f)
        assert np.all(close), (seed, found, b)
