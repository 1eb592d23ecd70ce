"""The proof is true: a certificate's claims against rational arithmetic, enumeration and other
people's fits.
"""

import warnings
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from exact import feasible, least_absolute, loss, objective, product, rational
from hypothesis import given, settings
from hypothesis import strategies as st
from judged import check, hostile_problem
from problems import LOSSES, slow
from scipy import sparse
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import LinearRegression, PoissonRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from robustreg import LinearRegressor, LinearRegressorCV, certify
from robustreg.proof import judge
from robustreg.proof.judged_problem import judged_problem, loss_of


def judged(b, b0=0.0, intercept=True):
    """Coefficients as somebody's class without BaseEstimator has them."""
    return SimpleNamespace(coef_=np.asarray(b, dtype=float), intercept_=b0, fit_intercept=intercept)


# -- what was claimed and is false --------------------------------------------------------------


def test_a_row_of_leverage_does_not_raise_the_bound():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 1))
    X[0] = 1e5
    y = 0.5 * X[:, 0] + rng.standard_normal(20)
    least = LinearRegressor("mae").fit(X, y).objective_
    proof = certify(judged([0.0]), X, y, loss="mae")
    assert 0.99 * least <= proof.dual <= least
    X[0], y[0] = 1e5, 0.0  # far from the line of the others, and near to the judged one
    assert (
        certify(judged([0.0]), X, y, loss="mae").dual <= LinearRegressor("mae").fit(X, y).objective_
    )


def test_the_old_line_is_not_optimal_after_one_row_has_moved():
    X = np.random.default_rng(1).standard_normal((30, 2))
    y = X @ [0.3, -0.7] + 0.1
    X[0] *= 1e5
    y[0] = 0.0
    old = judged([0.3, -0.7], 0.1)
    proof = certify(old, X, y, loss="mae")
    fit = LinearRegressor("mae").fit(X, y)
    assert proof.dual <= fit.objective_
    assert proof.gap > 0.99
    assert proof.unique is None


def test_two_lines_with_the_same_objective_are_both_said_not_to_be_the_only_one():
    X, y, w = (
        np.array([[-3.0], [-3.0], [0.0], [-3.0]]),
        np.array([-1e9, -300.0, 100.0, -0.01]),
        [2.0, 1.0, 1.0, 1.0],
    )
    for slope in (400.0 / 3.0, (1e9 + 100.0) / 3.0):
        proof = certify(judged([slope], 100.0), X, y, w, loss="mae")
        assert proof.gap <= 1e-9
        assert proof.unique is False


def test_a_direction_of_last_places_is_left_out_of_the_sentence():
    X, y = np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-52]] * 3), np.array([0.0, 1.0] * 3)
    model = LinearRegressor("mse", fit_intercept=False).fit(X, y)
    proof = certify(model, X, y)
    assert proof.left_out == 1
    assert str(proof).endswith(
        "This leaves out one direction of X that only the last places of its numbers tell from none."
    )
    exact = judged([-(2.0**52), 2.0**52], 0.0, intercept=False)  # residuals of exactly 0 in float64
    assert certify(exact, X, y, loss="mse").dual == 0.0
    assert certify(exact, X, y, loss="mse").left_out == 1


def test_all_coefficients_of_one_X_are_told_of_the_same_directions():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((40, 3))
    X[:, 2] = X[:, 1] * (1.0 + 2.0**-51 * rng.integers(-1, 2, 40))
    y = X[:, 0] + rng.standard_normal(40)
    models = [LinearRegressor("mse").fit(X, y), judged([1.0, 0.0, 0.0]), judged([1.0, 1e15, -1e15])]
    assert [certify(model, X, y, loss="mse").left_out for model in models] == [1, 1, 1]


