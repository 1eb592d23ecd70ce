"""
Formulas
========

A formula makes the matrix, as in R and statsmodels. The package formulaic reads it, and remembers the
knots of a spline and the levels of a factor for new rows. Below, the progression of diabetes: a
table of coefficients with an interaction, and a median line with its 80 % band by a spline.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from formulaic import model_matrix
from sklearn.datasets import load_diabetes

from robustreg import LinearRegressor, infer, quantile_process

patients = load_diabetes(as_frame=True, scaled=False).frame

# %%
# ``fit_intercept`` stands for the column ``Intercept``, which is left out. An interaction and a factor:

y, X = model_matrix("target ~ bmi * bp + C(sex)", patients)
X = X.drop(columns="Intercept")
model = LinearRegressor("huber", delta=1.345, scale="mad").fit(X, y["target"])
print(infer(model, X, y["target"]))

# %%
# The formula of the right side alone, and ``model_spec`` for rows that the fit has not seen.

design = model_matrix("bs(bmi, df=4)", patients)
process = quantile_process(design.drop(columns="Intercept"), patients["target"], [0.1, 0.5, 0.9])
grid = pd.DataFrame({"bmi": np.linspace(patients["bmi"].min(), patients["bmi"].max(), 200)})
new = design.model_spec.get_model_matrix(grid).drop(columns="Intercept")
low, median, high = process.predict(new).T

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(patients["bmi"], patients["target"], ".", color="0.6", markersize=4)
ax.fill_between(grid["bmi"], low, high, color="#0072B2", alpha=0.2, label="10 % to 90 %")
ax.plot(grid["bmi"], median, color="#0072B2", label="median")
ax.set(xlabel="body mass index", ylabel="progression", title="target ~ bs(bmi, df=4)")
ax.legend()
plt.show()
