"""Gram matrices by pairs of entries beside those of the dense matrix."""

import numpy as np
import pytest
from scipy import sparse

from robustreg.data import pairs
from robustreg.data.csr import canonical_csr, shifted
from robustreg.data.pairs import PairProducts

RNG = np.random.default_rng(0)


def filled(n, p, density):
    return np.where(RNG.uniform(size=(n, p)) < density, RNG.standard_normal((n, p)), 0.0)


MATRICES = {
    "thin": filled(300, 40, 0.05),
    "one in each row": np.eye(30)[RNG.integers(0, 30, 200)],
    "full": filled(50, 20, 0.9),
    "thin and full rows": np.vstack([filled(100, 150, 0.03), filled(3, 150, 1.0)]),
    "wide": filled(20, 300, 0.02),
    "empty rows and columns": np.pad(filled(30, 10, 0.2), ((3, 4), (2, 5))),
    "no entries": np.zeros((4, 3)),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((5, 0)),
}


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("kind", MATRICES)
def test_a_gram_matrix_is_that_of_the_dense_matrix(kind, once, monkeypatch):
    monkeypatch.setattr(pairs, "CHUNK", 64)
    monkeypatch.setattr(pairs, "BATCH", 256)
    X = MATRICES[kind]
    made = PairProducts(sparse.csr_array(X), once)
    rng = np.random.default_rng(1)
    for q in (rng.standard_normal(len(X)), rng.uniform(size=len(X)), None):
        expected = X.T @ X if q is None else (X.T * q) @ X
        np.testing.assert_allclose(made.gram(q), expected, rtol=1e-12, atol=1e-12)


def test_pairs_too_many_to_keep_are_made_again(monkeypatch):
    monkeypatch.setattr(pairs, "KEPT_PAIRS", 10)
    X = MATRICES["thin"]
    made = PairProducts(sparse.csr_array(X))
    for _ in range(2):
        np.testing.assert_allclose(made.gram(), X.T @ X, rtol=1e-12, atol=1e-12)
    assert made.kept is None


def test_duplicate_entries_are_added_up_in_a_copy():
    twice = sparse.csr_array(
        (np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 3)
    )
    found = canonical_csr(twice)
    np.testing.assert_array_equal(found.toarray(), [[0.0, 3.0, 0.0], [4.0, 0.0, 0.0]])
    assert found.nnz == 2
    assert twice.nnz == 3


@pytest.mark.parametrize("absent", [0, 3])
def test_a_shifted_column_is_full_and_the_others_stay_as_they_are(absent):
    X = filled(40, 5, 0.3)
    X[:, 1] = 7.0
    X[:absent, 1] = 0.0
    shift = np.array([0.0, 6.5, 0.0, 0.0, 0.0])
    found = shifted(sparse.csr_array(X), shift)
    np.testing.assert_array_equal(found.toarray(), X - shift)
    assert found.nnz == np.count_nonzero(X) + absent
