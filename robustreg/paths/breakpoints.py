"""Every Huber solution at once: it is piecewise linear in the knot d.

As long as no row changes its zone, Q inside and L outside with signs s, the solution moves along a line:

    (Z_Q'W_Q Z_Q + G) e = Z_L'W s,     phi(d + t) = phi(d) + t e,     r(d + t) = r(d) - t v,   v = Z e,

and the line ends where a row meets the knot, abs(r_i - t v_i) = d + t: the first such t above and below 0 give
the whole piece through d. So one solve anywhere in a gap between known pieces finds a new piece, and the path has as
many solves as pieces: no row has to be followed from one piece to the next, and rows that
meet the knot together need no rule.

Where the minimiser is not unique the canonical one is piecewise linear, too, but its pieces end where other rows than
these say. There gaps are halved until what is left is a line, or two, at more points than those that make it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..data.rows import Rows
from ..fitting.specification import Specification
from ..fitting.target import Target, raw_of, solved, typical
from ..problem.duality import rounding
from ..problem.solution import Status

CLOSED = 1e-10  # a gap between pieces, relative to the knot, that only rounding leaves open
ABSOLUTE = 1e-3  # of a typical y, to be added to that knot
NARROW = 1e-11  # where the minimiser is not unique
LOWEST = 1e-9  # of a typical y: the lowest knot that is solved for; from there to 0 the path is taken as a line
LINE = 1e-11  # deviation from a line, relative to the size of the coefficients
INSIDE = 0.381966  # of a gap: where it is looked at once more
WIDE = 100.0  # ratio of the ends of a gap from which the geometric middle is taken
LOST = 1e-2  # of the coefficients: what is left of them at the low end has lost digits,
NEARER = 4.0  # unless the point that they were found at is within so many times that end
NOISE = 16.0  # typical roundings of a residual, that breakpoints are not told apart by
FAINT = 1e-2  # of the usual size of coefficients counts where they are small
STEP = 1e-3  # of a gap, which tells the direction at its ends
MOST = 8  # pieces per row


class TooManyPiecesError(ValueError):
    """The path has more pieces than it is worth."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The solution for knots from low to high, a line: raw (b, b0) as one vector at both ends (p + 1,)."""

    low: float
    high: float
    at_low: np.ndarray
    at_high: np.ndarray
    gap: float
    status: Status
    line: bool

    def at(self, d):
        if self.high == self.low:
            return self.at_low
        t = (d - self.low) / (self.high - self.low)
        return (1.0 - t) * self.at_low + t * self.at_high


def pieces(rows: Rows, y, spec: Specification) -> list[Piece]:
    """The pieces that cover all knots from 0 up, but for what rounding leaves open; for the target y (n,)."""

    def solve(d, start):
        return solved(rows, y, replace(spec, knot=d), start)

    squares = solved(rows, y, replace(spec, loss="mse"), None)
    b = np.append(*raw_of(squares))
    top = float(np.abs(squares.solution.r).max()) * squares.rows.y_scale
    found = [Piece(top, np.inf, b, b, squares.solution.gap, squares.solution.status, True)]
    if top <= _noise(squares).max():  # an exact fit
        return [replace(found[0], low=0.0)]
    size = min(typical(y) or top, top)
    ordinary = solve(size, (b[:-1], b[-1]))
    noise, usual = NOISE * float(np.median(_noise(ordinary))), np.abs(np.append(*raw_of(ordinary))).max()
    first = _piece(solve, max(LOWEST * size, noise, np.finfo(np.float64).tiny), 0.0, top, None, found[0])
    found.append(replace(first, low=0.0, at_low=first.at(0.0)))
    gaps = [(found[1], found[0])]
    while gaps:
        below, above = gaps.pop()
        low, high = below.high, above.low
        closed = (CLOSED if below.line and above.line else NARROW) * (high + ABSOLUTE * size)
        if high - low <= max(closed, noise):
            continue
        if len(found) > MOST * len(y) + 200:
            raise TooManyPiecesError(f"The path of {len(y)} rows has more than {len(found) - 1} pieces.")
        middle = 0.5 * (low + high) if high <= WIDE * low else float(np.sqrt(low) * np.sqrt(high))
        new = _piece(solve, middle, low, high, below, above)
        if not new.line and high <= WIDE * low and (lines := _lines(solve, below, new, above, FAINT * usual)):
            found += lines
            continue
        if new.status not in (Status.EXACT, Status.NOT_CANONICAL):  # more points would not be better ones
            found.append(replace(new, low=low, high=high, at_low=below.at_high, at_high=above.at_low))
            continue
        found.append(new)
        gaps += [(new, above), (below, new)]
    return sorted(found, key=lambda piece: (piece.low, piece.high))


