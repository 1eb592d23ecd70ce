"""A loss is a value: two that the package does not name are fitted, certified and read in passes,
unchanged.
"""

import numpy as np
import pytest
from problems import slow, way
from scipy.optimize import linprog, minimize
from scipy.sparse import csr_array

from robustreg.data.threads import one_blas_thread
from robustreg.fitting.fit import fit
from robustreg.fitting.specification import Specification
from robustreg.problem.losses import ABSOLUTE, SQUARED, Loss, huber
from robustreg.proof import judged_problem
from robustreg.proof.judge import judge, make_table

TOYS = {
    "asymmetric Huber": Loss(-1.0, 2.0, -1.0, 2.0),
    "quarter quantile": Loss(-0.75, 0.25, 0.0, 0.0),
}


def data(n, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return (
        X,
        X @ np.arange(1.0, p + 1.0) + rng.standard_t(2, n) + 3.0,
        rng.integers(1, 4, n).astype(float),
    )


def fitted(loss, X, y, w=None, alpha=0.0, intercept=True, solver="auto"):
    spec = Specification(loss, alpha, intercept, solver, 1000, 1e-9)
    with one_blas_thread():
        return fit(X, y[:, None], w, spec)


def objective(loss, X, y, w, alpha, b, b0):
    """The definition, written out once more."""
    r = y - X @ b - b0
    inside = np.clip(r, loss.left, loss.right)
    value = 0.5 * inside**2 + np.where(r > inside, loss.upper, loss.lower) * (r - inside)
    return w @ value / w.sum() + 0.5 * alpha * b @ b


def least(loss, X, y, w, alpha):
    """The minimum by SciPy: a linear program for a corner without penalty, else a smooth
    minimisation.
    """
    n, A = len(y), np.column_stack([X, np.ones(len(y))])
    if loss.left == loss.right and not alpha:
        cost = np.concatenate([np.zeros(A.shape[1]), loss.upper * w, -loss.lower * w]) / w.sum()
        eye, free = np.eye(n), [(None, None)] * A.shape[1]
        return linprog(
            cost, A_eq=np.hstack([A, eye, -eye]), b_eq=y, bounds=free + [(0, None)] * (2 * n)
        ).fun
    f = lambda x: objective(loss, X, y, w, alpha, x[:-1], x[-1])  # noqa: E731
    x = np.linalg.lstsq(A, y, rcond=None)[0]
    for method in ("BFGS", "Powell", "Nelder-Mead"):
        x = minimize(f, x, method=method, options={"maxiter": 20_000}).x
    return f(x)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize("seed", range(3))
def test_the_minimum_is_that_of_scipy(seed, toy, alpha):
    loss, (X, y, w) = TOYS[toy], data(80, 2, seed)
    found = fitted(loss, X, y, w, alpha)
    b, b0 = found.coef[0], found.intercept[0]
    value = objective(loss, X, y, w, alpha, b, b0)
    assert found.objective[0] == pytest.approx(value, rel=1e-12)
    assert value <= least(loss, X, y, w, alpha) * (1.0 + 1e-12)
    assert found.gap[0] <= 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("storage", [np.asarray, csr_array])
@pytest.mark.parametrize("n", [4_000, *slow(30_000)])
@pytest.mark.parametrize("toy", TOYS)
def test_both_ways_agree_and_the_proof_confirms(toy, n, storage, alpha):
    loss, (X, y, w) = TOYS[toy], data(n)
    found = {}
    for name in ("passes", "direct"):
        with way(name):
            found[name] = fitted(loss, storage(X), y, w, alpha)
        assert found[name].work.way == name
    passes, direct = found["passes"], found["direct"]
    np.testing.assert_allclose(passes.coef, direct.coef, rtol=1e-10)
    np.testing.assert_allclose(passes.intercept, direct.intercept, rtol=1e-10)
    assert passes.objective[0] == pytest.approx(direct.objective[0], rel=1e-12)
    assert passes.work.n_passes == 2 + passes.work.n_fixups
    assert passes.work.n_kept < n / 2
    for one in found.values():
        judged = judged_problem.Loss(loss.lower, loss.upper, loss.left, loss.right)
        proof = judge(
            make_table(X, True), y, w, one.coef[0], one.intercept[0], loss=judged, alpha=alpha
        )
        assert proof.gap <= 1e-11


@pytest.mark.parametrize("toy", TOYS)
def test_any_units(toy):
    loss, (X, y, _) = TOYS[toy], data(3_000)
    expected = fitted(loss, X, y)
    for s in (1e-60, 2.0**20, 1e60):
        scaled = loss if loss.is_corner else Loss(*(s * end for end in (-1.0, 2.0, -1.0, 2.0)))
        found = fitted(scaled, X, s * y)
        np.testing.assert_allclose(found.coef / s, expected.coef, rtol=1e-9)
        if expected.outliers is not None:
            np.testing.assert_array_equal(found.outliers, expected.outliers)


def test_a_mirror_image_has_the_mirrored_fit():
    X, y, w = data(5_000)
    for loss in TOYS.values():
        mirrored = Loss(-loss.upper, -loss.lower, -loss.right, -loss.left)
        found, other = fitted(loss, X, y, w), fitted(mirrored, X, -y, w)
        np.testing.assert_allclose(found.coef, -other.coef, rtol=1e-11)
        np.testing.assert_allclose(found.intercept, -other.intercept, rtol=1e-11)


def test_the_quantile_of_an_intercept_alone():
    y = np.random.default_rng(0).permutation(np.arange(1001.0))
    found = fitted(TOYS["quarter quantile"], np.zeros((1001, 1)), y)
    assert found.intercept[0] == 250.0  # 250 rows below, 750 above


@pytest.mark.parametrize(
    "numbers", [(1.0, 2.0, 1.0, 2.0), (-1.0, 2.0, -0.5, 2.0), (-np.inf, 1.0, -np.inf, 1.0)]
)
def test_what_is_no_loss_is_refused(numbers):
    with pytest.raises(ValueError, match="loss"):
        Loss(*numbers)


def test_the_losses_with_names_are_values_too():
    assert Loss(-np.inf, np.inf, -np.inf, np.inf) == SQUARED
    assert Loss(-1.0, 1.0, 0.0, 0.0) == ABSOLUTE
    assert Loss(-2.0, 2.0, -2.0, 2.0) == huber(2.0)
