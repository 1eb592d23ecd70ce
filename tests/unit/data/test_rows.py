"""Rows beside one dense Z made from the definition: dense, sparse, of any rank, subsets, given
ones.
"""

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.make_rows import make_rows
from robustreg.data.rows import dense_rows
from robustreg.problem.penalties import Ridge

N, P = 120, 5
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, P))
MIXED = RNG.standard_normal((3, P))


def thinned(A, density=0.3):
    return sparse.csr_array(
        np.where(np.random.default_rng(1).uniform(size=A.shape) < density, A, 0.0)
    )


def with_copies(A):
    A = A.copy()
    A[:, 3], A[:, 4] = A[:, 0], A[:, 1] - 2.0 * A[:, 0]
    return A


# Matrices, and their rank with and without an intercept.
MATRICES = {
    "C": (X, P, P),
    "F": (np.asfortranarray(X), P, P),
    "float32": (X.astype(np.float32), P, P),
    "int8": (np.round(9.0 * X).astype(np.int8), P, P),
    "bool": (X > 0.2, P, P),
    "shifted": (X + np.array([0.0, 1e5, -40.0, 2.0, 0.0]), P, P),
    "decades apart": (X * 10.0 ** np.arange(-6, 9, 3), P, P),
    "sparse": (thinned(X), P, P),
    "sparse and dense": (thinned(X + 5.0, np.array([0.2, 0.95, 0.3, 0.9, 0.1])), P, P),
    "dependent": (with_copies(X), 3, 3),
    "dependent F": (np.asfortranarray(with_copies(X)), 3, 3),
    "dependent shifted": (with_copies(X) + 30.0, 3, 4),
    "dependent sparse": (sparse.csr_array(with_copies(thinned(X).toarray())), 3, 3),
    "a constant column": (np.where(np.arange(P) == 2, 3.25, X), P - 1, P),
    "a column of zeros": (np.where(np.arange(P) == 2, 0.0, X), P - 1, P - 1),
    "more columns than rows": (RNG.standard_normal((4, 9)), 3, 4),
    "wide, decades apart": (RNG.standard_normal((8, 60)) * 10.0 ** RNG.uniform(-5, 5, 60), 7, 8),
    "wide, one column decades above": (
        RNG.standard_normal((8, 30)) * np.where(np.arange(30) == 3, 1e4, 1.0),
        7,
        8,
    ),
    "wide shifted": (RNG.standard_normal((6, 9)) + 30.0, 5, 6),
    "wide sparse": (thinned(RNG.standard_normal((9, 70))), 8, 9),
    "wide, rows repeated": (RNG.standard_normal((4, 30))[[0, 1, 2, 3, 1, 0, 1]], 3, 4),
    "square": (RNG.standard_normal((12, 12)), 11, 12),
    "zero": (np.zeros((N, 2)), 0, 0),
    "dependent, decades apart": (with_copies(X) * 10.0 ** np.arange(-4, 6, 2), 3, 3),
}


class Case:
    """Rows, and their Z (n, m) made from shift, scale and T as the module says."""

    def __init__(self, kind, intercept):
        stored, with_intercept, without = MATRICES[kind]
        self.rank = with_intercept if intercept else without
        self.X = np.asarray(
            stored.toarray() if sparse.issparse(stored) else stored, dtype=np.float64
        )
        self.n, self.p = self.X.shape
        rng = np.random.default_rng(2)
        self.w = rng.uniform(0.5, 8.0, self.n)
        self.y = 40.0 + 5.0 * rng.standard_t(3, self.n)
        self.rows = rows = make_rows(stored, self.w, intercept).with_target(self.y)
        columns = rows.columns
        kept = self.X[:, rows.kept]
        T = np.eye(kept.shape[1]) if rows.basis is None else rows.basis
        self.slopes = ((kept - columns.shift) * columns.inverse_scale) @ T
        self.Z = np.column_stack([self.slopes, np.ones(self.n)]) if intercept else self.slopes
        if rows.spanned is not None:  # what is lost in T is gained on the way back
            self.Z = np.column_stack([self.fitted(phi) for phi in np.eye(rows.n_cols)])
        # The size of the terms in a row of Z, which may cancel.
        largest = np.abs(kept * columns.inverse_scale).max(initial=0.0)
        self.size = 1.0 + largest * np.abs(T).sum(axis=0).max(initial=0.0)
        self.phi = rng.standard_normal(self.Z.shape[1])
        self.v = rng.standard_normal(self.n)

    def fitted(self, phi):
        """The fitted values of the coefficients of phi, in the units of rows.y."""
        b, b0 = self.rows.raw(phi)
        return (self.X @ b + b0 - self.rows.y_shift) / self.rows.y_scale


