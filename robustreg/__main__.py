"""``python -m robustreg``: versions, for reports of bugs."""

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
        words = [pool["internal_api"], pool.get("version"), pool.get("architecture") or pool.get("threading_layer")]
        lines.append(f"{' '.join(word for word in words if word)}: {pool['num_threads']} threads")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
