"""Least squares of rows that come in batches, from their moments (``data/moments.py``).

The root of the moments of [X, y], which are centred if there is an intercept, has the blocks

    ( Rx  t    )        Rx (p, p), t (p,) for each target, rest (k,),
    ( 0   rest )

so that the objective (1 / 2W) sum w r^2 + (alpha / 2) ||b||^2 is

    P(b) = (||t - Rx b||^2 + ||rest||^2 + W alpha ||b||^2) / 2W,

least squares in p rows. It is minimised over b = B phi: B is diagonal, so that the columns of Z =
Rx B have size 1, or, where these are nearly dependent, such that they are orthonormal and b is the
least of all with the same Rx b. The minimiser is that of the rows ( Z, t ) above ( L, 0 ), L =
sqrt(W alpha) B, by reflections. With R the triangle of these rows and g the gradient, the duality
gap is ||R'^-1 g||^2 / 2W. Directions too small to be fitted, though not dependent, are further
columns of Z and B, for the gap alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from ..data.arrays import make_source
from ..data.columns import CONSTANT, power_of_two
from ..data.moments import Moments, moments
from ..data.present import rows_where
from ..data.source import sweep
from ..numerics import linalg
from ..numerics.precision import EPS
from ..problem.penalties import LARGEST_ROOT
from ..problem.solution import Status, Work
from .fit import check_size
from .specification import Fit, Specification

# What rounding makes of a sum of terms, in parts of their size: a safe margin.
ROUNDED = 8.0 * EPS
# What rounding leaves of dependent columns of size 1: in a block of 16,000 rows 24 EPS, and as a
# random walk 1 EPS in each of ``depth`` factorisations (measured). Safe margins.
ROUNDED_BY_BLOCK, ROUNDED_BY_STEP = 32.0 * EPS, 4.0 * EPS
# Reciprocal condition number of columns of equal size, below which they are nearly dependent: the
# Gram matrix, which has its square, loses more than half of the digits.
NEARLY_DEPENDENT = np.sqrt(linalg.WELL_CONDITIONED)
SURE = 10  # digits of coefficients that are taken for granted: of fewer the user is told


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """All rows so far: the ``moments`` of [X, y], the shape of y behind its first axis,
    ``y_shape``, and the ``dtype`` of X, a NumPy scalar type: float32 if that of all batches is.
    """

    moments: Moments
    y_shape: tuple[int, ...]
    dtype: type[np.generic]

    @classmethod
    def of(cls, X, y: np.ndarray, w: np.ndarray | None) -> Running:
        """X (n, p; dense or CSR) and y (n,) or (n, k), with weights w (n,) >= 0, not all of them 0,
        or None for ones. Raises ValueError if they are too large.
        """
        q = X.shape[1] + y[:1].size
        check_size(q, q)
        if w is not None and not w.all():
            X, y, w = rows_where(X, w > 0.0), y[w > 0.0], w[w > 0.0]
        Y = np.ascontiguousarray(y.reshape(len(y), -1).T)
        with np.errstate(all="ignore"):  # what is not finite is found at the end
            found = sweep(make_source(X, Y, w), moments)
        return cls(_finite(found), y.shape[1:], X.dtype.type)

    def with_rows(self, X, y: np.ndarray, w: np.ndarray | None) -> Running:
        """The same and more rows; their weights may all be 0."""
        if w is not None and not w.any():
            return self
        more = Running.of(X, y, w)
        with np.errstate(all="ignore"):
            found = self.moments + more.moments
        both_single = self.dtype is more.dtype is np.float32
        return Running(_finite(found), self.y_shape, more.dtype if both_single else np.float64)

    @property
    def n_targets(self) -> int:
        return int(np.prod(self.y_shape))


def _finite(found: Moments) -> Moments:
    if not (np.all(np.isfinite(found.R)) and np.isfinite(found.weight)):
        raise ValueError(
            "X, y or sample_weight has entries too large to be added up in float64; rescale them."
        )
    return found


def fit_of(running: Running, spec: Specification) -> Fit:
    """The fit of all rows so far."""
    held, n_targets = running.moments, running.n_targets
    p = len(held.shift) - n_targets
    root = held.root(spec.fit_intercept)
    unit = power_of_two(np.abs(root[:, p:]).max(axis=0))  # of the targets
    columns, t, rest = _columns(held, root[:p, :p], spec), root[:p, p:] / unit, root[p:, p:] / unit
    b, gap, value = _solved(columns, t, rest, held.weight * spec.alpha)
    with np.errstate(over="ignore", invalid="ignore"):
        coef = (b * unit).T
        intercept = np.zeros(n_targets)
        if spec.fit_intercept:
            intercept = held.mean[p:] - coef @ held.mean[:p]
        objective = 0.5 * (value / held.weight) * unit * unit
    if not (np.all(np.isfinite(coef)) and np.all(np.isfinite(intercept))):
        raise ValueError(
            "The coefficients overflow float64: the units of y are too large for those of X. "
            "Rescale X or y."
        )
    rank, left_out, status = columns.rank, columns.left_out, Status.EXACT
    if not np.all(gap <= spec.tol):
        status = Status.LEFT_OUT if left_out else Status.ROUNDING
    digits = int(-np.log10(EPS * np.sqrt(held.depth) / columns.rcond))
    work = Work("sums", 1, 0, 0, 1, left_out=left_out, digits=digits if digits < SURE else None)
    return Fit(
        coef=coef,
        intercept=intercept,
        objective=objective,
        gap=gap,
        losses=(spec.loss,) * n_targets,
        outliers=None,
        scale=None,
        scale_noise=None,
        unique=rank == p or bool(spec.alpha),
        rank=rank,
        orthogonal=bool(columns.rcond < NEARLY_DEPENDENT),
        statuses=frozenset({status}),
        work=work,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Z = Rx B and B (p, rank + k) of the module; the last k are the directions left out.

    ``rcond`` is the reciprocal condition number of the others, for columns of equal size.
    """

    Z: np.ndarray
    B: np.ndarray
    rank: int
    rcond: float

    @property
    def left_out(self) -> int:
        return self.Z.shape[1] - self.rank


