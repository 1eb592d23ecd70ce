"""Weak duality for any pair, a gap of nothing at the minimiser, and the rule for rows outside."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.make_rows import make_rows
from robustreg.problem.duality import beyond, is_stationary, relative_gap
from robustreg.problem.losses import ABSOLUTE, SQUARED, corner, huber, smooth
from robustreg.problem.penalties import Ridge, ridge_problem
from robustreg.problem.solution import Options
from robustreg.solvers.solve import solve
from unit.constructed import LOSSES, constructed

all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def random_rows(seed, n=40, p=3):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    y = X @ rng.standard_normal(p) + rng.standard_t(2, n)
    return make_rows(X, rng.uniform(0.5, 2.0, n), True).with_target(y)


@all_losses
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_the_gap_bounds_what_a_candidate_lacks(loss, alpha):
    rows = random_rows(1)
    problem = ridge_problem(rows, loss, alpha)
    best = solve(rows, loss, alpha, "auto", 1e-8, Options(100))
    assert best.gap <= 1e-13
    rng = np.random.default_rng(2)
    for size in (1e-3, 0.1, 1.0):
        phi = best.phi + size * rng.standard_normal(len(best.phi))
        u = np.clip(best.u + size * rng.standard_normal(len(best.u)), loss.lower, loss.upper)
        primal, gap = relative_gap(problem, phi, u)
        assert primal * (1.0 - gap) <= best.objective * (1.0 + 1e-12)
        assert primal >= best.objective * (1.0 - 1e-12)


@all_losses
def test_an_optimal_pair_is_stationary_and_a_neighbour_is_not(loss):
    made = constructed(3, loss)
    assert is_stationary(made.problem, made.phi, made.u)
    assert not is_stationary(made.problem, made.phi + 1e-6, made.u)


def test_a_penalty_is_what_the_objective_says():
    rows, alpha = random_rows(4), 0.7
    phi = np.random.default_rng(5).standard_normal(rows.n_cols)
    b = rows.B @ phi[: rows.rank]
    value = ridge_problem(rows, SQUARED, alpha).quadratic.value(phi)
    np.testing.assert_allclose(value, 0.5 * alpha * rows.w.sum() * (b @ b), rtol=1e-14)
    assert Ridge(0.0).root(rows).shape == (0, rows.n_cols)
    assert Ridge(1e-60).is_negligible(rows)
    assert not Ridge(0.0).is_negligible(rows)
    with pytest.raises(ValueError, match="penalty overflows"):
        Ridge(1e305).root(rows)


@pytest.mark.parametrize(
    "store", [np.asarray, np.asfortranarray, sparse.csr_array, sparse.csr_matrix, np.float32]
)
@pytest.mark.parametrize(
    "loss", [huber(0.5), smooth(-0.5, 1.5), ABSOLUTE, corner(-0.25, 0.75), SQUARED]
)
def test_rows_beyond_are_those_outside_the_piece(store, loss):
    rng = np.random.default_rng(6)
    X = rng.integers(-3, 4, (5000, 100)).astype(float)  # several chunks
    r = rng.choice([-2.0, -0.75, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0], 5000)
    b = rng.integers(-2, 3, 100).astype(float)
    y = X @ b + 3.0 + r
    found = beyond(store(X), y, b, 3.0, loss)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, (r < loss.left) | (r > loss.right))


@pytest.mark.parametrize("loss", [huber(0.1), smooth(-0.1, 0.3), ABSOLUTE])
def test_a_residual_that_only_rounding_moves_over_the_end_is_not_beyond(loss):
    """Rows exactly at either end: y is the rounded sum of a fitted value and the end."""
    rng = np.random.default_rng(7)
    X, b, b0 = (
        rng.standard_normal((2000, 6)) * 10.0 ** rng.uniform(-3, 3, 6),
        rng.standard_normal(6),
        0.3,
    )
    end = rng.choice([loss.left, loss.right], 2000)
    fitted = [
        sum(Fraction(x) * Fraction(c) for x, c in zip(row, b.tolist(), strict=True))
        for row in X.tolist()
    ]
    y = np.array(
        [float(f + Fraction(b0) + Fraction(e)) for f, e in zip(fitted, end.tolist(), strict=True)]
    )
    assert not beyond(X, y, b, b0, loss).any()
    size = 1.0 + np.abs(y) + abs(b0) + np.abs(X) @ np.abs(b)
    away = np.where(end > 0.0, 1.0, -1.0) if not loss.is_corner else 1.0
    assert beyond(X, y + 1e-13 * away * size, b, b0, loss).all()


def test_integers_and_rows_without_columns_have_residuals_too():
    y = np.array([1, 2, 5])
    np.testing.assert_array_equal(
        beyond(np.zeros((3, 0)), y, np.zeros(0), 2.0, huber(1.0)), [False, False, True]
    )
    X = np.array([[1], [2], [3]], dtype=np.int8)
    np.testing.assert_array_equal(beyond(X, y, np.ones(1), 0.0, huber(1.0)), [False, False, True])
