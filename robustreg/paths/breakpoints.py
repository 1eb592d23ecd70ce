"""Every Huber solution at once: it is piecewise linear in the knot d.

As long as no row changes its zone, the solution moves along a line. With the rows Q inside, and the
signs side_i of the residuals of the others (0 in Q),

    (Z_Q'diag(w_Q)Z_Q + G) direction = Z'(w side),
    phi(d + dd) = phi(d) + dd direction,  r(d + dd) = r(d) - dd fitted,  fitted = Z direction,

and the line ends where a row meets the knot, abs(r_i - dd fitted_i) = d + dd: the first such dd
above and below 0 give the whole piece through d. So one solve anywhere in a gap between known
pieces finds a new piece, and rows that meet the knot together need no rule. Solves are dear: where
one row at a time meets the knot, the pieces below a solve are found by following it
(``following.py``), and solves are left for what that does not reach.

Where the minimiser is not unique the canonical one is piecewise linear, too, but its pieces end
elsewhere than these equations say. Gaps between pieces are then halved until what is left is one
line, or two, as checked at more points than lines are made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..data.rows import Rows
from ..fitting.specification import Specification
from ..fitting.target import Target, nearer, raw_of, solved, typical
from ..problem.duality import rounding
from ..problem.losses import SQUARED, huber
from ..problem.solution import Status
from .following import ENTRIES, followed

# Shares of a knot: a gap between pieces that is narrower is left open by rounding only.
CLOSED = 1e-10
# The same where one of the pieces is a point, as the minimiser is not unique.
CLOSED_AT_POINT = 1e-11
# Share of a typical y, which is added to the knot there.
ABSOLUTE = 1e-3
# Share of a typical y: the lowest knot that is solved for. The path is taken as a line from there
# to 0.
LOWEST = 1e-9
# Share of the size of coefficients: a smaller deviation from a line is rounding.
ON_LINE = 1e-11
# Share of a gap, where it is looked at once more: no simple fraction of it.
INSIDE = 0.381966
# Ratio of the ends of a gap, from which the geometric middle is taken.
WIDE = 100.0
# Share of the coefficients: if less is left of them at the low end of a piece, digits were lost.
LOST = 1e-2
# Unless the piece was found at a knot within so many times its low end: that is near enough.
NEARER = 4.0
# Multiples of a typical rounding of a residual: breakpoints are not told apart below it.
NOISE = 16.0
# Share of the usual size of coefficients, which counts where they are small.
FAINT = 1e-2
# Share of a gap: steps of this length tell the directions at its ends.
STEP = 1e-3
# Refinements of a direction: breakpoints far away show its errors.
REFINEMENTS = 3
# Pieces for each row, and so many more: a path with more is refused.
PIECES_PER_ROW, MORE_PIECES = 8, 200

# Knots: so far below a known piece the following begins.
BELOW = 1.0 - 1e-9

Solve = Callable[[float, Any], Target]


class TooManyPiecesError(ValueError):
    """The path has more pieces than it is worth."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The solution for knots from ``low`` to ``high``, a line.

    Raw (b, b0) as one vector (p + 1,) at both ends. ``line`` is whether the piece is more than the
    point that it was found at.
    """

    low: float
    high: float
    at_low: np.ndarray
    at_high: np.ndarray
    gap: float
    status: Status
    line: bool

    def at(self, d: float) -> np.ndarray:
        """The raw (b, b0) at the knot d, (p + 1,)."""
        if self.high == self.low:
            return self.at_low
        share = (d - self.low) / (self.high - self.low)
        return (1.0 - share) * self.at_low + share * self.at_high


def pieces(rows: Rows, y: np.ndarray, spec: Specification) -> list[Piece]:
    """The pieces that cover all knots from 0 up, but for what rounding leaves open.

    They are for the target y (n,).
    """

    def solve(d: float, start: Any) -> Target:
        return solved(rows, y, replace(spec, loss=huber(d)), start)

    # 1. Least squares: the piece above the largest residual.
    squares = solved(rows, y, replace(spec, loss=SQUARED), None)
    b = _raw(squares)
    top = float(np.abs(squares.solution.r).max()) * squares.rows.y_scale
    highest = Piece(top, np.inf, b, b, squares.solution.gap, squares.solution.status, True)
    if top <= _noise(squares).max():  # an exact fit
        return [replace(highest, low=0.0)]
    # 2. The piece at the lowest knot.
    size = min(typical(y) or top, top)
    ordinary = solve(size, (b[:-1], b[-1]))
    noise = NOISE * float(np.median(_noise(ordinary)))
    bottom = max(LOWEST * size, noise, np.finfo(np.float64).tiny)
    lowest = _piece(solve, bottom, 0.0, top, None, highest)
    lowest = replace(lowest, low=0.0, at_low=lowest.at(0.0))
    # 3. All between.
    search = Search(solve, y, size, noise, float(np.abs(_raw(ordinary)).max()))
    found = [highest, lowest, *_between_them(search, lowest, highest)]
    return sorted(found, key=lambda piece: (piece.low, piece.high))


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What the search for pieces needs.

    ``solve(d, start)`` returns the target at the knot d, of y (n,). ``size`` is a typical y,
    ``noise`` a typical rounding of residuals, and ``usual`` the size of the coefficients at a usual
    knot.
    """

    solve: Solve
    y: np.ndarray
    size: float
    noise: float
    usual: float