def _noise(target: Target):
    """How far off residuals may be only because float64 rounds the terms they are made of, (n,)."""
    return target.rows.y_scale * rounding(target.problem, target.solution.phi)


def _piece(solve, d, low, high, below, above) -> Piece:
    """The piece through d, cut to the gap (low, high)."""
    guess = above.at_low if below is None else _between(d, below, above)
    target = solve(d, (guess[:-1], guess[-1]))
    b, solution, rows = np.append(*raw_of(target)), target.solution, target.rows
    loss, r, w = target.loss, solution.r, target.rows.w
    inner = loss.curved(r)
    factor = target.problem.factor(w * inner) if solution.unique and loss.knot else None
    if factor is None or not factor.sound:
        return Piece(d, d, b, b, solution.gap, solution.status, False)
    # 1. The direction, in the units of rows, where the knot is d / y_scale.
    s = np.where(inner, 0.0, np.sign(r))
    pull, e = rows.adjoint(w * s), np.zeros(rows.n_cols)
    for _ in range(3):  # refined: breakpoints far away tell
        e = e + factor.solve(pull - rows.adjoint(w * inner * rows.fitted(e)) - target.problem.quadratic.G @ e)
    v = rows.fitted(e)
    # 2. Each row allows a t <= room: inside it meets either side of the knot, outside its own.
    a = np.concatenate([-(1.0 + v[inner]), v[inner] - 1.0, (1.0 + s * v)[~inner]])
    room = np.concatenate([loss.knot - r[inner], loss.knot + r[inner], (s * r)[~inner] - loss.knot])
    with np.errstate(divide="ignore", over="ignore"):
        t = np.maximum(room, 0.0) / a
    up, down = t[a > 0.0].min(initial=np.inf) * rows.y_scale, t[a < 0.0].max(initial=-np.inf) * rows.y_scale
    # 3. Both ends in the units of the data.
    slopes = rows.B @ e[: rows.rank]
    direction = np.append(slopes, e[-1] - rows.columns.shift @ slopes if rows.intercept else 0.0)
    bottom, top = max(low, d + down), min(high, d + up)
    at_low, at_high = b + (bottom - d) * direction, b + (top - d) * direction
    if bottom > 0.0 and d > NEARER * bottom and np.abs(at_low).max() < LOST * np.abs(b).max():
        return _piece(solve, 0.5 * NEARER * bottom, low, high, below, above)
    return Piece(bottom, top, at_low, at_high, solution.gap, solution.status, True)


def _between(d, below: Piece, above: Piece):
    return replace(below, low=below.high, high=above.low, at_low=below.at_high, at_high=above.at_low).at(d)


def _lines(solve, below: Piece, new: Piece, above: Piece, faint) -> list[Piece]:
    """The one or two lines that the canonical solution follows in the gap, as far as a few points tell; or none.

    Of two lines, the directions at the ends of the gap tell where they meet.
    """
    low, high = below.high, above.low

    def point(d):
        guess = _between(d, below, above)
        return np.append(*raw_of(solve(d, (guess[:-1], guess[-1]))))

    def same(b, guess):
        return bool(np.all(np.abs(b - guess) <= LINE * (np.abs(b) + np.abs(guess) + faint).max()))

    whole = replace(new, low=low, high=high, at_low=below.at_high, at_high=above.at_low)
    inside = low + INSIDE * (high - low)
    if same(new.at_low, whole.at(new.low)) and same(point(inside), whole.at(inside)):
        return [whole]
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
    b = point(meeting)
    lines = [replace(whole, high=meeting, at_high=b), replace(whole, low=meeting, at_low=b)]
    right = same(b, below.at_high + (meeting - low) * up) and same(b, above.at_low - (high - meeting) * down)
    return lines if right and same(new.at_low, lines[int(new.low > meeting)].at(new.low)) else []
