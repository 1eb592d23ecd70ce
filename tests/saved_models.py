"""Models that each version saves once, when it is released: python tests/saved_models.py writes
them, and what they predict, to tests/data/saved/<version>. Later versions must read the file.
Run it with the oldest NumPy that is supported: newer ones read its arrays, but not the other way.
"""

import json
import pickle
from pathlib import Path

import numpy as np

import robustreg
from robustreg import LinearRegressor, LinearRegressorCV

FOLDER = Path(__file__).parent / "data" / "saved"


def data():
    """(X (40, 3), y (40,)): numbers of a formula, the same in every version of NumPy."""
    t = np.arange(1.0, 41.0)
    X = np.column_stack([t % 7, t**2 % 11, t**3 % 13])
    return X, X @ [1.0, -2.0, 0.5] + 3.0 + t**2 % 17 / 10.0 + 20.0 * (t % 13 == 0)


def models():
    """Fitted models by name."""
    X, y = data()
    return {
        "mse": LinearRegressor("mse").fit(X, y),
        "mae": LinearRegressor("mae").fit(X, y),
        "huber": LinearRegressor("huber", delta=0.5).fit(X, y),
        "quantile": LinearRegressor("quantile", quantile=0.9).fit(X, y),
        "scale": LinearRegressor("huber", scale="mad").fit(X, y),
        "targets": LinearRegressor("mse", alpha=0.1).fit(X, np.column_stack([y, y**2])),
        "batches": LinearRegressor("mse").partial_fit(X[:30], y[:30]),
        "cv": LinearRegressorCV().fit(X, y),
        "unfitted": LinearRegressor("huber", delta=2.0),
    }


if __name__ == "__main__":
    saved = models()
    X, _ = data()
    predicted = {
        name: model.predict(X[:5]).tolist() for name, model in saved.items() if name != "unfitted"
    }
    path = FOLDER / robustreg.__version__
    path.with_name(path.name + ".pickle").write_bytes(pickle.dumps(saved, protocol=4))
    path.with_name(path.name + ".json").write_text(json.dumps(predicted, indent=1) + "\n")