def _between_them(search: Search, lowest: Piece, highest: Piece) -> list[Piece]:
    """The pieces between two, in the order in which they are found."""
    found, gaps = [], [(lowest, highest)]
    if highest.low > lowest.high:
        found = _followed(search, lowest, highest)
        gaps = [(lowest, found[-1]), (found[0], highest)] if found else gaps
    while gaps:
        below, above = gaps.pop()
        low, high = below.high, above.low
        # 1. Is the gap closed?
        share = CLOSED if below.line and above.line else CLOSED_AT_POINT
        if high - low <= max(share * (high + ABSOLUTE * search.size), search.noise):
            continue
        count = len(found) + 2
        if count > PIECES_PER_ROW * len(search.y) + MORE_PIECES:
            raise TooManyPiecesError(
                f"The path of {len(search.y)} rows has more than {count - 1} pieces."
            )
        # 2. The piece in the middle.
        wide = high > WIDE * low
        middle = float(np.sqrt(low) * np.sqrt(high)) if wide else 0.5 * (low + high)
        new = _piece(search.solve, middle, low, high, below, above)
        # 3. Where that is a point: the gap may be one line or two.
        if not new.line and not wide and (lines := _lines(search, below, new, above)):
            found += lines
        elif new.status not in (Status.EXACT, Status.NOT_CANONICAL):
            # More points would be no better than this one: a line through it has to do.
            at_low, at_high = below.at_high, above.at_low
            found.append(replace(new, low=low, high=high, at_low=at_low, at_high=at_high))
        else:
            found.append(new)
            gaps += [(new, above), (below, new)]
    return found


def _followed(search: Search, below: Piece, above: Piece) -> list[Piece]:
    """The pieces between two, the highest first, as far down as they can be followed.

    With targets very far away they are not: the others' digits would be lost among them.
    """
    target = search.solve(BELOW * above.low, (above.at_low[:-1], above.at_low[-1]))
    rows = target.rows
    unit = rows.y_scale
    is_plain = rows.basis is None and not target.loss.is_corner
    is_far = np.any(nearer(search.y, 0.0) != search.y)
    if not is_plain or is_far or rows.n_rows * rows.n_cols > ENTRIES:
        return []
    most = PIECES_PER_ROW * rows.n_rows
    lines = list(followed(target, below.high / unit, most))
    at_low = _raw_of_some(rows, [line.at_low for line in lines])
    at_high = _raw_of_some(rows, [line.at_high for line in lines])
    found = [
        Piece(line.low * unit, line.high * unit, b_low, b_high, line.gap, Status.EXACT, True)
        for line, b_low, b_high in zip(lines, at_low, at_high, strict=True)
    ]
    return [replace(found[0], high=above.low, at_high=above.at_low), *found[1:]] if found else []


def _raw_of_some(rows: Rows, phi: list[np.ndarray]) -> np.ndarray:
    """(b, b0) in the units of the data for each of k phi, (k, p + 1); of rows without a basis."""
    vectors = np.array(phi).reshape(-1, rows.n_cols)
    b = rows.y_scale * (vectors[:, : rows.rank] @ rows.B.T)
    b0 = np.zeros((len(b), 1))
    if rows.intercept:
        b0 = rows.y_shift + rows.y_scale * vectors[:, -1:] - (b @ rows.shift)[:, None]
    return np.hstack([b, b0])


def _raw(target: Target) -> np.ndarray:
    """(b, b0) of a target in the units of the data, as one vector (p + 1,)."""
    return np.append(*raw_of(target))


def _noise(target: Target) -> np.ndarray:
    """How far off residuals may be only because float64 rounds the terms they are made of, (n,)."""
    return target.rows.y_scale * rounding(target.problem, target.solution.phi)


