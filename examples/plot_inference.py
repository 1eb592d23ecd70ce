"""
How sure is a coefficient
=========================

Brownlee's stack loss data: 21 days of a plant that makes nitric acid from ammonia, and how much of it
is lost. Four of the days are known to be odd. Standard errors of three losses, beside those of R.
"""

import matplotlib.pyplot as plt
import numpy as np

from robustreg import CoefficientsDisplay, LinearRegressor, infer

air_flow = [80, 80, 75, 62, 62, 62, 62, 62, 58, 58, 58, 58, 58, 58, 50, 50, 50, 50, 50, 56, 70]
water = [27, 27, 25, 24, 22, 23, 24, 24, 23, 18, 18, 17, 18, 19, 18, 18, 19, 19, 20, 20, 20]
acid = [89, 88, 90, 87, 87, 87, 93, 93, 87, 80, 89, 88, 82, 93, 89, 86, 72, 79, 80, 82, 91]
loss = [42, 37, 37, 28, 18, 18, 19, 20, 15, 14, 14, 13, 11, 12, 8, 7, 8, 8, 9, 15, 15]
X, y = np.column_stack([air_flow, water, acid]), np.array(loss, dtype=float)
names = ["intercept", "air flow", "water temperature", "acid"]

# %%
# The same table by R, with ``summary`` of ``lm``, ``rlm(k = 1.345, acc = 1e-13)`` and ``rq(tau = 0.5)``, its
# standard errors as they are printed there with ``digits = 15``:

models = {
    "mse": LinearRegressor("mse").fit(X, y),
    "huber": LinearRegressor("huber", delta=1.345, scale="mad").fit(X, y),
    "mae": LinearRegressor("mae").fit(X, y),
}
by_R = {
    ("mse", "iid"): [11.8959968506443, 0.134858185355372, 0.368024265272704, 0.156294043248621],
    ("huber", "MASS"): [9.80687229435335, 0.111174962319929, 0.303393403349562, 0.128846345686815],
    ("mae", "iid"): [10.6270399193722, 0.120472738621145, 0.328766778224124, 0.139622013826712],
    ("mae", "kernel"): [14.0597364301636, 0.243502747605751, 0.578943305021289, 0.181421698395236],
}
for (name, cov), theirs in by_R.items():
    table = infer(models[name], X, y, cov=cov)
    print(f'{name}, cov="{cov}"')
    for coefficient, ours, wanted in zip(names, table.std_err, theirs, strict=True):
        print(f"  {coefficient:<18} {ours:18.13f}   R {wanted:18.13f}")

# %%
# A table as statisticians know it. The default of Huber's loss assumes no more than that the days
# are independent:

print(infer(models["huber"], X, y))

# %%
# Do air flow and water temperature have any influence together?

test = infer(models["huber"], X, y).test(["x0", "x1"])
print(f"F = {test.statistic:.1f}, p = {test.p_value:.1g}")

# %%
# The estimates with their intervals. Least squares, which the odd days pull, finds twice the
# influence of the water's temperature that the absolute loss finds, and is no surer of it.

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
display = CoefficientsDisplay.from_estimator(models, X, y, ax=ax)
ax.set_yticks(range(3), names[1:])
plt.show()