@pytest.fixture(
    scope="module",
    params=[(kind, intercept) for kind in MATRICES for intercept in (False, True)],
    ids=str,
)
def case(request):
    return Case(*request.param)


def near(found, expected, size):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * size)


def test_the_verbs_are_those_of_the_dense_matrix(case):
    rows, Z, phi, v, n = case.rows, case.Z, case.phi, case.v, case.n
    assert (rows.n_rows, rows.n_cols) == Z.shape
    near(rows.fitted(phi), Z @ phi, 1.0)
    near(rows.residual(phi), rows.y - Z @ phi, 1.0)
    near(rows.adjoint(v), Z.T @ v, n)
    assert rows.fitted(phi) @ v == pytest.approx(phi @ rows.adjoint(v), rel=1e-10, abs=1e-10)
    index = np.array([n - 1, 0, 2, 2])
    near(rows.take(index), Z[index], 1.0)
    near(rows.take(slice(None)), Z, 1.0)
    assert np.all(rows.magnitude(phi) >= (np.abs(rows.y) + np.abs(Z @ phi)) * (1.0 - 1e-14))


def test_weighted_products(case):
    rows, Z, n = case.rows, case.Z, case.n
    q = np.random.default_rng(3).uniform(0.1, 2.0, n)
    most, few = np.where(np.arange(n) % 3, q, 0.0), np.where(np.arange(n) % 5, 0.0, q)
    for weights in (q, np.ones(n), most, few):
        expected = (Z.T * weights) @ Z
        near(rows.gram(weights), expected, 1e-3 * n * case.size**2)
        R = rows.triangle(weights)
        near(R.T @ R, expected, n)
        np.testing.assert_array_equal(R, np.triu(R))
    near(rows.gram_all, (Z.T * rows.w) @ Z, 1e-3 * n * case.size**2)


def test_an_adjoint_is_less_than_its_bound_for_any_signs(case):
    e = np.random.default_rng(4).uniform(0.0, 1.0, case.n) ** 4
    bound = case.rows.adjoint_bound(e)
    assert np.all(np.abs(case.Z).T @ (case.rows.w * e) <= bound)


def test_an_adjoint_is_bounded_for_errors_in_proportion_to_a_column():
    A = 1.9 * X / np.sqrt(np.mean(np.square(X), axis=0))
    rows = make_rows(A, np.ones(N), False)
    for j, z in enumerate(rows.take(slice(None)).T):
        assert np.abs(rows.adjoint(rows.w * z))[j] <= rows.adjoint_bound(np.abs(z))[j]


def test_weights_are_those_given_but_for_a_power_of_two(case):
    ratio = case.rows.w / case.w
    assert np.all(ratio == ratio[0])
    assert np.frexp(ratio[0])[0] == 0.5
    assert 1.0 <= case.rows.w.max() < 2.0


def test_the_rank_and_a_sound_gram_matrix(case):
    rows = case.rows
    assert rows.rank == case.rank
    assert rows.B.shape == (case.p, rows.rank)
    assert rows.factor.sound
    assert (rows.orthogonal or rows.spanned is not None) == (rows.basis is not None)
    if rows.rank < case.p:  # exactly dependent columns are left out, where there are rows enough
        assert (rows.basis is not None) != (rows.independent is not None)
        assert (rows.basis is not None) == (case.n <= case.p)
    b = np.random.default_rng(5).standard_normal(rows.n_cols)
    np.testing.assert_allclose(
        case.Z.T @ (rows.w * (case.Z @ rows.factor.solve(b))), b, rtol=1e-8, atol=1e-8
    )


def test_orthogonal_columns_are_orthonormal_and_diagonalise_the_penalty(case):
    rows = case.rows
    if not rows.orthogonal:
        return
    share = rows.w / rows.w.sum()
    C = case.slopes - share @ case.slopes if rows.intercept else case.slopes
    np.testing.assert_allclose((C.T * share) @ C, np.eye(rows.rank), atol=1e-9)
    BB = rows.B.T @ rows.B
    size = np.sqrt(np.diag(BB))
    np.testing.assert_allclose(BB / np.outer(size, size), np.eye(rows.rank), atol=1e-7)


def test_fitted_values_are_those_of_the_coefficients(case):
    rows = case.rows
    b, b0 = rows.raw(case.phi)
    size = np.abs(case.X) @ np.abs(b) + abs(b0) + rows.y_scale
    expected = rows.y_shift + rows.y_scale * rows.fitted(case.phi)
    assert np.all(np.abs(case.X @ b + b0 - expected) <= 1e-13 * size)
    assert b0 == 0.0 or rows.intercept


