"""The picture of the README: python docs/picture.py"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from robustreg import FitDisplay, LinearRegressor, LossDisplay

rng = np.random.default_rng(0)
x = np.linspace(0.0, 10.0, 30)
y = 0.5 * x + 1.0 + 0.4 * rng.standard_normal(30)
y[[25, 27, 28]] += [9.0, 11.0, 8.0]  # gross errors

figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
LossDisplay.from_delta(1.0, ax=axes[:2])
FitDisplay.from_estimator(LinearRegressor("huber", delta=0.5), x[:, None], y, ax=axes[2])
axes[2].set_title("three gross errors of thirty rows")
figure.savefig(Path(__file__).with_name("losses.png"), dpi=110)
