"""
The exact path over delta
=========================

Loss of ammonia in a plant over 21 days (Brownlee's stack loss data). The coefficients are a
piecewise linear function of delta; :func:`~robustreg.delta_path` finds all its breakpoints.
"""

import matplotlib.pyplot as plt
import numpy as np

from robustreg import DeltaPathDisplay, delta_path

air = [80, 80, 75, 62, 62, 62, 62, 62, 58, 58, 58, 58, 58, 58, 50, 50, 50, 50, 50, 56, 70]
water = [27, 27, 25, 24, 22, 23, 24, 24, 23, 18, 18, 17, 18, 19, 18, 18, 19, 19, 20, 20, 20]
acid = [89, 88, 90, 87, 87, 87, 93, 93, 87, 80, 89, 88, 82, 93, 89, 86, 72, 79, 80, 82, 91]
loss = [42, 37, 37, 28, 18, 18, 19, 20, 15, 14, 14, 13, 11, 12, 8, 7, 8, 8, 9, 15, 15]
X, y = np.column_stack([air, water, acid]).astype(float), np.array(loss, dtype=float)

path = delta_path(X, y)
print(f"{len(path.deltas)} breakpoints describe the solution for every delta.\n")
print(f"{'delta':>7} {'air':>7} {'water':>7} {'acid':>7}   days beyond delta")
for delta in [*path.deltas[::-1][:6], 2.0, 1.0, 0.5, 0.0]:
    coef, intercept = path(delta)
    days = 1 + np.flatnonzero(np.abs(y - X @ coef - intercept) > delta + 1e-9)
    listed = " ".join(map(str, days)) if len(days) <= 9 else f"{len(days)} of 21"
    print(f"{delta:7.3f} {coef[0]:7.3f} {coef[1]:7.3f} {coef[2]:7.3f}   {listed}")

# %%
# From the right, least squares, no day is beyond delta. Days 21, 4, 3 and 1 are the first to
# become outliers; then the coefficients hardly move, until good days are cut off as well.

DeltaPathDisplay.from_path(path, feature_names=["air", "water", "acid"])
plt.show()
