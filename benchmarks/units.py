"""What a change of units does to estimators of the same losses: python benchmarks/units.py

Each cell is the largest relative difference of a coefficient from the estimator's own fit before
the change, after undoing it: 0 if units are only units. Warnings are marked by *, errors named.
Settings are the defaults, but for penalties, which are 0, max_iter of HuberRegressor, and delta in
the row that says so.
"""

import platform
import warnings

import numpy as np
import scipy
import sklearn
import statsmodels
import statsmodels.api as sm
from sklearn.linear_model import HuberRegressor, LinearRegression, QuantileRegressor

from robustreg import LinearRegressor


class StatsmodelsQuantReg:
    def fit(self, X, y):
        self.coef_ = sm.QuantReg(y, sm.add_constant(X, has_constant="add")).fit(q=0.5).params[1:]
        return self


class StatsmodelsRLM:
    def fit(self, X, y):
        self.coef_ = sm.RLM(y, sm.add_constant(X, has_constant="add")).fit().params[1:]
        return self


class HuberDeltaMoved:
    """LinearRegressor with a delta that is changed with the units of y, as its users have to."""

    def fit(self, X, y):
        delta = np.median(np.abs(y - np.median(y)))
        self.coef_ = LinearRegressor("huber", delta=delta).fit(X, y).coef_
        return self


ESTIMATORS = {
    "robustreg mse": lambda: LinearRegressor("mse"),
    "robustreg mae": lambda: LinearRegressor("mae"),
    'robustreg huber, scale="mad"': lambda: LinearRegressor("huber", scale="mad"),
    "robustreg huber, delta moved with y": HuberDeltaMoved,
    "robustreg huber, delta=1.35 left": lambda: LinearRegressor("huber"),
    "sklearn LinearRegression": LinearRegression,
    "sklearn HuberRegressor": lambda: HuberRegressor(alpha=0.0, max_iter=10_000),
    "sklearn QuantileRegressor": lambda: QuantileRegressor(alpha=0.0),
    "statsmodels RLM": StatsmodelsRLM,
    "statsmodels QuantReg": StatsmodelsQuantReg,
}
ONE = np.array([1.0, 0.0, 0.0])
CHANGES = {  # name: (X, y) -> (X, y, what the coefficients are to be multiplied by to undo it)
    "y x 1e-9": lambda X, y: (X, 1e-9 * y, 1e9),
    "y x 1e-7": lambda X, y: (X, 1e-7 * y, 1e7),
    "y x 1e12": lambda X, y: (X, 1e12 * y, 1e-12),
    "one column x 1e-6": lambda X, y: (X * (1 - ONE + 1e-6 * ONE), y, 1 - ONE + 1e-6 * ONE),
    "one column x 1e6": lambda X, y: (X * (1 - ONE + 1e6 * ONE), y, 1 - ONE + 1e6 * ONE),
    "one column x 1e9": lambda X, y: (X * (1 - ONE + 1e9 * ONE), y, 1 - ONE + 1e9 * ONE),
    "X + 1e6": lambda X, y: (X + 1e6, y, 1.0),
    "y + 1e9": lambda X, y: (X, y + 1e9, 1.0),
}


def cell(make, change, X, y):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            plain = np.asarray(make().fit(X, y).coef_)
            caught.clear()
            X, y, undo = change(X, y)
            error = np.max(np.abs(np.asarray(make().fit(X, y).coef_) * undo / plain - 1))
        except Exception as failure:
            return type(failure).__name__
    text = "0" if error < 1e-15 else f"{error:.0e}"
    return text + ("*" if caught else "")


rng = np.random.default_rng(0)
X = rng.standard_normal((300, 3))
y = X @ [1.0, 2.0, 3.0] + 0.5 + rng.standard_t(2, 300)
print(f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
      f"statsmodels {statsmodels.__version__}, Python {platform.python_version()}\n")  # fmt: skip
print(f"| estimator | {' | '.join(CHANGES)} |\n|---|{'---|' * len(CHANGES)}")
for name, make in ESTIMATORS.items():
    print(
        f"| {name} | {' | '.join(cell(make, change, X, y) for change in CHANGES.values())} |",
        flush=True,
    )
