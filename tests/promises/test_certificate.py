"""certify: right fits are proved, wrong ones are shown, whoever made them."""

import numpy as np
import pandas as pd
import pytest
from problems import LOSSES, objective, random_problem, slow
from scipy import sparse
from scipy.optimize import linprog
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import (
    HuberRegressor,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    QuantileRegressor,
    Ridge,
    RidgeCV,
)

from robustreg import Certificate, LinearRegressor, certify


def noisy(n=300, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1) + rng.standard_t(2, n)


@pytest.mark.parametrize("block", [0, *slow(*range(1, 10))])
def test_fits_are_proved_and_uniqueness_agrees(block):
    for seed in range(50 * block, 50 * (block + 1)):
        X, y, w, parameters = random_problem(seed)
        model = LinearRegressor(**parameters).fit(X, y, w)
        proof = certify(model, X, y, w)
        assert proof.gap <= 1e-11, seed
        assert proof.unique == model.unique_, seed
        assert proof.objective == pytest.approx(
            model.objective_, rel=1e-11, abs=1e-13 * np.abs(y).mean()
        ), seed
        assert proof.dual <= proof.objective, seed


@pytest.mark.parametrize("alpha", [0.0, *slow(0.3)])
@pytest.mark.parametrize("loss", ["mae", *slow("mse", "huber")])
def test_a_coefficient_moved_in_its_sixth_digit_shows(loss, alpha):
    for seed in range(20):
        X, y = noisy(seed=seed)
        model = LinearRegressor(loss, alpha=alpha).fit(X, y)
        right = certify(model, X, y)
        assert right.gap <= 1e-15
        assert right.stationarity <= 1e-13
        for j in range(X.shape[1]):
            model.fit(X, y).coef_[j] *= 1 + 1e-6
            moved = certify(model, X, y)
            assert max(moved.gap, moved.stationarity) > 1e-9
            assert moved.gap > 1e-9 or loss != "mae" or alpha
        model.fit(X, y).intercept_ += 1e-6
        assert (
            not model.unique_
            or max(certify(model, X, y).gap, certify(model, X, y).stationarity) > 1e-9
        )


@pytest.mark.parametrize("size", [1e-2, *slow(1e-4, 1.0)])
@pytest.mark.parametrize("alpha", [0.3, *slow(0.0)])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_bound_holds_and_is_tight_far_from_the_minimum(loss, alpha, size):
    for seed in range(5):
        X, y = noisy(100, 3, seed)
        model = LinearRegressor(loss, alpha=alpha).fit(X, y)
        least = model.objective_
        model.coef_ = model.coef_ + size * np.random.default_rng(seed).standard_normal(3)
        proof = certify(model, X, y)
        excess = 1 - least / objective(model, X, y)
        assert excess * (1 - 1e-12) - 1e-14 <= proof.gap <= 1.01 * excess + 1e-9
        assert proof.dual <= least * (1 + 1e-12)


def test_the_dual_is_a_lower_bound_found_by_highs_too():
    X, y = noisy(60, 3)
    n = len(y)
    A = np.column_stack([X, np.ones(n)])
    program = linprog(-y, A_eq=A.T, b_eq=np.zeros(4), bounds=(-1, 1))
    proof = certify(LinearRegression().fit(X, y), X, y, loss="mae")
    assert proof.dual == pytest.approx(-program.fun / n, rel=1e-7)
    assert proof.gap > 1e-3


def test_scikit_learns_own_estimators_are_judged():
    X, y = noisy()
    assert certify(LinearRegression().fit(X, y), X, y, loss="mse").gap <= 1e-15
    assert certify(LinearRegression(fit_intercept=False).fit(X, y), X, y, loss="mse").gap <= 1e-15
    assert certify(Ridge(alpha=7.0).fit(X, y), X, y, loss="mse").gap <= 1e-14
    w = np.random.default_rng(0).uniform(size=len(y))
    assert certify(Ridge(alpha=7.0).fit(X, y, w), X, y, w, loss="mse").gap <= 1e-14
    assert certify(RidgeCV().fit(X, y), X, y, loss="mse").gap <= 1e-14
    assert certify(QuantileRegressor(alpha=0.0).fit(X, y), X, y, loss="mae").gap <= 1e-9
    huber = HuberRegressor(alpha=0.0, tol=1e-10).fit(X, y)
    delta = huber.epsilon * huber.scale_
    assert certify(huber, X, y, loss="huber", delta=delta, alpha=0.0).gap <= 1e-7


def test_what_a_change_of_units_does_to_others_is_shown():
    X, y = noisy()
    tiny = QuantileRegressor(alpha=0.0).fit(X, 1e-9 * y)
    assert certify(tiny, X, 1e-9 * y, loss="mae").gap > 0.1
    huber = HuberRegressor(alpha=0.0).fit(X + 1e6, y)
    assert certify(huber, X + 1e6, y, loss="huber", delta=1.0).gap > 0.1


def test_other_losses_than_the_estimators_own():
    X, y = noisy()
    model = LinearRegressor("mse").fit(X, y)
    assert certify(model, X, y).gap <= 1e-15
    assert certify(model, X, y, loss="absolute_error").gap > 1e-3
    assert certify(model, X, y, loss="huber", delta=1e9).gap <= 1e-12
    assert certify(model, X, y, alpha=1.0).gap > 1e-3


