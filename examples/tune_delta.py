"""Tune delta inside a pipeline, when one target in ten has a slipped decimal point.

The disease progression of 442 diabetes patients (shipped with scikit-learn). Every tenth value of the training set is
ten times too large; the test set is kept clean and tells how well each model does.
"""

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
folds = KFold(5, shuffle=True, random_state=0)

models = {
    "least squares": make_pipeline(StandardScaler(), LinearRegressor("mse")),
    "absolute loss": make_pipeline(StandardScaler(), LinearRegressor("mae")),
    "Huber, delta by GridSearchCV": GridSearchCV(
        make_pipeline(StandardScaler(), LinearRegressor("huber")),
        {"linearregressor__delta": np.geomspace(1.0, 1000.0, 20)},
        cv=folds,
        scoring="neg_mean_absolute_error",
    ),
    "Huber, delta by LinearRegressorCV": make_pipeline(StandardScaler(), LinearRegressorCV(cv=folds)),
    "the same, but scored by R2": make_pipeline(StandardScaler(), LinearRegressorCV(cv=folds, scoring="r2")),
    "Huber, delta = 1.345 MAD": make_pipeline(StandardScaler(), LinearRegressor("huber", delta=1.345, scale="mad")),
}

print(f"{'model':<36} {'delta':>8} {'outliers':>9} {'test error':>11}")
for name, model in models.items():
    model.fit(X_train, y_train)
    final = getattr(model, "best_estimator_", model)[-1]
    knot, outliers = "", ""
    if hasattr(final, "scale_"):
        delta = final.delta_ if hasattr(final, "delta_") else final.delta
        knot, outliers = f"{delta * final.scale_:.1f}", int(final.outliers_.sum())
    error = mean_absolute_error(y_test, model.predict(X_test))
    print(f"{name:<36} {knot:>8} {outliers:>9} {error:11.1f}")
