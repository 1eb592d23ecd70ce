"""robustreg: exact linear regression under squared, absolute, Huber and quantile loss."""

from ._version import __version__
from .certificate import certify
from .display import (
    CoefficientsDisplay,
    DeltaPathDisplay,
    FitDisplay,
    LossDisplay,
    ResidualsDisplay,
)
from .inference import FittedLine, Inference, WaldTest, infer
from .linear_regressor import LinearRegressor
from .linear_regressor_cv import LinearRegressorCV
from .path import DeltaPath, delta_path
from .process import QuantileProcess, quantile_process
from .proof.certificate import Certificate

__all__ = [
    "Certificate",
    "CoefficientsDisplay",
    "DeltaPath",
    "DeltaPathDisplay",
    "FitDisplay",
    "FittedLine",
    "Inference",
    "LinearRegressor",
    "LinearRegressorCV",
    "LossDisplay",
    "QuantileProcess",
    "ResidualsDisplay",
    "WaldTest",
    "__version__",
    "certify",
    "delta_path",
    "infer",
    "quantile_process",
]