@pytest.mark.parametrize("loss", LOSSES)
def test_several_targets_sparse_columns_frames_and_float32(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3)) * (rng.uniform(size=(80, 3)) < 0.5)
    Y = np.column_stack([X @ [1.0, 2.0, 3.0], 1e9 * X[:, 0]]) + rng.standard_t(2, (80, 2))
    proofs = certify(LinearRegressor(loss).fit(X, Y), sparse.csr_matrix(X), Y)
    assert [proof.gap <= 1e-13 for proof in proofs] == [True, True]
    single = LinearRegressor(loss).fit(X.astype(np.float32), Y[:, 0])
    proof = certify(single, X.astype(np.float32), Y[:, 0])
    assert proof.gap <= 1e-9  # half a unit in the last place of float32 is told apart
    assert proof.rounding <= 1e-5


def test_it_reads_as_a_sentence():
    X, y = noisy()
    proof = certify(LinearRegressor("mae").fit(X, y), X, y)
    assert isinstance(proof, Certificate)
    assert str(proof).endswith("is the minimum, to rounding, and no other coefficients reach it.")
    assert str(proof).startswith("The mae objective 1.5")
    text = str(certify(LinearRegression().fit(X, y), X, y, loss="mae"))
    assert "may exceed its minimum" in text
    doubled = np.column_stack([X, X])
    text = str(certify(LinearRegressor("mse").fit(doubled, y), doubled, y))
    assert text.endswith("which other coefficients reach too.")


def test_an_exact_fit_is_proved():
    X = np.arange(12.0).reshape(6, 2)
    for loss in LOSSES:
        proof = certify(LinearRegressor(loss).fit(X, X[:, 0]), X, X[:, 0])
        assert proof.gap == 0.0
        zero = certify(LinearRegressor(loss).fit(X, np.zeros(6)), X, np.zeros(6))
        assert (zero.objective, zero.gap) == (0.0, 0.0)


def test_bad_input_is_refused_with_a_clear_message():
    X, y = noisy(30, 2)
    model = LinearRegressor("huber").fit(X, y)
    with pytest.raises(NotFittedError):
        certify(LinearRegressor(), X, y)
    with pytest.raises(ValueError, match="loss must be given for a LinearRegression"):
        certify(LinearRegression().fit(X, y), X, y)
    with pytest.raises(ValueError, match=r"loss must be one of .*'l1'"):
        certify(model, X, y, loss="l1")
    with pytest.raises(ValueError, match="delta must be given for a LinearRegression"):
        certify(LinearRegression().fit(X, y), X, y, loss="huber")
    with pytest.raises(ValueError, match="delta must be a positive"):
        certify(model, X, y, delta=-1.0)
    with pytest.raises(
        ValueError, match=r"alpha must be given .* QuantileRegressor with .'alpha': 1"
    ):
        certify(QuantileRegressor().fit(X, y), X, y, loss="mae")
    with pytest.raises(ValueError, match=r"regressor with coef_ .* ndarray and shape \(30, 2\)\."):
        certify(X, y, model)
    with pytest.raises(ValueError, match=r"regressor with coef_ .* RandomForestRegressor"):
        certify(RandomForestRegressor(2).fit(X, y), X, y, loss="mse")
    with pytest.raises(ValueError, match="one coefficient per column"):
        certify(model, X[:, :1], y)
    with pytest.raises(ValueError, match=r"alpha must be given for a LassoCV"):
        certify(LassoCV(cv=3).fit(X, y), X, y, loss="mse")
    with pytest.raises(ValueError, match=r"regressor with coef_ .* LogisticRegression"):
        certify(LogisticRegression().fit(X, y > 0), X, y, loss="mse")
    with pytest.raises(ValueError, match=r"quantile=0.5 .* got quantile=0.9"):
        certify(QuantileRegressor(quantile=0.9, alpha=0.0).fit(X, y), X, y, loss="mae")
    frame = pd.DataFrame(X, columns=["a", "b"])
    with pytest.raises(ValueError, match=r"columns of the fit, \['a', 'b'\]; got \['b', 'a'\]"):
        certify(LinearRegressor().fit(frame, y), frame[["b", "a"]], y)
    broken = LinearRegressor().fit(X, y)
    broken.coef_ = np.array([np.nan, 1.0])
    with pytest.raises(ValueError, match="finite coef_"):
        certify(broken, X, y)
    del broken.intercept_
    broken.coef_ = np.ones(2)
    with pytest.raises(ValueError, match="finite intercept_"):
        certify(broken, X, y)
    with pytest.raises(ValueError, match="sample_weight must be >= 0"):
        certify(model, X, y, sample_weight=-np.ones(30))
    with pytest.raises(ValueError, match="NaN"):
        certify(model, np.where(X > 2, np.nan, X) * np.nan, y)


def test_coefficients_that_are_far_too_large_are_judged_not_refused():
    X, y = noisy(30, 2)
    model = LinearRegressor("mse").fit(X, y)
    model.coef_ = np.array([1e308, -1e308])
    assert certify(model, X, y).gap == 1.0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", [3, 44])
def test_many_rows_of_two_levels_in_units_of_their_own(seed, loss):
    """A QR factorisation of so many like rows rounds by 30 last places, always in one direction."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(20, 3000)), int(rng.integers(2, 6))
    X = np.eye(k)[rng.integers(0, k, n)] * rng.uniform(0.1, 10.0, k)
    y = X.sum(axis=1) + rng.standard_t(2, n)
    model = LinearRegressor(loss).fit(X, y)
    assert certify(model, X, y).gap <= 1e-12
    model.intercept_ += 0.1
    assert certify(model, X, y).gap > 1e-5
