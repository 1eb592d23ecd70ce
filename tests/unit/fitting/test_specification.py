"""Several fits as one record."""

from dataclasses import replace

import numpy as np
import pytest

from robustreg.fitting.specification import Fit, together
from robustreg.problem.losses import huber
from robustreg.problem.solution import Status, Work

N, P = 6, 3


def fit(k, *, knots=True, scale=True, status=Status.EXACT, unique=True):
    """A fit of one target, whose numbers are made of k."""
    return Fit(
        coef=k + np.arange(P, dtype=float)[None],
        intercept=np.array([10.0 * k]),
        objective=np.array([100.0 * k]),
        gap=np.array([1e-16 * k]),
        losses=(huber(float(k)),),
        outliers=np.arange(N)[:, None] < k if knots else None,
        scale=np.array([0.5 * k]) if scale else None,
        scale_noise=np.array([1e-9 * k]) if scale else None,
        unique=unique,
        rank=2,
        orthogonal=True,
        statuses=frozenset({status}),
        work=Work("direct", k, 2 * k, 3 * k, 4 * k),
    )


def test_targets_stand_side_by_side_in_order():
    found = together([fit(3), fit(1), fit(2)])
    order = [3, 1, 2]
    np.testing.assert_array_equal(found.coef, np.add.outer(order, np.arange(P)))
    np.testing.assert_array_equal(found.intercept, 10.0 * np.array(order))
    np.testing.assert_array_equal(found.objective, 100.0 * np.array(order))
    np.testing.assert_array_equal(found.gap, 1e-16 * np.array(order))
    np.testing.assert_array_equal(found.outliers, np.arange(N)[:, None] < order)
    np.testing.assert_array_equal(found.scale, 0.5 * np.array(order))
    np.testing.assert_array_equal(found.scale_noise, 1e-9 * np.array(order))
    assert found.losses == (huber(3.0), huber(1.0), huber(2.0))
    assert (found.rank, found.orthogonal) == (2, True)
    assert found.n_iter == 12
    assert found.work == Work("direct", 6, 6, 18, 12)


def test_one_target_is_itself():
    alone = fit(2)
    found = together([alone])
    for name in Fit.__dataclass_fields__:
        assert np.all(getattr(found, name) == getattr(alone, name)), name


def test_what_there_is_not_is_not_joined():
    found = together([fit(1, knots=False, scale=False), fit(2, knots=False, scale=False)])
    assert found.outliers is found.scale is found.scale_noise is None


def test_a_fit_is_unique_if_every_target_is():
    assert together([fit(1), fit(2)]).unique
    assert not together([fit(1), fit(2, unique=False), fit(3)]).unique
    assert not together([fit(1, unique=False), fit(2)]).unique


def test_every_status_is_told():
    found = together(
        [fit(1), fit(2, status=Status.ITERATIONS), fit(3), fit(4, status=Status.ROUNDING)]
    )
    assert found.statuses == {Status.EXACT, Status.ITERATIONS, Status.ROUNDING}


def test_joining_in_two_steps_is_joining_in_one():
    fits = [fit(k) for k in (2, 3, 1, 5)]
    fits[2] = replace(fits[2], work=Work("passes", 2, 7, 0, 1, ""))
    once, twice = together(fits), together([together(fits[:2]), together(fits[2:])])
    for name in Fit.__dataclass_fields__:
        assert np.all(getattr(once, name) == getattr(twice, name)), name


# -- what fits take ----------------------------------------------------------------------------


def test_passes_are_added_and_the_most_of_the_others_counts():
    found = Work("passes", 2, 100, 0, 7) + Work("passes", 3, 50, 1, 9)
    assert found == Work("passes", 5, 100, 1, 9)


@pytest.mark.parametrize("way", ["passes", "direct", "scipy"])
def test_one_way_is_that_way(way):
    assert (Work(way, 0, 0, 0, 1) + Work(way, 0, 0, 0, 1)).way == way


def test_where_one_target_went_the_direct_way_its_reason_is_kept():
    passes, direct = (
        Work("passes", 2, 10, 0, 3),
        Work("direct", 0, 0, 0, 5, "The columns are dependent."),
    )
    other = Work("direct", 0, 0, 0, 1, "Another reason.")
    for found in (passes + direct, direct + passes):
        assert found == Work("direct", 2, 10, 0, 5, "The columns are dependent.")
    assert (passes + direct + other).refused == "The columns are dependent."
    assert (other + direct).refused == "Another reason."


def test_the_order_of_adding_is_free():
    works = [
        Work("passes", 2, 9, 1, 3),
        Work("direct", 0, 0, 0, 8, "Why."),
        Work("passes", 4, 1, 2, 1),
    ]
    assert (works[0] + works[1]) + works[2] == works[0] + (works[1] + works[2])
