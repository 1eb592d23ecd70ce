"""
Reading a certificate
=====================

How far are coefficients from the best there are? For a convex loss that can be proved without
knowing the best: :func:`~robustreg.certify` finds a bound that no coefficients can fall below, from
data and coefficients alone.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LinearRegression, QuantileRegressor

from robustreg import LinearRegressor, certify

rng = np.random.default_rng(0)
X = rng.standard_normal((200, 3))
y = 1e-8 * (X @ [1.0, 2.0, 3.0] + rng.standard_t(2, 200))

# %%
# An exact fit, least squares judged by the absolute loss, and a linear program whose tolerance
# is absolute and larger than these targets:

exact = LinearRegressor("mae").fit(X, y)
print(certify(exact, X, y))
print(certify(LinearRegression().fit(X, y), X, y, loss="mae"))
print(certify(QuantileRegressor(alpha=0.0).fit(X, y), X, y, loss="mae"))

# %%
# ``gap`` bounds the excess: an objective at most so much, relative to itself, above the minimum.
# Moving the exact coefficients away, the proved bound stays just above the true excess, and it is
# zero where the fit is exact.

direction = 1e-8 * rng.standard_normal(3)
moves = np.linspace(-0.2, 0.2, 41)
moved, excess, bounds = LinearRegressor("mae").fit(X, y), [], []
for move in moves:
    moved.coef_ = exact.coef_ + move * direction
    objective = np.abs(y - moved.predict(X)).mean()
    excess.append(1.0 - exact.objective_ / objective)
    bounds.append(certify(moved, X, y).gap)

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(
    moves, bounds, color="#E69F00", linewidth=5, label="gap, proved without knowing the minimum"
)
ax.plot(moves, excess, color="#0072B2", linestyle="--", label="true excess over the minimum")
ax.set(
    xlabel="coefficients moved by, times a direction",
    ylabel="relative to the objective",
    title="a bound that is tight",
)
ax.legend()
plt.show()
