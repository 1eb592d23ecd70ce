"""What the tests read from files: reference numbers made elsewhere, and problems that were once
solved wrongly.
"""

import csv
import json
from pathlib import Path

import numpy as np

REFERENCE = Path(__file__).parent / "reference"
DATA = Path(__file__).parent / "data"


def read_nist(name):
    """(X, y) of a reference data set of NIST."""
    with open(REFERENCE / "nist" / f"{name}.csv") as file:
        rows = list(csv.reader(file))
    data = np.array([[float(x) for x in row] for row in rows[1:] if row])
    return np.delete(data, rows[0].index("y"), axis=1), data[:, rows[0].index("y")]


def read_arrays(name):
    """The arrays of ``tests/data/<name>.npz`` by name."""
    with np.load(DATA / f"{name}.npz") as file:
        return dict(file)


def write_problem(path, X, y, w, parameters, storage):
    """Store one problem of the fuzzer in an .npz file; every number keeps all its bits."""
    kept = {"X": X, "y": y} if w is None else {"X": X, "y": y, "w": w}
    np.savez_compressed(path, **kept, parameters=json.dumps(parameters), storage=storage)


def read_problem(path):
    """(X, y, w, parameters, storage) as ``write_problem`` stored them; w is None where rows had no
    weights.
    """
    with np.load(path) as file:
        return (
            file["X"],
            file["y"],
            file.get("w"),
            json.loads(str(file["parameters"])),
            str(file["storage"]),
        )