def test_coefficients_have_the_least_norm_of_all_with_their_fitted_values(case):
    rows = case.rows
    if rows.rank == case.p:
        return
    b, _ = rows.raw(case.phi)
    C = case.X - case.X.mean(axis=0) if rows.intercept else case.X
    least = np.linalg.lstsq(C, C @ b, rcond=1e-9)[0]
    np.testing.assert_allclose(b, least, rtol=1e-9, atol=1e-10 * np.abs(b).max(initial=0.0))


def test_the_way_to_coordinates_is_the_inverse_of_the_way_back(case):
    rows = case.rows
    b, b0 = rows.raw(case.phi)
    offsets = abs(b0) + abs(rows.y_shift) + np.abs(rows.shift) @ np.abs(b)
    level = 8e-16 * offsets / rows.y_scale
    np.testing.assert_allclose(rows.from_raw(b, b0), case.phi, rtol=1e-9, atol=1e-9 + level)
    again, b0_again = rows.raw(rows.from_raw(b, b0))
    fitted = case.X @ b + b0
    np.testing.assert_allclose(
        case.X @ again + b0_again, fitted, rtol=1e-9, atol=1e-9 * np.abs(fitted).max()
    )
    np.testing.assert_allclose(again, b, rtol=1e-9, atol=1e-9 * np.abs(b).max(initial=0.0))


def test_the_way_to_coordinates_knows_columns_of_very_different_units():
    rows = make_rows(X * 10.0 ** np.arange(-8, 12, 4), np.ones(N), True).with_target(X[:, 0])
    phi = np.arange(1.0, P + 2)
    b, b0 = rows.raw(phi)
    np.testing.assert_allclose(rows.from_raw(b, b0), phi, rtol=1e-12)


def test_the_penalty_is_that_of_the_coefficients(case):
    rows, alpha = case.rows, 0.3
    L = Ridge(alpha).root(rows)
    b = rows.B @ case.phi[: rows.rank]
    assert np.sum((L @ case.phi) ** 2) == pytest.approx(alpha * rows.w.sum() * b @ b)
    assert not Ridge(0.0).root(rows).any()


def test_a_subset_has_the_same_coordinates(case):
    rows, index = case.rows, np.array([1, 3, 2])
    some = rows.subset(index)
    np.testing.assert_allclose(
        some.fitted(case.phi), (case.Z @ case.phi)[index], rtol=1e-11, atol=1e-12
    )
    np.testing.assert_array_equal(some.y, rows.y[index])
    np.testing.assert_array_equal(some.w, rows.w[index])
    v = np.array([1.0, -2.0, 0.5])
    near(some.adjoint(v), case.Z[index].T @ v, 1.0)
    near(some.gram(np.abs(v)), (case.Z[index].T * np.abs(v)) @ case.Z[index], 1.0)
    b = rows.B @ case.phi[: rows.rank]
    np.testing.assert_allclose(
        some.B @ case.phi[: some.rank], b, rtol=1e-13, atol=1e-15 * np.abs(b).max(initial=0.0)
    )
    alone = Ridge(0.3).root(some) @ case.phi
    assert alone @ alone == pytest.approx(0.3 * some.w.sum() * b @ b)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5, 1e7])
@pytest.mark.parametrize("intercept", [False, True])
def test_more_columns_than_rows_fit_any_values_to_their_last_places(offset, intercept):
    """Whatever is lost in products of rows, on the way to the coordinates."""
    rng = np.random.default_rng(1)
    A = rng.standard_normal((30, 40)) + offset
    y = rng.standard_normal(30)
    rows = make_rows(A, np.ones(30), intercept).with_target(y)
    b, b0 = rows.raw(rows.factor.solve(rows.adjoint(rows.w * rows.y)))
    assert np.all(np.abs(A @ b + b0 - y) <= 1e-15 * (np.abs(A) @ np.abs(b) + abs(b0) + np.abs(y)))


@pytest.mark.parametrize("intercept", [False, True])
def test_nearly_dependent_columns_keep_their_digits(intercept):
    """The last column is the first plus 1e-7 of noise: a Gram matrix would know two digits of it."""
    A = np.column_stack([X, X[:, 0] + 1e-7 * np.random.default_rng(7).standard_normal(N)])
    rows = make_rows(A, np.ones(N), intercept).with_target(A @ np.ones(P + 1))
    assert rows.orthogonal
    assert rows.factor.rcond > 0.1
    # The exact fit, but for the rounding of X, which is 1e-9 of what the last column knows alone.
    phi = rows.factor.solve(rows.adjoint(rows.w * rows.y))
    assert np.abs(rows.residual(phi)).max() <= 1e-8


