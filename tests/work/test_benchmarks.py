"""The benchmark tells what has become slower, and nothing else."""

import csv
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
MODULES = ("run", "data", "records")


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import run

    yield run
    for name in MODULES:
        sys.modules.pop(name, None)


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
