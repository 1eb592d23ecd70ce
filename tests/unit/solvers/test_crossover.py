"""From near the minimiser to the minimiser: faces given, wrong, degenerate, and with a null space."""

from dataclasses import replace

import numpy as np
import pytest

from robustreg.problem.problem import Quadratic
from robustreg.solvers.crossover import Guess, crossover, guesses
from robustreg.solvers.interior_point import Start, central_path
from unit.constructed import CORNERS, Constructed, constructed

corners = pytest.mark.parametrize("loss", CORNERS.values(), ids=CORNERS.keys())


def guess_of(made, *, off=1e-5, flipped=()):
    """The pair with noise, and F with some rows on the wrong side."""
    rng, F = np.random.default_rng(0), made.r == 0.0
    F[list(flipped)] ^= True
    side = np.where(made.r > 0.0, 1.0, -1.0)
    u = made.u + off * rng.standard_normal(len(F))
    return Guess(made.phi + off * rng.standard_normal(len(made.phi)), u, side, F)


def agrees(pair, made):
    np.testing.assert_allclose(pair.phi, made.phi, atol=1e-13 * np.abs(made.phi).max())
    np.testing.assert_allclose(pair.u, made.u, atol=1e-12)


@corners
@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("settled", [False, True])
def test_the_right_face_gives_the_minimiser_to_rounding(loss, penalty, settled):
    made = constructed(1, loss, penalty=penalty, settled=settled)
    pair, right = crossover(made.problem, guess_of(made))
    assert right
    agrees(pair, made)


@corners
@pytest.mark.parametrize("interpolated", [0, 1, 2, 3])
@pytest.mark.parametrize("settled", [False, True])
def test_fewer_rows_than_columns_leave_the_rest_to_the_quadratic(loss, interpolated, settled):
    made = constructed(2, loss, interpolated=interpolated, settled=settled)
    pair, right = crossover(made.problem, guess_of(made))
    assert right
    agrees(pair, made)


@corners
def test_more_rows_than_columns_have_some_dual(loss):
    """Ties: seven rows through one point in four columns. The dual of F is not the only one."""
    made = constructed(3, loss, interpolated=7)
    near = guess_of(made)
    pair, right = crossover(made.problem, near)
    assert right
    np.testing.assert_allclose(pair.phi, made.phi, atol=1e-13 * np.abs(made.phi).max())
    assert np.all((pair.u >= loss.lower) & (pair.u <= loss.upper))


@corners
@pytest.mark.parametrize("seed", range(5))
def test_a_row_close_to_both_kinds_may_be_guessed_wrongly(loss, seed):
    """One row outside F has nearly no residual, and one in F a slope near a bound: both are on the
    wrong side.
    """
    made = constructed(seed, loss, interpolated=3)
    inner, outer = np.flatnonzero(made.r == 0.0)[0], np.flatnonzero(made.r)[0]
    problem, r, u = made.problem, made.r.copy(), made.u.copy()
    u[inner] = 0.9999 * loss.lower  # the side of a row with r = 0 in the guess is that of lower
    r[outer] = 1e-4 * np.sign(r[outer])
    rows, quadratic = problem.rows, problem.quadratic
    h = quadratic.h - rows.adjoint(rows.w * (u - made.u))
    problem = replace(
        problem,
        rows=replace(rows, y=rows.y + (r - made.r)),
        quadratic=Quadratic(quadratic.L, h, quadratic.c, quadratic.S),
    )
    made = Constructed(problem, made.phi, r, u)
    for flipped in ([inner], [outer], [inner, outer]):
        pair, right = crossover(problem, guess_of(made, flipped=flipped))
        assert right
        agrees(pair, made)


@corners
def test_a_wrong_answer_is_not_called_right(loss):
    made = constructed(4, loss)
    everything = Guess(made.phi, made.u, np.ones(60), np.zeros(60, dtype=bool))
    pair, right = crossover(made.problem, everything)
    assert not right or np.allclose(pair.phi, made.phi)
    assert np.all((pair.u >= loss.lower) & (pair.u <= loss.upper))


@corners
def test_the_path_suggests_the_right_face(loss):
    made = constructed(5, loss)
    w, last = made.problem.rows.w, None
    for point in central_path(Start(made.problem, np.zeros(4), made.problem.rows.y, 1.0)):
        last = point
        if point.gap <= 1e-10:
            break
    for guess in guesses(last, w, loss, 1.0):
        np.testing.assert_array_equal(guess.F, made.r == 0.0)
        np.testing.assert_allclose(guess.u, made.u, atol=1e-4)
        assert np.all(guess.side[made.r != 0.0] == np.sign(made.r[made.r != 0.0]))
