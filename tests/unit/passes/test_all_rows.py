"""The problem of all rows is that of the data, in any units of y."""

import numpy as np
import pytest

from robustreg.data.arrays import make_source
from robustreg.data.frame import make_frame
from robustreg.passes.all_rows import all_rows
from robustreg.passes.in_step import in_step
from robustreg.passes.reduction import reduced
from robustreg.problem.solution import Options
from unit.constructed import LOSSES

all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
N, P = 150, 3


def data(y_unit=1.0, intercept=True, weighted=True):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, P)) * np.array([1e-3, 1.0, 1e4]) + np.array([0.0, 50.0, 0.0])
    y = y_unit * (7.0 + X @ np.array([100.0, 0.5, 2e-4]) + rng.standard_t(2, N))
    return X, y, rng.uniform(0.5, 2.0, N) if weighted else None


def objective(X, y, w, loss, alpha, b, b0):
    """(1/W) sum w l(r) + (alpha / 2) ||b||^2, in the units of the data."""
    w = np.ones(len(y)) if w is None else w
    return w @ loss.value(y - X @ b - b0) / w.sum() + 0.5 * alpha * b @ b


def in_coordinates(problem, phi):
    """The objective of ``problem`` as its docstring says, times its unit."""
    source, frame = problem.source, problem.frame
    part = source.take(slice(None))
    r = frame.residual(part, frame.centred(part), phi)
    w = np.ones(N) if source.w is None else source.w
    b, _ = frame.raw(phi)
    penalty = 0.5 * problem.alpha * np.sum(np.square(b / frame.y_scale))
    value = w @ problem.loss.value(r) / source.weight + penalty
    by_root = 0.5 * np.sum(np.square(problem.penalty_root @ phi)) / source.weight
    assert by_root == pytest.approx(penalty, rel=1e-12)
    return problem.unit * value


@all_losses
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize(("y_unit", "weighted"), [(1.0, False), (1e-30, True), (1e25, True)])
def test_the_objective_is_that_of_the_data_in_any_units(loss, alpha, y_unit, weighted):
    loss, _ = loss.in_units(1.0 / y_unit)
    X, y, w = data(y_unit, weighted=weighted)
    source = make_source(X, y, w)
    problem = all_rows(source, make_frame(source, True), loss, alpha)
    phi = np.random.default_rng(1).standard_normal(P + 1)
    expected = objective(X, y, w, loss, alpha, *problem.frame.raw(phi))
    assert in_coordinates(problem, phi) == pytest.approx(expected, rel=1e-10)
    for size in (1.0, 0.01, 300.0):
        other = problem.in_units(size)
        step = other.frame.y_scale / problem.frame.y_scale
        assert step <= size < 2.0 * step  # a power of two
        np.testing.assert_array_equal(other.frame.raw(phi / step)[0], problem.frame.raw(phi)[0])
        assert other.frame.raw(phi / step)[1] == problem.frame.raw(phi)[1]
        assert in_coordinates(other, phi / step) == pytest.approx(expected, rel=1e-10)
        back = other.in_units(1.0 / step)
        assert back.unit == pytest.approx(problem.unit, rel=1e-15)
        assert back.alpha == pytest.approx(problem.alpha, rel=1e-15)


@pytest.mark.parametrize("loss", [k for k in LOSSES if k != "squared"])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_minimiser_is_the_same_in_any_units(loss, alpha, intercept):
    X, y, w = data()
    source = make_source(X, y, w)
    problem = all_rows(source, make_frame(source, intercept), LOSSES[loss], alpha)
    fits = [reduced(problem.in_units(size), Options(100)) for size in (1.0, 0.03, 64.0)]
    found = [in_step(source, [fit])[0] for fit in fits]
    first_b, first_b0 = found[0].frame.raw(found[0].phi)
    expected = objective(X, y, w, LOSSES[loss], alpha, first_b, first_b0)
    for outcome in found:
        b, b0 = outcome.frame.raw(outcome.phi)
        np.testing.assert_allclose(b, first_b, rtol=1e-9)
        assert b0 == pytest.approx(first_b0, rel=1e-9)
        assert outcome.objective == pytest.approx(expected, rel=1e-12)
