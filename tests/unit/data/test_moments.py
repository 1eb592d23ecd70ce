"""Moments of rows: the sums that they stand for, added up in any order."""

from functools import reduce
from itertools import permutations
from operator import add

import numpy as np
import pytest
from scipy.sparse import csr_array

from robustreg.data.moments import moments
from robustreg.data.source import Part


def some_parts(kind=np.asarray, several=False):
    """Three parts, of 1, 2 and 40 rows: (X, y, w) of all of them, and the parts."""
    rng = np.random.default_rng(0)
    X, w = rng.normal([0.0, 100.0, -3.0], 1.0, (43, 3)), rng.exponential(size=43)
    Y = rng.standard_normal((2 if several else 1, 43))
    parts = [
        Part(kind(X[rows]), Y[:, rows] if several else Y[0, rows], w[rows])
        for rows in (slice(0, 1), slice(1, 3), slice(3, 43))
    ]
    return np.column_stack([X, Y.T]), w, parts


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, csr_array])
def test_they_are_the_sums_of_all_rows_in_any_order(kind, several):
    A, w, parts = some_parts(kind, several)
    mean = w @ A / w.sum()
    centred = (A - mean).T @ (w[:, None] * (A - mean))
    plain = A.T @ (w[:, None] * A)
    for order in permutations(parts):
        total = reduce(add, map(moments, order))
        assert total.weight == pytest.approx(w.sum(), rel=1e-15)
        assert total.R[0, 0] ** 2 == pytest.approx(w.sum(), rel=1e-14)
        np.testing.assert_allclose(total.mean, mean, rtol=1e-14)
        R = total.root(centred=True)
        np.testing.assert_allclose(R.T @ R, centred, rtol=1e-12, atol=1e-12)
        R = total.root(centred=False)
        np.testing.assert_allclose(R.T @ R, plain, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(total.low, A.min(axis=0))
        np.testing.assert_array_equal(total.high, A.max(axis=0))


def test_another_shift_stands_for_the_same_rows():
    A, w, parts = some_parts()
    shift = np.array([1.0, 50.0, 0.0, -2.0])
    R = moments(parts[2]).about(shift)
    rows = np.column_stack([np.ones(40), A[3:] - shift])
    np.testing.assert_allclose(R.T @ R, rows.T @ (w[3:, None] * rows), rtol=1e-12, atol=1e-12)


def test_a_few_rows_have_a_square_root_of_full_size():
    assert moments(some_parts()[2][0]).R.shape == (5, 5)


def test_nothing_of_a_part_is_written_to():
    _, _, parts = some_parts()
    before = [array.copy() for array in (parts[2].X, parts[2].y, parts[2].w)]
    moments(parts[2])
    for array, copy in zip((parts[2].X, parts[2].y, parts[2].w), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_columns_that_differ_by_less_than_the_root_of_rounding_stay_apart():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 2))
    X[:, 1] = X[:, 0] + 1e-11 * X[:, 1]  # of which a Gram matrix knows nothing
    parts = [Part(X[k::2], np.zeros(100), None) for k in range(2)]
    R = reduce(add, map(moments, parts)).root(centred=True)
    distance = np.linalg.svd(R[:2, :2], compute_uv=False)[-1]
    expected = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)[-1]
    assert distance == pytest.approx(expected, rel=1e-3)
