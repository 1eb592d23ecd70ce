"""Pictures: each display computes the numbers of its picture, and ``plot`` draws them.

matplotlib is imported where something is drawn. Colours are those of Okabe and Ito, which
colour-blind readers tell apart, and lines differ in their dashes, too.
"""

from .coefficients import CoefficientsDisplay
from .fit import FitDisplay
from .loss import LossDisplay
from .path import DeltaPathDisplay
from .residuals import ResidualsDisplay

__all__ = [
    "CoefficientsDisplay",
    "DeltaPathDisplay",
    "FitDisplay",
    "LossDisplay",
    "ResidualsDisplay",
]
