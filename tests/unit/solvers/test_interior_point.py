"""The central path for corners: inside its box, towards the minimiser, beside HiGHS."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from scipy.optimize import linprog

from robustreg.problem.losses import ABSOLUTE
from robustreg.solvers.interior_point import Start, central_path
from unit.constructed import CORNERS, constructed, value

corners = pytest.mark.parametrize("loss", CORNERS.values(), ids=CORNERS.keys())


def end_of(problem, phi, gap=1e-13):
    """The first point of the path with such a gap, all points before it, and itself."""
    points = []
    for point in central_path(Start(problem, phi, problem.rows.residual(phi), 1.0)):
        points.append(point)
        if point.gap <= gap or len(points) == 60:
            break
    return points


@corners
@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_it_leads_to_the_constructed_minimiser(loss, penalty, seed):
    made = constructed(seed, loss, settled=penalty, penalty=penalty)
    points = end_of(made.problem, np.zeros(4))
    assert points[-1].gap <= 1e-13
    assert len(points) <= 30
    np.testing.assert_allclose(points[-1].phi, made.phi, atol=1e-9)
    np.testing.assert_allclose(points[-1].a / made.problem.rows.w, made.u, atol=1e-6)


@corners
def test_every_point_is_inside(loss):
    made = constructed(4, loss)
    w = made.problem.rows.w
    for point in end_of(made.problem, np.zeros(4)):
        for part in (point.xu, point.xl, point.vp, point.vm):
            assert np.all(part > 0.0)
        np.testing.assert_allclose(point.xu, loss.upper * w - point.a, atol=1e-12)
        np.testing.assert_allclose(point.xl, point.a - loss.lower * w, atol=1e-12)


@corners
def test_the_gap_bounds_the_value(loss):
    """Once the path is feasible, what it lacks to the minimum is at most its gap."""
    made = constructed(5, loss, settled=False, penalty=False)
    best = value(made.problem, made.phi)
    cost = made.problem.rows.w @ loss.value(made.r)
    for point in end_of(made.problem, np.zeros(4))[3:]:
        lacking = value(made.problem, point.phi) - best
        assert lacking <= 3.0 * point.gap * (cost + abs(lacking)) + 1e-12 * cost


@corners
def test_highs_finds_the_same_value(loss):
    problem = constructed(6, loss, settled=False, penalty=False).problem
    Z, y, w = problem.rows.take(np.arange(60)), problem.rows.y, problem.rows.w
    eye = np.eye(60)
    costs = np.concatenate([-problem.quadratic.h, loss.upper * w, -loss.lower * w])
    bounds = [(None, None)] * 4 + [(0.0, None)] * 120
    program = linprog(costs, A_eq=np.hstack([Z, eye, -eye]), b_eq=y, bounds=bounds, method="highs")
    found = value(problem, end_of(problem, np.zeros(4))[-1].phi)
    assert found == pytest.approx(program.fun + problem.quadratic.c, rel=1e-9)


@corners
def test_it_ends_where_numbers_overflow(loss):
    """Far beyond the last digit of the gap."""
    made = constructed(8, loss, penalty=False, settled=False)
    start = Start(made.problem, np.zeros(4), made.problem.rows.y, 1.0)
    points = list(islice(central_path(start), 300))
    assert len(points) < 300
    assert all(np.all(np.isfinite(point.phi)) for point in points)


def test_it_ends_where_numbers_are_not_finite():
    problem = constructed(9, ABSOLUTE, penalty=False, settled=False).problem
    problem = replace(problem, rows=replace(problem.rows, y=np.full(60, np.nan)))
    start = Start(problem, np.zeros(4), problem.rows.y, 1.0)
    assert len(list(islice(central_path(start), 10))) <= 2
