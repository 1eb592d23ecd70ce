"""The paths of several problems at once are those of each alone."""

from dataclasses import replace

import numpy as np
import pytest

from robustreg.problem.losses import ABSOLUTE, pinball
from robustreg.solvers import many_paths
from robustreg.solvers.interior_point import Start, central_path, usable_factor
from robustreg.solvers.many_paths import central_paths
from unit.constructed import constructed

LOSSES = [ABSOLUTE, pinball(0.1), pinball(0.5), pinball(0.97)]


def starts(penalty=False, sizes=(60, 45, 60, 30)):
    found = []
    for seed, (loss, n) in enumerate(zip(LOSSES, sizes, strict=True)):
        problem = constructed(seed, loss, n=n, settled=False, penalty=penalty).problem
        found.append(Start(problem, np.zeros(4), problem.rows.y, 1.0))
    return found


def ends(paths, gap=1e-12):
    """(number of points, the last one) of each path, as far as it needs to go."""
    found = []
    for path in paths:
        for count, point in enumerate(path, 1):
            if point.gap <= gap or count == 60:
                break
        found.append((count, point))
    return found


@pytest.fixture
def steps(monkeypatch):
    """How many paths were made of each kind, alone and several at once."""
    made = {"alone": 0, "several": 0}

    def watched(name, function):
        def counted(*arguments):
            made[name] += 1
            return function(*arguments)

        return counted

    monkeypatch.setattr(many_paths, "central_path", watched("alone", central_path))
    monkeypatch.setattr(many_paths, "_together", watched("several", many_paths._together))
    return made


@pytest.mark.parametrize("penalty", [False, True])
def test_problems_of_one_size_take_the_steps_of_each_alone(penalty, steps):
    some = starts(penalty, (60, 60, 60, 60))
    found, alone = ends(central_paths(some)), ends(map(central_path, some))
    assert steps["alone"] == 0
    for (count, mine), (its_count, its) in zip(found, alone, strict=True):
        assert count == its_count
        np.testing.assert_allclose(mine.phi, its.phi, atol=1e-9)
        for name in ("a", "xu", "xl", "vp", "vm"):
            np.testing.assert_allclose(getattr(mine, name), getattr(its, name), atol=1e-8)


@pytest.mark.parametrize("penalty", [False, True])
def test_shorter_problems_end_where_each_alone_does(penalty):
    some = starts(penalty)
    for (_, mine), start in zip(ends(central_paths(some)), some, strict=True):
        its = ends([central_path(start)])[0][1]
        assert mine.gap <= 1e-12
        assert len(mine.a) == start.problem.rows.n_rows
        np.testing.assert_allclose(mine.phi, its.phi, atol=1e-9)
        np.testing.assert_allclose(mine.a, its.a, atol=1e-6)


def test_a_path_that_breaks_off_leaves_the_others(steps):
    some = starts(sizes=(60, 60, 60, 60))
    bad = some[1].problem
    bad = replace(bad, rows=replace(bad.rows, y=np.full(60, np.nan)))
    some[1] = Start(bad, np.zeros(4), bad.rows.y, 1.0)
    found = ends(central_paths(some))
    assert steps["several"] == 1
    assert found[1][0] <= 2
    for k in (0, 2, 3):
        assert found[k][1].gap <= 1e-12


def test_large_problems_and_two_small_ones_go_alone(steps, monkeypatch):
    some = starts()
    assert len(ends(central_paths(some[:2]))) == 2
    assert steps == {"alone": 2, "several": 0}
    monkeypatch.setattr(many_paths, "MOST_ENTRIES", 4 * 50)  # entries of 50 rows
    central_paths(some)
    assert steps == {"alone": 6, "several": 0}
    monkeypatch.setattr(many_paths, "MOST_ENTRIES", 4 * 60 - 1)  # of 60 rows, but one
    monkeypatch.setattr(many_paths, "LEAST_PATHS", 2)
    mixed = ends(central_paths(some))
    assert steps == {"alone": 8, "several": 1}
    for (_, point), start in zip(mixed, some, strict=True):
        np.testing.assert_allclose(point.phi, ends([central_path(start)])[0][1].phi, atol=1e-9)


def test_a_long_path_goes_on_alone(monkeypatch):
    some = starts(penalty=True)
    whole = ends(central_paths(some))
    monkeypatch.setattr(many_paths, "COMMON", 4)
    for (count, point), (its_count, its) in zip(ends(central_paths(some)), whole, strict=True):
        assert 4 < count <= its_count + 1
        assert point.gap <= 1e-12
        np.testing.assert_allclose(point.phi, its.phi, atol=1e-9)


def test_one_that_is_far_larger_than_the_others_goes_alone(steps):
    some = starts(sizes=(60, 60, 300, 60))
    found = ends(central_paths(some))
    assert steps == {"alone": 1, "several": 1}
    assert all(point.gap <= 1e-12 for _, point in found)


def test_paths_may_be_followed_in_any_order():
    some = starts()
    forward, backward = central_paths(some), central_paths(some)
    found = ends(forward)
    other = ends(backward[::-1])[::-1]
    for (count, point), (its_count, its) in zip(found, other, strict=True):
        assert count == its_count
        np.testing.assert_array_equal(point.phi, its.phi)


def test_normal_matrices_are_factored_each_alone_only_if_one_is_not_well_conditioned(monkeypatch):
    some, alone = starts(sizes=(60, 60, 60, 60)), []

    def counted(*arguments):
        alone.append(arguments)
        return usable_factor(*arguments)

    monkeypatch.setattr(many_paths, "usable_factor", counted)
    several = many_paths._several([start.problem for start in some])
    q = np.random.default_rng(0).uniform(0.5, 2.0, (4, 60))
    b = np.random.default_rng(1).standard_normal((4, 4))

    def solved():
        M = several.rows.gram(q) + several.quadratic.G
        return many_paths._factored(several, q).solve(b), np.linalg.solve(M, b[:, :, None])[:, :, 0]

    np.testing.assert_allclose(*solved(), rtol=1e-12)
    assert not alone
    q[1, 3:] = 1e-16  # three rows for four columns
    x, expected = solved()
    assert len(alone) == 4
    np.testing.assert_allclose(x[[0, 2, 3]], expected[[0, 2, 3]], rtol=1e-12)
