"""``python -m robustreg``: versions, for reports of bugs, and how to read ``work_``."""

import platform

import numpy
import scipy
import sklearn
from threadpoolctl import threadpool_info

from ._version import __version__


def report() -> str:
    """Versions of robustreg and what it runs on, and the BLAS libraries with their threads."""
    lines = [
        f"robustreg {__version__}",
        f"Python {platform.python_version()}, {platform.platform()}",
        f"numpy {numpy.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}",
    ]
    for pool in threadpool_info():
        words = [
            pool["internal_api"],
            pool.get("version"),
            pool.get("architecture") or pool.get("threading_layer"),
        ]
        lines.append(f"{' '.join(word for word in words if word)}: {pool['num_threads']} threads")
    return "\n".join(lines)


WORK = """
Every fit tells in work_ what it took; verbose=1 prints the same, step by step:
  way       "passes": two or three passes over the rows, of which only those near a knot are kept
            "direct": all rows in memory, for few rows and for data that passes refuse
            "scipy": solver="scipy"
            "sums": partial_fit, from sums over the rows of all batches
  n_passes  over all rows; n_kept: rows kept open at most; n_fixups: rounds in which rows that had
            been settled wrongly were opened; n_iter: iterations of the slowest target
  refused   why passes could not solve the problem, a sentence; empty if they did
  left_out  directions of X that were left out, too small for float64 but not dependent"""


if __name__ == "__main__":
    print(report())
    print(WORK)