def _piece(
    solve: Solve, d: float, low: float, high: float, below: Piece | None, above: Piece
) -> Piece:
    """The piece through d, cut to the gap (low, high)."""
    guess = above.at_low if below is None else _between(below, above).at(d)
    target = solve(d, (guess[:-1], guess[-1]))
    b, solution, rows = _raw(target), target.solution, target.rows
    move = _move(target)
    if move is None:
        return Piece(d, d, b, b, solution.gap, solution.status, False)
    # Both ends in the units of the data.
    slopes = rows.slopes(move.direction)
    level = move.direction[-1] - rows.shift @ slopes if rows.intercept else 0.0
    direction = np.append(slopes, level)
    bottom = max(low, d + move.down * rows.y_scale)
    top = min(high, d + move.up * rows.y_scale)
    at_low, at_high = b + (bottom - d) * direction, b + (top - d) * direction
    # Far below d the coefficients may be a small difference: then again, from nearer.
    lost = np.abs(at_low).max() < LOST * np.abs(b).max()
    if bottom > 0.0 and d > NEARER * bottom and lost:
        return _piece(solve, 0.5 * NEARER * bottom, low, high, below, above)
    return Piece(bottom, top, at_low, at_high, solution.gap, solution.status, True)


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """The ``direction`` (m,) of phi for each unit of the knot, in the units of rows.

    It holds while the knot changes by no more than ``up`` >= 0 or ``down`` <= 0.
    """

    direction: np.ndarray
    up: float
    down: float


def _move(target: Target) -> Move | None:
    """How the solution moves with the knot; None where the minimiser is not unique."""
    solution, rows, loss = target.solution, target.rows, target.loss
    r, w = solution.r, rows.w
    inner = loss.curved(r)
    if not solution.unique or loss.is_corner:
        return None
    factor = target.problem.factor(w * inner)
    if not factor.sound:
        return None
    # 1. The direction.
    side = np.where(inner, 0.0, np.sign(r))
    pull, direction = rows.adjoint(w * side), np.zeros(rows.n_cols)
    for _ in range(REFINEMENTS):
        fitted = rows.fitted(direction)
        missing = pull - rows.adjoint(w * inner * fitted)
        missing = missing - target.problem.quadratic.G @ direction
        direction = direction + factor.solve(missing)
    fitted = rows.fitted(direction)
    # 2. Each row allows a dd with rate dd <= room: a row inside meets either side of the knot, a
    #    row outside its own.
    knot = loss.right
    outer_rate, outer_room = (1.0 + side * fitted)[~inner], (side * r)[~inner] - knot
    rate = np.concatenate([-(1.0 + fitted[inner]), fitted[inner] - 1.0, outer_rate])
    room = np.concatenate([knot - r[inner], knot + r[inner], outer_room])
    with np.errstate(divide="ignore", over="ignore"):
        dd = np.maximum(room, 0.0) / rate
    up = dd[rate > 0.0].min(initial=np.inf)
    down = dd[rate < 0.0].max(initial=-np.inf)
    return Move(direction, up, down)


def _between(below: Piece, above: Piece) -> Piece:
    """The line through the gap between two pieces."""
    low, high = below.high, above.low
    return replace(below, low=low, high=high, at_low=below.at_high, at_high=above.at_low)


def _lines(search: Search, below: Piece, new: Piece, above: Piece) -> list[Piece]:
    """The one or two lines that the canonical solution follows in the gap; none if it does not.

    As far as a few points tell. Of two lines, the directions at the ends of the gap tell where they
    meet.
    """
    low, high, faint = below.high, above.low, FAINT * search.usual

    def point(d: float) -> np.ndarray:
        guess = _between(below, above).at(d)
        return _raw(search.solve(d, (guess[:-1], guess[-1])))

    def same(b: np.ndarray, guess: np.ndarray) -> bool:
        size = (np.abs(b) + np.abs(guess) + faint).max()
        return bool(np.all(np.abs(b - guess) <= ON_LINE * size))

    # 1. One line.
    whole = replace(new, low=low, high=high, at_low=below.at_high, at_high=above.at_low)
    inside = low + INSIDE * (high - low)
    if same(new.at_low, whole.at(new.low)) and same(point(inside), whole.at(inside)):
        return [whole]
    # 2. Two lines, which go up from the low end and down from the high end.
    step = STEP * (high - low)
    up = (point(low + step) - below.at_high) / step
    down = (above.at_low - point(high - step)) / step
    bend = up - down
    if not bend.any():
        return []
    across = above.at_low - below.at_high - down * (high - low)  # bend * (meeting - low)
    meeting = low + float(bend @ across) / float(bend @ bend)
    if not low + step < meeting < high - step:
        return []
    # 3. They meet there, and the point in the middle is on one of them.
    b = point(meeting)
    lines = [replace(whole, high=meeting, at_high=b), replace(whole, low=meeting, at_low=b)]
    on_low = same(b, below.at_high + (meeting - low) * up)
    if not (on_low and same(b, above.at_low - (high - meeting) * down)):
        return []
    return lines if same(new.at_low, lines[int(new.low > meeting)].at(new.low)) else []
