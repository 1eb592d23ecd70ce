"""Narrowing of several problems at once keeps of each the rows that one alone would keep."""

from dataclasses import replace

import numpy as np
import pytest

from robustreg.problem.losses import ABSOLUTE, pinball
from robustreg.solvers import many_narrowed
from robustreg.solvers.continuation import CORE_ROWS, near_minimiser
from robustreg.solvers.many_narrowed import RowsOfAll, narrowed, near_minimisers
from unit.constructed import OPTIONS, constructed, tally

LOSSES = [ABSOLUTE, pinball(0.2), pinball(0.9)]
M = 5


def made(sizes=(2000, 900, 3000)):
    pairs = enumerate(zip(LOSSES, sizes, strict=True))
    return [
        constructed(seed, loss, n=n, m=M, settled=False, penalty=False) for seed, (loss, n) in pairs
    ]


def rows_of(problems):
    return RowsOfAll.of([one.problem for one in problems])


def starts(problems, off):
    return np.stack([one.phi + off for one in problems])


def test_rows_of_all_are_those_of_each():
    problems, rng = made(), np.random.default_rng(0)
    rows, phi = rows_of(problems), rng.standard_normal((3, M))
    v, Q = rng.standard_normal(5900), rng.uniform(size=5900) < 0.3
    own = np.split(np.arange(5900), [2000, 2900])
    for k, one in enumerate(problems):
        Z, w, mine = one.problem.rows.take(slice(None)), one.problem.rows.w, own[k]
        few = Q[mine]
        np.testing.assert_array_equal(rows.residual(phi)[mine], one.problem.rows.residual(phi[k]))
        np.testing.assert_allclose(rows.adjoint(v)[k], Z.T @ v[mine])
        np.testing.assert_allclose(rows.gram(Q)[k], Z[few].T @ (w[few][:, None] * Z[few]))
        np.testing.assert_allclose(rows.sums(v)[k], v[mine].sum())
        assert rows.counts(Q)[k] == np.count_nonzero(few)
        np.testing.assert_array_equal(rows.of_owner(phi[:, 0])[mine], phi[k, 0])


@pytest.mark.parametrize("off", [0.01, 0.05])
def test_minimisers_of_smoothed_problems_are_those_of_each_alone(off):
    problems, rho = made(), np.array([0.1, 0.2, 0.15])
    phi, error, _ = near_minimisers(rows_of(problems), starts(problems, off), rho)
    assert np.all(error < 0.5 * rho)
    for k, one in enumerate(problems):
        smoothed = one.problem.smoothed(rho[k] / one.problem.loss.half_jump)
        alone = near_minimiser(smoothed, one.phi, 1e-12, OPTIONS, tally())
        away = smoothed.rows.fitted(phi[k] - alone)
        assert np.sqrt(np.mean(np.square(away))) < 0.5 * error[k]


def test_where_steps_do_not_contract_nothing_is_moved():
    problems = made()
    start = starts(problems, 0.01)
    start[1] += 300.0
    with np.errstate(all="ignore"):
        phi, error, _ = near_minimisers(rows_of(problems), start, np.array([0.1, 1e-6, 0.1]))
    assert np.isfinite(error).tolist() == [True, False, True]
    np.testing.assert_array_equal(phi[1], start[1])


def test_what_is_left_is_near_and_the_rest_keeps_its_pull():
    problems = made()
    rows = rows_of(problems)
    left, u, _ = narrowed(rows, starts(problems, 0.02), np.full(3, 0.1))
    assert left.number.tolist() == [0, 1, 2]
    assert left.real.all()
    for j, one in enumerate(problems):
        problem, mine = one.problem, slice(rows.edges[j], rows.edges[j + 1])
        index = left.places[j] - rows.edges[j]
        Z, w, size = problem.rows.take(slice(None)), problem.rows.w, np.abs(one.r)
        np.testing.assert_array_equal(left.several.rows.Z[j], Z[index])
        others = np.setdiff1d(np.arange(len(w)), index)
        assert size[others].min() > 0.3 * np.sort(size)[len(index)]  # the nearest, or nearly so
        np.testing.assert_array_equal(u[mine][others], one.u[others])
        pull = problem.quadratic.h + Z[others].T @ (w * one.u)[others]
        np.testing.assert_allclose(left.several.quadratic.h[j], pull, atol=1e-9)


def test_many_rows_are_narrowed_once_more(monkeypatch):
    problems, counts = made((20_000,) * 3), []
    for many in (many_narrowed.MANY, np.inf):
        monkeypatch.setattr(many_narrowed, "MANY", many)
        left, *_ = narrowed(rows_of(problems), starts(problems, 0.02), np.full(3, 0.1))
        counts.append(left.real.shape[1])
    assert counts[1] > 2.5 * CORE_ROWS * M
    assert counts[0] < 0.6 * counts[1]


def test_one_that_would_keep_many_more_rows_is_left_out():
    problems = made((20_000, 20_000, 20_000))
    rho = np.array([0.02, 3.0, 0.02])
    left, *_ = narrowed(rows_of(problems), starts(problems, 0.002), rho)
    assert left.number.tolist() == [0, 2]


def test_problems_whose_rows_nearly_all_tie_are_not_left():
    """Steps do not tell their minimisers, and the rows of all would be in every step."""
    problems = made((3000, 3000, 3000))
    rows = rows_of(problems)
    tied = replace(rows, y=rows.y - rows.residual(starts(problems, 0.0)))
    with np.errstate(all="ignore"):
        left, *_ = narrowed(tied, starts(problems, 0.1), np.full(3, 0.01))
    assert not len(left.number)


def test_each_keeps_the_rows_of_a_core_at_least():
    problems = made((2000, 2000, 2000))
    left, *_ = narrowed(rows_of(problems), starts(problems, 1e-4), np.full(3, 1e-2))
    assert left.real.shape[1] == CORE_ROWS * M + 1


def test_short_problems_are_filled_with_rows_of_zeros():
    problems = made((25, 2000, 2000))
    left, *_ = narrowed(rows_of(problems), starts(problems, 0.01), np.full(3, 0.05))
    assert left.number.tolist() == [0, 1, 2]
    assert left.real.sum(axis=1).tolist()[0] == 25
    filled = ~left.real[0]
    assert filled.any()
    assert not left.several.rows.Z[0][filled].any()
    assert not left.several.rows.y[0][filled].any()
    w = problems[0].problem.rows.w
    np.testing.assert_allclose(left.several.rows.w[0][filled], w.mean())
