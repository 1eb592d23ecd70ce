"""The Hessian that a sample tells, beside the one that its residuals were drawn with."""

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.arrays import make_source
from robustreg.data.csr import CsrColumns
from robustreg.data.frame import make_frame
from robustreg.data.open_rows import taken
from robustreg.data.rows import dense_rows
from robustreg.passes.hessian import hessian
from robustreg.problem.losses import ABSOLUTE, huber, pinball
from robustreg.problem.problem import Problem, Quadratic

PART = 0.25  # of the residuals that are near a knot
M = 6


def drawn(loss, n, spread, seed=0, weights=None):
    """(a sample, its columns Z, its weights) whose deviations are spread(Z)."""
    rng = np.random.default_rng(seed)
    Z = np.column_stack([rng.standard_normal((n, M - 1)), np.ones(n)])
    level = loss.level if loss.is_corner else 0.5
    r = rng.uniform(-level, 1.0 - level, n) * spread(Z)  # the density at 0 is 1 / spread
    w = np.ones(n) if weights is None else weights(rng, n)
    none = Quadratic(np.zeros((0, M)), np.zeros(M))
    return Problem(dense_rows(Z, r, w), loss, none), Z, w


def off(H, true):
    """The spectral norm of what H misses, with true = I."""
    K = np.linalg.inv(np.linalg.cholesky(true))
    return np.linalg.norm(K @ (H - true) @ K.T, 2)


def alike(Z):
    return np.ones(len(Z))


def growing(Z):
    return np.exp(0.8 * Z[:, 0])


corners = pytest.mark.parametrize("loss", [ABSOLUTE, pinball(0.5), pinball(0.3)])


@corners
@pytest.mark.parametrize("spread", [alike, growing])
@pytest.mark.parametrize("weights", [None, lambda rng, n: rng.uniform(0.5, 2.0, n)])
def test_it_is_that_of_the_density_at_each_z(loss, spread, weights):
    sample, Z, w = drawn(loss, 40_000, spread, weights=weights)
    density = (loss.upper - loss.lower) / spread(Z)
    true = (w * density) @ (Z[:, :, None] * Z[:, None, :]).reshape(len(Z), -1)
    assert off(hessian(sample, sample.rows.y, 0.05), true.reshape(M, M)) < 0.2


@corners
def test_where_z_tells_nothing_all_rows_tell_the_shape(loss):
    """By chance alone the few rows near the knot would be off much further."""
    lost = []
    for seed in range(20):
        sample, Z, _ = drawn(loss, 3000, alike, seed)
        r = sample.rows.y
        H, A = hessian(sample, r, PART), Z.T @ Z
        near = np.abs(r) <= np.quantile(np.abs(r), PART)
        few = Z[near].T @ Z[near]
        A, few, H = (G * (M / np.trace(np.linalg.solve(Z.T @ Z, G))) for G in (A, few, H))
        lost.append((off(H, A), off(few, A)))
    mine, its = np.median(lost, axis=0)
    assert mine < 0.3 * its


def test_a_smooth_loss_has_its_own():
    sample, Z, _ = drawn(huber(0.3), 40_000, growing)
    r = sample.rows.y
    inside = np.abs(r) <= 0.3
    assert off(hessian(sample, r, PART), Z[inside].T @ Z[inside]) < 0.1


def test_too_few_rows_near_a_knot_tell_no_shape():
    sample, Z, _ = drawn(ABSOLUTE, 100, growing)
    H = hessian(sample, sample.rows.y, PART)
    np.testing.assert_allclose(H / H[0, 0], Z.T @ Z / (Z.T @ Z)[0, 0], rtol=1e-12)


def test_rows_of_a_sparse_X_are_not_made_dense(monkeypatch):
    rng = np.random.default_rng(1)
    X = sparse.random_array((5000, 4), density=0.2, rng=rng, format="csr")
    source = make_source(X, rng.standard_normal(5000), None)
    rows = taken(make_frame(source, True), source, slice(None))
    sample = Problem(rows, ABSOLUTE, Quadratic(np.zeros((0, 5)), np.zeros(5)))
    assert rows.is_sparse
    monkeypatch.setattr(CsrColumns, "take", None)
    H = hessian(sample, rows.y, PART)
    np.testing.assert_allclose(H / H[0, 0], rows.gram_all / rows.gram_all[0, 0], rtol=1e-12)