@pytest.mark.parametrize("order", ["C", "F"])
def test_many_rows_are_read_in_blocks(order):
    """More than one block, and a triangle that is made of several."""
    A = np.asarray(np.tile(X, (24, 24)), order=order)
    A[:, :] += np.random.default_rng(6).standard_normal(A.shape) * 0.1
    rows = make_rows(A, np.ones(len(A)), True).with_target(A[:, 0])
    Z = np.column_stack([(A - rows.columns.shift) * rows.columns.inverse_scale, np.ones(len(A))])
    q = np.where(np.arange(len(A)) % 4, 1.5, 0.0)
    expected = (Z.T * q) @ Z
    assert len(list(rows.columns.blocks())) > 1
    np.testing.assert_allclose(rows.gram(q), expected, atol=1e-12 * len(A))
    np.testing.assert_allclose((R := rows.triangle(q)).T @ R, expected, atol=1e-12 * len(A))
    phi = np.linspace(-1.0, 1.0, rows.n_cols)
    np.testing.assert_allclose(rows.fitted(phi), Z @ phi, atol=1e-11)


# -- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("unit", [1.0, 1e200, 1e-200, 3e-308])
def test_a_target_has_unit_size_and_the_way_back(unit, intercept):
    y = unit * np.random.default_rng(8).standard_normal(N)
    rows = make_rows(X, np.ones(N), intercept).with_target(y)
    assert 1.0 <= np.abs(rows.y).max() < 2.0
    back = rows.y * rows.y_scale + rows.y_shift
    np.testing.assert_allclose(back, y, rtol=1e-14, atol=1e-15 * np.abs(y).max())
    assert rows.y_shift == (np.median(y[:: 1 + N // 1000]) if intercept else 0.0)


def test_a_target_is_centred_at_its_middle_however_far_one_is():
    y = 1000.0 + np.random.default_rng(9).standard_normal(N)
    w = np.where(np.arange(N) < 5, 1e4, 1.0)
    y[:5] = 7.0, 8.0, 9.0, 10.0, 11.0
    y[-1] = 1e12
    rows = make_rows(X, w, True).with_target(y)
    assert rows.y_shift == 9.0  # the weighted median
    assert abs(make_rows(X, np.ones(N), True).with_target(y).y_shift - 1000.0) < 3.0


def test_a_constant_target_is_zero():
    rows = make_rows(X, np.ones(N), True).with_target(np.full(N, 0.1))
    assert not rows.y.any()
    assert rows.raw(np.zeros(P + 1))[1] == 0.1
    assert not make_rows(X, np.ones(N), False).with_target(np.zeros(N)).y.any()


def test_what_overflows_is_refused_in_words():
    rows = make_rows(X[:-1], np.ones(N - 1), True)
    with pytest.raises(ValueError, match=r"y has entries as large as 1.5e\+308"):
        rows.with_target(np.where(np.arange(N) % 2, 1.5e308, -1.5e308)[:-1])
    small = make_rows(1e-200 * X, np.ones(N), True).with_target(1e200 * X[:, 0])
    with pytest.raises(ValueError, match="The coefficients overflow float64"):
        small.raw(np.ones(P + 1))


def test_a_large_target_is_centred_whether_rows_are_even_in_number_or_not():
    for n in (N - 1, N):
        rows = make_rows(X[:n], np.ones(n), True).with_target(1.5e308 + 1e300 * X[:n, 0])
        assert rows.y_shift == pytest.approx(1.5e308)


def test_a_new_target_is_one_of_the_same_rows():
    rows = make_rows(X, np.ones(N), True)
    assert rows.with_target(X[:, 0]).columns is rows.columns
    assert not len(rows.y)


# -- given rows, and a delicate matter ------------------------------------------------------------


@pytest.mark.parametrize("given", [False, True])
def test_given_rows_are_taken_as_they_are(given):
    Z, w = X[:, :4], np.random.default_rng(10).uniform(0.5, 2.0, N)
    B = np.diag([1.0, 2.0, 4.0]) if given else None
    rows = dense_rows(Z, X[:, 4], w, B)
    phi = np.array([1.0, -2.0, 3.0, 0.5])
    np.testing.assert_allclose(rows.residual(phi), X[:, 4] - Z @ phi, atol=1e-14)
    np.testing.assert_allclose(rows.gram_all, (Z.T * w) @ Z, rtol=1e-12, atol=1e-12)
    b, b0 = rows.raw(phi)
    np.testing.assert_array_equal(b, [1.0, -4.0, 12.0] if given else phi)
    assert b0 == 0.0


@pytest.mark.parametrize("kind", ["C", "sparse", "dependent"])
def test_plain_data_are_not_delicate(kind):
    assert not Case(kind, True).rows.delicate


def test_data_near_the_limits_of_float64_are_delicate():
    nearly = X[:, 0] + 1e-6 * np.random.default_rng(7).standard_normal(N)
    assert make_rows(np.column_stack([X, nearly]), np.ones(N), True).delicate
