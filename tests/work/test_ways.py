"""Which way each kind of data goes, in how many passes, and why not in passes: nothing falls back
in silence.
"""

import numpy as np
import pytest
from problems import way
from scipy import sparse

from robustreg import LinearRegressor, LinearRegressorCV, certify

LOSSES = ["mse", "huber", "mae"]


def plain(n=20_000, p=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X @ np.arange(1.0, p + 1.0) + rng.standard_t(2, n)


def few_rows():
    return plain(400, 5)


def no_more_rows_than_columns():
    return plain(12, 5)


def a_constant_column():
    X, y = plain()
    return np.column_stack([X, np.full(len(y), 2.0)]), y


def a_copied_column():
    X, y = plain()
    return X[:, [0, 1, 2, 0]], y


def levels(n, k, seed):
    return np.eye(k)[np.random.default_rng(seed).integers(0, k, n)]


def all_levels_of_two_factors():
    X, y = plain()
    return np.column_stack([levels(len(y), 12, 1), X, levels(len(y), 5, 2)]), y


def all_levels_in_csr():
    X, y = all_levels_of_two_factors()
    return sparse.csr_array(X), y


def a_level_of_three_rows():
    X, y = plain()
    level = np.isin(np.arange(len(y)), [0, 6, 5001])
    return np.column_stack([X, level]), y + 3.0 * level


def an_interaction_of_rare_levels():
    """A copy of a level in all but six rows, beside all levels of that factor."""
    X, y = plain()
    factor = levels(len(y), 4, 1)
    copy = factor[:, 0].copy()
    copy[np.flatnonzero(copy)[100:106]] = 0.0
    return np.column_stack([X, factor, copy]), y


def nearly_dependent_columns():
    X, y = plain()
    return np.column_stack([X, X[:, 0] + 1e-9 * X[:, 1] * X[:, 2]]), y


def mostly_zeros_in_csr():
    X, y = plain()
    return sparse.csr_array(np.where(np.abs(X) > 1.5, X, 0.0)), y


def a_column_of_csr_far_from_zero():
    X, y = plain()
    return sparse.csr_array(X + 100.0), y


def an_exact_line():
    X, _ = plain()
    return X, X @ np.ones(5)


def y_as_large_as_1e200():
    X, y = plain()
    return X, 1e200 * y


PASSES, DIRECT = "passes", "direct"
# kind of data: (way, passes, a part of the refusal) for mse, huber and mae.
TABLE = {
    plain: [(PASSES, 2, ""), (PASSES, 2, ""), (PASSES, 2, "")],
    few_rows: [(PASSES, 2, ""), (PASSES, 1, ""), (PASSES, 1, "")],
    no_more_rows_than_columns: [(DIRECT, 0, "few rows")] * 3,
    a_constant_column: [(PASSES, 3, ""), *[(PASSES, 4, "")] * 2],
    a_copied_column: [(PASSES, 3, ""), *[(PASSES, 4, "")] * 2],
    all_levels_of_two_factors: [(PASSES, 3, ""), *[(PASSES, 4, "")] * 2],
    all_levels_in_csr: [(PASSES, 3, ""), *[(PASSES, 4, "")] * 2],
    a_level_of_three_rows: [(PASSES, 2, ""), (PASSES, 3, ""), (PASSES, 3, "")],
    an_interaction_of_rare_levels: [(PASSES, 3, ""), *[(PASSES, 4, "")] * 2],
    nearly_dependent_columns: [(DIRECT, 0, "nearly dependent")] * 3,
    mostly_zeros_in_csr: [(PASSES, 2, ""), (PASSES, 2, ""), (PASSES, 2, "")],
    a_column_of_csr_far_from_zero: [(PASSES, 2, "")] * 3,
    an_exact_line: [(DIRECT, 0, "exact"), (DIRECT, 0, "near a knot"), (DIRECT, 0, "exact")],
    y_as_large_as_1e200: [(DIRECT, 0, "y has values")] * 3,
}
CASES = [
    (kind, loss, *row)
    for kind, rows in TABLE.items()
    for loss, row in zip(LOSSES, rows, strict=True)
]


@pytest.mark.parametrize(("kind", "loss", "gone", "passes", "reason"), CASES)
def test_kind_of_data_way_and_passes(kind, loss, gone, passes, reason):
    work = LinearRegressor(loss, delta=1.0).fit(*kind()).work_
    assert (work.way, work.n_passes) == (gone, passes)
    assert reason in work.refused
    assert bool(work.refused) == (gone == DIRECT)
    assert (work.n_kept > 0) == (gone == PASSES and loss != "mse")
    if kind is few_rows and loss != "mse":
        assert work.n_kept == 400  # all rows are kept open


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("decades", [4, 7])
@pytest.mark.parametrize("parameters", [{}, {"fit_intercept": False}, {"alpha": 0.01}])
def test_weights_that_differ_by_decades_cost_little_more(loss, decades, parameters):
    X, y = plain(60_000)
    w = 3.0 * 10.0 ** np.random.default_rng(1).uniform(-decades, 0.0, len(y))
    even = LinearRegressor(loss, delta=1.0, **parameters).fit(X, y).work_
    model = LinearRegressor(loss, delta=1.0, **parameters).fit(X, y, w)
    assert model.work_.way == "passes"
    assert model.work_.n_passes <= 3
    assert model.work_.n_kept <= 2 * even.n_kept
    with way("direct"):
        direct = LinearRegressor(loss, delta=1.0, **parameters).fit(X, y, w)
    np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_, direct.intercept_, rtol=1e-10, atol=1e-12)
    assert model.objective_ == pytest.approx(direct.objective_, rel=1e-12)
    assert certify(model, X, y, w).gap <= 1e-10


