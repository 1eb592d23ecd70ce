"""Of all minimisers the canonical one: least norm, then the middle of the intercept's interval."""

import numpy as np
import pytest

from robustreg.data.make_rows import make_rows
from robustreg.problem.losses import ABSOLUTE, SQUARED, corner, smooth
from robustreg.problem.solution import Options, Pair
from robustreg.solvers.canonical import canonical
from robustreg.solvers.solve import solve
from unit.constructed import CORNERS, SMOOTH, constructed


def solution(X, y, loss, alpha=0.0, intercept=True):
    """(b, b0) and the solution, in the units of the data."""
    rows = make_rows(np.asarray(X, float), np.ones(len(y)), intercept).with_target(
        np.asarray(y, float)
    )
    scaled, _ = loss.in_units(rows.y_scale)
    strength = alpha * (rows.y_scale if loss.is_corner else 1.0)
    found = solve(rows, scaled, strength, "auto", 1e-8, Options(200))
    return *rows.raw(found.phi), found


@pytest.mark.parametrize(
    ("loss", "middle"),
    [
        (ABSOLUTE, 2.5),
        (corner(-0.25, 0.75), 6.0),
        (corner(-0.75, 0.25), 1.5),
        (corner(-0.7, 0.3), 2.0),
    ],
)
def test_a_quantile_of_four_numbers_is_the_middle_of_its_interval(loss, middle):
    b, b0, found = solution(np.zeros((4, 1)), [1.0, 2.0, 3.0, 9.0], loss)
    assert b0 == pytest.approx(middle, rel=1e-15)
    assert b[0] == 0.0
    assert found.unique == (middle == 2.0)


@pytest.mark.parametrize(("lower", "upper"), [(-1.0, 1.0), (-1.0, 3.0)])
def test_a_smooth_loss_that_is_flat_at_its_minimum_has_an_interval_too(lower, upper):
    """No row inside: the slopes of the rows below and above cancel, between right and left of their
    pieces.
    """
    loss = smooth(lower, upper)
    low, high = np.full(int(upper), 0.0), np.full(1, 10.0)  # upper * 1 + lower * upper = 0
    y = np.append(low, high)
    b0 = solution(np.zeros((len(y), 1)), y, loss)[1]
    assert b0 == pytest.approx(0.5 * ((0.0 - loss.left) + (10.0 - loss.right)), rel=1e-14)


@pytest.mark.parametrize("loss", [*CORNERS.values(), smooth(-0.1, 0.2)], ids=[*CORNERS, "smooth"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_limit_of_vanishing_penalties(loss, intercept, seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, (8, 3)).astype(float)
    y = rng.integers(-3, 4, 8).astype(float)
    b, _, found = solution(X, y, loss, 0.0, intercept)
    faint, _, _ = solution(X, y, loss, 1e-7, intercept)
    np.testing.assert_allclose(b, faint, atol=1e-5 * (1.0 + np.abs(b).max()))
    assert found.gap <= 1e-12


@pytest.mark.parametrize("loss", [*SMOOTH.values(), *CORNERS.values(), SQUARED])
def test_a_minimiser_that_is_unique_stays(loss):
    made = constructed(1, loss)
    choice = canonical(made.problem, Pair(made.phi, made.u))
    assert choice.unique
    assert choice.canonical
    np.testing.assert_array_equal(choice.phi, made.phi)