@pytest.mark.parametrize(
    "X",
    [
        np.column_stack([np.eye(3)[np.arange(30) % 3], np.arange(30.0) % 7]),
        np.column_stack([np.sin(np.arange(30.0)), np.sin(np.arange(30.0))]),
        np.column_stack([np.sin(np.arange(30.0)), -np.sin(np.arange(30.0))]),
        np.column_stack([np.arange(30.0) % 5, np.full(30, 3.7)]),
        np.column_stack(
            [
                np.arange(30.0) % 5,
                np.arange(30.0) % 4,
                np.arange(30.0) % 5 - 2.0 * (np.arange(30.0) % 4) + 7,
            ]
        ),
        np.column_stack([np.arange(30.0) % 5, np.zeros(30)]),
    ],
    ids=["dummies", "copy", "mirrored", "constant", "integers", "zeros"],
)
@pytest.mark.parametrize("name", LOSSES)
def test_directions_that_change_nothing_need_not_be_left_out(X, name):
    y = np.random.default_rng(0).standard_normal(30)
    for storage in (np.asarray, sparse.csr_array):
        proof = certify(LinearRegressor(name).fit(X, y), storage(X), y)
        assert proof.left_out == 0
        assert proof.unique is False
        assert proof.gap <= 1e-13


def test_where_rounding_explains_the_objective_nothing_is_claimed():
    # Terms of 1e15 that cancel: residuals are known to about 1 only.
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal(20), np.zeros(20)])
    X[:, 1] = X[:, 0] + 1e-3 * rng.standard_normal(20)
    y = rng.standard_normal(20)
    proof = certify(judged([3e15, -3e15]), X, y, loss="mae")
    assert proof.gap + proof.rounding > 0.5
    assert not proof.exact_fit
    assert proof.unique is None
    # One row weighs so much that the last place of the coefficients decides what it costs.
    w = np.where(np.arange(20) == 0, 1e20, 1.0)
    model = LinearRegressor("mae").fit(X[:, :1], y, sample_weight=w)
    proof = certify(model, X[:, :1], y, w)
    assert proof.rounding > 0.01
    assert proof.unique is None
    assert "cannot be told from its minimum, nor proved to be it" in str(proof)
    assert proof.dual <= float(
        objective(X[:, :1], y, w, model.coef_, model.intercept_, "mae", 1.0, 0.0)
    )


