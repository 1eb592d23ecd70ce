"""
One outlier pulls the squared loss, not the absolute one
========================================================

Twenty points on a line, and the last one moved up further and further: the slope of least squares
follows it without end, that of the absolute loss stops at once, and that of Huber's loss once the
residual is beyond delta.
"""

import matplotlib.pyplot as plt
import numpy as np

from robustreg import FitDisplay, LinearRegressor

rng = np.random.default_rng(0)
x = np.linspace(0.0, 10.0, 20)
y = 0.5 * x + 1.0 + 0.3 * rng.standard_normal(20)
LOSSES = {"mse": ("#0072B2", "-"), "mae": ("#D55E00", "--"), "huber": ("#009E73", "-.")}

# %%
# The slope of each fit while the last point is moved, by up to 30:

moves = np.linspace(0.0, 30.0, 61)
slopes = {
    loss: [
        LinearRegressor(loss, delta=1.0).fit(x[:, None], y + move * (x == 10.0)).coef_[0]
        for move in moves
    ]
    for loss in LOSSES
}
for loss, slope in slopes.items():
    print(
        f"{loss:<5}  slope without the outlier {slope[0]:.3f}, with an error of 30: {slope[-1]:.3f}"
    )

# %%
# A squared error pulls as hard as it is large. An absolute error has one vote, however large it
# is; Huber's has at most the pull of an error of delta. The slope of the truth is 0.5.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
FitDisplay.from_estimator(
    LinearRegressor("huber", delta=1.0), x[:, None], y + 15.0 * (x == 10.0), ax=left
)
for loss, (color, dashes) in LOSSES.items():
    right.plot(moves, slopes[loss], color=color, linestyle=dashes, linewidth=2, label=loss)
right.axhline(0.5, color="0.6", linewidth=1)
right.set(
    xlabel="error of the last point (units of y)",
    ylabel="slope of the fit",
    title="pull of one outlier",
)
right.legend()
plt.show()
