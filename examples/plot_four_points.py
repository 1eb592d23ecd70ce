"""
Three losses on four points
===========================

The least squares line through four points, by partial derivatives, by the matrix formula and by
:class:`~robustreg.LinearRegressor`; and what the other two losses make of the same points.
"""

import matplotlib.pyplot as plt
import numpy as np

from robustreg import FitDisplay, LinearRegressor, LossDisplay

x = np.array([1.0, 2.0, 3.0, 4.0])
y = np.array([0.8, 1.5, 1.8, 2.0])

# %%
# By partial derivatives
# ----------------------
# At the least sum of squares of :math:`y_i - a x_i - b` both derivatives are zero:
# :math:`a \sum x^2 + b \sum x = \sum x y` and :math:`a \sum x + b\, n = \sum y`. Solved by hand:

n, sx, sxx, sy, sxy = len(x), x.sum(), (x * x).sum(), y.sum(), (x * y).sum()
a = (n * sxy - sx * sy) / (n * sxx - sx**2)
b = (sy - a * sx) / n
print(f"{sxx:g} a + {sx:g} b = {sxy:.1f},  {sx:g} a + {n} b = {sy:.1f}:  y = {a:.2f} x + {b:.2f}")

# %%
# By the matrix formula
# ---------------------
# With a column of ones both equations are :math:`X'X B = X'y`, so :math:`B = (X'X)^{-1} X'y`.

X = np.column_stack([x, np.ones(4)])
B = np.linalg.inv(X.T @ X) @ X.T @ y
print(f"y = {B[0]:.2f} x + {B[1]:.2f}")

# %%
# By LinearRegressor
# ------------------

model = LinearRegressor("mse").fit(x[:, None], y)
print(f"y = {model.coef_[0]:.2f} x + {model.intercept_:.2f}, certified: {model.converged_}")

# %%
# The three losses
# ----------------
# The V of the absolute loss has the same slope everywhere and a corner at 0. The parabola of the squared loss
# enlarges large errors. Huber's loss is the parabola up to delta, and a line beyond.

LossDisplay.from_delta(1.0)
plt.show()

# %%
# Four points that do not quite lie on a line, and three compromises: the absolute loss goes
# through two of them.

FitDisplay.from_estimator(LinearRegressor("huber", delta=0.1), x[:, None], y)
plt.show()
