"""The median against NumPy's, and where NumPy's overflows."""

import numpy as np
import pytest

from robustreg.numerics.order import median


@pytest.mark.parametrize("n", [1, 2, 3, 10, 101])
def test_the_median_is_that_of_numpy(n):
    x = np.random.default_rng(n).standard_normal(n)
    assert median(x) == np.median(x)


def test_two_numbers_near_the_largest_have_a_middle():
    assert median(np.array([1.5e308, 1.7e308])) == pytest.approx(1.6e308)
    assert median(np.array([-1.7e308, 1.7e308])) == 0.0
