"""Coefficients to the last digit, against exact fractions of the very data."""

from fractions import Fraction

import numpy as np
import pytest
from exact import exact_solution

from robustreg.data.make_rows import make_rows
from robustreg.numerics.exact import ExactMatrix
from robustreg.problem.losses import SQUARED, corner, huber, smooth
from robustreg.problem.penalties import ridge_problem
from robustreg.problem.solution import Options
from robustreg.solvers.refine import refine
from robustreg.solvers.solve import solve


def refined(X, y, loss, w, intercept):
    """(coefficients, residuals), the intercept last, and the fit before."""
    rows = make_rows(X, w, intercept).with_target(y)
    scaled, _ = loss.in_units(rows.y_scale)
    found = solve(rows, scaled, 0.0, "auto", 1e-8, Options(200))
    assert found.gap <= 1e-10
    b, b0 = refine(ExactMatrix(X, intercept), y, ridge_problem(rows, scaled, 0.0), found)
    return (np.append(b, b0) if intercept else b), found.r * rows.y_scale


def is_last_digit(found, exact):
    for a, b in zip(found, exact, strict=True):
        assert abs(Fraction(float(a)) - b) <= Fraction(4e-16) * abs(b)


def data(seed, n=30):
    """Two columns nearly the same, weights of powers of two, which make no rounding."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3)) + 10.0
    X[:, 2] = X[:, 0] + 1e-4 * rng.standard_normal(n)
    y = X[:, 1] + rng.standard_t(2, n)
    return X, y, 2.0 ** rng.integers(0, 3, n)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_least_squares(seed, intercept):
    X, y, w = data(seed)
    found, _ = refined(X, y, SQUARED, w, intercept)
    is_last_digit(found, exact_solution(X, y, intercept, w))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("loss", [huber(0.5), smooth(-0.25, 1.0)])
def test_a_smooth_loss_whose_pieces_are_known(loss, intercept):
    """On its pieces the minimiser solves A_Q'W (y - A b) + A'W u of the others = 0, here in
    fractions.
    """
    X, y, w = data(4)
    found, r = refined(X, y, loss, w, intercept)
    inside = loss.curved(r)
    assert 4 < inside.sum() < len(y)
    A, b = (
        np.column_stack([X, np.ones(len(y))]) if intercept else X,
        [Fraction(x) for x in found.tolist()],
    )
    gradient = [Fraction(0)] * len(b)
    for row, target, weight, u, inner in zip(A.tolist(), y, w, loss.pull(r), inside, strict=True):
        row = [Fraction(x) for x in row]
        fitted = sum(x * c for x, c in zip(row, b, strict=True))
        slope = Fraction(target) - fitted if inner else Fraction(u)
        gradient = [g + Fraction(weight) * slope * x for g, x in zip(gradient, row, strict=True)]
    Q = A[inside] * np.sqrt(w[inside])[:, None]
    error = np.linalg.solve(
        Q.T @ Q, np.array(gradient, dtype=float)
    )  # how far from the exact solution
    assert np.all(np.abs(error) <= 4e-16 * np.abs(found))


@pytest.mark.parametrize("loss", [corner(-1.0, 1.0), corner(-0.25, 0.75)])
def test_a_corner_goes_through_its_rows(loss):
    X, y, w = data(5)
    X[:, 2] = np.round(X[:, 2], 3)
    found, r = refined(X, y, loss, w, True)
    through = np.abs(r) <= 1e-9
    assert through.sum() == 4
    A = np.column_stack([X, np.ones(30)])[through]
    is_last_digit(found, exact_solution(A, y[through], False))
