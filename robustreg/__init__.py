"""robustreg: exact linear regression under squared, absolute and Huber loss."""

from ._version import __version__
from .certificate import Certificate, certify
from .linear_regressor import LinearRegressor

__all__ = ["Certificate", "LinearRegressor", "__version__", "certify"]
