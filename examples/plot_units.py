"""
Changing units, beside other estimators
=======================================

A target in other units is the same problem, and its coefficients ought to change by that factor and
by nothing else. Here y is multiplied by powers of ten, and the fit divided by them again.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import HuberRegressor, QuantileRegressor

from robustreg import LinearRegressor

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.standard_normal((200, 3))
y = X @ [1.0, 2.0, 3.0] + rng.standard_t(2, 200)

MODELS = {
    "LinearRegressor mae": (LinearRegressor("mae"), "#D55E00", "-", "o"),
    "LinearRegressor huber": (LinearRegressor("huber", scale="mad"), "#009E73", "-", "s"),
    "sklearn QuantileRegressor": (QuantileRegressor(alpha=0.0), "#CC79A7", "--", "^"),
    "sklearn HuberRegressor": (HuberRegressor(alpha=0.0, max_iter=10_000), "#0072B2", "--", "v"),
}

# %%
# The largest change of a coefficient, relative to the largest coefficient:

powers = np.arange(-12, 13, 2)
changes = {}
for name, (model, *_) in MODELS.items():
    reference = model.fit(X, y).coef_.copy()
    changed = [model.fit(X, 10.0**k * y).coef_ / 10.0**k for k in powers]
    changes[name] = [np.abs(coef - reference).max() / np.abs(reference).max() for coef in changed]
    print(f"{name:<26} at most {max(changes[name]):.0e}")

# %%
# Where a tolerance is absolute, some unit is too small or too large for it. Here all are relative.

figure, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
for name, (_, color, dashes, marker) in MODELS.items():
    ax.semilogy(
        powers,
        np.maximum(changes[name], 1e-16),
        color=color,
        linestyle=dashes,
        marker=marker,
        label=name,
    )
ax.set(
    xlabel="y times 10 to the power of", ylabel="relative change of a coefficient", ylim=(3e-17, 5.0),
    title="what a change of units does",
)  # fmt: skip
figure.legend(loc="outside lower center", ncols=2)
plt.show()