def test_an_intercept_that_nearly_is_a_sum_of_columns_is_left_out():
    odd = np.arange(10) % 2
    X = 4.0 * np.eye(5)[np.arange(10) // 2] * (1.0 + odd[:, None] * 2.0**-52)
    assert not np.any(odd - X @ np.full(5, 2.0**50) + 2.0**52)  # b = 2^50, b0 = -2^52 leave nothing
    for name in LOSSES:
        proof = certify(judged([0.125] * 5), X, 1.0 * odd, loss=name, delta=1.0)
        assert proof.left_out == 1


def test_rows_parallel_to_rows_that_are_held_do_not_make_a_minimiser_unique():
    X, y = (
        np.array([[-1.0, 2.0], [1.0, -2.0], [-1.0, -1.0], [-2.0, 1.0]]),
        np.array([-2.0, 2.0, 1.0, 1.0]),
    )
    one, other = (
        judged([0.0, -1.0], intercept=False),
        judged([-4.0 / 3.0, -5.0 / 3.0], intercept=False),
    )
    assert (
        certify(one, X, y, loss="mae").objective
        == certify(other, X, y, loss="mae").objective
        == 0.5
    )
    assert certify(one, X, y, loss="mae").unique is not True


def test_a_penalty_that_underflows_is_none():
    X, y = np.array([[1.0, 0.0], [0.0, 1e3]]), np.ones(2)
    for alpha in (0.0, 1e-320):
        proof = certify(judged([1.0, 0.0], intercept=False), X, y, loss="mse", alpha=alpha)
        assert proof.dual == 0.0
        assert proof.gap > 0.9


def test_coefficients_of_small_integers_are_numbers():
    model = SimpleNamespace(
        coef_=np.array([-32768], np.int16), intercept_=np.int16(0), fit_intercept=False
    )
    X, y = np.ones((5, 1)), np.array([1.0, 2.0, 3.0, 4.0, -1.0]) - 32768.0
    assert certify(model, X, y, loss="mae").dual <= 1.4


def test_what_underflows_proves_nothing():
    w = [2.0**60, 1.4 * 2.0**-1014]
    X, y = np.ones((2, 1)), np.array([0.0, 1.05 * 2.0**996])
    least = objective(X, y, w, [0.0], 0.0, "mae", 1.0, 0.0)
    assert certify(judged([0.0], intercept=False), X, y, w, loss="mae").dual <= least
    far = certify(
        judged([1e155, 0.0], intercept=False), np.eye(2), [1e155, 1e-10], [1e-300, 1.0], loss="mse"
    )
    assert not np.isnan(far.objective)
    assert far.dual == 0.0


@pytest.mark.parametrize(
    ("X", "y", "b", "b0", "name", "delta"),
    [
        ([[1.0]] * 5, [1e100, 2e100, 3e100, -1e100, 0.0], [1e100], 0.0, "huber", 1e-300),
        ([[1.0], [1.1], [1.2]], [0.5, 0.6, 0.9], [1.5e308], 1.5e308, "mse", 1.0),
        (
            [[1, 0], [0, 1], [1e-170, 1e-170], [1e-170, -1e-170]] * 2,
            [-1, -1, 0, 0, 1, 1, 0, 0],
            [0, 0],
            0.0,
            "mae",
            1.0,
        ),
        ([[1.0]] * 300 + [[1e-308]] * 303, [100.0] * 300 + [0.0] * 303, [1.0], 0.0, "mae", 1.0),
        ([[1.0], [0.0], [0.0]], [1e14, 0.0, 0.1], [1e14], 0.0, "huber", 1.0),
        ([[1.0], [2.0], [4.0]], [1e155, 2e155, 1e155], [1e155], 0.0, "mse", 1.0),
    ],
    ids=["delta", "overflow", "tiny rows", "columns", "hidden knot", "squares"],
)
def test_the_ends_of_float64_are_judged(X, y, b, b0, name, delta):
    for intercept in (False, True):
        model = judged(b, b0 * intercept, intercept)
        proof = certify(model, X, y, loss=name, delta=delta)
        own = objective(X, y, np.ones(len(y)), model.coef_, model.intercept_, name, delta, 0.0)
        assert not np.isnan(proof.objective)
        assert (
            own > 10**307
            or abs(float(own) - proof.objective)
            <= 1e-14 * proof.objective + proof.objective - proof.dual
        )
        assert Fraction(proof.dual) <= own


def test_a_sparse_table_is_read_as_its_numbers_are():
    rng = np.random.default_rng(0)
    n, p = 3000, 400
    rows, columns = np.repeat(np.arange(n), 4), rng.integers(0, p, 4 * n)
    values = rng.uniform(0.5, 1.0, 4 * n).astype(np.float32)
    X = sparse.csr_array(
        (values, (rows, columns)), shape=(n, p)
    )  # float32, with repeated entries added up
    y = rng.standard_normal(n)
    assert X.dtype == np.float32
    dense = X.toarray().astype(float)
    b = np.linalg.lstsq(np.column_stack([dense, np.ones(n)]), y, rcond=None)[0]
    raw = sparse.csr_array((n, p), dtype=np.float32)
    order = np.argsort(rows, kind="stable")
    raw.data, raw.indices = (
        values[order],
        columns[order].astype(np.int32),
    )  # repeated entries, not sorted
    raw.indptr = np.arange(0, 4 * n + 1, 4, dtype=np.int32)
    for storage in (X, dense, raw):
        proof = certify(judged(b[:-1], b[-1]), storage, y, loss="mse")
        assert proof.left_out == 0
        assert proof.gap <= 1e-13


@pytest.mark.parametrize("levels", [3, *slow(2, 4, 5, 6, 9)])
def test_dummies_of_all_levels_never_need_to_be_left_out(levels):
    for seed in range(30):
        codes = np.random.default_rng(seed).integers(0, levels, 60)
        X, y = np.eye(levels)[codes], np.random.default_rng(0).standard_normal(60)
        model = LinearRegressor("mae").fit(X, y)
        assert [
            certify(model, storage(X), y).left_out for storage in (np.asarray, sparse.csr_array)
        ] == [0, 0]


@pytest.mark.parametrize("alpha", [1e-58, 1e-30, 1e-20, 1e-10])
@pytest.mark.parametrize("name", LOSSES)
def test_a_penalty_that_only_chooses_among_minimisers_is_no_obstacle(name, alpha):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((14, 2))
    X[:, 1] = X[:, 0]
    y = X[:, 0] + rng.standard_normal(14)
    assert certify(LinearRegressor(name, alpha=alpha).fit(X, y), X, y).gap <= 1e-9


# -- the bound ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, *slow(*range(1, 40))])
def test_no_candidate_is_below_the_bound_of_another(seed):
    _, wrong = check(seed)
    assert not wrong


@pytest.mark.slow
@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(10**6, 10**9))
def test_no_candidate_is_below_the_bound_of_another_drawn(seed):
    _, wrong = check(seed)
    assert not wrong


