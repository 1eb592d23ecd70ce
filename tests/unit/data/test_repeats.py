"""Merged rows are equal in X and y, whatever their slots, and keep their weight."""

import numpy as np
import pytest

from robustreg.data.repeats import merged

N, DISTINCT, OTHERS = 20_000, 600, 1_500


@pytest.mark.parametrize("alike", ["X", "y"])
def test_rows_that_meet_in_a_slot_are_not_merged_unless_they_are_equal(alike):
    """Of the other rows some twenty meet a known one, and many of them are like it in X, or in y."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((DISTINCT + OTHERS, 2)), rng.standard_normal(DISTINCT + OTHERS)
    if alike == "X":
        X[:] = X[0]
    else:
        y[:] = y[0]
    rows = np.r_[rng.integers(0, DISTINCT, N - OTHERS), DISTINCT + np.arange(OTHERS)]
    rng.shuffle(rows)
    X, Y, w = X[rows], y[rows, None], rng.uniform(0.5, 2.0, N)
    found = merged(X, Y, w)
    assert found is not None
    assert len(found.first) < 0.2 * N
    np.testing.assert_array_equal(X[found.first][found.group], X)
    np.testing.assert_array_equal(Y[found.first][found.group], Y)
    np.testing.assert_allclose(found.w, np.bincount(found.group, w), rtol=1e-12)
