"""The delta path: every solution on it is the direct fit's, and its breakpoints are where a row
meets the knot.
"""

import numpy as np
import pandas as pd
import pytest
from problems import slow
from scipy import sparse
from sklearn.datasets import load_diabetes
from stored import read_arrays

import robustreg.passes.many_knots
from robustreg import LinearRegressor, delta_path
from robustreg.data.arrays import make_source
from robustreg.data.frame import make_frame
from robustreg.fitting.specification import Specification
from robustreg.passes.all_rows import all_rows
from robustreg.passes.many_knots import neighbourhood, solutions
from robustreg.paths import breakpoints, grid
from robustreg.problem.losses import huber


def problem(seed):
    """(X, y, sample_weight, fit_intercept, alpha): ties, weights, p = 1, rank-deficient, more
    columns than rows.
    """
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(3, 70)), int(rng.integers(1, 6))
    if seed % 5 == 0:
        p = 1
    X = rng.integers(-2, 3, (n, p)).astype(float) if seed % 3 == 0 else rng.standard_normal((n, p))
    if seed % 7 == 0:
        X = np.column_stack([X, X[:, 0]])
    y = X @ rng.standard_normal(X.shape[1]) + rng.standard_t(1.5, n)
    if seed % 4 == 0:
        y = np.round(y)
    w = rng.integers(0, 4, n).astype(float) if seed % 2 else None
    if w is not None:
        w[0] = 1.0
    return X, y, w, bool(seed % 6), 0.1 * (seed % 8 == 3)


