"""
Prediction intervals from quantiles
===================================

The 5 % and the 95 % line of ``loss="quantile"`` make an interval for new rows. On rows that the fit
has not seen it holds fewer than nine of ten; a few lines of NumPy, split conformal calibration, mend
that.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

from robustreg import FitDisplay, LinearRegressor, quantile_process

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
LEVELS = [0.05, 0.5, 0.95]

# %%
# One feature, three levels: the higher the body mass index, the wider the band.

FitDisplay.from_estimator(LinearRegressor(), X[["bmi"]], y, quantiles=LEVELS)
plt.show()

# %%
# All ten features, and three parts of the patients: to fit, to calibrate, to test.


def parts(seed):
    order = np.random.default_rng(seed).permutation(len(y))
    return [(X.iloc[rows], y.iloc[rows].to_numpy()) for rows in np.split(order, [200, 320])]


def coverage(low, high, y):
    return np.mean((low <= y) & (y <= high))


(X_fit, y_fit), (X_calibrate, y_calibrate), (X_test, y_test) = parts(0)
process = quantile_process(X_fit, y_fit, LEVELS)
print(f"fitted rows: {coverage(*process.predict(X_fit)[:, [0, 2]].T, y_fit):.1%} in the interval")
print(f"new rows:    {coverage(*process.predict(X_test)[:, [0, 2]].T, y_test):.1%}")

# %%
# Conformalised quantile regression (Romano, Patterson & Candes 2019): how far outside of its
# interval each calibration row is, negative inside, and the 90 % quantile of that, with one row more
# in the count. Both ends are moved out by it. If new rows come from where the calibration rows came
# from, nine of ten are then inside on average, whatever the distribution and however good the lines.


def margin(process, X, y, level=0.9):
    low, _, high = process.predict(X).T
    outside = np.maximum(low - y, y - high)
    rank = int(np.ceil((len(y) + 1) * level))
    return np.sort(outside)[rank - 1] if rank <= len(y) else np.inf


shift = margin(process, X_calibrate, y_calibrate)
low, _, high = process.predict(X_test).T
print(f"both ends moved out by {shift:.0f}: {coverage(low - shift, high + shift, y_test):.1%}")

# %%
# One split is luck; over 200 of them:

plain, calibrated = [], []
for seed in range(200):
    (X_fit, y_fit), (X_calibrate, y_calibrate), (X_test, y_test) = parts(seed)
    process = quantile_process(X_fit, y_fit, LEVELS)
    shift = margin(process, X_calibrate, y_calibrate)
    low, _, high = process.predict(X_test).T
    plain.append(coverage(low, high, y_test))
    calibrated.append(coverage(low - shift, high + shift, y_test))
print(f"mean coverage of new rows: {np.mean(plain):.1%}, calibrated {np.mean(calibrated):.1%}")

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
bins = np.linspace(0.7, 1.0, 31)
ax.hist(plain, bins, color="#CC79A7", alpha=0.7, label="quantile lines alone")
ax.hist(calibrated, bins, color="#0072B2", alpha=0.6, label="calibrated")
ax.axvline(0.9, color="0.3", linewidth=1.0)
ax.set(xlabel="part of the new rows in the interval", ylabel="splits", title="coverage, 200 splits")
ax.legend()
plt.show()
