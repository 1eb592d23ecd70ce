"""Rows drawn for a sample: from all rows at once, or from each part of them by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from .blocks import rows_of
from .source import Part, Sums, spread_out

CAPPED = 4  # times that rows drawn for certain leave their share to others
EVEN = 4.0  # the largest weight is at most so many times the mean, where weights are even


def drawn(
    w: np.ndarray | None, n: int, size: int, reaching: np.ndarray | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """(about ``size`` of n row numbers, ascending, the weights they have in a sample).

    Where weights w (n,) are as even as most, any rows may be drawn, and the weights, None, are
    their own. Else a row is drawn in proportion to its weight times its reach, as far as it can be,
    and has the weight of those it stands for: light rows would tell little of the fit, and a few
    that reach far nearly all.
    """
    if reaching is not None:
        w = np.ones(n) if w is None else w
        chance = w * reaching
    elif w is None or w.max() <= EVEN * w.sum() / n:
        return spread_out(n, size, seed), None
    else:
        chance = w
    for _ in range(CAPPED):
        chance = np.minimum(chance, chance.sum() / size)
    total = np.cumsum(chance)
    points = np.arange(size) + np.random.default_rng(seed).random(size)
    index = np.searchsorted(total, points * (total[-1] / size))
    index = np.unique(np.minimum(index, n - 1))
    part = np.minimum(1.0, chance[index] * (size / total[-1]))
    return index, w[index] / part


@dataclass(frozen=True, slots=True, eq=False)
class Drawn(Sums):
    """Rows of a sample, lists part by part: X (k, p), y (k,) or (j, k), their own weights w (k,),
    the ``weights`` (k,) that they have in the sample and their ``reach`` (k,). ``largest`` lists
    the largest reach of each part, and ``uneven`` whether its rows were drawn unevenly.
    """

    X: list
    y: list
    w: list
    weights: list
    reach: list
    largest: list
    uneven: list

    def part(self) -> Part:
        """The rows as one part."""
        return Part(stacked(self.X), np.concatenate(self.y, axis=-1), np.concatenate(self.w))


def stacked(X: list) -> Any:
    """Some rows of X and others below them as one: an array, or a CSR matrix if any are sparse."""
    some_are_sparse = any(sparse.issparse(rows) for rows in X)
    return sparse.vstack(X, format="csr") if some_are_sparse else np.concatenate(X)


def drawn_of_part(part: Part, size: int, reach: np.ndarray | None = None) -> Drawn:
    """About ``size`` rows of a part: a row stands for those of its part that are not drawn."""
    n, w = len(part.weights), part.weights
    index, weights = np.zeros(0, dtype=np.int64), None
    if size:
        index, weights = drawn(part.w, n, size, reach, seed=part.begin)
    uneven = weights is not None
    if weights is None:
        weights = w[index] * (n / max(1, len(index)))
    reached = np.ones(len(index)) if reach is None else reach[index]
    largest = 1.0 if reach is None else float(reach.max())
    X = rows_of(part.X, index)
    return Drawn([X], [part.y[..., index]], [w[index]], [weights], [reached], [largest], [uneven])


def quota(begin: int, n: int, share: float) -> int:
    """How many of the n rows from number ``begin`` on a sample with a ``share`` of all rows has."""
    return min(n, int((begin + n) * share) - int(begin * share))
