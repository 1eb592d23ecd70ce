"""Directions that are too small for float64, but not dependent: a fit without them says so."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import SplineTransformer

from robustreg import LinearRegressor

LOSSES = ["mse", "huber", "mae"]


def short_window(n):
    """(X (n, 17), y (n,)): waves that are longer than the time in which they are seen."""
    t = np.linspace(0.0, 0.1, n)
    waves = [wave(2.0 * np.pi * k * t) for k in range(1, 9) for wave in (np.cos, np.sin)]
    return np.column_stack([*waves, t]), np.random.default_rng(0).standard_normal(n)


@pytest.mark.parametrize("n", [20, 40])
@pytest.mark.parametrize("loss", LOSSES)
def test_directions_left_out_that_may_lower_the_objective_are_told(loss, n):
    X, y = short_window(n)
    with pytest.warns(ConvergenceWarning, match="too small to be fitted in float64"):
        model = LinearRegressor(loss).fit(X, y)
    assert not model.converged_
    assert model.work_.left_out == 1
    assert "One direction of X was left out" in str(model.work_)


@pytest.mark.parametrize("n", [20, 40])
def test_the_gap_bounds_what_they_lower(n):
    # The same columns, less their combinations with others: the leading directions of a long QR.
    X, y = short_window(n)
    with pytest.warns(ConvergenceWarning):
        model = LinearRegressor("mse").fit(X, y)
    r = (y - model.predict(X)).astype(np.longdouble)
    C, found = X.astype(np.longdouble), [np.ones(n, np.longdouble) / np.sqrt(np.longdouble(n))]
    for _ in range(model.rank_ + model.work_.left_out):
        for q in [*found, *found]:
            C = C - np.outer(q, q @ C)
        size = np.sqrt(np.square(C).sum(axis=0))
        found.append(C[:, np.argmax(size)] / size.max())
    lowered = float(np.square(found[-1] @ r) / np.square(r).sum())
    assert 1e-4 < lowered <= 1.5 * model.dual_gap_


@pytest.mark.parametrize("loss", LOSSES)
def test_beside_a_penalty_they_lower_nothing(loss):
    model = LinearRegressor(loss, alpha=1e-8).fit(*short_window(40))
    assert model.converged_
    assert model.work_.left_out == 1


@pytest.mark.parametrize("n", [60, 3000])
@pytest.mark.parametrize("loss", LOSSES)
def test_dependent_columns_are_not_among_them(loss, n):
    rng = np.random.default_rng(n)
    x, shares = rng.standard_normal((n, 3)), rng.random((n, 4))
    splines = SplineTransformer().fit_transform(x)
    dummies = np.eye(5)[rng.integers(0, 5, n)]
    shares = shares / shares.sum(axis=1)[:, None]
    X = np.column_stack([x, 1e9 * x[:, 0], splines, dummies, shares, x[:, 0] + 1e-9 * x[:, 1]])
    model = LinearRegressor(loss).fit(X, rng.standard_t(2, n))
    assert model.converged_
    assert model.work_.left_out == 0
