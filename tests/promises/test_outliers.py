"""One rule tells which rows are outliers, whatever their weight, and on paths and with scales
alike.
"""

import numpy as np
import pytest
from problems import slow, way

from robustreg import LinearRegressor, delta_path
from robustreg.problem.duality import beyond
from robustreg.problem.losses import Loss, huber

X4, Y4 = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0.8, 1.5, 1.8, 2.0])


def noisy(seed, n=60, p=3):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ np.ones(p) + rng.standard_t(2, n)


@pytest.mark.parametrize("scale", [1.0, "mad", "proposal2"])
@pytest.mark.parametrize("delta", [0.05, 0.1, 0.3])
def test_a_row_of_weight_zero_is_told_as_its_twin_is(delta, scale):
    w = np.array([1.0] * 4 + [0.0] * 4)
    model = LinearRegressor("huber", delta=delta, scale=scale)
    model.fit(np.vstack([X4, X4]), np.append(Y4, Y4), w)
    np.testing.assert_array_equal(model.outliers_[:4], model.outliers_[4:])


@pytest.mark.parametrize("seed", [*range(4), *slow(*range(4, 20))])
def test_twins_in_random_data(seed):
    X, y = noisy(seed)
    X, y = np.round(X, 1), np.round(y, 1)
    w = np.repeat([2.0, 0.0], len(y))
    # delta at a residual: that of one row, to the last digit.
    delta = float(np.sort(np.abs(y - LinearRegressor("huber").fit(X, y).predict(X)))[40])
    model = LinearRegressor("huber", delta=delta).fit(np.vstack([X, X]), np.append(y, y), w)
    np.testing.assert_array_equal(model.outliers_[: len(y)], model.outliers_[len(y) :])


@pytest.mark.parametrize("seed", [0, 137, *slow(*range(1, 10))])
def test_a_path_counts_what_a_fit_counts(seed):
    X, y = noisy(seed)
    path = delta_path(X, y)
    inside = 0.5 * (path.deltas[1:-1] + path.deltas[2:])
    on_grid = delta_path(X, y, deltas=inside)
    for k, delta in enumerate(inside):
        assert (
            LinearRegressor("huber", delta=delta).fit(X, y).outliers_.sum() == on_grid.n_outliers[k]
        )
    # At a breakpoint a row is at the knot: it is beyond on neither side of it, or on one.
    counts = [
        LinearRegressor("huber", delta=delta).fit(X, y).outliers_.sum() for delta in path.deltas[1:]
    ]
    np.testing.assert_array_equal(path.n_outliers[1:], counts)


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("n", [300, 20_000])
def test_both_ways_tell_the_same_rows(n, unit):
    X, y = noisy(3, n)
    y = np.round(y, 2) * unit
    found = []
    for name in ("passes", "direct"):
        with way(name):
            found.append(LinearRegressor("huber", delta=0.5 * unit).fit(X, y))
    np.testing.assert_array_equal(found[0].outliers_, found[1].outliers_)
    # The definition, where rounding cannot decide.
    size = np.abs(y - found[0].predict(X))
    clear = np.abs(size - 0.5 * unit) > 1e-12 * unit
    np.testing.assert_array_equal(found[0].outliers_[clear], (size > 0.5 * unit)[clear])


def test_a_row_at_the_knot_but_for_rounding_is_not_beyond():
    X, y = np.array([[1.0], [1.0], [1.0]]), np.array([3.0, np.nextafter(3.0, 4.0), 3.0 + 1e-9])
    np.testing.assert_array_equal(beyond(X, y, np.ones(1), 1.0, huber(1.0)), [False, False, True])
    uneven = Loss(-0.5, 1.0, -0.5, 1.0)
    np.testing.assert_array_equal(beyond(X, 2.0 - y, np.ones(1), 0.0, uneven), [True, True, True])
    np.testing.assert_array_equal(beyond(X, y, np.ones(1), 1.0, uneven), [False, False, True])