def _columns(held: Moments, Rx: np.ndarray, spec: Specification) -> Columns:
    """The independent columns of Rx (p, p), by the rank rule of ``linalg.spectrum``."""
    p = len(Rx)
    low, high = held.low[:p], held.high[:p]
    peak = np.maximum(np.abs(low), np.abs(high))
    empty = high - low <= CONSTANT * peak if spec.fit_intercept else peak == 0.0
    unit = power_of_two(np.abs(Rx).max(axis=0, initial=0.0))
    length = np.linalg.norm(Rx / unit, axis=0)
    varying = ~empty & (length > 0.0)
    size = unit[varying] * length[varying]
    E = Rx[:, varying] / size
    if (factor := linalg.factor_of_root(E)).sound:
        B = np.zeros((p, len(size)))
        B[varying] = np.diag(1.0 / size)
        return Columns(E, B, len(size), np.sqrt(factor.rcond))
    # The last place of the data, and the rounding of R, relative to the size of a column.
    noise = EPS * peak[varying] / size * np.sqrt(held.weight)
    noise = noise + ROUNDED_BY_BLOCK + ROUNDED_BY_STEP * np.sqrt(held.depth)
    spectrum = linalg.spectrum(E, noise, full=False)
    if not spectrum.rank:
        return Columns(E[:, :0], np.zeros((p, 0)), 0, 1.0)
    B, sigma = np.zeros((p, spectrum.rank + spectrum.faint.shape[1])), spectrum.sigma
    B[varying] = np.column_stack(
        [linalg.least_norm(spectrum, 1.0 / size), spectrum.faint / size[:, None]]
    )
    Z = E @ (B[varying] * size[:, None])
    return Columns(Z, B, spectrum.rank, float(sigma[-1] / sigma[0]))


def _solved(columns: Columns, t: np.ndarray, rest: np.ndarray, strength: float):
    """(b (p, k), the gap and 2W P of each target (k,)) for t (p, k), ``rest`` (k, k) below it and
    the penalty strength ||b||^2 / 2.
    """
    Z, B, rank = columns.Z, columns.B, columns.rank
    L = np.sqrt(strength) * B if strength else B[:0]
    if not np.abs(L).max(initial=0.0) < LARGEST_ROOT:
        raise ValueError(
            "The penalty overflows float64: alpha is too large for columns as small as those of X. "
            "Rescale them, or lower alpha."
        )
    if not rank:
        return np.zeros((len(B), t.shape[1])), np.zeros(t.shape[1]), _squares(t) + _squares(rest)
    # 1. The minimiser.
    right = np.vstack([t, np.zeros((len(L), t.shape[1]))])
    R = linalg.triangle_of(np.column_stack([np.vstack([Z, L]), right]))
    m = Z.shape[1]
    phi = np.zeros((m, t.shape[1]))
    phi[:rank] = solve_triangular(R[:rank, :rank], R[:rank, m:])
    # 2. By how much the objective may be lowered, but for rounding.
    r = t - Z @ phi
    value = _squares(r) + _squares(rest) + _squares(L @ phi)
    step = solve_triangular(R[:m, :m], Z.T @ r - L.T @ (L @ phi), trans=1)
    terms = np.abs(t) + np.abs(Z) @ np.abs(phi)
    lower = np.maximum(0.0, _squares(step) - _squares(ROUNDED * terms))
    gap = np.divide(lower, value, out=np.zeros_like(value), where=lower > 0.0)
    return B @ phi, gap, value


def _squares(columns: np.ndarray) -> np.ndarray:
    """The sums of squares of columns (j, k), (k,)."""
    return np.square(columns).sum(axis=0)
