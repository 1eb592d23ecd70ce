"""The kernels for many levels make the records that each level's own kernel makes."""

from dataclasses import replace

import numpy as np
import pytest

from robustreg.data.arrays import make_source
from robustreg.data.frame import make_frame
from robustreg.data.source import Part
from robustreg.passes.all_rows import all_rows
from robustreg.passes.descent import descent
from robustreg.passes.in_step import Pass
from robustreg.passes.many_levels import of_many
from robustreg.passes.settling import NOTHING, SettlingRule, Unknown, settle, verify
from robustreg.problem.losses import huber, pinball

N, P, LEVELS = 400, 3, (0.1, 0.5, 0.6, 0.95)


def case(weighted, intercept=True, seed=0):
    """(a part with centred columns, one problem and one phi for each level)."""
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
    C = frame.centred(Part(X, y, w))
    phis = [rng.standard_normal(frame.n_cols) / problem.frame.y_scale for problem in problems]
    return Part(C, Y, w, 1000), problems, phis


def alone(part, asked, k):
    own = Part(part.X, part.y[k], part.w, part.begin)
    return asked.kernel(own, asked.frame.of_centred(), *asked.arguments)


def assert_alike(found, expected):
    for name in expected.__slots__:
        mine, its = getattr(found, name), getattr(expected, name)
        if hasattr(its, "__slots__"):
            assert_alike(mine, its)
        elif isinstance(its, list):
            assert len(mine) == len(its)
            for one, other in zip(mine, its, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        elif its is not None:
            np.testing.assert_allclose(mine, its, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("kernel", [descent, settle, verify])
def test_records_are_those_of_each_alone(kernel, intercept, weighted):
    part, problems, phis = case(weighted, intercept)
    passes = {}
    for k, (problem, phi) in enumerate(zip(problems, phis, strict=True)):
        width = 0.7 / problem.frame.y_scale
        rule = SettlingRule(phi, width, None)
        arguments = {
            descent: (problem.loss, width, phi),
            settle: (problem.loss, rule, N),
            verify: (problem.loss, phi + 0.4 * width, 2.0 * width, rule, np.array([1003, 1250])),
        }[kernel]
        passes[k] = Pass(kernel, problem.frame, arguments)
    found = of_many(part, passes)
    assert found is not None
    for k, asked in passes.items():
        assert_alike(found[k], alone(part, asked, k))
    del passes[1]  # who asks does not matter
    again = of_many(part, passes)
    assert sorted(again) == [0, 2, 3]
    assert_alike(again[3], found[3])


def test_what_is_not_alike_stands_alone():
    part, problems, phis = case(False)
    passes = {k: Pass(descent, p.frame, (p.loss, 0.5, phis[k])) for k, p in enumerate(problems)}
    assert of_many(part, passes) is not None
    few = {k: passes[k] for k in (0, 1)}
    assert of_many(part, few) is None
    several = Part(part.X, part.y.copy(), part.w, part.begin)
    assert of_many(several, passes) is None
    smooth = Pass(descent, problems[0].frame, (huber(1.0), 0.5, phis[0]))
    assert of_many(part, passes | {0: smooth}) is None
    rule = SettlingRule(phis[0], 0.5, np.eye(problems[0].frame.n_cols))
    heavy = Pass(settle, problems[0].frame, (problems[0].loss, rule, N))
    assert of_many(part, passes | {0: heavy}) is None
    rare = Unknown(np.array([1]), None, None)
    combined = Unknown(NOTHING.rare, np.ones((P, 1)), np.zeros(1))
    for k, (problem, unknown) in enumerate(
        zip(problems, [NOTHING, NOTHING, NOTHING, rare], strict=True)
    ):
        rule = SettlingRule(phis[k], 0.5, None, unknown)
        passes[k] = Pass(settle, problem.frame, (problem.loss, rule, N))
    assert of_many(part, passes) is None
    passes[3] = replace(passes[3], arguments=(problem.loss, replace(rule, unknown=combined), N))
    assert of_many(part, passes) is None
    passes[3] = replace(passes[3], arguments=(problem.loss, replace(rule, unknown=NOTHING), N))
    assert of_many(part, passes) is not None


def test_a_row_at_the_end_of_its_zone_has_not_left_it():
    part, problems, phis = case(False)
    y = part.y[0].copy()
    y[3] = problems[0].frame.y_shift
    part = replace(part, y=np.broadcast_to(y, part.y.shape))
    passes = {}
    for k, problem in enumerate(problems):
        frame, phi = problem.frame, np.zeros(len(phis[k]))
        then = np.append(phi[:-1], 2.0 / frame.y_scale)  # its residual was -2, and is 0
        rule = SettlingRule(then, 0.1 / frame.y_scale, None)
        passes[k] = Pass(verify, frame, (problem.loss, phi, 9.0, rule, np.zeros(0, dtype=int)))
    found = of_many(part, passes)
    for k, asked in passes.items():
        assert_alike(found[k], alone(part, asked, k))
        wrong = np.concatenate(found[k].wrong)
        assert len(wrong)
        assert part.begin + 3 not in wrong
