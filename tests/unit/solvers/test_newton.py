"""Newton's method for smooth losses on problems made from their minimiser, and beside SciPy."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from robustreg.problem.solution import Options
from robustreg.solvers.newton import Hessian, line_search, newton
from unit.constructed import OPTIONS, SMOOTH, constructed, is_minimal, tally, value

smooth_losses = pytest.mark.parametrize("loss", SMOOTH.values(), ids=SMOOTH.keys())


@smooth_losses
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_it_ends_at_the_constructed_minimiser(loss, settled, penalty, seed):
    made = constructed(seed, loss, n=80, settled=settled, penalty=penalty)
    far = made.phi + np.random.default_rng(seed).standard_normal(len(made.phi))
    pair = newton(made.problem, far, made.problem.rows.residual(far), OPTIONS, tally(), most=100)
    assert not pair.exhausted
    np.testing.assert_allclose(pair.phi, made.phi, atol=1e-13 * np.abs(made.phi).max())
    np.testing.assert_allclose(pair.u, made.u, atol=1e-12)


@smooth_losses
def test_scipy_finds_the_same(loss):
    problem = constructed(11, loss).problem
    start = np.zeros(4)
    other = minimize(lambda phi: value(problem, phi), start, method="BFGS", options={"gtol": 1e-8})
    pair = newton(problem, start, problem.rows.residual(start), OPTIONS, tally(), most=100)
    np.testing.assert_allclose(pair.phi, other.x, atol=1e-6)
    assert value(problem, pair.phi) <= other.fun * (1.0 + 1e-14)


@smooth_losses
def test_from_the_minimiser_one_step_is_enough(loss):
    made, work = constructed(5, loss), tally()
    pair = newton(made.problem, made.phi, made.r, OPTIONS, work, most=10)
    assert work.n_iter == 1
    np.testing.assert_allclose(pair.phi, made.phi, rtol=1e-13)


@smooth_losses
def test_the_first_step_inside_the_final_zones_is_exact(loss):
    made = constructed(6, loss, n=30)
    near = made.phi + 1e-7 * np.random.default_rng(1).standard_normal(4)
    r = made.problem.rows.residual(near)
    assert np.array_equal(loss.zone(r), loss.zone(made.r))
    work = tally()
    pair = newton(made.problem, near, r, OPTIONS, work, most=10, enough=0.0)
    assert work.n_iter == 1
    np.testing.assert_allclose(pair.phi, made.phi, rtol=1e-12)


@smooth_losses
def test_a_singular_hessian_still_leads_to_a_minimum(loss):
    """Without penalty, and with fewer rows inside than columns: a flat minimum, or a line of them."""
    made = constructed(7, loss.in_units(20.0)[0], n=12, m=4, settled=False, penalty=False)
    assert np.count_nonzero(made.problem.loss.curved(made.r)) < 4
    start = np.zeros(4)
    pair = newton(
        made.problem, start, made.problem.rows.residual(start), OPTIONS, tally(), most=200
    )
    assert value(made.problem, pair.phi) <= value(made.problem, made.phi) * (1.0 + 1e-12)
    assert is_minimal(made.problem, pair.phi)


def test_too_few_steps_are_said_to_be_too_few():
    made, work = constructed(8, SMOOTH["asymmetric"]), tally()
    far = made.phi + 3.0
    pair = newton(made.problem, far, made.problem.rows.residual(far), OPTIONS, work, most=1)
    assert pair.exhausted
    assert work.n_iter == 1


def test_steps_are_told():
    steps = []
    made = constructed(9, SMOOTH["huber"])
    options = Options(50, lambda step, rows, gap: steps.append((step, rows, gap)))
    newton(
        made.problem,
        np.zeros(4),
        made.problem.rows.residual(np.zeros(4)),
        options,
        tally(),
        most=50,
    )
    assert [step for step, _, _ in steps] == [f"newton {k}" for k in range(1, len(steps) + 1)]
    assert {rows for _, rows, _ in steps} == {60}
    assert steps[0][2] > steps[-1][2]


@smooth_losses
@pytest.mark.parametrize("seed", range(3))
def test_a_line_search_ends_where_the_derivative_is_zero(loss, seed):
    problem, rng = constructed(seed, loss).problem, np.random.default_rng(seed)
    phi = rng.standard_normal(4)
    r = problem.rows.residual(phi)
    step = 0.1 * problem.descent(loss.slope(r), phi)  # short, or too long: the search mends it
    v = problem.rows.fitted(step)

    def derivative(t):
        return -step @ problem.descent(loss.slope(r - t * v), phi + t * step)

    t, moved = line_search(problem, phi, r, step, v)
    np.testing.assert_allclose(moved, r - t * v, atol=1e-13)
    if t == 1.0:  # a full step is taken if it leaves a tenth of the derivative
        assert abs(derivative(1.0)) <= 0.1 * abs(derivative(0.0))
    else:
        assert t == pytest.approx(brentq(derivative, 0.0, 10.0, xtol=1e-15), rel=1e-10)


@pytest.mark.parametrize("loss", [SMOOTH["asymmetric"]])
def test_a_hessian_that_is_changed_is_one_made_anew(loss):
    problem, rng = constructed(10, loss, n=200).problem, np.random.default_rng(0)
    Z, w = problem.rows.take(np.arange(200)), problem.rows.w
    hessian, zone = Hessian(problem), rng.uniform(size=200) < 0.5
    for flipped in (0, 3, 10, 150, 1):
        zone = zone.copy()
        zone[rng.permutation(200)[:flipped]] ^= True
        H = (Z[zone] * w[zone, None]).T @ Z[zone] + problem.quadratic.G
        np.testing.assert_allclose(hessian.of(zone), H, rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(
            hessian.solve(zone, np.ones(200), H @ np.ones(4)), np.ones(4), rtol=1e-10
        )