@pytest.mark.parametrize("seed", [*range(6), *slow(*range(6, 50))])
def test_the_path_is_the_direct_fit(seed):
    X, y, w, fit_intercept, alpha = problem(seed)
    path = delta_path(X, y, sample_weight=w, fit_intercept=fit_intercept, alpha=alpha)
    assert path.exact
    assert path.deltas[0] == 0.0
    top = max(path.deltas[-1], 1e-3)
    for delta in top * 10.0 ** np.random.default_rng(seed).uniform(-3.0, 0.2, 20):
        model = LinearRegressor("huber", delta=delta, fit_intercept=fit_intercept, alpha=alpha).fit(
            X, y, w
        )
        coef, intercept = path(delta)
        size = np.abs([*model.coef_, model.intercept_]).max()
        np.testing.assert_allclose(
            [*coef, intercept], [*model.coef_, model.intercept_], rtol=0, atol=1e-9 * size + 1e-12
        )
    for delta, coef, intercept, objective in zip(
        path.deltas[1:], path.coefs[1:], path.intercepts[1:], path.objective[1:], strict=True
    ):
        model = LinearRegressor("huber", delta=delta, fit_intercept=fit_intercept, alpha=alpha).fit(
            X, y, w
        )
        assert objective == pytest.approx(model.objective_, rel=1e-9, abs=1e-14)
        np.testing.assert_allclose(
            [*coef, intercept], [*model.coef_, model.intercept_], rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("seed", [1, 2, 5, 10, 11, 13, 17])
def test_breakpoints_by_naive_active_sets(seed):
    """Between breakpoints one zone for each row solves the normal equations; across one the zones
    differ.
    """
    X, y, w, fit_intercept, _ = problem(seed)
    w = np.ones(len(y)) if w is None else w
    X, y, w = X[w > 0], y[w > 0], w[w > 0]
    path = delta_path(X, y, sample_weight=w, fit_intercept=fit_intercept)
    A = np.column_stack([X, np.ones(len(y))]) if fit_intercept else X
    last, zones = None, 0
    for d in (path.deltas[1:] + path.deltas[:-1]) / 2:
        coef, intercept = path(d)
        r = y - X @ coef - intercept
        inner, s = np.abs(r) <= d, np.sign(r) * (np.abs(r) > d)
        Q = A[inner] * w[inner, None]
        b = np.linalg.lstsq(Q.T @ A[inner], Q.T @ y[inner] + d * A.T @ (w * s), rcond=None)[0]
        np.testing.assert_allclose(y - A @ b, r, atol=1e-9)
        if last is not None and not np.array_equal(last, s):
            zones += 1
        last = s
    assert zones == len(path.deltas) - 2


@pytest.mark.parametrize("name", ["20", *slow("5", "15", "25", "40", "45")])
def test_fits_beside_breakpoints_of_a_minimiser_that_is_not_unique(name):
    # Rows at the knot, but for 1e-11 of it, whose residual no other minimiser changes hold nothing:
    # one was held to the outer side, which it could not reach, and the search for the least norm
    # ended elsewhere.
    stored = read_arrays("beside_breakpoints")
    X, y, w = stored[f"X-{name}"], stored[f"y-{name}"], stored.get(f"w-{name}")
    path = delta_path(X, y, sample_weight=w)
    for delta in path.deltas[path.deltas > 1e-4]:
        for change in (-1e-10, -1e-11, -1e-12, 0.0, 1e-12, 1e-11, 1e-10):
            model = LinearRegressor("huber", delta=delta * (1.0 + change)).fit(X, y, w)
            coef, intercept = path(delta * (1.0 + change))
            np.testing.assert_allclose(
                [*coef, intercept], [*model.coef_, model.intercept_], rtol=1e-7, atol=1e-7
            )


def test_ends_are_the_absolute_and_the_squared_loss():
    X, y = load_diabetes(return_X_y=True)
    path = delta_path(X, y)
    mse, mae = LinearRegressor("mse").fit(X, y), LinearRegressor("mae").fit(X, y)
    for delta in (path.deltas[-1], 1e9):
        np.testing.assert_allclose(path(delta)[0], mse.coef_, rtol=1e-9)
    assert path.deltas[-1] == pytest.approx(np.abs(y - mse.predict(X)).max(), rel=1e-12)
    np.testing.assert_allclose(path(0.0)[0], mae.coef_, rtol=1e-9)
    assert (path.n_outliers[-1], path.n_outliers[0]) == (0, len(y) - 11)
    assert 400 < len(path.deltas) < 500


def test_many_deltas_at_once():
    X, y = load_diabetes(return_X_y=True)
    path = delta_path(X, y)
    deltas = np.array([30.0, 1.0, 200.0])
    coefs, intercepts = path(deltas)
    for k, delta in enumerate(deltas):
        np.testing.assert_array_equal(coefs[k], path(delta)[0])
        assert intercepts[k] == path(delta)[1]


@pytest.mark.parametrize("shape", [(442, 10), (20_000, 8)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_grid_is_the_direct_fits(shape, weighted, alpha):
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape)
    y = X @ np.ones(shape[1]) + rng.standard_t(2, shape[0])
    w = rng.integers(0, 3, shape[0]).astype(float) if weighted else None
    deltas = np.array([3.0, 0.1, 1.0, 0.5, 1e3])
    path = delta_path(X, y, sample_weight=w, alpha=alpha, deltas=deltas)
    np.testing.assert_array_equal(path.deltas, np.sort(deltas))
    assert path.dual_gap.max() <= 1e-11
    for k, delta in enumerate(path.deltas):
        model = LinearRegressor("huber", delta=delta, alpha=alpha).fit(X, y, w)
        np.testing.assert_allclose(path.coefs[k], model.coef_, rtol=1e-10)
        np.testing.assert_array_equal(path.coefs[k], path(delta)[0])
        assert path.intercepts[k] == pytest.approx(model.intercept_, abs=1e-11)
        assert path.objective[k] == pytest.approx(model.objective_, rel=1e-11)
        assert path.n_outliers[k] == (model.outliers_ & (True if w is None else w > 0)).sum()


def whole(X, y):
    """The problem of all rows under Huber's loss."""
    source = make_source(X, y, None)
    return all_rows(source, make_frame(source, True), huber(1.0), 0.0)


def test_a_grid_of_many_rows_is_a_few_passes_and_few_open_rows(monkeypatch):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((50_000, 10))
    y = X @ np.ones(10) + rng.standard_t(2, 50_000)
    model = LinearRegressor("mae").fit(X, y)
    deltas = np.geomspace(0.05, 10.0, 20)
    near = neighbourhood(whole(X, y), model.coef_, model.intercept_, deltas)
    for k, (solved,) in solutions(near, 0.0, [None]):
        assert len(solved.left.index) < 0.2 * len(y), k
        assert solved.tally.n_iter <= 5
    calls, fit = [], grid.fit
    monkeypatch.setattr(grid, "fit", lambda *arguments: calls.append(1) or fit(*arguments))
    delta_path(X, y, deltas=deltas)
    assert len(calls) == 1  # to begin with


@pytest.mark.parametrize("n", [300, 20_000])
def test_folds_of_a_grid_are_fits_of_their_own(n, monkeypatch):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((n, 5))
    X[:, 4] = rng.uniform(size=n) < 0.5
    y = X @ np.ones(5) + rng.standard_t(1, n)
    sets = [None, *(np.ones(n) for _ in range(3))]
    sets[1][: n // 3] = 0.0
    sets[2][::2] = 2.0  # a bootstrap repeats rows
    sets[3][X[:, 4] == 1.0] = 0.0  # has a constant column
    spec, deltas = (
        Specification(huber(1.0), 0.0, True, "auto", 1000, 1e-9),
        np.array([0.1, 1.0, 5.0]),
    )
    base = LinearRegressor("mae").fit(X, y)
    found = grid.on_grid(X, y, spec, deltas, sets, (base.coef_, base.intercept_))
    for s, w in enumerate(sets):
        for k, delta in enumerate(deltas):
            model = LinearRegressor("huber", delta=delta).fit(X, y, w)
            np.testing.assert_allclose(found.coef[s, k], model.coef_, rtol=1e-9, atol=1e-12)
            assert found.intercept[s, k] == pytest.approx(model.intercept_, abs=1e-10)


def test_the_bound_is_checked(monkeypatch):
    """With a first bound far too small the rows that cross are found, as the bound grows."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((30_000, 4))
    y = X @ np.ones(4) + rng.standard_cauchy(30_000)
    monkeypatch.setattr(robustreg.passes.many_knots, "FIRST", 1e-9)
    deltas = np.array([0.5, 2.0])
    near = neighbourhood(whole(X, y), np.full(4, 1.5), 0.5, deltas)
    for k, (solved,) in solutions(near, 0.0, [None]):
        coef, _ = near.problem.frame.raw(solved.phi)
        np.testing.assert_allclose(
            coef, LinearRegressor("huber", delta=deltas[k]).fit(X, y).coef_, rtol=1e-10
        )


@pytest.mark.parametrize("storage", [sparse.csr_array, pd.DataFrame, np.float32, np.asfortranarray])
@pytest.mark.parametrize("deltas", [None, [0.3, 1.0]])
def test_storage(storage, deltas):
    X, y, *_ = problem(1)
    X = np.round(X, 2).astype(np.float32).astype(float)
    path, plain = delta_path(storage(X), y, deltas=deltas), delta_path(X, y, deltas=deltas)
    for delta in [0.3, 1.0]:
        np.testing.assert_allclose(path(delta)[0], plain(delta)[0], rtol=1e-6)


def test_fill_values_do_not_hide_the_rest():
    X, y, *_ = problem(1)
    y[3] = 1e20
    path = delta_path(X, y)
    for delta in (0.1, 1.0, 5.0):
        np.testing.assert_allclose(
            path(delta)[0], LinearRegressor("huber", delta=delta).fit(X, y).coef_, rtol=1e-8
        )


@pytest.mark.parametrize("fill", [1e8, 1e20, *slow(1e12, 1e16)])
def test_a_fill_value_and_a_minimiser_that_is_not_unique(fill):
    X, y = np.arange(8.0)[:, None], np.array([0.0, 1.0, 2.5, 2.0, 4.5, 5.0, 6.0, fill])
    path = delta_path(X, y, alpha=0.1)
    for delta in np.geomspace(1e-3, 10.0, 20):
        model = LinearRegressor("huber", delta=delta, alpha=0.1).fit(X, y)
        np.testing.assert_allclose(
            [*path(delta)[0], path(delta)[1]],
            [*model.coef_, model.intercept_],
            rtol=1e-8,
            atol=1e-9,
        )


def test_breakpoints_far_from_where_they_are_found():
    # With a row of high leverage the direction of a piece has to be refined.
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, (60, 8)).astype(float)
    X[5] *= 1e5
    y = (rng.uniform(size=60) < 0.5).astype(float)
    path = delta_path(X, y)
    for delta in np.geomspace(1e-3, 0.7, 30):
        model = LinearRegressor("huber", delta=delta).fit(X, y)
        np.testing.assert_allclose(path(delta)[0], model.coef_, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("unit", [1e-200, 1e-150, 1e100])
def test_extreme_units(unit):
    X, y, *_ = problem(1)
    for deltas in (None, [unit, 2.0 * unit]):
        path, plain = delta_path(X, unit * y, deltas=deltas), delta_path(X, y)
        np.testing.assert_allclose(path(unit)[0] / unit, plain(1.0)[0], rtol=1e-7)


def test_an_exact_fit_has_one_solution():
    X = np.arange(6.0)[:, None]
    path = delta_path(X, 2.0 * X[:, 0] + 1.0)
    assert list(path.deltas) == [0.0]
    for delta in (0.0, 1.0):
        np.testing.assert_allclose([*path(delta)[0], path(delta)[1]], [2.0, 1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"deltas": []}, r"deltas must have one dimension and an entry; got shape \(0,\)"),
        ({"deltas": [1.0, -1.0]}, "deltas must hold finite numbers > 0; got -1.0"),
        ({"deltas": [1.0, 0.0]}, "deltas must hold finite numbers > 0; got 0.0"),
        ({"deltas": [np.nan]}, "deltas must hold finite numbers > 0; got nan"),
        ({"deltas": "all"}, "deltas must hold finite numbers > 0; got 'all'"),
        ({"deltas": [[1.0]]}, r"deltas must have one dimension and an entry; got shape \(1, 1\)"),
        ({"alpha": -1.0}, "alpha must be a finite number >= 0; got -1.0"),
        ({"fit_intercept": 1}, "fit_intercept must be True or False; got 1"),
        ({"sample_weight": -np.ones(20)}, "sample_weight must be >= 0"),
    ],
)
def test_bad_arguments(arguments, message):
    X = np.arange(20.0)[:, None]
    with pytest.raises((ValueError, TypeError), match=message):
        delta_path(X, X[:, 0] ** 2, **arguments)


def test_bad_data_and_a_path_too_long():
    X = np.arange(20_000.0)[:, None]
    with pytest.raises(
        ValueError, match=r"deltas must be given for more than 10000 rows, .*; got None for 20000"
    ):
        delta_path(X, X[:, 0])
    with pytest.raises(ValueError, match="y should be a 1d array"):
        delta_path(X, np.column_stack([X, X]))
    path = delta_path(X, np.sqrt(X[:, 0]), deltas=[0.5, 1.0])
    with pytest.raises(
        ValueError, match=r"delta must be one of the grid of this path, 0.5 to 1; got 0.7"
    ):
        path(0.7)
    with pytest.raises(ValueError, match=r"delta must hold finite numbers >= 0; got -1.0"):
        path(-1.0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("parameters", [{}, {"alpha": 1e-3}, {"fit_intercept": False}])
def test_pieces_are_followed_and_not_searched_for(parameters, weighted, monkeypatch):
    rng = np.random.default_rng(0)
    X = 1.0 + rng.standard_normal((300, 4))
    y = X @ np.arange(4.0) + 10.0 * rng.standard_t(2, 300)
    w = rng.uniform(0.5, 2.0, 300) if weighted else None
    solves, solved = [], breakpoints.solved

    def watched(rows, y, spec, start):
        solves.append(spec.loss)
        return solved(rows, y, spec, start)

    monkeypatch.setattr(breakpoints, "solved", watched)
    followed = delta_path(X, y, sample_weight=w, **parameters)
    assert len(followed.deltas) > 280
    assert len(solves) < 80
    monkeypatch.setattr(breakpoints, "ENTRIES", 0)
    searched = delta_path(X, y, sample_weight=w, **parameters)
    assert len(solves) > 300
    # Further down the minimiser of the penalised problem is not unique: where its pieces end is not
    # told by equations.
    here, there = (path.deltas > 0.1 for path in (followed, searched))
    assert here.sum() > 250
    for name in ("deltas", "coefs", "intercepts", "objective"):
        found, expected = getattr(followed, name)[here], getattr(searched, name)[there]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    # At a breakpoint a row is at the knot: rounding decides whether it is beyond.
    difference = followed.n_outliers[here] - searched.n_outliers[there]
    assert np.all(np.abs(difference) <= 1)
    assert np.mean(difference != 0) < 0.02
    assert np.all(followed.dual_gap < 1e-10)


def test_a_row_that_stays_at_the_knot_does_not_make_the_minimiser_unique():
    # An even number of rows under a strong penalty: between two knots all of them are outside, or
    # one is at the knot, and the intercept is the middle of an interval.
    rng = np.random.default_rng(0)
    X = 100.0 + rng.standard_normal((300, 4))
    y = X @ np.arange(4.0) + 10.0 * rng.standard_t(2, 300)
    path = delta_path(X, y, alpha=0.1)
    for delta in (0.005, 0.032, 0.0355, 0.037):
        model = LinearRegressor("huber", delta=delta, alpha=0.1).fit(X, y)
        assert not model.unique_
        assert path(delta)[1] == pytest.approx(model.intercept_, rel=1e-12)
