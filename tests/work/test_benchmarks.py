"""The benchmark tells what has become slower, and nothing else."""

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from robustreg import LinearRegressor

FOLDER = Path(__file__).parents[2] / "benchmarks"
MODULES = ("run", "large", "data", "records")


def module(monkeypatch, name):
    """A module of the benchmarks, and nothing left of it afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for other in MODULES:
        monkeypatch.delitem(sys.modules, other, raising=False)
    yield importlib.import_module(name)
    for other in MODULES:
        sys.modules.pop(other, None)


@pytest.fixture
def run(monkeypatch):
    yield from module(monkeypatch, "run")


@pytest.fixture
def large(monkeypatch):
    yield from module(monkeypatch, "large")


def record(shape, ms):
    return {
        "shape": shape,
        "design": "gauss",
        "noise": "t2",
        "storage": "C",
        "loss": "mae",
        "ms": ms,
    }


@pytest.mark.parametrize(
    ("before", "now", "slower"),
    [
        (100.0, 109.0, False),
        (100.0, 111.0, True),
        (5.0, 5.9, False),
        (5.0, 6.1, True),
        (100.0, 50.0, False),
    ],
)
def test_only_what_is_slower_by_a_factor_and_by_milliseconds_is_flagged(
    run, tmp_path, capsys, before, now, slower
):
    base = tmp_path / "base.csv"
    with base.open("w", newline="") as file:
        writer = csv.DictWriter(file, record("9x9", 1.0))
        writer.writeheader()
        writer.writerows([record("100x10", before), record("9x9", 1.0)])
    records = [record("100x10", now), record("7x7", 1e9)]
    told = run.compare_with(str(base), records, run.KEY, run.SLOWER, run.BY)
    assert told == int(slower)
    assert ("100x10" in capsys.readouterr().out) == slower


@pytest.mark.parametrize("design", ["gauss", "ar", "t3", "onehot", "sorted"])
def test_its_data_are_what_they_are_called(run, design):
    X, y = run.data(500, 4, design, "normal")
    assert X.shape == (500, 4)
    assert (design == "sorted") == bool((y[1:] >= y[:-1]).all())
    assert (design == "onehot") == (set(X.ravel()) == {0.0, 1.0})


def test_files_larger_than_a_block_hold_the_same_rows_and_all_fits_see_them(
    large, tmp_path, monkeypatch
):
    monkeypatch.setattr(large, "BLOCK", 700)
    paths = [large.folder_of(store, 5000, 3, tmp_path) for store in ("memmap", "parquet")]
    of_files = [[*large.batches(path)] for path in paths]
    assert len(of_files[0]) == 8
    for k in range(2):
        first, second = (np.concatenate([batch[k] for batch in parts]) for parts in of_files)
        np.testing.assert_array_equal(first, second)
    names = ["robustreg huber", "robustreg mse, partial_fit", "SGDRegressor huber, one epoch"]
    found = {name: large.fitted(name, paths[0]) for name in names}
    reached = large.objectives(found, paths[1])
    assert found["robustreg huber"]["gap"] <= 1e-9
    assert reached["robustreg huber"] < reached["SGDRegressor huber, one epoch"]
    model = LinearRegressor("mse").partial_fit(*map(np.concatenate, zip(*of_files[1], strict=True)))
    assert reached["robustreg mse, partial_fit"] == pytest.approx(model.objective_, rel=1e-12)


def test_a_fit_that_fails_is_told_and_the_others_go_on(large, tmp_path):
    assert large.fitted("robustreg mae", tmp_path)["error"]
