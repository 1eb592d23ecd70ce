"""The rule that settles rows; what is kept of the others; and what the second pass sees."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.frame import Frame
from robustreg.data.source import Part
from robustreg.passes.settling import Kept, SettlingRule, Unknown, residuals, settle, verify
from unit.constructed import LOSSES

all_losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
NONE = np.zeros(0, dtype=np.int64)
N, P = 200, 4


def rows_of(stored=np.asarray, weighted=True):
    """A part of rows with some zeros, its frame, Z (n, m), t (n,), w (n,) and phi (m,)."""
    rng = np.random.default_rng(0)
    X = np.where(rng.uniform(size=(N, P)) < 0.4, rng.standard_normal((N, P)), 0.0)
    X[::25] *= 30.0  # rows of a large norm
    X[:, 3] = 0.0
    X[[5, 60, 61], 3] = 1.0, -2.0, 0.5
    frame = Frame(None, np.array([1.0, 0.5, 2.0, 4.0]), True, 10.0, 2.0)
    phi = np.array([1.0, -2.0, 0.5, 0.3, 0.1])
    Z = np.column_stack([X * frame.inverse_scale, np.ones(N)])
    r = 2.0 * rng.standard_t(2, N)
    y = 10.0 + 2.0 * (Z @ phi + r)
    w = rng.uniform(0.5, 2.0, N) if weighted else None
    part = Part(stored(X), y, w, 1000)
    return SimpleNamespace(
        part=part, frame=frame, Z=Z, t=(y - 10.0) / 2.0, phi=phi, w=np.ones(N) if w is None else w
    )


KEPT = 2  # in place of the zone of a row that is not settled


def zones_of(rule, rows, loss, r):
    """The zone of each row, and KEPT for the open ones."""
    zones = loss.zone(r)
    zones[rule.open_rows(rows.frame, loss, rows.frame.centred(rows.part), r)] = KEPT
    return zones


def zone_by_hand(loss, rule, z, r):
    """Of one row with slopes z (p,), as the docstring says."""
    reached = 1.0 if rule.metric is None else np.linalg.norm(rule.metric @ np.append(z, 1.0))
    width = rule.width * reached
    if (
        any(z[j] != 0.0 for j in rule.unknown.rare)
        or min(abs(r - loss.left), abs(r - loss.right)) < width
    ):
        return KEPT
    return -1 if r < loss.left else 1 if r > loss.right else 0


@all_losses
@pytest.mark.parametrize("rare", [[], [3], [0, 3]])
@pytest.mark.parametrize("metric", [None, np.eye(P + 1), np.triu(np.ones((P + 1, P + 1)))])
@pytest.mark.parametrize("stored", [np.asarray, sparse.csr_array])
def test_rows_are_settled_as_the_rule_says(loss, stored, metric, rare):
    rows = rows_of(stored)
    rule = SettlingRule(rows.phi, 0.3, metric, Unknown(np.array(rare, dtype=np.int64), None, None))
    r = rows.t - rows.Z @ rows.phi
    found = zones_of(rule, rows, loss, r)
    expected = [zone_by_hand(loss, rule, z, x) for z, x in zip(rows.Z[:, :P], r, strict=True)]
    np.testing.assert_array_equal(found, expected)
    assert np.all(found[[5, 60, 61]] == KEPT) or not rare


@all_losses
def test_a_larger_width_or_metric_keeps_more_rows(loss):
    if not loss.is_bounded:
        return
    rows = rows_of()
    r, last = rows.t - rows.Z @ rows.phi, np.zeros(N, dtype=bool)
    unit = np.eye(P + 1)  # the norm of z is at least 1, that of the intercept
    for width, metric in (
        (0.0, None),
        (0.1, None),
        (0.1, unit),
        (0.1, 2.0 * unit),
        (0.4, 2.0 * unit),
        (1e3, None),
    ):
        kept = zones_of(SettlingRule(rows.phi, width, metric), rows, loss, r) == KEPT
        assert np.all(kept >= last)
        last = kept
    assert last.all()


@all_losses
def test_an_end_of_the_quadratic_piece_belongs_to_it(loss):
    if loss.is_bounded:
        ends = np.array([loss.left, loss.right])
        np.testing.assert_array_equal(loss.zone(ends), 0)
        np.testing.assert_array_equal(loss.zone(np.nextafter(ends, [-np.inf, np.inf])), [-1, 1])


# -- what is kept ------------------------------------------------------------------------------


def kept(most, *sizes):
    """One record for each size, of different numbers."""
    records, start = [], 0
    for k in sizes:
        rows = np.arange(start, start + k)
        records.append(
            Kept(most, k, [rows], [np.outer(rows, [1.0, 2.0])], [rows + 0.5], [rows + 1.0])
        )
        start += k
    return records


def test_kept_rows_are_joined_in_order():
    a, b, c = kept(100, 3, 0, 4)
    for found in ((a + b) + c, a + (b + c)):
        assert found.count == 7
        np.testing.assert_array_equal(np.concatenate(found.index), np.arange(7))
        np.testing.assert_array_equal(np.vstack(found.C), np.outer(np.arange(7), [1.0, 2.0]))
        np.testing.assert_array_equal(np.concatenate(found.r), np.arange(7) + 0.5)
        np.testing.assert_array_equal(np.concatenate(found.w), np.arange(7) + 1.0)


@pytest.mark.parametrize("most", [6, 7, 8])
def test_too_many_rows_are_counted_and_not_kept(most):
    for sizes in ((3, 4), (3, 4, 5), (1, 1, 1, 1, 1, 1, 1), (7, 0, 0), (0, 0, 9)):
        first, *others = kept(most, *sizes)
        found = first
        for other in others:
            found = found + other
        assert found.count == sum(sizes)
        if sum(sizes) <= most:
            assert sum(map(len, found.index)) == sum(sizes)
        else:
            assert [found.index, found.C, found.r, found.w] == [[], [], [], []]


@pytest.mark.parametrize("weighted", [False, True])
def test_settling_more_rows_than_are_kept_leaves_their_number(weighted):
    rows, loss = rows_of(weighted=weighted), LOSSES["smooth huber"]
    rule = SettlingRule(rows.phi, 0.3, None)
    full = settle(rows.part, rows.frame, loss, rule, N)
    halves = [
        Part(
            rows.part.X[s],
            rows.part.y[s],
            None if rows.part.w is None else rows.part.w[s],
            1000 + s.start,
        )
        for s in (slice(0, 90), slice(90, N))
    ]
    first, second = (settle(half, rows.frame, loss, rule, full.kept.count - 1) for half in halves)
    both = first + second
    assert both.kept.count == full.kept.count
    assert both.kept.index == []
    np.testing.assert_allclose(both.h, full.h, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(both.gram, full.gram, rtol=1e-10, atol=1e-10)
    assert both.c == pytest.approx(full.c)
    assert np.all(full.kept.index[0] >= 1000)


@all_losses
@pytest.mark.parametrize("weighted", [False, True])
def test_settled_rows_are_the_quadratic_of_their_losses(loss, weighted):
    """Near phi0 their losses are phi'G phi / 2 - h'phi + c, where no row leaves its zone."""
    rows = rows_of(weighted=weighted)
    rule = SettlingRule(rows.phi, 0.5, np.eye(P + 1))
    found = settle(rows.part, rows.frame, loss, rule, N)
    open_ = np.zeros(N, dtype=bool)
    open_[np.concatenate(found.kept.index) - 1000] = True
    rng = np.random.default_rng(1)
    for _ in range(5):
        eta = 0.05 * rng.standard_normal(P + 1)
        r = rows.t - rows.Z @ (rows.phi + eta)
        expected = rows.w[~open_] @ loss.value(r[~open_])
        quadratic = 0.0 if found.gram is None else 0.5 * eta @ found.gram @ eta
        assert quadratic - found.h @ eta + found.c == pytest.approx(expected, rel=1e-12)


# -- the second pass ---------------------------------------------------------------------------


@all_losses
@pytest.mark.parametrize("weighted", [False, True])
def test_the_second_pass_sees_all_rows_at_one_phi(loss, weighted):
    rows = rows_of(weighted=weighted)
    rule = SettlingRule(rows.phi, 0.3, np.eye(P + 1), Unknown(np.array([3]), None, None))
    phi = rows.phi + 0.02
    before, r = rows.t - rows.Z @ rows.phi, rows.t - rows.Z @ phi
    zones = zones_of(rule, rows, loss, before)
    opened = np.flatnonzero(zones != KEPT)[::7]
    seen = verify(rows.part, rows.frame, loss, phi, 3.0, rule, opened + 1000)
    zones[opened] = KEPT
    assert seen.cost == pytest.approx(rows.w @ loss.value(r))
    assert seen.near == pytest.approx(rows.w @ loss.value(np.clip(r, -3.0, 3.0)))
    assert seen.n_kept == np.count_nonzero(zones == KEPT)
    moved = [
        i
        for i in range(N)
        if zones[i] != KEPT and zones[i] != zone_by_hand(loss, NO_WIDTH, (), r[i])
    ]
    np.testing.assert_array_equal(np.concatenate(seen.wrong), np.array(moved, dtype=int) + 1000)
    if loss.is_corner:
        # 1. At a corner zones tell the slopes of settled rows; the others have dual variables.
        slopes = np.where(
            zones == KEPT, 0.0, np.where(zones < 0, loss.lower, loss.upper) * (zones != 0)
        )
        assert seen.outside == seen.close == []
    else:
        # 2. Else residuals tell the slopes of all rows, and which are outside.
        slopes = loss.slope(r)
        np.testing.assert_array_equal(
            np.concatenate(seen.outside), (r < loss.left) | (r > loss.right)
        )
    np.testing.assert_allclose(seen.adjoint, rows.Z.T @ (rows.w * slopes), rtol=1e-10, atol=1e-10)


NO_WIDTH = SettlingRule(NONE, 0.0, None)


def test_rows_next_to_a_knot_are_close():
    loss = LOSSES["smooth asymmetric"]
    r = np.array([2.0, 2.0 + 1e-9, 2.0 - 1e-7, -1.0, -1.0 - 1e-8, 0.0, 5.0, 2.01])
    frame, zeros = Frame(None, np.ones(1), False, 0.0, 1.0), np.zeros((len(r), 1))
    seen = verify(Part(zeros, r, None, 50), frame, loss, np.zeros(1), np.inf, None, NONE)
    np.testing.assert_array_equal(seen.close[0], 50 + np.arange(5))
    np.testing.assert_array_equal(
        seen.outside[0], [False, True, False, False, True, False, True, True]
    )
    assert seen.n_kept == 0
    assert not len(seen.wrong[0])


def test_residuals_are_listed_in_order():
    rows = rows_of()
    found = residuals(rows.part, rows.frame, rows.phi) + residuals(
        rows.part, rows.frame, 2.0 * rows.phi
    )
    r = [rows.t - rows.Z @ rows.phi, rows.t - rows.Z @ (2.0 * rows.phi)]
    np.testing.assert_allclose(np.concatenate(found.r), np.concatenate(r), atol=1e-12)
