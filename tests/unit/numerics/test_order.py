"""The median against NumPy's, and where NumPy's overflows."""

import numpy as np
import pytest

from robustreg.numerics.order import MANY, median


@pytest.mark.parametrize("n", [1, 2, 3, 10, 101])
def test_the_median_is_that_of_numpy(n):
    x = np.random.default_rng(n).standard_normal(n)
    assert median(x) == np.median(x)


def test_two_numbers_near_the_largest_have_a_middle():
    assert median(np.array([1.5e308, 1.7e308])) == pytest.approx(1.6e308)
    assert median(np.array([-1.7e308, 1.7e308])) == 0.0


@pytest.mark.parametrize("n", [MANY, MANY + 1, 4 * MANY])
@pytest.mark.parametrize(
    "kind", ["normal", "sorted", "equal", "few values", "infinite", "periodic"]
)
def test_the_median_of_many_is_that_of_a_partition(kind, n):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n)
    x = {
        "normal": x,
        "sorted": np.sort(x),
        "equal": np.ones(n),
        "few values": np.round(x),
        "infinite": np.where(x > 1.0, np.inf, x),
        "periodic": np.arange(n) % (n // 2000 + 1) * 1.0,  # a sample of it is misled
    }[kind]
    assert median(x) == np.median(x)
