"""robustreg: exact linear regression under squared, absolute, Huber and quantile loss."""

from ._version import __version__
from .certificate import Certificate, certify
from .display import DeltaPathDisplay, FitDisplay, LossDisplay, ResidualsDisplay
from .linear_regressor import LinearRegressor
from .linear_regressor_cv import LinearRegressorCV
from .path import DeltaPath, delta_path
from .process import QuantileProcess, quantile_process

__all__ = [
    "Certificate",
    "DeltaPath",
    "DeltaPathDisplay",
    "FitDisplay",
    "LinearRegressor",
    "LinearRegressorCV",
    "LossDisplay",
    "QuantileProcess",
    "ResidualsDisplay",
    "__version__",
    "certify",
    "delta_path",
    "quantile_process",
]
