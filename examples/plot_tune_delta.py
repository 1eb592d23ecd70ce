"""
Tuning delta by GridSearchCV in a pipeline
==========================================

One target in ten has a slipped decimal point. The search over ``delta`` runs like any other of
scikit-learn; scored by the mean absolute error it finds a delta that ignores the slips.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import LinearRegressor, LinearRegressorCV

X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
y_train[::10] *= 10.0
deltas = np.geomspace(1.0, 2000.0, 30)

# %%
# The search, over a pipeline:

search = GridSearchCV(
    make_pipeline(StandardScaler(), LinearRegressor("huber")),
    {"linearregressor__delta": deltas},
    cv=KFold(5, shuffle=True, random_state=0),
    scoring="neg_mean_absolute_error",
).fit(X_train, y_train)
best = search.best_params_["linearregressor__delta"]
print(
    f"delta = {best:.0f}; {search.best_estimator_[-1].outliers_.sum()} of {len(y_train)} patients beyond it"
)

# %%
# The test set is clean, and tells what each delta is worth. The folds hold slips themselves, so
# that their errors are larger; but they have their minimum in the same place.

test = [
    mean_absolute_error(
        y_test,
        search.estimator.set_params(linearregressor__delta=d).fit(X_train, y_train).predict(X_test),
    )
    for d in deltas
]

# %%
# Beside it: the two losses without a delta, the other ways to find one, and the score to avoid.
# R2 is decided by the slips in a fold, and so chooses the fit that follows them.

folds = search.cv
others = {
    "least squares": LinearRegressor("mse"),
    "absolute loss": LinearRegressor("mae"),
    "Huber, delta by LinearRegressorCV": LinearRegressorCV(cv=folds),
    "the same, but scored by R2": LinearRegressorCV(cv=folds, scoring="r2"),
    "Huber, delta = 1.345 MAD": LinearRegressor("huber", delta=1.345, scale="mad"),
}
print("mean absolute error on the clean test set:")
print(
    f"{'Huber, delta by GridSearchCV':<34} {mean_absolute_error(y_test, search.predict(X_test)):5.1f}"
)
for name, model in others.items():
    pipeline = make_pipeline(StandardScaler(), model).fit(X_train, y_train)
    print(f"{name:<34} {mean_absolute_error(y_test, pipeline.predict(X_test)):5.1f}")

# %%
# The errors over delta:

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.semilogx(
    deltas, -search.cv_results_["mean_test_score"], color="#0072B2", label="folds, with slips"
)
ax.semilogx(deltas, test, color="#D55E00", linestyle="--", label="test set, clean")
ax.axvline(best, color="0.5", linewidth=1)
ax.annotate(f"chosen: {best:.0f}", (best, max(test)), xytext=(6, 0), textcoords="offset points")
ax.set(
    xlabel="delta (disease progression)",
    ylabel="mean absolute error",
    title="from absolute loss to least squares",
)
ax.legend()
plt.show()
