"""What was probably meant by a name that is not known here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import update_wrapper, wraps
from types import MethodType
from typing import Any, Concatenate, ParamSpec, TypeVar

Self = TypeVar("Self")
P = ParamSpec("P")

# Names that other packages have for a loss, and the loss here.
MEANT = {
    "l1": "mae", "lad": "mae", "absolute": "mae", "median": "mae", "mean_absolute_error": "mae",
    "least_absolute_deviations": "mae", "epsilon_insensitive": "mae",
    "l2": "mse", "ols": "mse", "squared": "mse", "squared_loss": "mse", "least_squares": "mse",
    "mean_squared_error": "mse", "rmse": "mse", "ls": "mse",
    "pinball": "quantile", "check": "quantile", "rq": "quantile", "tau": "quantile",
    "hubert": "huber", "rlm": "huber",
}  # fmt: skip
NOT_CONVEX = ("tukey", "bisquare", "biweight", "hampel", "cauchy", "andrews", "mm")

# Parameters that other packages have, and what to do here.
DELTA = "Huber's knot is delta; with scale='concomitant' it is the epsilon of HuberRegressor."
LEVEL = "The level is quantile, with loss='quantile'; quantile_process fits many."
PENALTY = "The only penalty is L2, of strength alpha; there is no L1."
SCALED = "Units do not matter; beside a penalty put a StandardScaler before it in a pipeline."
NOTHING_RANDOM = "Nothing is random here."
PARAMETERS = {
    "epsilon": DELTA,
    "k": "Huber's knot is delta; scale='mad' estimates the scale as MASS::rlm does.",
    "t": "Huber's knot is delta; scale='mad' estimates the scale as statsmodels' RLM does.",
    "tau": LEVEL, "q": LEVEL, "quantiles": LEVEL, "level": LEVEL,
    "penalty": PENALTY, "l1_ratio": PENALTY,
    "C": "The penalty's strength is alpha: more of it is more shrinkage.",
    "lambda_": "The penalty's strength is alpha.",
    "n_jobs": "Fits use threads already; threadpoolctl limits them.",
    "normalize": SCALED, "standardize": SCALED,
    "random_state": NOTHING_RANDOM, "seed": NOTHING_RANDOM,
    "copy_X": "X is never changed.",
    "positive": "Coefficients cannot be constrained.",
    "intercept": "The parameter is fit_intercept.",
    "weights": "Weights go to fit(X, y, sample_weight=...).",
    "sample_weight": "Weights go to fit(X, y, sample_weight=...).",
    "groups": "Groups go to fit with metadata routing; or give cv as pairs of index arrays.",
    "deltas": "LinearRegressorCV chooses among deltas.",
    "alphas": "LinearRegressorCV chooses among alphas.",
    "cv": "LinearRegressorCV cross-validates.",
    "delta": "Candidates are deltas: deltas=[0.5, 1.0], or how many.",
    "alpha": "Candidates are alphas: alphas=[0.1, 1.0].",
}  # fmt: skip


def told_of_unknown(
    init: Callable[Concatenate[Self, P], None],
) -> Callable[Concatenate[Self, P], None]:
    """An ``__init__`` that only assigns, whose TypeError says what was probably meant."""

    @wraps(init)
    def checked(self: Self, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError:
            known = list(inspect.signature(init).parameters)[1:]
            owner, unknown = type(self).__name__, [name for name in kwargs if name not in known]
            if unknown:
                raise TypeError(
                    f"{owner} has no parameter {unknown[0]!r}. {for_parameter(unknown[0], known)}"
                ) from None
            if len(args) > 1 and (hasattr(args[1], "shape") or isinstance(args[1], list)):
                raise TypeError(
                    f"{owner} takes parameters only; got {shown(args[1])}. Data go to fit(X, y)."
                ) from None
            if len(args) > 1:
                raise TypeError(
                    f"{owner} takes every parameter but loss by name; got {shown(args[1])} beside "
                    f"loss. Did you mean {known[1]}={shown(args[1])}?"
                ) from None
            raise

    return checked


class only_if:
    """A method of an estimator that has it only if ``check(estimator)`` raises no AttributeError.

    As scikit-learn's ``available_if``, but the error that the user sees is that of ``check``.
    """

    def __init__(self, check: Callable[[Any], Any]):
        self.check = check

    def __call__(self, method: Callable) -> only_if:
        self.method = method
        update_wrapper(self, method)
        return self

    def __get__(self, estimator: Any, owner: type) -> Callable:
        if estimator is None:
            return self.method
        self.check(estimator)
        return MethodType(self.method, estimator)


def for_parameter(name: str, known: Iterable[str]) -> str:
    """What to do instead of a parameter that is not known."""
    known = list(known)
    if name in PARAMETERS:
        return PARAMETERS[name]
    return near(name, known) or f"Its parameters are {listed(known, most=len(known))}."


def for_loss(name: Any) -> str:
    """What was probably meant by a loss that is not known; empty if that cannot be told."""
    if not isinstance(name, str):
        return ""
    known = MEANT.get(name.casefold().replace("-", "_").replace(" ", "_"))
    if known:
        return f"Did you mean {known!r}?"
    if name.casefold().removeprefix("psi.").startswith(NOT_CONVEX):
        return (
            "Losses that are not convex have several minima, of which none can be certified: "
            "statsmodels.api.RLM has them, as M=sm.robust.norms.TukeyBiweight()."
        )
    return ""


def near(name: Any, known: Iterable[str], before: str = "") -> str:
    """The known name that is spelt nearly so, as a question with something ``before`` it; empty if
    there is none.
    """
    if not isinstance(name, str):
        return ""
    spelt = {one.casefold(): one for one in known}
    found = get_close_matches(name.casefold(), list(spelt), n=1)
    return f"{before}Did you mean {spelt[found[0]]!r}?" if found else ""


def shown(value: Any) -> str:
    """A value in a message: not all of its entries, and its type if it is not plain."""
    text = repr(value)
    if hasattr(value, "shape"):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    return text if len(text) <= 80 else f"{text[:70]}... of type {type(value).__name__}"


def listed(names: Iterable[str], most: int = 5) -> str:
    """The names with commas, the first ``most`` of them."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
