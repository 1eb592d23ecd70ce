"""Targets that are one, repeated, stay so whatever rows are taken: nothing is copied for each."""

import numpy as np
import pytest

from robustreg.data.present import is_repeated, repeated, targets_where

y = np.arange(6.0)


@pytest.mark.parametrize("rows", [y > 2.0, np.array([4, 0, 4])])
def test_a_repeated_target_is_copied_once(rows):
    found = targets_where(repeated(y, 5), rows)
    assert is_repeated(found)
    assert found.base.size == len(y[rows])
    np.testing.assert_array_equal(found, np.repeat(y[rows][:, None], 5, axis=1))


@pytest.mark.parametrize("Y", [y[:, None], repeated(y, 1), np.column_stack([y, y])])
def test_other_targets_are_taken_as_they_are(Y):
    assert not is_repeated(Y)
    np.testing.assert_array_equal(targets_where(Y, y > 2.0), Y[3:])