def small_problem(seed):
    """n <= 12 rows with integers, weights of powers of two and a judged point: (X, y, w, b, b0)."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(3, 13)), int(rng.integers(1, 3))
    X = rng.integers(-4, 5, (n, p)).astype(float) if seed % 2 else rng.standard_normal((n, p))
    y = np.round(3 * rng.standard_normal(n)) if seed % 2 else rng.standard_normal(n)
    if seed % 3 == 0:
        X[0] *= 10.0 ** int(rng.integers(0, 7))
        y[-1] *= 10.0 ** int(rng.integers(0, 16))
    w = rng.choice([1.0, 2.0, 3.0], n) if seed % 4 else np.ones(n)
    model = LinearRegressor(LOSSES[seed % 3]).fit(X, y, sample_weight=w)
    return X, y, w, model.coef_ * (1.0 + (seed % 5 == 0)), model.intercept_


def exact_dual(X, y, w, b, b0, name, delta, alpha=0.0, intercept=True):
    """(D at the point that the proof of (b, b0) rests on, the certificate): D in Fractions, from
    the data as given.

    D is None where the proof is of fewer directions or of a loss nearby. That the point is feasible
    is asserted here.
    """
    shared = judge.make_table(X, intercept)
    problem = judged_problem(shared.design, y, w, b, b0, loss=loss_of(name, delta), alpha=alpha)
    proof = judge.judge(shared, y, w, b, b0, loss=loss_of(name, delta), alpha=alpha)
    if proof.left_out or problem.units.knot_loss:
        return None, proof
    best = judge._best(problem, shared.found, True)
    A = np.column_stack([X, np.ones(len(X))]) if intercept else X
    constrained = A[:, X.shape[1] :] if alpha else A
    u, room, weights = rational(best.u), rational(problem.loss.room(best.u)), rational(w)
    point = feasible(rational(constrained), weights, u, room) if constrained.size else u
    if point is None:
        assert not np.any(best.u), "only u = 0 needs no correction"
        return Fraction(0), proof
    assert not problem.loss.bounded or max(map(abs, point)) <= Fraction(problem.loss.upper)
    pulls = list(map(product, weights, point))
    assert not any(sum(map(product, pulls, column)) for column in rational(constrained.T))
    unit, factor = Fraction(2) ** problem.units.up, Fraction(2) ** problem.units.power
    targets = [target / unit for target in rational(y)]
    terms = zip(weights, point, targets, strict=True)
    value = (
        sum(wi * (ui * yi - (0 if name == "mae" else ui * ui / 2)) for wi, ui, yi in terms) * factor
    )
    if alpha:
        slopes = [sum(map(product, pulls, column)) * factor / unit for column in rational(X.T)]
        value -= sum(slope * slope for slope in slopes) / (2 * Fraction(alpha) * sum(weights))
    return value / sum(weights), proof


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", [*range(8), *slow(*range(8, 40))])
def test_the_dual_point_is_feasible_and_worth_what_is_claimed_in_rational_arithmetic(name, seed):
    dual, proof = exact_dual(*small_problem(seed), name, 0.7)
    assert dual is None or Fraction(proof.dual) <= max(dual, 0)


@pytest.mark.parametrize("seed", [*range(20), *slow(*range(20, 60))])
def test_the_bound_and_uniqueness_agree_with_all_vertices(seed):
    X, y, w, b, b0 = small_problem(2 * seed + 1 if seed < 40 else 2 * seed)
    A = np.column_stack([X, np.ones(len(X))])
    if np.linalg.matrix_rank(A) < A.shape[1]:
        pytest.skip("no vertices")
    least, vertices = least_absolute(A, y, w)
    least = least / sum(rational(w))
    model = LinearRegressor("mae").fit(X, y, sample_weight=w)
    for coefficients in [(b, b0), (model.coef_, model.intercept_)]:
        proof = certify(judged(*coefficients), X, y, w, loss="mae")
        assert Fraction(proof.dual) <= least
        if proof.gap <= 1e-9:
            assert proof.unique == (len(vertices) == 1)
    assert proof.gap <= 1e-12


def test_the_rounding_of_sums_is_bounded_and_not_nothing():
    rng = np.random.default_rng(0)
    X, u = rng.standard_normal((20_000, 3)), rng.standard_normal(20_000)
    design, w = judge.make_table(X, True).design, np.ones(20_000)
    v, error = design.adjoint_exact(w, u)
    off = np.abs(design.adjoint(u) - v)
    assert off.max() > 0.0
    assert np.all(off <= design.sum_error * np.sqrt(u @ u * design.squares(w)) + error)


def test_sums_are_exact_for_columns_far_from_their_origin():
    rng = np.random.default_rng(0)
    X = 1e6 + rng.standard_normal((50, 2))
    design = judge.make_table(X, True).design
    assert design.shift is not None
    w, u = rng.uniform(0.1, 1.0, 50), rng.standard_normal(50)
    for values in (u, u - w @ u / w.sum(), np.linalg.qr(X)[0] @ [1.0, 1.0] * 1e-17 + u):
        v, error = design.adjoint_exact(w, values)
        pulls = list(map(product, rational(w), rational(values)))
        total = sum(pulls)
        for j in range(2):
            shift, scale = Fraction(design.shift[j]), Fraction(design.scale[j])
            exact = sum(
                pull * (x - shift) / scale for pull, x in zip(pulls, rational(X[:, j]), strict=True)
            )
            assert abs(Fraction(v[j]) - exact) <= Fraction(error[j])
            assert error[j] <= 1e-8
        assert abs(Fraction(v[2]) - total) <= Fraction(error[2])
        assert error[2] <= 3e-16 * abs(float(total))


@pytest.mark.parametrize("name", LOSSES)
def test_the_objective_far_from_the_origin_is_that_of_the_coefficients_as_given(name):
    rng = np.random.default_rng(0)
    X = 1e6 + rng.standard_normal((50, 2))
    y = X @ [3.0, -1.0] + 1e9 + rng.standard_normal(50)
    model = LinearRegressor(name).fit(X, y)
    own = objective(X, y, np.ones(50), model.coef_, model.intercept_, name, 1.35, 0.0)
    assert certify(model, X, y).objective == pytest.approx(float(own), rel=1e-12)


def test_the_excess_is_that_of_fenchel_and_young():
    rng = np.random.default_rng(0)
    for name, bound in (("mse", 5.0), ("mae", 1.0), ("huber", 0.7)):
        design = judge.make_table(np.ones((2, 1)), False).design
        value = judged_problem(
            design, np.ones(2), None, np.zeros(1), 0.0, loss=loss_of(name, 1.4), alpha=0.0
        ).loss
        r, u = 3.0 * rng.standard_normal(400), bound * rng.uniform(-1, 1, 400)
        r[:20], u[20:40] = 0.0, np.sign(u[20:40]) * bound
        grid = np.linspace(-30, 30, 60001)
        conjugate = np.array([np.max(slope * grid - value.value(grid)) for slope in u])
        excess = value.excess(r, u)
        assert np.all(excess >= 0.0)
        np.testing.assert_allclose(excess, value.value(r) + conjugate - u * r, atol=1e-6)
        nearest = value.nearest(r, u, np.full(400, np.inf))
        np.testing.assert_allclose(value.excess(nearest, u), 0.0, atol=1e-15)


def test_asymmetric_losses_have_the_same_formulas():
    from robustreg.proof.judged_problem import Loss

    value, grid = Loss(-0.3, 0.7, 0.0, 0.0), np.linspace(-9, 9, 2001)
    np.testing.assert_allclose(value.value(grid), np.maximum(0.7 * grid, -0.3 * grid), atol=1e-15)
    u = np.full(grid.shape, 0.2)
    np.testing.assert_allclose(value.excess(grid, u), value.value(grid) - 0.2 * grid, atol=1e-15)


# -- the gaps of fits ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [*range(20), *slow(*range(20, 60))])
def test_the_gap_of_a_fit_is_no_smaller_than_its_distance_from_the_exact_minimum(seed):
    X, y, w, _, _ = small_problem(2 * seed)
    A = np.column_stack([X, np.ones(len(X))])
    if np.linalg.matrix_rank(A) < A.shape[1]:
        pytest.skip("no vertices")
    least, _ = least_absolute(A, y, w)
    model = LinearRegressor("mae").fit(X, y, sample_weight=w)
    value = objective(X, y, w, model.coef_, model.intercept_, "mae", 1.0, 0.0)
    places = np.abs(y) + np.abs(X) @ np.abs(model.coef_) + abs(model.intercept_)
    rounding = 1e-15 * float(w @ places / w.sum())
    assert float(value - least / sum(rational(w))) <= model.dual_gap_ * model.objective_ + rounding


@pytest.mark.parametrize("seed", [*range(20), *slow(*range(20, 60))])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gap_of_a_fit_is_no_smaller_than_an_exact_dual_bound_says(name, seed):
    X, y, w, delta, alpha, intercept = hostile_problem(seed)
    ours = LinearRegressor(name, delta=delta, alpha=alpha, fit_intercept=intercept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours.fit(X, y, sample_weight=w)
    if not ours.converged_:
        return
    b, b0 = ours.coef_, ours.intercept_
    dual, proof = exact_dual(X, y, w, b, b0, name, delta, alpha, intercept)
    if dual is None:
        return
    value = objective(X, y, w, b, b0, name, delta, alpha)
    assert proof.dual <= dual
    # What two units in the last place of each number can do to the objective.
    e = 4e-16 * (np.abs(y) + np.abs(X) @ np.abs(b) + abs(b0))
    slope = {
        "mse": np.abs(y - X @ b - b0) + e,
        "mae": np.ones(len(y)),
        "huber": np.full(len(y), delta),
    }[name]
    rounding = float(w @ (2.0 * slope * e) / w.sum()) + 1e-15 * alpha * float(b @ b)
    assert float(value - dual) <= (ours.dual_gap_ + proof.gap) * ours.objective_ + rounding


@pytest.mark.parametrize("kind", ["leverage", *slow("plain", "far targets", "ties")])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gap_of_a_fit_to_many_rows_is_held_to_the_same_bound(name, kind):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1500, 2))
    if kind == "leverage":
        X[:30] *= 1e4
    y = X @ [1.0, -2.0] + rng.standard_t(2, 1500)
    if kind == "far targets":
        y[::100] = 1e12
    y = np.round(y) if kind == "ties" else y
    w = rng.integers(1, 4, 1500) * 1.0
    model = LinearRegressor(name).fit(X, y, sample_weight=w)
    dual, proof = exact_dual(X, y, w, model.coef_, model.intercept_, name, 1.35)
    value = objective(X, y, w, model.coef_, model.intercept_, name, 1.35, 0.0)
    e = 4e-16 * (np.abs(y) + np.abs(X) @ np.abs(model.coef_) + abs(model.intercept_))
    slope = np.abs(y) + 1.0 if name == "mse" else np.ones(1500)
    rounding = 3.0 * float(w @ (slope * e) / w.sum())
    assert model.dual_gap_ <= 1e-9
    assert float(value - dual) <= (model.dual_gap_ + proof.gap) * model.objective_ + rounding
    assert proof.gap <= 1e-9


# -- any linear model, however it is stored ------------------------------------------------------


def test_pipelines_and_searches_are_judged_by_their_last_step():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.standard_t(2, 80)
    pipeline = make_pipeline(
        StandardScaler(), "passthrough", PolynomialFeatures(2), LinearRegressor("mae")
    )
    assert certify(pipeline.fit(X, y), X, y).gap <= 1e-13
    search = GridSearchCV(pipeline, {"linearregressor__alpha": [0.0, 0.1]}).fit(X, y)
    assert certify(search, X, y).gap <= 1e-13
    levels = rng.integers(0, 4, (80, 1))
    coded = make_pipeline(OneHotEncoder(), LinearRegressor("huber", delta=5.0)).fit(
        levels, y
    )  # sparse, dependent
    assert certify(coded, levels, y).gap <= 1e-13
    assert (
        certify(make_pipeline(StandardScaler(), LinearRegression()).fit(X, y), X, y, loss="mse").gap
        <= 1e-13
    )


def test_whoever_has_coefficients_is_judged():
    class Mine:
        coef_ = np.array([0.39])
        intercept_ = 0.55

    X, y = [[1.0], [2.0], [3.0], [4.0]], [0.8, 1.5, 1.8, 2.0]
    assert certify(Mine(), X, y, loss="mse").gap <= 1e-12
    with pytest.raises(ValueError, match=r"got an object of type list\. The order is certify"):
        certify(X, y, Mine())


def test_what_cannot_be_judged_is_refused_with_a_clear_message():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3)) + 5.0
    y = np.exp(0.1 * X[:, 0])
    with pytest.raises(ValueError, match="a PoissonRegressor predicts something else"):
        certify(PoissonRegressor(alpha=0.0).fit(X, y), X, y, loss="mse")
    with pytest.raises(ValueError, match="a PLSRegression predicts something else"):
        certify(PLSRegression(1).fit(X, y), X, y, loss="mse", alpha=0.0)
    model = LinearRegressor("mse").fit(X, y)
    holes = y.astype(object)
    holes[3] = None
    with pytest.raises(ValueError, match="y must be finite; got None in row 3"):
        certify(model, X, holes)
    with pytest.raises(ValueError, match="delta must be a positive finite number; got -3"):
        certify(model, X, y, delta=-3)
    with pytest.raises(ValueError, match="delta as small as 1e-290"):
        certify(model, X, y, loss="huber", delta=1e-290, alpha=1e60)


@pytest.mark.parametrize("name", ["huber", *slow("mse", "mae")])
def test_blocks_threads_and_storage_do_not_matter(name, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40_000, 6)) * (rng.uniform(size=(40_000, 6)) < 0.4)
    y = X @ np.arange(6.0) + rng.standard_t(2, 40_000)
    w = rng.uniform(0.5, 2.0, 40_000)
    model = LinearRegressor(name).fit(X, y, w)
    stored = np.memmap(tmp_path / "X", dtype=float, mode="w+", shape=X.shape)
    stored[:] = X
    proofs = [
        certify(model, other, y, w)
        for other in (X, np.asfortranarray(X), sparse.csr_array(X), stored)
    ]
    for proof in proofs:
        assert proof.gap <= 1e-12
        assert proof.unique is True
        assert proof.dual == pytest.approx(model.objective_, rel=1e-11)
        assert proof.dual <= proof.objective
    wrong = judged(model.coef_ + 0.1, model.intercept_)
    for other in (X, sparse.csr_array(X)):
        proof = certify(wrong, other, y, w, loss=name, delta=1.35)
        assert proof.dual <= model.objective_
        assert proof.gap <= 1.0 - 0.999 * model.objective_ / proof.objective


@pytest.mark.slow
def test_dummies_of_many_levels_are_judged_without_making_them_dense():
    rng = np.random.default_rng(0)
    n, levels = 20_000, 700
    rows = np.arange(n)
    X = sparse.csr_array((np.ones(n), (rows, rows % levels)), shape=(n, levels))
    y = rng.standard_normal(levels)[rows % levels] + rng.standard_t(2, n)
    means = np.bincount(rows % levels, y) / np.bincount(rows % levels)
    proof = certify(judged(means), X, y, loss="mse")
    assert proof.gap <= 1e-12
    assert proof.left_out == 0
    assert proof.unique is False
    medians = np.array([np.median(y[level::levels]) for level in range(levels)])
    proof = certify(judged(medians), X, y, loss="mae")
    assert proof.dual <= proof.objective
    assert proof.gap <= 1e-3


def test_several_targets_and_cross_validated_fits():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 2))
    Y = np.column_stack([X @ [1.0, 2.0], X[:, 0]]) + rng.standard_t(2, (120, 2))
    for scale in (1.0, "mad", "proposal2", "concomitant"):
        proofs = certify(LinearRegressor("huber", scale=scale).fit(X, Y), X, Y)
        assert [proof.gap <= 1e-11 for proof in proofs] == [True, True]
    model = LinearRegressorCV(deltas=4, cv=3).fit(X, Y[:, 0])
    assert certify(model, X, Y[:, 0]).gap <= 1e-11


def test_loss_of_exact_module_is_the_definition():
    assert loss("huber", Fraction(1), Fraction(3)) == Fraction(5, 2)
    assert product(2, 3) == 6