def test_weights_that_differ_by_too_many_decades_go_the_direct_way():
    X, y = plain()
    w = np.where(np.arange(len(y)) % 2, 1.0, 1e-9)
    assert "sample_weight" in LinearRegressor("huber").fit(X, y, w).work_.refused


def test_a_delta_near_the_rounding_of_y_goes_the_direct_way():
    assert "delta" in LinearRegressor("huber", delta=1e-11).fit(*few_rows()).work_.refused


@pytest.mark.parametrize("delta", [1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("parameters", [{}, {"fit_intercept": False}, {"alpha": 0.01}])
@pytest.mark.parametrize("kind", [few_rows, plain])
def test_a_narrow_quadratic_piece_costs_two_passes_more_than_a_corner(kind, delta, parameters):
    X, y = kind()
    w = np.random.default_rng(1).uniform(0.1, 2.0, len(y))
    corner = LinearRegressor("mae", **parameters).fit(X, y, w).work_
    if "alpha" in parameters:  # the loss is about delta times the absolute one
        parameters = {"alpha": delta * parameters["alpha"]}
    model = LinearRegressor("huber", delta=delta, **parameters).fit(X, y, w)
    assert (model.work_.way, model.work_.n_passes) == ("passes", corner.n_passes + 2)
    assert model.n_iter_ <= corner.n_iter + 5
    with way("direct"):
        direct = LinearRegressor("huber", delta=delta, **parameters).fit(X, y, w)
    np.testing.assert_allclose(model.coef_, direct.coef_, rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(model.intercept_, direct.intercept_, rtol=1e-12, atol=1e-14)
    assert model.objective_ == pytest.approx(direct.objective_, rel=1e-13)
    np.testing.assert_array_equal(model.outliers_, direct.outliers_)
    assert model.dual_gap_ <= 1e-12
    assert certify(model, X, y, w).gap <= 1e-12


@pytest.mark.parametrize("delta", [1e-7, 1e-9])
def test_a_narrow_quadratic_piece_with_most_of_y_zero_is_fitted_exactly(delta):
    X, y = plain()
    y[np.random.default_rng(1).random(len(y)) < 0.7] = 0.0
    model = LinearRegressor("huber", delta=delta).fit(X, y)
    assert certify(model, X, y).gap <= 1e-12


def test_what_is_small_or_asked_for_is_not_told_as_a_refusal():
    X, y = plain(100, 5)
    work = LinearRegressor("mse").fit(X, y).work_
    assert (work.way, work.n_passes) == (DIRECT, 0)
    work = LinearRegressor("mse", solver="scipy").fit(X, y).work_
    assert (work.way, work.refused) == ("scipy", "")


def test_the_work_of_a_scale_is_added_up():
    X, y = plain()
    assert LinearRegressor("huber", scale="mad").fit(X, y).work_.n_passes >= 6
    assert LinearRegressorCV("huber").fit(X, y).work_.way == PASSES


@pytest.mark.parametrize("loss", ["huber", "mae"])
def test_rows_that_show_what_a_sample_does_not_know_are_open_from_the_start(loss):
    """A copy of a level in all but two rows: few samples have one of those."""
    X, y = plain()
    level, fixups, n_passed = levels(len(y), 4, 1)[:, 0], 0, 0
    for start in range(0, 24, 2):
        copy = level.copy()
        copy[np.flatnonzero(level)[start : start + 2]] = 0.0
        table = np.column_stack([X, level, copy])
        model = LinearRegressor(loss).fit(table, y + 40.0 * copy)
        assert model.rank_ == 7
        assert certify(model, table, y + 40.0 * copy).gap < 1e-12
        fixups += model.work_.n_fixups
        n_passed += model.work_.way == PASSES
    assert fixups <= 2  # for other rows
    assert n_passed >= 11  # two rows beyond the knot do not determine a coefficient


def test_cross_validation_of_dependent_columns_is_that_of_the_independent_ones():
    X, y = all_levels_of_two_factors()
    independent = LinearRegressorCV("huber", cv=3).fit(X[:, 1:-1], y)
    found = LinearRegressorCV("huber", cv=3).fit(X, y)
    assert found.work_.way == PASSES
    assert found.delta_ == pytest.approx(independent.delta_, rel=1e-12)
    assert found.best_score_ == pytest.approx(independent.best_score_, rel=1e-9)
    np.testing.assert_allclose(found.predict(X), independent.predict(X[:, 1:-1]), rtol=1e-8)
    assert (found.rank_, found.unique_) == (independent.rank_, False)


def test_verbose_tells_a_refusal(capsys):
    LinearRegressor("huber", verbose=1).fit(*nearly_dependent_columns())
    assert "nearly dependent" in capsys.readouterr().out


def test_verbose_tells_of_dependent_columns(capsys):
    LinearRegressor("huber", delta=5.0, verbose=1).fit(*a_copied_column())
    assert "1 of 4 columns" in capsys.readouterr().out


def test_rows_settled_wrongly_are_counted():
    X, y = plain(200_000, 10, seed=5)
    works = [LinearRegressor("mae").fit(X[i::4], y[i::4]).work_ for i in range(4)]
    for work in works:
        assert work.n_passes == 2 + work.n_fixups
        assert work.n_kept < 12_500
