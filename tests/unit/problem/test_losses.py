"""What makes a loss a loss: its slopes, its conjugate, its units and its limits."""

import numpy as np
import pytest

from robustreg.problem.losses import ABSOLUTE, SQUARED, Loss, corner, huber, smooth
from unit.constructed import CORNERS, LOSSES, SMOOTH

R = np.concatenate([np.linspace(-6.0, 6.0, 241), [-1e3, 1e3]])
all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
smooth_losses = pytest.mark.parametrize("loss", SMOOTH.values(), ids=SMOOTH.keys())
corners = pytest.mark.parametrize("loss", CORNERS.values(), ids=CORNERS.keys())


def slopes(loss):
    """Some u in [lower, upper]."""
    return np.linspace(max(loss.lower, -5.0), min(loss.upper, 5.0), 41)


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ((0.0, 1.0, 0.0, 1.0), "lower < 0 < upper"),
        ((-1.0, -0.5, 0.0, 0.0), "lower < 0 < upper"),
        ((-1.0, np.nan, -1.0, np.nan), "lower < 0 < upper"),
        ((-1.0, 1.0, -2.0, 2.0), "smooth .* or a corner"),
        ((-1.0, 1.0, -1.0, 0.0), "smooth .* or a corner"),
        ((-1.0, 1.0, 0.5, 0.5), "smooth .* or a corner"),
        ((-np.inf, np.inf, 0.0, 0.0), "bounded"),
        ((-np.inf, 1.0, -np.inf, 1.0), "bounded"),
    ],
)
def test_there_are_two_kinds_of_loss_only(numbers, match):
    with pytest.raises(ValueError, match=match):
        Loss(*numbers)


@all_losses
def test_values_are_convex_and_zero_at_zero(loss):
    values = loss.value(R)
    assert loss.value(np.zeros(1))[0] == 0.0
    assert np.all(values >= 0.0)
    middle = loss.value(0.5 * (R[:-1] + R[1:]))
    assert np.all(middle <= 0.5 * (values[:-1] + values[1:]) + 1e-12 * values[1:].max())


@all_losses
def test_the_slope_is_the_derivative(loss):
    r = R[np.abs(R) < 10.0] + 1e-3  # not at a corner
    step = 1e-5
    difference = (loss.value(r + step) - loss.value(r - step)) / (2.0 * step)
    np.testing.assert_allclose(loss.slope(r), difference, atol=2e-5)
    assert np.all((loss.slope(R) >= loss.lower) & (loss.slope(R) <= loss.upper))


@all_losses
def test_curvature_is_one_inside_and_zero_outside(loss):
    r = R[np.abs(R) < 10.0] + 1e-3
    change = (loss.slope(r + 1e-6) - loss.slope(r)) / 1e-6
    np.testing.assert_allclose(loss.curved(r), change, atol=1e-6)


@all_losses
def test_the_excess_is_that_of_fenchel_and_young(loss):
    """l(r) + l*(u) - u r, the conjugate found as the largest u x - l(x)."""
    x = np.linspace(-40.0, 40.0, 16001)
    for u in slopes(loss):
        conjugate = np.max(u * x - loss.value(x))
        r = R[np.abs(R) < 10.0]
        expected = loss.value(r) + conjugate - u * r
        np.testing.assert_allclose(loss.excess(r, np.full(len(r), u)), expected, atol=2e-5)


@all_losses
def test_the_excess_is_zero_for_slopes_of_the_loss_only(loss):
    for u in slopes(loss):
        excess = loss.excess(R, np.full(len(R), u))
        assert np.all(excess >= 0.0)
        below, above = (
            loss.slope(R - 1e-9),
            loss.slope(R + 1e-9),
        )  # the subdifferential, a little wider
        belongs = (u >= below - 1e-9) & (u <= above + 1e-9)
        assert np.all(excess[belongs] <= 1e-8)
        assert np.all(excess[~belongs] > 0.0)


@all_losses
def test_an_excess_of_rounding_covers_what_rounding_makes(loss):
    e = np.full(len(R), 1e-7)
    for shift in (-0.99e-7, -3e-8, 0.0, 5e-8, 0.99e-7):
        made = loss.excess(R, loss.slope(R + shift))
        assert np.all(made <= loss.excess_of_rounding(R, e) * (1.0 + 1e-9) + 1e-25)


