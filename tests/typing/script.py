"""A user's script, as ``mypy --strict`` and pyright read it: .ci/run calls both."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from robustreg import (
    Certificate,
    DeltaPath,
    Inference,
    LinearRegressor,
    LinearRegressorCV,
    QuantileProcess,
    certify,
    delta_path,
    infer,
    quantile_process,
)

X: NDArray[np.float64] = np.arange(6.0).reshape(-1, 1)
y: NDArray[np.float64] = np.array([0.1, 0.9, 2.2, 2.9, 4.1, 9.0])

model = assert_type(LinearRegressor("huber", delta=1.0, scale="mad").fit(X, y), LinearRegressor)
model.predict(X)
assert_type(LinearRegressorCV(deltas=[0.5, 1.0]).fit(X, y), LinearRegressorCV)
assert_type(delta_path(X, y), DeltaPath)
assert_type(quantile_process(X, y, quantiles=[0.1, 0.9]), QuantileProcess)

# One target has one certificate and table, several targets have a list of them.
assert_type(certify(model, X, [0.1, 0.9, 2.2, 2.9, 4.1, 9.0]), Certificate)
assert_type(certify(model, X, [[0.1, 1.0], [0.9, 2.0]]), list[Certificate])
assert_type(certify(model, X, y), Any)  # its type does not tell the number of dimensions
assert_type(infer(model, X, [0.1, 0.9, 2.2, 2.9, 4.1, 9.0]), Inference)
assert_type(infer(model, X, [[0.1, 1.0], [0.9, 2.0]]), list[Inference])

# A word that is none is seen before anything runs.
LinearRegressor("hubber")  # type: ignore[arg-type]
LinearRegressor(scale="iqr")  # type: ignore[arg-type]
LinearRegressor(solver="lbfgs")  # type: ignore[arg-type]
