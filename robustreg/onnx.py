"""ONNX: converters of the estimators, for skl2onnx.

A fitted estimator is a linear model as those of scikit-learn are: skl2onnx's converter of these
writes it.
"""

from __future__ import annotations

from .linear_regressor import LinearRegressor
from .linear_regressor_cv import LinearRegressorCV


def register() -> None:
    """Tell skl2onnx how :class:`LinearRegressor` and :class:`LinearRegressorCV` are converted.

    Needed once, before ``skl2onnx.to_onnx`` of a model, or of a pipeline with one. It takes
    ``pip install "robustreg[onnx]"``.

    See Also
    --------
    LinearRegressor : The estimator.

    Examples
    --------
    >>> from robustreg import LinearRegressor
    >>> from robustreg.onnx import register
    >>> from skl2onnx import to_onnx
    >>> import numpy as np
    >>> X, y = np.array([[1], [2], [3], [4]], dtype=np.float32), [0.8, 1.5, 1.8, 2.0]
    >>> register()
    >>> graph = to_onnx(LinearRegressor("mae").fit(X, y), X).graph
    >>> [node.op_type for node in graph.node]
    ['LinearRegressor']
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes
    from skl2onnx.operator_converters.linear_regressor import convert_sklearn_linear_regressor

    for estimator in (LinearRegressor, LinearRegressorCV):
        update_registered_converter(
            estimator,
            f"Robustreg{estimator.__name__}",
            calculate_linear_regressor_output_shapes,
            convert_sklearn_linear_regressor,
        )
