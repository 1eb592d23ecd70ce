"""Several problems as one: their paths and inverses are those of each alone."""

from itertools import islice

import numpy as np
import pytest

from robustreg.problem.losses import ABSOLUTE, pinball
from robustreg.solvers.interior_point import Start, central_path, points
from robustreg.solvers.several import (
    Several,
    SeveralInverses,
    SeveralLosses,
    SeveralQuadratics,
    SeveralRows,
    barrier_inverses,
)
from unit.constructed import constructed

LOSSES = [ABSOLUTE, pinball(0.1), pinball(0.97)]


def as_one(problems):
    rows = [problem.rows for problem in problems]
    return Several(
        SeveralRows(
            np.stack([one.take(slice(None)) for one in rows]),
            np.stack([one.y for one in rows]),
            np.stack([one.w for one in rows]),
        ),
        SeveralLosses.of([problem.loss for problem in problems]),
        SeveralQuadratics.of([problem.quadratic for problem in problems]),
    )


@pytest.mark.parametrize("penalty", [False, True])
def test_paths_are_those_of_each_alone(penalty):
    problems = [
        constructed(seed, loss, n=60, settled=False, penalty=penalty).problem
        for seed, loss in enumerate(LOSSES)
    ]
    several, scale = as_one(problems), np.array([[1.0], [2.0], [0.5]])
    start = Start(several, np.zeros((3, 4)), several.rows.y, scale)
    path = points(several, start.point, start.least_value, barrier_inverses)
    each = [
        central_path(Start(problem, np.zeros(4), problem.rows.y, float(own)))
        for problem, own in zip(problems, scale[:, 0], strict=True)
    ]
    for point, *own in islice(zip(path, *each, strict=False), 10):
        for k, one in enumerate(own):
            np.testing.assert_allclose(point.gap[k, 0], one.gap, rtol=1e-6, atol=1e-12)
            for name in ("phi", "a", "xu", "xl", "vp", "vm"):
                mine, its = getattr(point, name)[k], getattr(one, name)
                np.testing.assert_allclose(mine, its, atol=1e-8)


@pytest.mark.parametrize("condition", [1e2, 1e8, 1e12])
def test_inverses_solve_and_tell_whether_they_are_sound(condition):
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((3, 5, 5)))[0]
    values = np.geomspace(1.0, 1.0 / condition, 5)
    units = np.array([1e-6, 1.0, 1e3, 1.0, 1e9])
    M = (Q * values) @ Q.transpose(0, 2, 1)
    M = M * units[:, None] * units
    x = rng.standard_normal((3, 5)) / units
    inverses = SeveralInverses.of(M)
    assert inverses.sound is (condition < 1e10)
    found = inverses.solve((M @ x[:, :, None])[:, :, 0])
    np.testing.assert_allclose(found * units, x * units, atol=1e-14 * condition)


def test_a_singular_matrix_leaves_the_others():
    M = np.stack([np.eye(2), np.ones((2, 2)), np.zeros((2, 2)), 4.0 * np.eye(2)])
    inverses = SeveralInverses.of(M)
    assert not inverses.sound
    found = inverses.solve(np.ones((4, 2)))
    np.testing.assert_allclose(found[[0, 3]], [[1.0, 1.0], [0.25, 0.25]])
