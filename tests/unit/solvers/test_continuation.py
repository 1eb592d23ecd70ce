"""Narrowing ends where the core solver does; its errors are those of its pilots."""

from dataclasses import replace

import numpy as np
import pytest

from robustreg.data.rows import dense_rows
from robustreg.problem.losses import ABSOLUTE, corner, huber, smooth
from robustreg.problem.problem import Problem, Quadratic
from robustreg.solvers import solve
from robustreg.solvers.continuation import (
    FAR,
    NEARBY,
    approach,
    narrowed,
    near_minimiser,
    quantile,
    sharpened,
    typical_weight,
)
from unit.constructed import CORNERS, OPTIONS, SMOOTH, constructed, tally, value

bounded = pytest.mark.parametrize(
    "loss", [*CORNERS.values(), *SMOOTH.values()], ids=[*CORNERS, *SMOOTH]
)


def core(problem, phi):
    return solve.from_far(problem, phi, problem.rows.residual(phi), OPTIONS, tally())


@bounded
@pytest.mark.parametrize("penalty", [False, True])
def test_many_rows_narrowed_have_the_constructed_minimiser(loss, penalty):
    loss = loss if loss.is_corner else loss.in_units(1000.0)[0]  # narrow enough to be smoothed
    made = constructed(
        1, loss, n=4000, m=3, settled=penalty and not loss.is_corner, penalty=penalty
    )
    start = made.phi + 0.05
    opened = []

    def counted(problem, phi):
        opened.append(problem.rows.n_rows)
        return core(problem, phi)

    pair = narrowed(made.problem, start, 0.1, counted, OPTIONS, tally())
    np.testing.assert_allclose(pair.phi, made.phi, atol=1e-11)
    np.testing.assert_allclose(pair.u, made.u, atol=1e-8)
    assert max(opened) < 1000  # of 4000


@bounded
@pytest.mark.parametrize("s", [1e-6, 1e-3, 10.0])
def test_a_wrong_guess_of_the_distance_costs_time_only(loss, s):
    made = constructed(2, loss, n=1500, m=3, settled=False)
    pair = narrowed(made.problem, made.phi + 0.3, s, core, OPTIONS, tally())
    if pair is not None:
        assert value(made.problem, pair.phi) <= value(made.problem, made.phi) + 1e-9


def test_a_problem_whose_core_fails_is_not_solved():
    made = constructed(3, ABSOLUTE, n=1500, m=3, settled=False)

    def fails(problem, phi):
        return None

    assert narrowed(made.problem, made.phi, 0.1, fails, OPTIONS, tally()) is None


@pytest.mark.parametrize("loss", [ABSOLUTE, corner(-0.25, 0.75), huber(0.5), smooth(-0.3, 1.0)])
def test_the_error_of_a_sample_is_the_one_that_samples_have(loss):
    """Root mean square over 60 samples of the fitted values' distance from the population's, beside
    s.
    """
    rng, n, m = np.random.default_rng(4), 600, 4
    population = rng.standard_t(3, 100_000)
    low, high = -50.0, 50.0
    for _ in range(80):  # the population's intercept: where the mean slope is zero
        middle = 0.5 * (low + high)
        low, high = (middle, high) if loss.slope(population - middle).sum() > 0.0 else (low, middle)
    true, errors, said = np.append(np.zeros(m - 1), middle), [], []
    for _ in range(60):
        Z = np.column_stack([rng.standard_normal((n, m - 1)), np.ones(n)])
        problem = Problem(
            dense_rows(Z, rng.standard_t(3, n), np.ones(n)),
            loss,
            Quadratic(np.zeros((0, m)), np.zeros(m)),
        )
        _, _, s = approach(problem, true, NEARBY, tally())
        phi = core(problem, true).phi
        errors.append(np.mean(np.square(Z @ (phi - true))))
        said.append(s * s)
    assert np.sqrt(np.mean(said)) == pytest.approx(np.sqrt(np.mean(errors)), rel=0.25)


@bounded
def test_an_approach_ends_near_the_minimiser(loss):
    made = constructed(5, loss, n=3000, m=3, settled=False, penalty=False)
    made.problem.quadratic.h[:] *= 0.0
    best = core(made.problem, made.phi).phi
    phi, r, s = approach(made.problem, best + 2.0, FAR, tally())
    np.testing.assert_allclose(r, made.problem.rows.residual(phi), atol=1e-12)
    off = made.problem.rows.fitted(phi - best)
    assert np.sqrt(np.mean(np.square(off))) <= 3.0 * s


@bounded
@pytest.mark.parametrize("unit", [1e-10, 1.0, 1e8])  # of weights
@pytest.mark.parametrize(("off", "most"), [(0.02, 3), (0.1, 5), (30.0, 30)])
def test_a_smoothed_minimiser_is_near_whatever_the_start(loss, off, most, unit):
    """The decrement of a Newton step there, by a naive Hessian, is about what is enough; from near
    it takes few steps.
    """
    made = constructed(8, loss, n=3000, m=5, settled=False, penalty=False)
    rows = replace(made.problem.rows, w=unit * made.problem.rows.w)
    quadratic = Quadratic(np.zeros((0, 5)), unit * made.problem.quadratic.h)
    smoothed, work = Problem(rows, loss, quadratic).smoothed(0.2), tally()
    enough = 1e-3 * typical_weight(rows.w)
    phi = near_minimiser(smoothed, made.phi + off, enough, OPTIONS, work)
    r, Z = rows.residual(phi), rows.take(slice(None))
    descent = Z.T @ (rows.w * smoothed.loss.slope(r)) + smoothed.quadratic.h
    H = Z.T @ (Z * (rows.w * smoothed.loss.curved(r))[:, None])
    assert descent @ np.linalg.solve(H, descent) <= 5.0 * enough
    assert work.n_iter <= most


@bounded
def test_the_unit_of_weights_changes_no_step_of_narrowing(loss):
    loss = loss if loss.is_corner else loss.in_units(1000.0)[0]
    made, iterations = constructed(1, loss, n=4000, m=3, settled=False, penalty=False), []
    for unit in (1e-10, 1.0, 1e8):
        rows = replace(made.problem.rows, w=unit * made.problem.rows.w)
        quadratic = Quadratic(np.zeros((0, 3)), unit * made.problem.quadratic.h)
        work = tally()
        pair = narrowed(Problem(rows, loss, quadratic), made.phi + 0.05, 0.1, core, OPTIONS, work)
        np.testing.assert_allclose(pair.phi, made.phi, atol=1e-11)
        iterations.append(work.n_iter)
    assert max(iterations) <= min(iterations) + 1


@pytest.mark.parametrize("loss", SMOOTH.values(), ids=SMOOTH.keys())
def test_wider_pieces_lower_the_value(loss):
    made, work = constructed(6, loss.in_units(1000.0)[0], n=200), tally()
    start = made.phi + 5.0
    phi, r = sharpened(made.problem, start, made.problem.rows.residual(start), OPTIONS, work)
    assert value(made.problem, phi) < value(made.problem, start)
    np.testing.assert_allclose(r, made.problem.rows.residual(phi))
    assert 0 < work.n_iter <= 20


def test_a_quantile_of_some_is_about_that_of_all():
    x = np.random.default_rng(7).uniform(size=100_000)
    for part in (0.1, 0.5, 0.9):
        assert quantile(x, part) == pytest.approx(part, abs=0.05)
