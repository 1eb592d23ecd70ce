"""The point of least norm that satisfies inequalities, of few unknowns and of many."""

import numpy as np
import pytest
from problems import way
from scipy.optimize import nnls

from robustreg import LinearRegressor
from robustreg.solvers import least_distance as module
from robustreg.solvers.least_distance import MANY, least_distance

SIZES = [4, MANY, 2 * MANY]


def differences(k, rng):
    """Differences of two unknowns, each and its opposite, so that rows depend on each other."""
    pairs = rng.integers(0, k, (k, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    A = np.eye(k)[pairs[:, 0]] - np.eye(k)[pairs[:, 1]]
    return np.vstack([A, -A])


def normal(k, rng):
    return rng.standard_normal((2 * k, k))


def repeated(k, rng):
    """Each row three times, once twice as long."""
    A = rng.standard_normal((k, k))
    return np.vstack([A, 2.0 * A, A])


def decades(k, rng):
    return rng.standard_normal((2 * k, k)) * 10.0 ** rng.uniform(-2, 2, k)


KINDS = [normal, differences, repeated, decades]


def feasible(kind, k, seed):
    """A (j, k) and c (j,) with a point that satisfies all, a third of them just so."""
    rng = np.random.default_rng(seed)
    A = kind(k, rng)
    slack = rng.uniform(0.0, 1.0, len(A)) * (rng.random(len(A)) < 2 / 3)
    return A, A @ (2.0 * rng.standard_normal(k)) - slack


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_it_satisfies_the_conditions_of_karush_kuhn_and_tucker(kind, k, seed):
    """x = A'l with l >= 0, and l > 0 only where an inequality is tight."""
    A, c = feasible(kind, k, seed)
    found = least_distance(A, c)
    assert found is not None
    slack, size = A @ found.x - c, np.abs(A).max() * np.linalg.norm(found.x)
    assert np.all(slack >= -1e-12 * size)
    assert np.all(slack[found.active] <= 1e-12 * size)
    _, missed = nnls(A[slack <= 1e-9 * size].T, found.x)
    assert missed <= 1e-9 * np.linalg.norm(found.x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_many_unknowns_have_the_answer_of_nonnegative_least_squares(monkeypatch, kind, seed):
    A, c = feasible(kind, MANY, seed)
    some = least_distance(A[: len(A) // 2], c[: len(A) // 2])
    cold, warm = least_distance(A, c), least_distance(A, c, True, some.active)
    monkeypatch.setattr(module, "MANY", MANY + 1)
    slow = least_distance(A, c)
    for found in (cold, warm):
        np.testing.assert_allclose(found.x, slow.x, atol=1e-10 * np.linalg.norm(slow.x), rtol=0)


@pytest.mark.parametrize("start", [[0, 1], [0, 0], [2], range(6)])
def test_any_start_leads_to_the_same_point(start):
    A, c = feasible(repeated, MANY, 0)
    cold, warm = least_distance(A, c), least_distance(A, c, True, start)
    np.testing.assert_allclose(warm.x, cold.x, atol=1e-12 * np.linalg.norm(cold.x), rtol=0)


@pytest.mark.parametrize("k", SIZES)
def test_no_point_satisfies_inequalities_that_contradict_each_other(k):
    A, c = feasible(normal, k, 0)
    A, c = np.vstack([A, -A[:1]]), np.append(c, 1.0 - c[0])
    assert least_distance(A, c) is None


@pytest.mark.parametrize("k", SIZES)
def test_zero_is_the_nearest_point_if_it_satisfies_all(k):
    A = normal(k, np.random.default_rng(0))
    found = least_distance(A, -np.ones(len(A)))
    assert not found.x.any()
    assert not len(found.active)


def test_many_unknowns_need_no_nonnegative_least_squares(monkeypatch):
    monkeypatch.setattr(module, "nnls", None)
    assert least_distance(*feasible(differences, 2 * MANY, 1)) is not None


def test_factors_with_many_directions_have_the_canonical_answer(monkeypatch):
    """Levels of two factors in few rows each: most sums of two levels are not unique."""
    rng = np.random.default_rng(0)
    X = np.hstack([np.eye(200)[rng.integers(0, 200, 1200)] for _ in range(2)])
    y = rng.standard_t(2, len(X))
    with way("direct"):
        model = LinearRegressor("mae").fit(X, y)
        monkeypatch.setattr(module, "MANY", X.shape[1])
        slow = LinearRegressor("mae").fit(X, y)
    assert not model.unique_
    assert model.converged_
    np.testing.assert_allclose(model.coef_, slow.coef_, atol=1e-12 * np.abs(slow.coef_).max())
