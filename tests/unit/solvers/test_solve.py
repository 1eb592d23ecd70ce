"""A loss is a value: losses that the package does not know are fitted exactly, with nothing
changed.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from robustreg.data.make_rows import make_rows
from robustreg.problem.duality import relative_gap
from robustreg.problem.losses import Loss
from robustreg.problem.penalties import ridge_problem
from robustreg.problem.solution import Options, Status
from robustreg.solvers.solve import solve

HUBER = Loss(-1.0, 2.0, -1.0, 2.0)
CORNER = Loss(-0.25, 0.75, 0.0, 0.0)
TOYS = pytest.mark.parametrize("loss", [HUBER, CORNER], ids=["asymmetric Huber", "corner"])


def rows_of(seed, n, p):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    y = X @ rng.standard_normal(p) + rng.standard_t(2, n)
    return make_rows(X, rng.uniform(0.5, 2.0, n), True).with_target(4.0 * y)


def linear_program(rows, loss):
    """The least sum of w l(r), by HiGHS."""
    n, m = rows.n_rows, rows.n_cols
    costs = np.concatenate([np.zeros(m), loss.upper * rows.w, -loss.lower * rows.w])
    Z, eye = rows.take(np.arange(n)), np.eye(n)
    bounds = [(None, None)] * m + [(0.0, None)] * (2 * n)
    found = linprog(
        costs, A_eq=np.hstack([Z, eye, -eye]), b_eq=rows.y, bounds=bounds, method="highs"
    )
    return found.x[:m], found.fun


@TOYS
@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_toys_are_fitted_and_certified(loss, alpha, seed):
    rows = rows_of(seed, 80, 4)
    found = solve(rows, loss, alpha, "auto", 1e-10, Options(100))
    problem = ridge_problem(rows, loss, alpha)
    assert found.status is Status.EXACT
    assert relative_gap(problem, found.phi, found.u)[1] <= 1e-14
    assert np.all((found.u >= loss.lower) & (found.u <= loss.upper))
    np.testing.assert_allclose(found.r, rows.residual(found.phi), atol=1e-14)
    value = found.objective * rows.w.sum()
    np.testing.assert_allclose(value, problem.value(found.r, found.phi), rtol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_a_corner_is_the_linear_program_of_highs(seed):
    rows = rows_of(seed, 80, 4)
    found = solve(rows, CORNER, 0.0, "auto", 1e-10, Options(100))
    phi, value = linear_program(rows, CORNER)
    np.testing.assert_allclose(found.phi, phi, atol=1e-8)
    assert found.objective * rows.w.sum() == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_an_asymmetric_huber_is_the_minimum_of_scipy(alpha):
    rows = rows_of(3, 80, 4)
    problem = ridge_problem(rows, HUBER, alpha)
    found = solve(rows, HUBER, alpha, "auto", 1e-10, Options(100))

    def gradient(phi):
        return -problem.descent(HUBER.slope(rows.residual(phi)), phi)

    other = minimize(
        lambda phi: problem.value(rows.residual(phi), phi),
        np.zeros(5),
        jac=gradient,
        method="BFGS",
        tol=1e-9,
    )
    np.testing.assert_allclose(found.phi, other.x, atol=1e-7)


@TOYS
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_many_rows_are_fitted_too(loss, alpha):
    rows = rows_of(4, 6000, 9)
    found = solve(rows, loss.in_units(50.0)[0], alpha, "auto", 1e-10, Options(100))
    assert found.status is Status.EXACT
    assert found.gap <= 1e-13


@TOYS
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_the_second_opinion_agrees(loss, alpha):
    rows = rows_of(5, 60, 3)
    found = solve(rows, loss, alpha, "auto", 1e-10, Options(100))
    other = solve(rows, loss, alpha, "scipy", 1e-6, Options(200))
    np.testing.assert_allclose(found.phi, other.phi, atol=1e-9)


@TOYS
def test_mirrored_data_have_the_mirrored_fit(loss):
    """-y under the mirrored loss."""
    rows = rows_of(6, 100, 3)
    mirrored = Loss(-loss.upper, -loss.lower, -loss.right, -loss.left)
    found = solve(rows, loss, 0.1, "auto", 1e-10, Options(100))
    other = solve(replace(rows, y=-rows.y), mirrored, 0.1, "auto", 1e-10, Options(100))
    np.testing.assert_allclose(other.phi, -found.phi, rtol=1e-12)
    np.testing.assert_allclose(other.u, -found.u, atol=1e-12)


@TOYS
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_from_its_own_solution_one_iteration_certifies(loss, alpha):
    rows = rows_of(7, 300, 5)
    first = solve(rows, loss, alpha, "auto", 1e-10, Options(100))
    again = solve(rows, loss, alpha, "auto", 1e-10, Options(100, start=first.phi))
    assert first.work.n_iter > 1
    assert again.work.n_iter == 1
    np.testing.assert_allclose(again.phi, first.phi, rtol=1e-13)
