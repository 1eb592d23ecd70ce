"""Where row reduction starts: near the minimiser, from a sample, or at least squares if all rows
are few.

With a sample of k rows the absolute loss has rho = sqrt(m / k) / (2 f), f the density of residuals
at 0, and a band of WIDTH rho keeps about 2 WIDTH rho f n = WIDTH n sqrt(m / k) rows, whatever the
noise. With a kept row COST times as dear as one of the sample the sum is smallest for k = (COST
WIDTH / 2)^(2/3) n^(2/3) m^(1/3).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..data.blocks import rare_columns
from ..data.drawn import drawn
from ..data.frame import Frame
from ..data.independent import split
from ..data.open_rows import open_rows, taken, with_columns
from ..data.rows import Rows
from ..data.source import Dependent, Part, Refused, Source, spread_out, sweep
from ..numerics import linalg
from ..problem.duality import rounding
from ..problem.losses import Loss
from ..problem.problem import Problem, Quadratic
from ..problem.solution import Tally
from ..solvers.continuation import (
    FAR,
    NEARBY,
    WIDER,
    approach,
    factor_of,
    levelled,
    quantile,
)
from ..solvers.ties import dual_of_ties, ties
from .all_rows import AllRows
from .hessian import hessian
from .settling import NOTHING, Unknown, drawn_by_reach, sizes

WIDTH = 3.5  # rows are settled so many times rho from a knot, and a little more
COST = 3.0  # of a kept row, in time and in memory, relative to one of the sample
# A quadratic piece less wide than this, relative to a typical target, is narrow: its minimiser is
# next to that of a corner. One less wide than the second number is not wide beside the rounding of
# residuals.
NARROW, NARROWEST = 1e-6, 1e-11
# So many knots from the minimiser of a corner is that of a narrow piece, root mean square. A safe
# margin: few rows are near, and rows that are further are found.
KNOTS = 300.0
CLIPPED = 1e3  # typical targets, beyond which a pilot need not look
SAMPLE_OF_CORNER = 100  # rows per column, where a corner tells the rest
FEW = 16  # the part of the sample that the pilot begins with
RARE = 20  # rows of a sample that know a column
# Rows of a sample that the pilot goes through are off by less than this part of the mean.
CLUSTER = 0.05
# The same, for those that are taken to be near at least.
LEAST_CLUSTER = 1e-8
NOISE = 1e3  # of rounding: where the mean is no larger, all rows are fitted exactly
WIDER_OF_SMOOTH = 1.25  # as WIDER of continuation.py: what is left of smoothing is not in it
FEW_COLUMNS = 128  # of a sparse X: a dense K for its rows costs little
HEAVY = 10.0  # a row is heavy from so many times the norm of others
SLOWLY = (0.5, 0.35, 0.25, 0.25, 0.15, 0.1, 0.1)  # parts for ``approach`` where rows reach far


@dataclass(frozen=True, slots=True, eq=False)
class Pilot:
    """phi (m,), with a ``typical`` residual.

    ``rho`` is how far fitted values are from those of the minimiser of all rows, root mean square;
    ``metric`` is K (k, m), for rows of high leverage, such that those of a row are rho times the
    norm of K z, or None if all rows are alike; ``unknown`` what the sample does not know of the
    columns; ``gram`` the sample's Z'diag(w)Z (m, m) and its ``factor``, or None where there are
    combinations of columns that it does not know, ``hessian`` (m, m) that of the mean loss, if it
    was asked for, and ``weight`` the sum of w. ``rows`` is None, unless the sample was all rows.
    ``ties`` (m,) is None, unless the minimiser of the sample at a corner goes through many rows: it
    is the c of ``solvers/ties.py``, that makes their dual.
    """

    phi: np.ndarray
    typical: float
    gram: np.ndarray | None
    factor: linalg.Factor | None
    rho: float = 0.0
    metric: np.ndarray | None = None
    unknown: Unknown = NOTHING
    rows: Rows | None = None
    ties: np.ndarray | None = None
    hessian: np.ndarray | None = None
    weight: float = 0.0

    @property
    def band(self) -> float:
        """How far from a knot rows are settled: rho is a mean over pilots, and one of them varies
        by 1 / sqrt(2 m).
        """
        return WIDTH * self.rho * (1.0 + 1.5 / np.sqrt(2.0 * len(self.phi)))

    def in_units(self, size: float) -> Pilot:
        """The same with y in units of ``size`` times the present one."""
        rows = None if self.rows is None else replace(self.rows, y=self.rows.y / size)
        return replace(
            self, phi=self.phi / size, typical=self.typical / size, rho=self.rho / size, rows=rows
        )


@dataclass(slots=True, eq=False)
class Levels:
    """What the pilots of several levels of one target share: ``samples``, by their share of the
    usual one, and the ``phi`` (m,) of the last level.
    """

    samples: dict[float, Sample] = field(default_factory=dict)
    phi: np.ndarray | None = None


def pilot(
    problem: AllRows,
    tally: Tally,
    share: float = 1.0,
    reaching: Reaching | None = None,
    levels: Levels | None = None,
    with_hessian: bool = False,
) -> Pilot:
    """From a ``share`` of the usual sample; Refused if most of its rows are fitted exactly.

    ``reaching`` are rows drawn by their reach, if some are known to reach far. Of several
    ``levels`` each begins at the last one.
    """
    frame, loss, m, levels = problem.frame, problem.loss, problem.frame.n_cols, levels or Levels()
    if share not in levels.samples:
        levels.samples[share] = _sample(problem, tally, share, reaching)
    sample = levels.samples[share]
    known, unknown = _known(frame, sample.rows, sample.rare)
    rows, few = with_columns(sample.rows, known), with_columns(sample.few, known)
    if not rows.factor.sound:
        raise Refused("The columns of X are nearly dependent in a sample of the rows.")
    L = frame.penalty_root(problem.alpha)[:, known]
    whole, part = _of_mean_loss(rows, loss, L), _of_mean_loss(few, loss, L)
    last = None if levels.phi is None else levels.phi[known]
    phi, r, rho = _approached(whole, part, last, NEARBY if sample.even is None else SLOWLY)
    tied = _tied(whole, phi, r) if loss.is_corner else None
    if tied is not None:
        return _of_all_columns(tied, known, m)
    if not (rho > 0.0 and np.all(np.isfinite(phi))):
        raise Refused("Most rows of a sample are fitted exactly.")
    levels.phi = np.zeros(m)
    levels.phi[known] = phi
    found = Pilot(phi, quantile(np.abs(r), 0.5), rows.gram_all, rows.factor, rho, None, unknown)
    if with_hessian:
        weight = float(rows.w.sum())
        H = hessian(whole, r, NEARBY[-1]) / weight
        found = replace(found, hessian=H, weight=weight)
    if sample.even is None:
        return _of_all_columns(found, known, m)
    K = np.zeros((rows.n_cols, m))
    K[:, known] = _metric(whole, r, sample.own)
    return _normed(_of_all_columns(found, known, m), K, frame, sample.even)


def _of_mean_loss(rows: Rows, loss: Loss, L: np.ndarray) -> Problem:
    """The problem of some rows; ``L`` (k, m) is the root of the penalty of the mean loss, so that
    it can stand beside any number of rows.
    """
    return Problem(rows, loss, Quadratic(np.sqrt(rows.w.sum()) * L, np.zeros(rows.n_cols)))


def _approached(
    whole: Problem, part: Problem, last: np.ndarray | None, nearby: tuple
) -> tuple[np.ndarray, np.ndarray, float]:
    """(phi, r, rho) of ``approach`` for a sample, from the phi (m,) of the ``last`` level, or from
    far away with a ``part`` of the rows.

    Iterations are not counted: those that are belong to the core.
    """
    if last is not None:
        return approach(whole, levelled(part, last), nearby[1:], Tally())
    phi = levelled(part, _least_squares(part.rows, part.quadratic.G))
    phi = approach(part, phi, FAR, Tally())[0]
    return approach(whole, phi, nearby, Tally())


def _least_squares(rows: Rows, G: np.ndarray) -> np.ndarray:
    """phi (m,) of least squares with the penalty phi'G phi / 2 and a slight one of its own."""
    gram = rows.gram(rows.w)
    ridge = linalg.factor_shifted(gram + G, np.diag(np.diag(gram) + 1.0))
    return ridge.solve(rows.adjoint(rows.w * rows.y))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some ``rows`` (k of them), a ``few`` of these, the columns of Z that few of them know,
    ``rare`` (j,), and the weights that are their ``own`` (k,). ``even`` is None, or C (i, p) of
    others, drawn evenly, where rows reach far.
    """

    rows: Rows
    few: Rows
    rare: np.ndarray
    own: np.ndarray
    even: np.ndarray | None = None


def usual_sample(n: int, m: int) -> int:
    """k, the rows of a sample of n rows with m columns; see the module."""
    return int((0.5 * COST * WIDTH) ** (2 / 3) * n ** (2 / 3) * max(m, 1) ** (1 / 3))


def _sample(problem: AllRows, tally: Tally, share: float, reaching: Reaching | None) -> Sample:
    source, frame = problem.source, problem.frame
    size = int(share * usual_sample(source.n_rows, frame.n_cols))
    tally.n_passes += source.draw(size)
    part, weights = source.sample(size)
    C, even, most = frame.centred(part), None, CLIPPED
    if reaching is None and may_reach_far(source, frame.n_cols) and _is_heavy(frame, C):
        reaching = reaches(problem, tally, size, C)
    if reaching is not None:
        part, weights = reaching.part, reaching.weights
        even, most = C, CLIPPED * reaching.reach
        C = frame.centred(part)
    t = np.clip(frame.target(part), -most, most)
    rows = open_rows(frame, [C], t, part.weights if weights is None else weights)
    few = rows.subset(spread_out(rows.n_rows, max(rows.n_rows // FEW, 40 * max(1, rows.n_cols))))
    return Sample(rows, few, rare_columns(C[:, frame.kept], RARE), part.weights, even)


def _known(frame: Frame, rows: Rows, rare: np.ndarray) -> tuple[slice | np.ndarray, Unknown]:
    """(the columns of Z that the rows of a sample can fit, what they do not know).

    The columns ``rare`` (k,) are not 0 in a few of them only. Dependent where the sample has
    dependent columns, which may be so in all rows.
    """
    rank, gram = frame.rank, rows.gram_all
    columns = np.arange(len(frame.inverse_scale))[frame.kept]
    if rows.factor.sound:
        return slice(None), Unknown(columns[rare], None, None)
    if frame.independent is None:
        raise Dependent("The columns of X are dependent, or nearly so, in a sample of the rows.")
    kept, others, M = split(gram, rank)
    alone = ~M.any(axis=0) & (np.diag(gram)[others] == 0.0)  # columns of zeros, here
    rare, N, c = np.union1d(rare, others[alone]), None, None
    if not alone.all():
        others, M = others[~alone], M[:, ~alone]
        N = np.zeros((len(frame.inverse_scale), len(others)))
        N[columns[kept]] = -frame.unit[kept, None] * M
        N[columns[others], np.arange(len(others))] = frame.unit[others]
        first = rows.take(np.array([0]))[0]
        c = first[others] - first[kept] @ M
    known = np.append(kept, rank) if frame.intercept else kept
    return known, Unknown(columns[rare], N, c)


def _of_all_columns(found: Pilot, known, m: int) -> Pilot:
    """The pilot of the columns ``known`` (k,) for all m columns: the others have coefficients 0."""
    if len(found.phi) == m:
        return found

    def of_all(known_ones):
        out = np.zeros(m)
        out[known] = known_ones
        return out

    ties = None if found.ties is None else of_all(found.ties)
    return replace(found, phi=of_all(found.phi), ties=ties, gram=None, factor=None)


def _normed(found: Pilot, K: np.ndarray, frame: Frame, C) -> Pilot:
    """The pilot with the metric K (k, m) in units of rho, which is that of rows with columns C."""
    rho = quantile(frame.norms(C, K), 0.5)
    return replace(found, rho=rho, metric=K / rho)


def may_reach_far(source: Source, m: int) -> bool:
    """Whether rows of high leverage are looked for: not among sparse rows of many columns, whose
    metric would be dense.
    """
    return not source.is_sparse or m <= FEW_COLUMNS


@dataclass(frozen=True, slots=True, eq=False)
class Reaching:
    """Rows drawn by their ``reach`` (k,): the mean of abs(z_ij) relative to a typical one, at least
    1; the ``weights`` (k,) that they have in the sample, and the ``largest`` reach of all rows.
    """

    part: Part
    weights: np.ndarray | None
    reach: np.ndarray
    largest: float


def reaches(problem: AllRows, tally: Tally, size: int, C=None) -> Reaching:
    """About ``size`` rows by their reach, in a pass.

    C (k, p) are the centred columns of some rows, which tell what is typical.
    """
    source, frame = problem.source, problem.frame
    if C is None:
        C = frame.centred(source.some(SAMPLE_OF_CORNER * frame.n_cols))
    Z = frame.rows(C)
    typical = np.abs(Z[:, : frame.rank]).mean(axis=0)
    inverse = np.divide(1.0, typical, out=np.zeros(frame.rank), where=typical > 0.0)
    tally.n_passes += 1
    v = frame.spread(inverse / frame.rank)
    if not source.in_memory:
        found = sweep(source, drawn_by_reach, frame, v, size / source.n_rows)
        weights, reach = np.concatenate(found.weights), np.concatenate(found.reach)
        return Reaching(found.part(), weights, reach, max(found.largest))
    reach = np.maximum(np.concatenate(sweep(source, sizes, frame, v).size), 1.0)
    w = getattr(source, "w", None)
    index, weights = drawn(w, source.n_rows, size, reach)
    return Reaching(source.take(index), weights, reach[index], float(reach.max()))


def _metric(sample: Problem, r: np.ndarray, own: np.ndarray) -> np.ndarray:
    """K (m, m) at residuals r (n,), a little larger than K'K = the covariance of phi, as far as the
    sample is not all rows.

    It is H^-1 V H^-1 with H the Hessian and V the sum of w (w - own) psi^2 z z', as in ``approach``
    but for rows that are not alike: a row of weight w stands for others that are not in the sample,
    but for one that cannot be drawn in proportion, whose weight is its ``own``. At a corner V has
    (w e)^2 z z' too, the error of the smoothed problem (``solvers/continuation.py``).
    """
    rows, loss = sample.rows, sample.loss
    k = factor_of(sample, r, SLOWLY[-1])
    k = k if loss.is_corner else max(1.0, k)
    smoothed = loss.smoothed(k)
    Q, psi = smoothed.curved(r), k * loss.slope(r)
    e = np.where(Q, smoothed.pull(r) - r, 0.0) if loss.is_corner else np.zeros(len(r))
    factor = linalg.factor(rows.gram(rows.w * Q))
    drawn_by_chance = rows.w * np.maximum(rows.w - own, 0.0)
    V = rows.gram(drawn_by_chance * np.square(psi) + np.square(rows.w * e))
    values, vectors = np.linalg.eigh(V)
    if not factor.sound:
        raise Refused("The columns of X are dependent, or nearly so, near the fit of a sample.")
    K = factor.solve(vectors * np.sqrt(np.maximum(values, 0.0))).T
    return K * (WIDER if loss.is_corner else WIDER_OF_SMOOTH)


def _tied(sample: Problem, phi: np.ndarray, r: np.ndarray) -> Pilot | None:
    """The minimiser of a sample, near phi (m,) with residuals r (n,), if it goes through many of
    its rows, but not all.
    """
    rows = sample.rows
    near, far = quantile(np.abs(r), 0.25), float(np.abs(r).mean())
    if not near < CLUSTER * far:
        return None
    r = rows.residual(phi)  # without the rounding of the steps
    near = quantile(np.abs(r), 0.25)
    if far <= NOISE * rounding(sample, phi).max():
        return None
    found = ties(sample, phi, r, max(near, LEAST_CLUSTER * far))
    if found is None:
        return None
    c = dual_of_ties(sample, found)
    return None if c is None else Pilot(found.phi, far, rows.gram_all, rows.factor, ties=c)


def least_squares_of_all(problem: AllRows) -> Pilot:
    """Of all rows; Refused if they are ill-conditioned."""
    rows = taken(problem.frame, problem.source, slice(None))
    t, rows = rows.y, replace(rows, y=np.clip(rows.y, -CLIPPED, CLIPPED))
    if not rows.factor.sound:
        reason = "The columns of X are nearly dependent."
        raise Refused(reason) if problem.frame.independent else Dependent(reason)
    factor = rows.factor
    if problem.alpha:
        L = problem.penalty_root
        factor = linalg.factor(rows.gram_all + L.T @ L)
    phi = factor.solve(rows.adjoint(rows.w * rows.y))
    typical = quantile(np.abs(rows.residual(phi)), 0.5)
    return Pilot(phi, typical, rows.gram_all, rows.factor, rows=replace(rows, y=t))


def is_narrow(loss: Loss) -> bool:
    """Whether the quadratic piece is so narrow that a corner is solved first; Refused if it is
    nothing but rounding.
    """
    width = np.inf if loss.is_corner else min(loss.right, -loss.left)
    if width < NARROWEST:
        raise Refused(
            "delta is less than 1e-11 of a typical deviation of y, near the rounding of residuals."
        )
    return bool(width < NARROW)


def beside_corner(problem: AllRows, phi: np.ndarray) -> Pilot:
    """For a narrow quadratic piece: ``phi`` (m,) is the minimiser of the corner in its place.

    Phi moves by knots times numbers that do not depend on them: the corner's rows with r = 0 take
    the residuals that their dual is, and they determine phi.
    """
    size = SAMPLE_OF_CORNER * problem.frame.n_cols
    source, frame = problem.source, problem.frame
    part = source.some(size)
    C = frame.centred(part)
    rows = open_rows(frame, [C], frame.target(part), part.weights)
    _, unknown = _known(frame, rows, rare_columns(C[:, frame.kept], RARE))
    typical = quantile(np.abs(rows.residual(phi)), 0.5)
    rho = KNOTS * problem.loss.steepest
    gram, factor = (rows.gram_all, rows.factor) if rows.factor.sound else (None, None)
    return Pilot(phi, typical, gram, factor, rho, unknown=unknown)


def _is_heavy(frame: Frame, C) -> bool:
    """Whether a row of Z is far larger than most, for their centred columns C (k, p)."""
    Z = frame.rows(C)
    square = np.einsum("ij,ij->i", Z, Z)
    return bool(square.max() > HEAVY**2 * quantile(square, 0.75))
