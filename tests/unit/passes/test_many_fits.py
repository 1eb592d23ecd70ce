"""The kernels for many fits make the records that each fit's own kernel makes."""

from dataclasses import replace

import numpy as np
import pytest

from robustreg.data.arrays import make_source
from robustreg.data.frame import make_frame
from robustreg.data.source import Part
from robustreg.passes.all_rows import all_rows
from robustreg.passes.descent import descent
from robustreg.passes.in_step import Pass, grouped
from robustreg.passes.many_fits import is_one_of_many, of_many
from robustreg.passes.settling import NOTHING, SettlingRule, Unknown, settle, verify
from robustreg.problem.losses import huber, pinball

N, P, LEVELS = 400, 3, (0.1, 0.5, 0.6, 0.95)


def case(weighted, intercept=True, seed=0):
    """(a part, one problem and one phi for each level)."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P)) + np.array([0.0, 0.0, 30.0])
    y = X @ [1.0, -2.0, 0.3] + rng.standard_t(2, N)
    w = rng.uniform(0.5, 2.0, N) if weighted else None
    source, Y = make_source(X, y, w), np.broadcast_to(y, (len(LEVELS), N))
    frame = make_frame(source, intercept)
    problems = [
        all_rows(source, frame, pinball(level), 0.0).in_units(2.0 ** (k - 2))
        for k, level in enumerate(LEVELS)
    ]
    phis = [rng.standard_normal(frame.n_cols) / problem.frame.y_scale for problem in problems]
    return Part(X, Y, w, 1000), problems, phis


def alone(part, asked, k):
    own = Part(part.X, part.y[k], part.w, part.begin)
    return asked.kernel(own, asked.frame, *asked.arguments)


def assert_alike(found, expected):
    if isinstance(expected, np.ndarray):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-9)
        return
    for name in expected.__slots__:
        mine, its = getattr(found, name), getattr(expected, name)
        if hasattr(its, "__slots__"):
            assert_alike(mine, its)
        elif isinstance(its, list):  # block by block
            assert sum(map(len, mine)) == sum(map(len, its))
            if its and mine:
                mine, its = np.concatenate(mine), np.concatenate(its)
                np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-12)
        elif its is not None:
            np.testing.assert_allclose(mine, its, rtol=1e-11, atol=1e-9)


def asked_by(kernel, problem, phi):
    """The arguments of a pass from phi (m,)."""
    width = 0.7 / problem.frame.y_scale
    return {
        descent: (problem.loss, phi),
        settle: (problem.loss, SettlingRule(phi, width, None), N),
        verify: (problem.loss, phi, 2.0 * width, None, np.array([1003, 1250]), False),
    }[kernel]


@pytest.mark.parametrize("targets", ["one y", "several"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", [descent, settle, verify])
def test_records_are_those_of_each_alone(kernel, intercept, weighted, targets):
    part, problems, phis = case(weighted, intercept)
    if targets == "several":
        part = replace(part, y=part.y * [[1.0], [2.0], [3.0], [4.0]])
    passes = [
        Pass(kernel, problem.frame, asked_by(kernel, problem, phi))
        for problem, phi in zip(problems, phis, strict=True)
    ]
    frames, arguments = [one.frame for one in passes], [one.arguments for one in passes]
    own = part if targets == "several" else replace(part, y=part.y[:1])
    found = list(of_many(kernel, frames, arguments)(own))
    assert len(found) == len(passes)
    for k, asked in enumerate(passes):
        assert_alike(found[k], alone(part, asked, k))


@pytest.mark.parametrize("targets", ["one y", "several"])
@pytest.mark.parametrize("weighted", [False, True])
def test_rough_gradients_have_some_digits(weighted, targets):
    part, problems, phis = case(weighted)
    part = part if targets == "several" else replace(part, y=part.y[:1])
    frames = [problem.frame for problem in problems]
    arguments = [asked_by(descent, *one) for one in zip(problems, phis, strict=True)]
    exact = of_many(descent, frames, arguments)(part)
    rough = of_many(descent, frames, arguments, rough=True)(part)
    assert rough.dtype == np.float64
    assert np.any(rough != exact)
    np.testing.assert_allclose(rough, exact, atol=1e-4 * np.abs(exact).max())


def test_of_a_fit_with_too_many_open_rows_only_their_number_is_kept():
    part, problems, phis = case(False)
    frames = [problem.frame for problem in problems]
    arguments = [asked_by(settle, *one) for one in zip(problems, phis, strict=True)]
    few = [(loss, rule, 25 if k == 1 else most) for k, (loss, rule, most) in enumerate(arguments)]

    def swept(arguments):
        kernel, total = of_many(settle, frames, arguments), None
        for begin in range(0, N, 50):
            rows = slice(begin, begin + 50)
            one = Part(part.X[rows], part.y[:1, rows], None, part.begin + begin)
            record = kernel(one)
            total = record if total is None else total + record
        return list(total)

    for k, (found, whole) in enumerate(zip(swept(few), swept(arguments), strict=True)):
        assert found.kept.count == whole.kept.count > 25
        np.testing.assert_array_equal(found.h, whole.h)
        rows, expected = (np.concatenate(one.kept.index) for one in (found, whole))
        np.testing.assert_array_equal(rows, expected[:0] if k == 1 else expected)


def test_records_of_parts_add_up():
    part, problems, phis = case(True)
    frames = [problem.frame for problem in problems]
    for kernel in (descent, settle, verify):
        arguments = [asked_by(kernel, *one) for one in zip(problems, phis, strict=True)]
        pieces = []
        for rows in (slice(0, 150), slice(150, N)):
            one = Part(part.X[rows], part.y[:1, rows], part.w[rows], part.begin + rows.start)
            pieces.append(of_many(kernel, frames, arguments)(one))
        for k, found in enumerate(pieces[0] + pieces[1]):
            whole = alone(part, Pass(kernel, frames[k], arguments[k]), k)
            assert_alike(found, whole)


def test_fits_that_ask_the_same_are_answered_together():
    _, problems, phis = case(False)
    passes = {
        k: Pass(descent, p.frame, asked_by(descent, p, phis[k])) for k, p in enumerate(problems)
    }
    assert grouped(passes) == [[0, 1, 2, 3]]
    assert grouped({k: passes[k] for k in (0, 1)}) == [[0], [1]]  # too few
    last = Pass(settle, problems[3].frame, asked_by(settle, problems[3], phis[3]))
    assert grouped(passes | {3: last}) == [[0, 1, 2], [3]]


@pytest.mark.parametrize("kind", ["smooth", "leverage", "rare", "combined", "rule to verify"])
def test_what_is_not_alike_stands_alone(kind):
    _, problems, phis = case(False)
    problem, phi, kernel = problems[0], phis[0], settle
    rare, combined = Unknown(np.array([1]), None, None), Unknown(NOTHING.rare, np.ones((P, 1)), 0.0)
    rule = {
        "leverage": SettlingRule(phi, 0.5, np.eye(problem.frame.n_cols)),
        "rare": SettlingRule(phi, 0.5, None, rare),
        "combined": SettlingRule(phi, 0.5, None, combined),
    }.get(kind, SettlingRule(phi, 0.5, None))
    assert is_one_of_many(settle, (problem.loss, SettlingRule(phi, 0.5, None), N))
    arguments = (huber(1.0) if kind == "smooth" else problem.loss, rule, N)
    if kind == "rule to verify":
        kernel, arguments = verify, (problem.loss, phi, 9.0, rule, np.zeros(0, dtype=int), False)
    assert not is_one_of_many(kernel, arguments)


def test_residuals_far_away_count_as_nearer_ones():
    part, problems, phis = case(True)
    far = part.y.copy()
    far[:, 7] = 1e9
    frames = [problem.frame for problem in problems]
    arguments = [asked_by(verify, *one) for one in zip(problems, phis, strict=True)]
    part = replace(part, y=far)
    for k, found in enumerate(of_many(verify, frames, arguments)(part)):
        assert_alike(found, alone(part, Pass(verify, frames[k], arguments[k]), k))
        assert found.near < 1e-3 * found.cost
