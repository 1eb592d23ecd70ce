"""robustreg: exact linear regression under squared, absolute and Huber loss."""

from ._version import __version__
from .linear_regressor import LinearRegressor

__all__ = ["LinearRegressor", "__version__"]
