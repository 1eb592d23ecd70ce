"""The whole Huber path of a small data set with outliers: Brownlee's stack loss plant.

Loss of ammonia (per mille) over 21 days, against air flow, water temperature and acid concentration. Days 1, 3, 4
and 21 are known to be odd. From least squares (large delta) to the absolute loss (delta = 0) the path tells when
each day becomes an outlier, and how much the coefficients depend on it.
"""

import numpy as np

from robustreg import delta_path

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
    size = np.abs(y - X @ coef - intercept)
    days = np.flatnonzero(size > delta + 1e-9) + 1
    listed = " ".join(map(str, days)) if len(days) <= 9 else f"{len(days)} of 21"
    print(f"{delta:7.3f} {coef[0]:7.3f} {coef[1]:7.3f} {coef[2]:7.3f}   {listed}")
print("\nWhere a day is beyond delta, how far it is no longer matters.")
