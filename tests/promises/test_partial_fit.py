"""partial_fit: any split of the rows, in any order, is the fit of all rows."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
from exact import exact_solution
from numpydoc.validate import validate
from problems import random_problem
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from stored import read_nist

from robustreg import LinearRegressor, certify


def in_batches(X, y, w=None, n_batches=5, order=None, **parameters):
    """A model that has seen the rows in so many batches, in the order given."""
    model, n = LinearRegressor("mse", **parameters), len(y)
    for rows in np.array_split(np.arange(n) if order is None else order, min(n_batches, n)):
        model.partial_fit(X[rows], y[rows], None if w is None else w[rows])
    return model


def some_rows(rng, n=200, p=4):
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1.0) + rng.standard_normal(n)


@pytest.mark.parametrize("seed", range(60))
def test_any_split_in_any_order_is_the_fit_of_all_rows(seed):
    X, y, w, parameters = random_problem(seed)
    parameters = {key: parameters[key] for key in ("alpha", "fit_intercept")}
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    if w is not None:  # the first batch needs a row
        order = np.concatenate([order[w[order] > 0.0], order[w[order] == 0.0]])
    whole = LinearRegressor("mse", **parameters).fit(X, y, w)
    model = in_batches(X, y, w, int(rng.choice([1, 2, 5, len(y)])), order, **parameters)
    assert np.all(np.abs(model.coef_ - whole.coef_) * np.abs(X) <= 1e-11 * np.abs(y).max())
    assert model.objective_ == pytest.approx(whole.objective_, rel=1e-11, abs=1e-26 * (y @ y))
    for name in ("rank_", "unique_", "converged_"):
        assert getattr(model, name) == getattr(whole, name), name
    assert model.dual_gap_ <= 1e-12


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_batches", [1, 20, 500])
def test_dependent_columns_have_the_rank_and_the_least_norm_of_the_fit(n_batches, fit_intercept):
    rng = np.random.default_rng(0)
    levels = [np.eye(k)[rng.integers(k, size=500)] for k in (7, 3)]
    X = np.column_stack([*levels, rng.standard_normal(500), np.full(500, 0.1)])
    X = np.column_stack([X, X[:, -2] + X[:, 0]])
    y = X @ rng.standard_normal(13) + rng.standard_normal(500)
    X = X * 10.0 ** np.arange(-6, 7)
    whole = LinearRegressor("mse", fit_intercept=fit_intercept).fit(X, y)
    model = in_batches(X, y, None, n_batches, fit_intercept=fit_intercept)
    assert model.rank_ == whole.rank_ < 13
    assert not model.unique_
    assert model.converged_
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-10, atol=1e-16)
    assert model.work_.digits is None


def test_nearly_dependent_columns_are_told_from_dependent_ones():
    rng = np.random.default_rng(1)
    X, y = some_rows(rng, 100)
    X[:, 3] = X[:, 0] + 1e-9 * rng.standard_normal(100)  # whose squares differ by 1e-18
    model = in_batches(X, y)
    assert model.rank_ == 4
    assert model.unique_
    assert model.orthogonal_
    exact = exact_solution(X, y, True)
    worst = max(abs(Fraction(a) / b - 1) for a, b in zip(model.coef_.tolist(), exact, strict=False))
    assert float(worst) < 10.0 ** (1 - model.work_.digits)  # as many digits as it says
    assert f"About {model.work_.digits} digits are right" in str(model.work_)


def test_directions_too_small_for_float64_are_left_out_with_a_warning():
    rng = np.random.default_rng(2)
    X, _ = some_rows(rng, 400, 3)
    X = np.column_stack([X, X[:, 0] + 3e-14 * rng.standard_normal(400)])
    wide = np.column_stack([X, rng.standard_normal((400, 25))])
    y = (X[:, 3] - X[:, 0]) * 1e14 + rng.standard_normal(400)
    with pytest.warns(ConvergenceWarning, match="left out"):
        model = in_batches(wide, y, n_batches=1)
    assert not model.converged_
    assert model.work_.left_out == 1
    assert model.dual_gap_ > 0.1
    penalised = in_batches(wide, y, n_batches=1, alpha=1e-5)  # which leaves little in them
    assert penalised.converged_
    assert penalised.work_.left_out == 1


@pytest.mark.parametrize(
    ("name", "intercept", "digits"),
    [("norris", True, 11.5), ("noint1", False, 15.0), ("longley", True, 12.5)],
)
def test_nist_reference_data_row_by_row(name, intercept, digits):
    X, y = read_nist(name)
    model = in_batches(X, y, n_batches=len(y), fit_intercept=intercept)
    found = [*model.coef_, *([model.intercept_] if intercept else [])]
    exact = exact_solution(X, y, intercept)
    worst = max(abs(Fraction(float(a)) / b - 1) for a, b in zip(found, exact, strict=True))
    assert -np.log10(float(worst)) >= digits


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e150, 1e300])
def test_units_neither_overflow_nor_vanish(size):
    X, y = some_rows(np.random.default_rng(3))
    plain = in_batches(X, y)
    units = np.array([size, 1.0, 1.0, 1e5])
    model = in_batches(X * units, y)
    np.testing.assert_allclose(model.coef_ * units, plain.coef_, rtol=1e-12)
    assert model.objective_ == pytest.approx(plain.objective_, rel=1e-13)


def test_units_may_change_from_batch_to_batch():
    X, y = some_rows(np.random.default_rng(4))
    X[100:] *= 1e180
    y[100:] += 1e9
    whole = LinearRegressor("mse").fit(X, y)
    for order in (np.arange(200), np.arange(200)[::-1]):
        np.testing.assert_allclose(in_batches(X, y, order=order).coef_, whole.coef_, rtol=1e-11)


@pytest.mark.parametrize("n_batches", [1, 3, 100])
def test_a_mean_far_away_costs_no_digits(n_batches):
    X, y = some_rows(np.random.default_rng(5))
    moved = np.round(X * 2**20) / 2**20  # so that adding is exact
    plain = in_batches(moved, y, n_batches=n_batches)
    model = in_batches(moved + 2.0**28, y, n_batches=n_batches)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-12)


def test_a_drifting_mean_costs_no_digits():
    X, y = some_rows(np.random.default_rng(6))
    X = np.column_stack([X, 1e9 * np.arange(200.0)])
    whole = LinearRegressor("mse").fit(X, y)
    np.testing.assert_allclose(in_batches(X, y, n_batches=200).coef_, whole.coef_, rtol=1e-11)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_several_targets_are_each_alone(alpha):
    X, y = some_rows(np.random.default_rng(7))
    Y = np.column_stack([y, -1e5 * y, y**2])
    model = in_batches(X, Y, alpha=alpha)
    assert model.coef_.shape == (3, 4)
    assert model.dual_gap_.shape == model.objective_.shape == model.intercept_.shape == (3,)
    for k, column in enumerate(Y.T):
        alone = in_batches(X, column, alpha=alpha)
        np.testing.assert_allclose(model.coef_[k], alone.coef_, rtol=1e-12)
        assert model.objective_[k] == pytest.approx(alone.objective_, rel=1e-12)


def test_sparse_batches_are_the_dense_ones():
    rng = np.random.default_rng(8)
    X = sparse.random_array((300, 30), density=0.1, format="csr", random_state=0)
    y = rng.standard_normal(300)
    dense = in_batches(X.toarray(), y)
    np.testing.assert_allclose(in_batches(X, y).coef_, dense.coef_, rtol=1e-12)
    mixed = LinearRegressor("mse").partial_fit(X[:100], y[:100])
    mixed.partial_fit(X.toarray()[100:], y[100:])
    np.testing.assert_allclose(mixed.coef_, dense.coef_, rtol=1e-12)


def test_float32_batches_have_float32_coefficients_until_one_is_not():
    X, y = some_rows(np.random.default_rng(9))
    single = X.astype(np.float32)
    model = in_batches(single, y)
    assert model.coef_.dtype == np.float32
    whole = LinearRegressor("mse").fit(single, y)
    np.testing.assert_array_equal(model.coef_, whole.coef_)
    assert model.partial_fit(X, y).coef_.dtype == np.float64
    assert model.partial_fit(single, y).coef_.dtype == np.float64


def test_weights_count_repeats_and_zero_is_absent():
    rng = np.random.default_rng(10)
    X, y = some_rows(rng)
    w = rng.integers(0, 4, 200).astype(float)
    repeats = np.repeat(np.arange(200), w.astype(int))
    model = in_batches(X, y, w)
    np.testing.assert_allclose(model.coef_, in_batches(X[repeats], y[repeats]).coef_, rtol=1e-12)
    before = model.coef_.copy()
    model.partial_fit(1e9 * X, y, np.zeros(200))  # a batch of absent rows
    np.testing.assert_array_equal(model.coef_, before)
    np.testing.assert_allclose(in_batches(X, y, 1e200 * w).coef_, before, rtol=1e-12)


def test_the_first_batch_needs_a_row():
    X, y = some_rows(np.random.default_rng(11))
    model = LinearRegressor("mse")
    with pytest.raises(ValueError, match="must have a positive entry"):
        model.partial_fit(X, y, np.zeros(200))
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_parameters_may_change_between_calls():
    X, y = some_rows(np.random.default_rng(12))
    model = LinearRegressor("mse").partial_fit(X[:50], y[:50])
    model.set_params(alpha=0.3, fit_intercept=False).partial_fit(X[50:], y[50:])
    whole = LinearRegressor("mse", alpha=0.3, fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)
    assert model.intercept_ == 0.0


def test_fit_forgets_the_batches_and_so_does_a_clone():
    X, y = some_rows(np.random.default_rng(13))
    model = in_batches(X, y).fit(X[:50, :2], y[:50])
    assert model.n_features_in_ == 2
    model.partial_fit(X[50:], y[50:])
    assert model.n_features_in_ == 4
    np.testing.assert_allclose(model.coef_, in_batches(X[50:], y[50:]).coef_, rtol=1e-12)
    fresh = clone(model).partial_fit(X[:50], y[:50])
    np.testing.assert_allclose(fresh.coef_, in_batches(X[:50], y[:50]).coef_, rtol=1e-12)


def test_a_pickled_model_goes_on():
    X, y = some_rows(np.random.default_rng(14))
    model = pickle.loads(pickle.dumps(in_batches(X[:100], y[:100]))).partial_fit(X[100:], y[100:])
    np.testing.assert_allclose(model.coef_, in_batches(X, y).coef_, rtol=1e-12)


def test_what_is_kept_does_not_grow_with_the_rows():
    X, y = some_rows(np.random.default_rng(15), 20_000)
    sizes = [len(pickle.dumps(in_batches(X[:n], y[:n], n_batches=10))) for n in (100, 20_000)]
    assert abs(sizes[0] - sizes[1]) < 100


@pytest.mark.parametrize("wrong", ["nan", "columns", "targets", "weights", "huge", "alpha"])
def test_a_call_that_fails_leaves_the_earlier_ones(wrong):
    X, y = some_rows(np.random.default_rng(16))
    model = in_batches(X[:100], y[:100])
    before = pickle.dumps(model)
    A, b, w, error = X[100:].copy(), y[100:], None, "X"
    if wrong == "nan":
        A[3, 2], error = np.nan, "NaN"
    elif wrong == "columns":
        A, error = A[:, :3], "3 features, but LinearRegressor is expecting 4"
    elif wrong == "targets":
        b, error = b[:, None], r"y must have the targets of the first call.*\(100, 1\)"
    elif wrong == "weights":
        w, error = np.full(100, -1.0), "sample_weight must be >= 0"
    elif wrong == "huge":
        A[:, 0], error = 1.7e308 * (A[:, 0] > 0.0), "too large"
    else:
        model.set_params(alpha=-1.0)
        before, error = pickle.dumps(model), "alpha"
    with pytest.raises(ValueError, match=error):
        model.partial_fit(A, b, w)
    assert pickle.dumps(model) == before


def test_names_of_columns_are_those_of_the_first_call():
    pd = pytest.importorskip("pandas")
    X, y = some_rows(np.random.default_rng(17))
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = LinearRegressor("mse").partial_fit(frame[:100], y[:100])
    assert list(model.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        model.partial_fit(frame[100:].rename(columns={"a": "z"}), y[100:])
    whole = LinearRegressor("mse").fit(frame, y)
    model.partial_fit(frame[100:], y[100:])
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)


@pytest.mark.parametrize("loss", ["mae", "huber", "absolute_error", "nonsense"])
def test_other_losses_have_no_partial_fit_and_say_why(loss):
    model = LinearRegressor(loss)
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match=f"partial_fit needs loss='mse', got '{loss}': sums"):
        model.partial_fit([[1.0]], [1.0])
    with pytest.raises(AttributeError, match="partial_fit needs loss='mse'"):
        LinearRegressor.partial_fit(model, [[1.0]], [1.0])
    assert hasattr(LinearRegressor("squared_error"), "partial_fit")


def test_what_it_took_is_told():
    X, y = some_rows(np.random.default_rng(18))
    model = in_batches(X, y)
    assert model.work_.way == "sums"
    assert "each read once" in str(model.work_)
    assert model.n_iter_ == 1
    assert not hasattr(model, "outliers_")
    proof = certify(model, X, y)  # which knows nothing of moments
    assert proof.gap <= 1e-12


def test_a_constant_or_single_row_has_its_mean():
    model = LinearRegressor("mse").partial_fit([[3.0, 5.0]], [7.0])
    assert model.coef_.tolist() == [0.0, 0.0]
    assert model.intercept_ == 7.0
    assert model.rank_ == 0
    model.partial_fit([[3.0, 5.0]] * 3, [9.0, 10.0, 14.0])
    assert model.intercept_ == pytest.approx(10.0, rel=1e-15)


def test_the_documentation_is_complete():  # the check of public methods does not see it
    left_out = {"GL01", "SA01", "EX01", "ES01", "SA04"}
    errors = validate("robustreg.LinearRegressor.partial_fit")["errors"]
    assert not [error for error in errors if error[0] not in left_out]
