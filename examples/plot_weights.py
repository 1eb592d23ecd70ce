"""
Weights and repeated rows
=========================

A weight counts repeats: 2 is the row twice, 0 the row absent, exactly. Where several lines are
optimal, all of these give the same one of them.
"""

import matplotlib.pyplot as plt
import numpy as np

from robustreg import LinearRegressor

rng = np.random.default_rng(3)
x = np.sort(rng.uniform(0.0, 10.0, 12))
y = 0.5 * x + 1.0 + rng.standard_normal(12)
repeats = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6, 0])

# %%
# Weighted and repeated, in any order:

for loss in ["mse", "mae", "huber"]:
    weighted = LinearRegressor(loss, delta=0.5).fit(x[:, None], y, sample_weight=repeats)
    index = rng.permutation(np.repeat(np.arange(12), repeats))
    repeated = LinearRegressor(loss, delta=0.5).fit(x[index, None], y[index])
    difference = abs(weighted.coef_[0] - repeated.coef_[0])
    print(
        f"{loss:<5}  weighted {weighted.coef_[0]:.12f}, repeated {repeated.coef_[0]:.12f}, apart {difference:.0e}"
    )

# %%
# One point with a growing weight draws the line to itself: smoothly under the squared loss;
# under the absolute loss the line turns from one pair of points to another, and once it goes
# through the heavy point more weight changes nothing.

weights = np.geomspace(0.01, 100.0, 120)
styles = {"mse": ("#0072B2", "-"), "mae": ("#D55E00", "--"), "huber": ("#009E73", "-.")}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for loss, (color, dashes) in styles.items():
    residuals = []
    for weight in weights:
        model = LinearRegressor(loss, delta=0.5).fit(
            x[:, None], y, np.where(np.arange(12) == 10, weight, 1.0)
        )
        residuals.append(y[10] - model.predict(x[10:11, None])[0])
    ax.semilogx(weights, residuals, color=color, linestyle=dashes, linewidth=2, label=loss)
ax.axhline(0.0, color="0.6", linewidth=1)
ax.set(xlabel="weight of one row", ylabel="its residual (units of y)", title="what weight buys")
ax.legend()
plt.show()
