"""Open rows of a frame, dense and CSR, beside the dense Z from the definition."""

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.arrays import make_source
from robustreg.data.csr import CsrColumns
from robustreg.data.frame import make_frame
from robustreg.data.open_rows import joined, open_rows, taken, with_coefficients
from robustreg.numerics.linalg import Factor, Spectrum

N, P = 150, 6
RNG = np.random.default_rng(0)
X = np.where(RNG.uniform(size=(N, P)) < 0.4, RNG.standard_normal((N, P)), 0.0)
X[:, 2] = 1990.0 + RNG.integers(0, 30, N)
X[5, 2] = 0.0
Y = RNG.standard_normal(N)
W = RNG.uniform(0.5, 2.0, N)
STORED = {"dense": X, "CSR": sparse.csr_array(X)}


class Case:
    """Rows of all of X, and Z (n, m) from the definition of a frame."""

    def __init__(self, kind):
        self.source = make_source(STORED[kind], Y, W)
        self.frame = frame = make_frame(self.source, True)
        self.rows = taken(frame, self.source, slice(None))
        self.Z = np.column_stack([(X - frame.shift) * frame.inverse_scale, np.ones(N)])
        self.phi = np.random.default_rng(1).standard_normal(P + 1)


@pytest.fixture(scope="module", params=STORED)
def case(request):
    return Case(request.param)


def near(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def is_as_defined(rows, Z, phi):
    near(rows.fitted(phi), Z @ phi)
    near(rows.magnitude(phi), np.abs(rows.y) + np.abs(Z) @ np.abs(phi))
    near(rows.adjoint(rows.y), Z.T @ rows.y)
    near(rows.gram(rows.w), (Z.T * rows.w) @ Z)
    near(rows.take(np.array([2, 0])), Z[[2, 0]])
    R = rows.triangle(rows.w)
    near(R.T @ R, (Z.T * rows.w) @ Z)


def test_the_verbs_are_those_of_the_dense_matrix(case):
    is_as_defined(case.rows, case.Z, case.phi)
    near(case.rows.gram_all, (case.Z.T * W) @ case.Z)
    np.testing.assert_array_equal(case.rows.w, W)
    near(case.rows.y, (Y - case.frame.y_shift) / case.frame.y_scale)


def test_a_sparse_source_has_sparse_rows():
    some = Case("CSR").rows.subset(np.arange(10))
    assert isinstance(some.columns, CsrColumns)
    assert Case("CSR").rows.is_sparse
    assert not Case("dense").rows.is_sparse


def test_parts_follow_each_other(case):
    C = [case.frame.centred(case.source.take(index)) for index in ([3, 1], [7], [])]
    is_as_defined(open_rows(case.frame, C, Y[:3], W[:3]), case.Z[[3, 1, 7]], case.phi)


def test_joined_rows_are_those_of_both(case):
    first, index = case.rows.subset(np.arange(4)), np.array([9, 8])
    both = joined(first, taken(case.frame, case.source, index))
    is_as_defined(both, case.Z[[0, 1, 2, 3, 9, 8]], case.phi)
    np.testing.assert_array_equal(both.w, W[[0, 1, 2, 3, 9, 8]])
    near(both.y, case.rows.y[[0, 1, 2, 3, 9, 8]])


def test_coefficients_are_in_the_units_of_the_columns(case):
    rows = with_coefficients(case.rows, case.frame)
    assert rows.intercept
    near(rows.B @ case.phi[: rows.rank], case.frame.inverse_scale * case.phi[:P])
    is_as_defined(rows, case.Z, case.phi)


SOME = {
    "tall": (np.arange(40), Factor),
    "square": (np.arange(P + 1), None),
    "wide": (np.arange(3), None),
    "repeated": (np.array([1, 1, 4, 4, 1, 4, 1, 4, 1]), Spectrum),
    "none": (np.zeros(0, dtype=int), Spectrum),
}


@pytest.mark.parametrize("kind", SOME)
def test_normal_equations_are_solved_with_least_norm(case, kind):
    index, solver = SOME[kind]
    some, q = case.rows.subset(index), W[index]
    found = some.normal_equations(q)
    assert solver is None or isinstance(found, solver)
    root = np.sqrt(q)[:, None] * case.Z[index]
    y = np.random.default_rng(5).standard_normal(len(index))
    expected = np.linalg.pinv(root, rcond=1e-12) @ y if len(index) else np.zeros(P + 1)
    size = np.abs(expected).max(initial=1e-300)
    np.testing.assert_allclose(found.solve(root.T @ y), expected, atol=1e-8 * size)
