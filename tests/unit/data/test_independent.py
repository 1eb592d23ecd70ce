"""Which columns all others are combinations of, proved by the rows, and the way back."""

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.arrays import make_source
from robustreg.data.independent import find_independent, split

N = 300
RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal((N, 4))
LEVELS = np.eye(5)[RNG.integers(0, 5, N)]
OTHER_LEVELS = np.eye(3)[RNG.integers(0, 3, N)]

# Columns, and how many of them are independent with and without an intercept.
TABLES = {
    "independent": (NORMAL, 4, 4),
    "a constant": (np.column_stack([NORMAL, np.full(N, 0.1)]), 4, 5),
    "a column of zeros": (np.column_stack([np.zeros(N), NORMAL]), 4, 4),
    "a copy": (NORMAL[:, [0, 1, 2, 0, 3]], 4, 4),
    "a copy in other units": (np.column_stack([NORMAL, 1e9 * NORMAL[:, 0]]), 4, 4),
    "a sum, rounded": (np.column_stack([NORMAL, NORMAL @ [0.1, 0.7, 3.3, 0.0]]), 4, 4),
    "all levels of a factor": (np.column_stack([NORMAL, LEVELS]), 8, 9),
    "all levels of two factors": (np.column_stack([LEVELS, OTHER_LEVELS, NORMAL]), 10, 11),
    "an interaction": (
        np.column_stack([LEVELS, OTHER_LEVELS, *(LEVELS[:, [j]] * OTHER_LEVELS for j in range(5))]),
        14, 15,
    ),
    "three of each": (np.tile(NORMAL, (1, 3)), 4, 4),
}  # fmt: skip


def found_in(X, w, intercept, unit=None):
    """The independent columns of X / unit, from a Gram matrix of columns of unit size."""
    X = X if unit is None else X * unit
    p = X.shape[1]
    dense = X.toarray() if sparse.issparse(X) else X
    mean = w @ dense / w.sum() if intercept else np.zeros(p)
    size = np.sqrt(w @ np.square(dense - mean) / w.sum())
    inverse_scale = 1.0 / np.where(size > 1e-12 * np.abs(dense).max(axis=0), size, 1.0)
    shift = np.where(np.abs(mean) > 4.0 * size, mean, 0.0)
    Z = (dense - shift) * inverse_scale
    Z = np.column_stack([Z, np.ones(len(Z))]) if intercept else Z
    gram = Z.T @ (w[:, None] * Z)
    return find_independent(make_source(X, w, w), gram, shift, inverse_scale), dense, inverse_scale


@pytest.mark.parametrize("storage", [np.asarray, sparse.csr_array, np.asfortranarray])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("table", TABLES)
def test_all_columns_follow_from_the_kept_ones(table, intercept, storage):
    X, with_intercept, without = TABLES[table]
    rng = np.random.default_rng(1)
    w = rng.uniform(0.5, 2.0, N)
    found, X, inverse_scale = found_in(storage(X), w, intercept)
    rank = with_intercept if intercept else without
    assert len(found.kept) == rank
    centred = X - found.shift
    assert np.linalg.matrix_rank(centred[:, found.kept] * inverse_scale[found.kept]) == rank
    size = np.abs(centred[:, found.kept]) @ np.abs(found.J) + np.abs(X[:, found.others]) + 1.0
    lost = centred[:, found.others] - centred[:, found.kept] @ found.J
    assert np.all(np.abs(lost) <= 1e-14 * size)
    # The way back: the same fitted values, and of all such coefficients those of least norm.
    phi = rng.standard_normal(rank)
    b = found.B @ phi
    terms = np.abs(b[found.kept]) + np.abs(found.J) @ np.abs(b[found.others])
    slopes = inverse_scale[found.kept] * phi
    assert np.all(np.abs(found.slopes(b) - slopes) <= 1e-14 * terms + 1e-14 * np.abs(slopes).max())
    fitted = centred[:, found.kept] @ (inverse_scale[found.kept] * phi)
    np.testing.assert_allclose(centred @ b, fitted, atol=1e-12 * np.abs(fitted).max())
    least = np.linalg.lstsq(centred * inverse_scale, fitted, rcond=1e-12)[0] * inverse_scale
    assert np.linalg.norm(b) <= np.linalg.norm(least) * (1.0 + 1e-9)


def test_coefficients_in_other_units_are_right_to_the_last_digits():
    unit = 10.0 ** np.array([0.0, 3.0, -6.0, 0.0, 9.0])
    X = NORMAL[:, [0, 1, 2, 0, 0]]
    found, *_ = found_in(X, np.ones(N), True, unit)
    slope = found.slopes(found.B @ np.array([1.0, 2.0, 3.0]))
    b = found.B @ np.array([1.0, 2.0, 3.0])
    # Of three copies with the units 1, 1 and 1e9 the coefficients are in proportion to the units.
    np.testing.assert_allclose(b[[0, 3]] * 1e9, b[4], rtol=1e-13)
    assert set(found.kept) == {1, 2, 4}  # the one with large entries is kept
    assert len(slope) == 3


def test_whole_numbers_are_exact_and_what_is_not_there_is_zero():
    X = np.column_stack([NORMAL, LEVELS])
    found, *_ = found_in(X, np.ones(N), True)
    assert set(np.unique(found.J)) <= {-1.0, 0.0}
    assert not found.B[:4, 4:].any()


@pytest.mark.parametrize("distance", [1e-5, 1e-8, 1e-11, 1e-13])
def test_nearly_dependent_columns_are_not_taken_for_dependent_ones(distance):
    rng = np.random.default_rng(2)
    X = np.column_stack([NORMAL, NORMAL[:, 0] + distance * rng.standard_normal(N)])
    assert found_in(X, np.ones(N), True)[0] is None


def test_one_row_that_disagrees_is_enough():
    X = NORMAL[:, [0, 1, 2, 0, 3]].copy()
    X[17, 3] *= 1.0 + 1e-13
    assert found_in(X, np.ones(N), False)[0] is None
    light = np.where(np.arange(N) == 17, 1e-18, 1.0)
    assert found_in(X, light, True)[0] is None


def test_a_sample_tells_what_is_constant_in_it():
    Z = np.column_stack([NORMAL, np.zeros(N), NORMAL[:, 0] - NORMAL[:, 1] + 3.0, np.ones(N)])
    kept, others, M = split(Z.T @ Z, 6)
    assert len(kept) == 4
    assert 4 in others
    E = Z[:, others] - Z[:, kept] @ M
    np.testing.assert_allclose(E, np.broadcast_to(E[0], E.shape), atol=1e-10)
