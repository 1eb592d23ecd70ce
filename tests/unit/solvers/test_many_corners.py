"""Problems solved together have the minimisers of each alone, or are left to be solved alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.csr import CsrColumns
from robustreg.data.rows import dense_rows, plain_rows
from robustreg.problem.losses import ABSOLUTE, corner, huber, pinball
from robustreg.problem.problem import Problem, Quadratic
from robustreg.solvers import many_corners
from robustreg.solvers.many_corners import Near, optimal_pairs
from unit.constructed import constructed, tally, value

LOSSES = [ABSOLUTE, pinball(0.1), pinball(0.5), pinball(0.97), corner(-3.0, 0.5)]


def made(sizes=(400, 300, 900, 60, 500), m=4):
    """Problems of each size with weights, and their minimisers."""
    pairs = enumerate(zip(LOSSES, sizes, strict=True))
    return [
        constructed(seed, loss, n=n, m=m, settled=False, penalty=False) for seed, (loss, n) in pairs
    ]


def near(problems, off=0.05, rho=0.4, seed=0):
    """Each problem from a point about ``off`` from its minimiser."""
    rng = np.random.default_rng(seed)
    return [
        Near(one.problem, one.phi + off * rng.standard_normal(len(one.phi)) / 2.0, rho, tally())
        for one in problems
    ]


def assert_optimal(problem, pair):
    """The conditions of a minimiser, by naive formulas."""
    Z, y, w = problem.rows.take(slice(None)), problem.rows.y, problem.rows.w
    r, loss = y - Z @ pair.phi, problem.loss
    assert np.all((pair.u <= loss.upper) & (pair.u >= loss.lower))
    assert np.all((np.abs(r) < 1e-11) | (pair.u == np.where(r > 0.0, loss.upper, loss.lower)))
    size = np.abs(Z).T @ (w * loss.steepest)
    assert np.all(np.abs(Z.T @ (w * pair.u) + problem.quadratic.h) <= 1e-12 * size)


def test_pairs_are_the_constructed_ones_whatever_the_sizes_and_losses():
    problems = made()
    asked = near(problems)
    for one, pair, its in zip(problems, optimal_pairs(asked), asked, strict=True):
        np.testing.assert_allclose(pair.phi, one.phi, atol=1e-12)
        np.testing.assert_allclose(pair.u, one.u, atol=1e-9)
        assert_optimal(one.problem, pair)
        assert 5 < its.work.n_iter <= many_corners.POINTS


@pytest.mark.parametrize("rho", [1e-4, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize("off", [0.0, 0.3, 30.0])
def test_a_wrong_distance_leaves_problems_alone_or_costs_nothing(off, rho):
    problems, found = made(), []
    for seed in range(5):
        found += optimal_pairs(near(problems, off, rho, seed))
    for one, pair in zip(5 * problems, found, strict=True):
        if pair is not None:
            assert_optimal(one.problem, pair)
            np.testing.assert_allclose(pair.phi, one.phi, atol=1e-11)


def test_rows_settled_on_the_wrong_side_are_seen():
    """With so small a rho nearly all rows are settled where the start has them."""
    problems = made((2000,) * 5)
    found = optimal_pairs(near(problems, off=0.3, rho=0.05))
    assert any(pair is None for pair in found)
    for one, pair in zip(problems, found, strict=True):
        if pair is not None:
            assert_optimal(one.problem, pair)


def test_what_is_no_usual_problem_is_left_alone():
    usual = made((300,) * 5)
    L, m = np.eye(4), 4
    one = usual[0].problem
    ridge = replace(one, quadratic=Quadratic(L, one.quadratic.h))
    few = constructed(7, ABSOLUTE, n=m, m=m, settled=False, penalty=False).problem
    smooth = constructed(8, huber(1.0), n=300, settled=False, penalty=False).problem
    Z = sparse.random_array((300, m), density=0.3, rng=np.random.default_rng(0), format="csr")
    rows = replace(plain_rows(CsrColumns(Z), np.ones(300), False), y=np.ones(300), rank=m)
    of_sparse = Problem(rows, ABSOLUTE, Quadratic(np.zeros((0, m)), np.zeros(m)))
    unusual = [Near(p, np.zeros(m), 0.1, tally()) for p in (ridge, few, smooth, of_sparse)]
    unusual.append(replace(near(usual)[0], rho=0.0))
    found = optimal_pairs(unusual + near(usual))
    assert [pair is None for pair in found] == [True] * 5 + [False] * 5
    for own, pair in zip(usual, found[5:], strict=True):
        np.testing.assert_allclose(pair.phi, own.phi, atol=1e-12)


def test_two_problems_gain_nothing():
    assert optimal_pairs(near(made()[:2])) == [None, None]


def test_large_problems_are_left_alone(monkeypatch):
    asked = near(made())
    monkeypatch.setattr(many_corners, "MOST_ENTRIES", 4 * 500)
    assert [pair is None for pair in optimal_pairs(asked)] == [False, False, True, False, False]
    monkeypatch.setattr(many_corners, "MOST_OF_CORE", 6 * 4 * 4 - 1)
    assert optimal_pairs(asked) == [None] * 5


def test_what_cannot_be_solved_leaves_the_others():
    """A value that is not finite, dependent columns, and many rows that one phi goes through."""
    usual = made((300,) * 5)
    rng = np.random.default_rng(0)
    nan, dependent, tied = (one.problem for one in made((300,) * 5)[:3])
    nan = replace(nan, rows=replace(nan.rows, y=np.full(300, np.nan)))
    Z = dependent.rows.take(slice(None)).copy()
    Z[:, 3] = Z[:, 2]
    none = Quadratic(np.zeros((0, 4)), np.zeros(4))
    dependent = Problem(dense_rows(Z, dependent.rows.y, dependent.rows.w), ABSOLUTE, none)
    y = tied.rows.fitted(np.ones(4)) + np.where(rng.uniform(size=300) < 0.5, 0.0, 1.0)
    tied = Problem(replace(tied.rows, y=y), ABSOLUTE, none)
    hard = [Near(p, np.ones(4), 0.1, tally()) for p in (nan, dependent, tied)]
    with np.errstate(all="ignore"):
        found = optimal_pairs(hard + near(usual))
    assert found[:2] == [None, None]
    if found[2] is not None:
        assert_optimal(tied, found[2])
    for own, pair in zip(usual, found[3:], strict=True):
        np.testing.assert_allclose(pair.phi, own.phi, atol=1e-12)


def test_paths_go_on_without_those_that_have_ended(monkeypatch):
    problems, sizes = made((300,) * 5), []
    inverses = many_corners.barrier_inverses

    def counted(several, q):
        sizes.append(len(q))
        return inverses(several, q)

    monkeypatch.setattr(many_corners, "barrier_inverses", counted)
    found = optimal_pairs(near(problems))
    assert all(pair is not None for pair in found)
    assert sizes[0] == 5
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 2


def test_terms_of_targets_tell_their_rounding():
    """Rows whose y is rounded by 1e-9 go through the minimiser of exact ones, within that."""
    problems = made((300,) * 5)
    rng, rounded = np.random.default_rng(1), []
    for one in problems:
        rows, size = one.problem.rows, 1e-9 * rng.uniform(-1.0, 1.0, 300)
        rows = replace(rows, y=rows.y + size, terms=np.full(300, 1e-9 / (4.0 * 2.0**-52)))
        rounded.append(replace(one, problem=replace(one.problem, rows=rows)))
    for one, pair in zip(problems, optimal_pairs(near(rounded)), strict=True):
        np.testing.assert_allclose(pair.phi, one.phi, atol=1e-7)
        assert value(one.problem, pair.phi) - value(one.problem, one.phi) < 1e-5
