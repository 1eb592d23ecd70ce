"""Several targets share their passes, and each has the fit that it has alone."""

import numpy as np
import pytest
from problems import slow, way
from scipy import sparse

from robustreg import LinearRegressor, quantile_process
from robustreg.data.arrays import ArraySource
from robustreg.fitting import at_knot
from robustreg.fitting.at_knot import TOGETHER
from robustreg.passes import nearer, pilot
from robustreg.passes.nearer import PART

LOSSES = ["mse", "huber", "mae"]
N, P = 20_000, 6


def data(k=3, kind="dense"):
    """Targets of other noise, size and level each."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, P))
    if kind == "shifted":
        X += 100.0
    if kind == "CSR":
        X = np.where(np.abs(X) > 1.0, X, 0.0)
    noise = rng.standard_t(2, (N, k)) * 2.0 ** (np.arange(k) % 3 - 1)
    Y = X @ rng.standard_normal((P, k)) + noise + 0.5 * np.arange(k)
    return {"CSR": sparse.csr_array, "float32": np.float32}.get(kind, np.asarray)(X), Y


@pytest.mark.parametrize("kind", ["dense", "CSR", *slow("shifted", "float32")])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("parameters", [{}, {"alpha": 0.1}, {"fit_intercept": False}])
@pytest.mark.parametrize("loss", LOSSES)
def test_each_target_has_the_fit_that_it_has_alone(loss, parameters, weighted, kind):
    X, Y = data(kind=kind)
    w = np.random.default_rng(1).uniform(0.5, 2.0, N) if weighted else None
    model = LinearRegressor(loss, **parameters)
    both = model.fit(X, Y, w)
    assert both.work_.way == "passes"
    found = both.coef_, both.intercept_, both.objective_
    gaps, outliers = both.dual_gap_, getattr(both, "outliers_", None)
    assert np.all(gaps < 1e-12)
    for k, y in enumerate(Y.T):
        alone = model.fit(X, y, w)
        assert alone.work_.way == "passes"
        size, same = float(np.abs(alone.coef_).max()), 1e-12
        if kind == "float32":  # the coefficients are rounded to it
            same = 1e-7
        np.testing.assert_allclose(found[0][k], alone.coef_, rtol=same, atol=0.1 * same * size)
        assert found[1][k] == pytest.approx(alone.intercept_, rel=same, abs=same * size)
        assert found[2][k] == pytest.approx(alone.objective_, rel=1e-12)
        if outliers is not None:
            np.testing.assert_array_equal(outliers[:, k], alone.outliers_)


@pytest.mark.parametrize("loss", LOSSES)
def test_targets_share_their_passes(loss, monkeypatch):
    X, Y = data()
    read, parts = [], ArraySource.parts

    def watched(self, group):
        read.append(group)
        return parts(self, group)

    monkeypatch.setattr(ArraySource, "parts", watched)
    work = LinearRegressor(loss).fit(X, Y).work_
    assert (work.way, work.n_passes) == ("passes", (2 if loss == "mse" else 4) + work.n_fixups)
    n_groups = ArraySource(X, Y[:, 0], None).n_groups
    assert len(read) == work.n_passes * n_groups


@pytest.mark.parametrize("loss", ["huber", "mae"])
def test_shared_passes_leave_fewer_rows_open(loss):
    X, Y = data()
    model = LinearRegressor(loss)
    alone = max(model.fit(X, y).work_.n_kept for y in Y.T)
    assert model.fit(X, Y).work_.n_kept < 0.5 * alone


@pytest.mark.parametrize("loss", ["huber", "mae"])
@pytest.mark.parametrize("kind", ["unequal variance", "leverage", "rare column"])
def test_where_steps_do_not_come_nearer_the_fit_is_the_same(loss, kind):
    X, Y = data()
    if kind == "unequal variance":
        Y = Y + np.exp(2.0 * X[:, :1]) * np.random.default_rng(3).standard_normal(Y.shape)
    if kind == "leverage":
        X = X * np.random.default_rng(3).standard_cauchy((N, 1))
    if kind == "rare column":
        X[:, 0] = np.arange(N) % 997 == 0
    model = LinearRegressor(loss)
    both = model.fit(X, Y)
    found = both.coef_, both.dual_gap_
    assert both.converged_
    assert np.all(found[1] < 1e-11)
    for k, y in enumerate(Y.T):
        coef = model.fit(X, y).coef_
        np.testing.assert_allclose(found[0][k], coef, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_many_targets_share_them_so_many_at_a_time(loss):
    X, Y = data(TOGETHER + 3)
    with way("passes"):
        work = LinearRegressor(loss).fit(X[:4000], Y[:4000]).work_
    assert work.way == "passes"
    least = 4 if loss == "mse" else 8
    assert least <= work.n_passes <= least + work.n_fixups


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_bits_whether_targets_are_computed_in_parallel_or_not(loss, capsys):
    X, Y = data()
    quiet, loud = (LinearRegressor(loss, verbose=verbose).fit(X, Y) for verbose in (0, 1))
    np.testing.assert_array_equal(quiet.coef_, loud.coef_)
    np.testing.assert_array_equal(quiet.intercept_, loud.intercept_)
    assert capsys.readouterr().out.count("pass 1") == (1 if loss == "mse" else 3)


@pytest.mark.parametrize("loss", ["huber", "mae"])
def test_unique_is_said_of_all_targets(loss):
    rng = np.random.default_rng(2)
    X = np.ones((4000, 1))
    two = np.where(np.arange(4000) % 2, 1.0, -1.0) * rng.uniform(5.0, 6.0, 4000)
    Y = np.column_stack([rng.standard_normal(4000), two])
    model = LinearRegressor(loss, fit_intercept=False, delta=0.1)
    with way("passes"):
        unique = [model.fit(X, y).unique_ for y in Y.T]
        each = [model.fit(X, y).coef_ for y in Y.T]
        both = model.fit(X, Y)
    assert unique == [loss == "huber" or len(Y) % 2 == 1, False]
    assert not both.unique_
    np.testing.assert_allclose(both.coef_, each, rtol=1e-12, atol=1e-14)


def test_one_target_that_passes_cannot_fit_goes_the_direct_way_without_the_others(monkeypatch):
    directly, direct = [], at_knot.direct

    def watched(X, Y, *rest):
        directly.append(Y)
        return direct(X, Y, *rest)

    monkeypatch.setattr(at_knot, "direct", watched)
    X, Y = data()
    Y[:, 1] = X[:, 0]
    model = LinearRegressor("mae").fit(X, Y)
    assert model.converged_
    assert model.work_.way == "direct"
    assert model.work_.refused
    np.testing.assert_array_equal(directly, [Y[:, 1:2]])
    for k, y in enumerate(Y.T):
        alone = LinearRegressor("mae").fit(X, y).coef_
        np.testing.assert_allclose(model.coef_[k], alone, rtol=1e-12)


def test_a_level_that_is_refused_leaves_the_others_together():
    X, Y = data()
    levels = [0.1, 0.3, 0.5, 0.7, 0.9995]  # two rows for each column are beyond the last
    process = quantile_process(X[:4000], Y[:4000, 0], levels)
    assert process.work.way == "direct"
    assert process.work.n_passes <= 4 + 2 * process.work.n_fixups
    assert process.dual_gaps.max() < 1e-12
    for level, coef in zip(levels, process.coefs, strict=True):
        alone = LinearRegressor("quantile", quantile=level).fit(X[:4000], Y[:4000, 0])
        np.testing.assert_allclose(coef, alone.coef_, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("contracted", [True, False])
def test_levels_share_their_samples(contracted, monkeypatch):
    """And the whole one, where steps from a part of it do not come nearer."""
    X, Y = data()
    drawn, sample = [], pilot._sample
    if not contracted:
        monkeypatch.setattr(nearer, "CONTRACTED", 0.0)

    def watched(problem, tally, share, reaching):
        drawn.append(share)
        return sample(problem, tally, share, reaching)

    monkeypatch.setattr(pilot, "_sample", watched)
    process = quantile_process(X, Y[:, 0], [0.1, 0.3, 0.5, 0.7, 0.9])
    assert process.work.way == "passes"
    assert drawn == ([PART] if contracted else [PART, 1.0])
    for level, coef in zip(process.quantiles, process.coefs, strict=True):
        alone = LinearRegressor("quantile", quantile=level).fit(X, Y[:, 0])
        np.testing.assert_allclose(coef, alone.coef_, rtol=1e-12, atol=1e-14)
