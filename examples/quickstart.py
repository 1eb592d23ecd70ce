"""Three losses on four points, then on real data: python examples/quickstart.py"""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import LinearRegressor

LOSSES = ["mse", "mae", "huber"]

x = np.array([[1.0], [2.0], [3.0], [4.0]])
y = np.array([0.8, 1.5, 1.8, 2.0])


def show(title, x, y, delta):
    print(title)
    for loss in LOSSES:
        model = LinearRegressor(loss, delta=delta).fit(x, y)
        line = f"{model.coef_[0]:.2f} x {model.intercept_:+.2f}"
        print(f"  {loss:<6} y = {line:<14}  objective {model.objective_:.4f}  dual gap {model.dual_gap_:.0e}"
              f"  unique {model.unique_}")  # fmt: skip


show("Four points on a bent line:", x, y, delta=0.1)
show("\nA fifth point, recorded as 25 instead of 2.5: mse follows it, mae and huber do not:",
     np.append(x, [[5.0]], axis=0), np.append(y, 25.0), delta=0.1)  # fmt: skip

print(
    "\nDiabetes progression of 442 patients (scikit-learn's data), delta chosen by cross-validation:"
)
X, y = load_diabetes(return_X_y=True)
folds = KFold(5, shuffle=True, random_state=0)
search = GridSearchCV(
    make_pipeline(StandardScaler(), LinearRegressor("huber")),
    {"linearregressor__delta": np.geomspace(1, 300, 20)},
    scoring="neg_mean_absolute_error",
    cv=folds,
).fit(X, y)
best = search.best_estimator_[-1]
print(
    f"  huber with delta = {best.delta:.1f}: mean absolute error {-search.best_score_:.3f} in {folds.n_splits} folds"
)
print(
    f"  {best.outliers_.sum()} of {len(y)} patients lie more than delta from the fit; dual gap {best.dual_gap_:.0e}"
)