@all_losses
def test_sides_slacks_and_pulls_agree(loss):
    side = loss.zone(R)
    assert np.all((loss.outside(R) > 0.0) == (side != 0.0))
    outer = side != 0.0
    np.testing.assert_array_equal(loss.slack(R, side)[outer], loss.outside(R)[outer])
    if loss.is_bounded:
        np.testing.assert_array_equal(loss.pull(side)[outer], loss.slope(R)[outer])
        np.testing.assert_array_equal(loss.pull_of_zone(side)[outer], loss.slope(R)[outer])
        assert np.all(loss.pull(np.zeros(3)) == 0.0)


@all_losses
def test_slopes_inside_their_bounds_are_held(loss):
    u = slopes(loss)
    inside = (u > loss.lower) & (u < loss.upper)
    np.testing.assert_array_equal(loss.held(u, 1e-9), inside)
    assert np.all(loss.held(u, -1e-12))  # the bounds themselves, with a margin for rounding


@all_losses
def test_the_shrinkage_is_the_largest_that_fits(loss):
    u = np.array([-10.0, 0.3, 7.0])
    t = loss.shrinkage(u)
    assert 0.0 < t <= 1.0
    assert np.all((t * u >= loss.lower * (1.0 + 1e-15)) & (t * u <= loss.upper * (1.0 + 1e-15)))
    assert t == 1.0 or np.any(np.isclose(t * u, loss.lower) | np.isclose(t * u, loss.upper))


@all_losses
@pytest.mark.parametrize("s", [0.5, 3.0, 1e-8])
def test_units_change_nothing(loss, s):
    scaled, unit = loss.in_units(s)
    np.testing.assert_allclose(unit * scaled.value(R / s), loss.value(R), rtol=1e-12)


@smooth_losses
def test_far_from_its_quadratic_piece_a_loss_is_a_corner(loss):
    limit, unit = loss.cornered()
    assert limit.is_corner
    assert limit.steepest == 1.0
    r = np.array([-1e9, -1e7, 1e7, 1e9])
    np.testing.assert_allclose(unit * limit.value(r), loss.value(r), rtol=1e-6)


@corners
def test_smoothed_losses_come_near_the_corner(loss):
    for factor in (1.0, 1e-3, 1e-6):
        smoothed = loss.smoothed(factor)
        assert not smoothed.is_corner
        missing = loss.value(R) - loss.middle * R - smoothed.value(R) / factor
        assert np.all(missing >= -1e-12 * np.abs(R))
        assert np.all(missing <= 0.5 * factor * loss.half_jump**2 * (1.0 + 1e-6) + 1e-12)
        r = R[loss.reach(R) >= factor]  # outside of the new piece slopes are those of the corner
        expected = factor * (loss.slope(r) - loss.middle)
        np.testing.assert_allclose(smoothed.slope(r), expected, rtol=1e-12)


@smooth_losses
def test_a_smoothed_loss_is_itself_far_away(loss):
    smoothed = loss.smoothed(10.0)
    r = R[loss.reach(R) >= 10.0]
    assert len(r) >= 2
    np.testing.assert_allclose(smoothed.slope(r), 10.0 * loss.slope(r), rtol=1e-12)
    assert loss.smoothed(1.0) == loss


@all_losses
def test_the_reach_is_the_factor_that_takes_a_residual_in(loss):
    if not loss.is_bounded:
        return
    r = np.array([-3.0, -0.2, 0.1, 4.0])
    for residual, factor in zip(r, loss.reach(r), strict=True):
        here = np.array([residual])
        assert loss.smoothed(factor * (1.0 + 1e-12)).curved(here)[0]
        assert not loss.smoothed(factor * (1.0 - 1e-12)).curved(here)[0]


def test_the_losses_of_the_estimator():
    r = np.array([-3.0, -1.0, 0.0, 0.5, 2.0])
    np.testing.assert_array_equal(SQUARED.value(r), 0.5 * r**2)
    np.testing.assert_array_equal(ABSOLUTE.value(r), np.abs(r))
    np.testing.assert_array_equal(huber(1.0).value(r), [2.5, 0.5, 0.0, 0.125, 1.5])
    np.testing.assert_array_equal(corner(-0.25, 0.75).value(r), [0.75, 0.25, 0.0, 0.375, 1.5])
    np.testing.assert_array_equal(smooth(-1.0, 2.0).value(r), [2.5, 0.5, 0.0, 0.125, 2.0])
