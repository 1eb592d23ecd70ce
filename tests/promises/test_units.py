"""Changing units changes nothing but units: fits are equivariant, whatever the loss."""

from itertools import product

import numpy as np
import pytest
from problems import LOSSES, slow

from robustreg import LinearRegressor

SCALES = ["mad", "concomitant", "proposal2"]
SEEDS = range(20)


def coefficients(loss, X, y, w=None, delta=1.0):
    """Coefficients and intercept, (p + 1,); the fit must have converged. Estimated scales have
    units of y.
    """
    if loss in SCALES:
        model = LinearRegressor("huber", delta=1.345, scale=loss).fit(X, y, w)
    else:
        model = LinearRegressor(loss, delta=delta).fit(X, y, w)
    assert model.converged_
    return np.append(model.coef_, model.intercept_)


QUICK = [("mse", 8), ("mae", 8), ("huber", 8), ("mad", 2)]
SLOW = [case for case in product(LOSSES + SCALES, (2, 8, 20)) if case not in QUICK]


@pytest.fixture(params=[*QUICK, *slow(*SLOW)], ids=lambda case: f"{case[0]}-{case[1]}")
def plain(request):
    """(loss, [(rng, X, y, plain coefficients)]) with t(1.5) noise, which has no variance."""
    loss, p = request.param
    problems = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((200, p))
        y = X @ rng.standard_normal(p) + 1.0 + rng.standard_t(1.5, 200)
        problems.append((rng, X, y, coefficients(loss, X, y)))
    return loss, problems


def test_units_of_y(plain):
    loss, problems = plain
    for _, X, y, expected in problems:
        for k in (-12, -9, -5, 5, 9, 12):
            unit = 10.0**k
            np.testing.assert_allclose(
                coefficients(loss, X, y * unit, delta=unit) / unit, expected, rtol=1e-8
            )


def test_units_of_a_column(plain):
    loss, problems = plain
    for _, X, y, expected in problems:
        for k in (-9, -6, 6, 9):
            unit = np.ones(X.shape[1] + 1)
            unit[0] = 10.0**k
            np.testing.assert_allclose(
                coefficients(loss, X * unit[:-1], y) * unit, expected, rtol=1e-8
            )


def test_columns_far_from_zero(plain):
    loss, problems = plain
    for _, X, y, expected in problems:
        shifted = coefficients(loss, X + 1e6 * X.std(axis=0), y)
        np.testing.assert_allclose(shifted[:-1], expected[:-1], rtol=1e-6)


def test_a_line_added_to_y(plain):
    loss, problems = plain
    for rng, X, y, expected in problems:
        line = rng.standard_normal(X.shape[1])
        moved = coefficients(loss, X, y + X @ line + 2.0)
        np.testing.assert_allclose(moved - np.append(line, 2.0), expected, rtol=1e-8)


def test_the_order_of_rows(plain):
    loss, problems = plain
    for rng, X, y, expected in problems:
        order = rng.permutation(len(y))
        np.testing.assert_allclose(coefficients(loss, X[order], y[order]), expected, rtol=1e-12)


def test_every_row_twice(plain):
    loss, problems = plain
    if loss == "proposal2":  # counts coefficients, too
        return
    for _, X, y, expected in problems:
        np.testing.assert_allclose(
            coefficients(loss, np.vstack([X, X]), np.append(y, y)), expected, rtol=1e-8
        )


def test_units_of_weights(plain):
    loss, problems = plain
    if loss == "proposal2":  # counts rows by their weights, less the coefficients
        return
    for _, X, y, expected in problems:
        for unit in (1e-6, 1e6):
            np.testing.assert_allclose(
                coefficients(loss, X, y, np.full(len(y), unit)), expected, rtol=1e-8
            )
