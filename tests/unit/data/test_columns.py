"""The verbs of columns beside NumPy on (X - shift) / scale, for any dtype and order."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.blocks import BLOCK, NotFiniteError
from robustreg.data.columns import DenseColumns, SparseColumns

N, P = 211, 6
RNG = np.random.default_rng(0)
W = RNG.uniform(0.5, 2.0, N)
X = RNG.standard_normal((N, P))


def sparse_of(density):
    """Columns with these parts of entries that are not zero, the others absent."""
    present = np.random.default_rng(1).uniform(size=(N, P)) < density
    return sparse.csr_array(np.where(present, X + 3.0, 0.0))


def with_stored_zeros():
    A = sparse_of(0.3)
    A.data[::4] = 0.0
    return A


MATRICES = {
    "C": X,
    "F": np.asfortranarray(X),
    "float32": X.astype(np.float32),
    "int8": np.round(9.0 * X).astype(np.int8),
    "bool": X > 0.3,
    "shifted": X + np.array([0.0, 1e6, 0.0, -50.0, 3.0, 1e3]),
    "decades apart": X * 10.0 ** np.arange(-9, 9, 3),
    "scales that cannot be squared": X * [1.0, 1e200, 1e-200, 1.0, 1e150, 1e-290],
    "constant": np.where(np.arange(P) == 2, 3.25, X),
    "zero": np.where(np.arange(P) == 2, 0.0, X),
    "every other": np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "several blocks": np.tile(X, (48, 5)),
    "several blocks F": np.asfortranarray(np.tile(X, (48, 5)), dtype=np.float32),
    "sparse": sparse_of(0.2),
    "sparse and dense": sparse_of(np.array([0.9, 0.1, 0.99, 0.3, 1.0, 0.05])),
    "sparse, all dense": sparse_of(0.9),
    "sparse with an empty column": sparse_of(np.array([0.2, 0.0, 0.2, 0.9, 0.2, 0.2])),
    "sparse of stored zeros": with_stored_zeros(),
    "sparse matrix": sparse.csr_matrix(sparse_of(0.3)),
}


class Case:
    def __init__(self, kind, centre):
        stored = MATRICES[kind]
        is_sparse = sparse.issparse(stored)
        n, p = stored.shape
        self.w = np.resize(W, n)
        kind = SparseColumns if is_sparse else DenseColumns.standardised
        self.columns = columns = kind(stored, self.w, centre)
        self.X = np.asarray(stored.toarray() if is_sparse else stored, dtype=np.float64)
        self.Z = (self.X - columns.shift) * columns.inverse_scale
        rng = np.random.default_rng(2)
        self.beta, self.v = rng.standard_normal(p), rng.standard_normal(n)
        self.T = rng.standard_normal((p, 3))


@pytest.fixture(
    scope="module",
    params=[(kind, centre) for kind in MATRICES for centre in (False, True)],
    ids=str,
)
def case(request):
    return Case(*request.param)


def near(found, expected, size):
    assert found.shape == expected.shape
    assert np.all(np.abs(found - expected) <= 1e-12 * size)


def test_products(case):
    columns, Z, beta, v = case.columns, case.Z, case.beta, case.v
    assert (columns.n_rows, columns.n_cols) == Z.shape
    # A column that is scaled only is not shifted in the sum: its terms are those of X / scale.
    terms = np.abs(case.X * columns.inverse_scale) + np.abs(columns.shift * columns.inverse_scale)
    near(columns.dot(beta), Z @ beta, terms @ np.abs(beta))
    near(columns.magnitude(np.abs(beta)), np.abs(Z) @ np.abs(beta), terms @ np.abs(beta))
    near(columns.tdot(v), Z.T @ v, terms.T @ np.abs(v))
    size = np.abs(Z @ beta) @ np.abs(v)
    assert columns.dot(beta) @ v == pytest.approx(beta @ columns.tdot(v), abs=1e-9 * size)


def weights(n):
    rng = np.random.default_rng(4)
    q = rng.uniform(0.0, 2.0, n)
    return {
        "positive": q,
        "ones": np.ones(n),
        "one, then others": np.append(1.0, q[1:]),
        "some zero": np.where(rng.uniform(size=n) < 0.1, 0.0, q),
        "most zero": np.where(rng.uniform(size=n) < 0.8, 0.0, q),
        "all zero": np.zeros(n),
    }


def test_gram_matrices(case):
    Z, T, size = case.Z, case.T, np.abs(case.Z).max(initial=1.0) ** 2 * len(case.Z)
    for q in weights(len(Z)).values():
        near(case.columns.gram(q), (Z.T * q) @ Z, size)
        near(case.columns.gram(q, T), ((Z @ T).T * q) @ (Z @ T), 10.0 * size * len(T))


def test_rows(case):
    Z, columns = case.Z, case.columns
    index = np.array([len(Z) - 1, 4, 4, 0])
    for some in (index, slice(None), slice(5, 90, 4), index[:0]):
        found = columns.take(some)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, Z[some], rtol=1e-15)
    begin = 0
    for rows, block in columns.blocks():
        assert rows.start == begin
        np.testing.assert_allclose(block, Z[rows], rtol=1e-15)
        begin = rows.stop
    assert begin == len(Z)


def test_columns_have_about_unit_size(case):
    columns, share = case.columns, case.w / case.w.sum()
    np.testing.assert_array_equal(columns.peak, np.abs(case.X).max(axis=0))
    varying = columns.inverse_scale > 0.0
    size = np.sqrt(share @ np.square(case.Z))[varying]
    assert np.all((size > 0.99) & (size < 2.01))
    assert np.all(np.frexp(columns.inverse_scale[varying])[0] == 0.5)  # powers of two
    constant = np.ptp(case.X, axis=0) == 0.0 if columns.shift.any() else ~case.X.any(axis=0)
    np.testing.assert_array_equal(~varying, constant & ~varying)


def test_a_constant_column_has_no_scale_where_it_is_centred():
    assert Case("constant", True).columns.inverse_scale[2] == 0.0
    assert Case("constant", False).columns.inverse_scale[2] > 0.0
    for centre in (False, True):
        assert Case("zero", centre).columns.inverse_scale[2] == 0.0
        assert Case("sparse with an empty column", centre).columns.inverse_scale[1] == 0.0


def test_means_far_away_are_taken_off_and_others_are_not():
    shift = Case("shifted", True).columns.shift
    mean = W @ MATRICES["shifted"] / W.sum()
    np.testing.assert_array_equal(shift[[0, 2, 4]], 0.0)
    np.testing.assert_allclose(shift[[1, 3, 5]], mean[[1, 3, 5]], rtol=1e-12)
    assert not Case("shifted", False).columns.shift.any()
    every = DenseColumns.standardised(MATRICES["shifted"], W, True, offset=0.0).shift
    np.testing.assert_allclose(every, mean, rtol=1e-9, atol=1e-15)


def test_a_large_offset_costs_no_digit_that_the_data_have():
    A = 2.0**40 + np.round(2.0**8 * X) / 2.0**8
    columns = DenseColumns.standardised(A, W, True)
    for j in range(P):
        shift, inverse = Fraction(columns.shift[j]), Fraction(columns.inverse_scale[j])
        for i, found in enumerate(columns.take(np.arange(20))[:, j]):
            exact = (Fraction(A[i, j]) - shift) * inverse
            assert abs(Fraction(found) - exact) <= Fraction(2) ** -53 * abs(exact)


def test_the_matrix_is_only_read():
    for stored in MATRICES.values():
        if isinstance(stored, np.ndarray):
            locked = stored.view()
            locked.flags.writeable = False
            before = stored.copy()
            columns = DenseColumns.standardised(locked, np.resize(W, len(stored)), True)
            columns.gram(np.ones(len(stored)))
            columns.dot(np.ones(stored.shape[1]))
            np.testing.assert_array_equal(stored, before)


def test_there_are_several_blocks():
    assert MATRICES["several blocks"].size > BLOCK
    assert len(list(Case("several blocks", True).columns.blocks())) > 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found(value):
    A = X.copy()
    A[100, 3] = value
    with pytest.raises(NotFiniteError):
        DenseColumns.standardised(A, W, True)


@pytest.mark.parametrize("kind", ["dense", "sparse", "sparse, mostly zero"])
def test_what_is_too_large_to_be_centred_is_named(kind):
    A = np.where(X > 1.0, X, 0.0 if "zero" in kind else 1.0)
    A[np.argmax(X[:, 3]), 3] = 1e308
    make = DenseColumns.standardised if kind == "dense" else SparseColumns
    with pytest.raises(ValueError, match=r"as large as 1e\+308, too close to the largest"):
        make(A if kind == "dense" else sparse.csr_array(A), W, True)
