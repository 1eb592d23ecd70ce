"""What a proof says."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Shares of the objective. Where rounding may explain more than this, nothing is claimed.
FORGIVEN = 1e-2
# From here on the sentence tells what rounding explains.
MENTIONED = 1e-6
# Up to this gap the dual point tells the set of minimisers.
OPTIMAL = 1e-9
# What rounding of a sum of losses hides: a smaller gap is none. A safe margin.
ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far coefficients are from optimal; ``print`` it for a sentence.

    Parameters
    ----------
    loss : str
        ``"mse"``, ``"mae"``, ``"huber"`` or ``"quantile"``.
    objective : float
        The value P of the objective at the coefficients, as ``LinearRegressor`` defines it.
    dual : float
        The value D of a feasible dual point, less all rounding: no coefficients have an objective
        below it, but for those that ``left_out`` excepts.
    gap : float
        (P - D) / P, less ``rounding``: the objective exceeds its minimum by at most this fraction
        of it. Outliers very far away do not count in this P, so that they cannot hide the others.
        0.0 where P is 0.
    rounding : float
        The part of (P - D) / P that rounding of the residuals explains, and two units in the last
        place of each coefficient. Where it is more than a hundredth, P is neither proved to be the
        minimum nor shown to be above it.
    stationarity : float
        The largest derivative with respect to a coefficient of a column of unit variance, beyond
        what rounding explains, relative to the root mean square slope of the loss at the residuals.
        It is linear in an error of the coefficients, where ``gap`` is quadratic (for ``"mse"`` and
        ``"huber"``).
    unique : bool or None
        Whether no other coefficients have the same objective; None where neither is proved, as
        where P is not proved to be the minimum.
    left_out : int
        The number of directions of X that only the last places of its numbers tell from none. What
        is proved holds for all coefficients that differ from the judged ones in the other
        directions. A direction that changes no fitted value at all, such as that of two equal
        columns, need not be left out.
    exact_fit : bool
        Whether every residual is nothing but rounding, and so is P: ``gap`` is then 0.0, whatever
        ``rounding``.

    Examples
    --------
    >>> from robustreg import LinearRegressor, certify
    >>> X, y = [[1], [2], [3], [4], [5]], [0.8, 1.5, 1.8, 2.0, 25.0]
    >>> certificate = certify(LinearRegressor("mse").fit(X, y), X, y, loss="mae")
    >>> print(f"{certificate.objective:.2f}, at most {certificate.gap:.0%} above the minimum")
    5.41, at most 16% above the minimum
    """

    loss: str
    objective: float
    dual: float
    gap: float
    rounding: float
    stationarity: float
    unique: bool | None
    left_out: int
    exact_fit: bool

    def __str__(self) -> str:
        sentence = f"The {self.loss} objective {self.objective:.6g} {self._finding()}"
        return sentence + self._exception()

    def __repr__(self) -> str:
        return str(self)

    def _finding(self) -> str:
        if self.objective == math.inf:
            return "is too large for float64: nothing is proved."
        if self.exact_fit:
            return f"is zero, to rounding{self._others()}."
        if self.gap > OPTIMAL:
            return (
                f"may exceed its minimum: by at most {self.gap + self.rounding:.2g} of itself, "
                f"since no coefficients have an objective below {self.dual:.6g}."
            )
        if self.rounding > FORGIVEN:
            return (
                "cannot be told from its minimum, nor proved to be it: what rounding of the "
                f"coefficients explains is up to {self.rounding:.0%} of it. "
                f"No coefficients have an objective below {self.dual:.6g}."
            )
        if self.rounding > MENTIONED:
            return (
                f"is within {self.gap:.2g} of itself of the minimum, but for what rounding of the "
                f"coefficients explains: up to {self.rounding:.2g} of itself."
            )
        if self.gap <= ROUNDING:
            return f"is the minimum, to rounding{self._others()}."
        return f"is within {self.gap:.2g} of itself of the minimum{self._others()}."

    def _others(self) -> str:
        if self.unique is None:
            return ""
        if self.unique:
            return ", and no other coefficients reach it"
        return ", which other coefficients reach too"

    def _exception(self) -> str:
        if not self.left_out:
            return ""
        directions = "one direction" if self.left_out == 1 else f"{self.left_out} directions"
        return (
            f" This leaves out {directions} of X that only the last places of its numbers tell "
            "from none."
        )
