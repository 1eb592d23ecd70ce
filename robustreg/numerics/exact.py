"""Products of a matrix with about twice the digits of float64.

Products are made exact by splitting (Ozaki, Ogita, Oishi and Rump 2012, Numer. Algorithms 59:95).
Every column of A and every vector is scaled to the largest entry 1 and cut into bits above 2^-bits,
bits above 2^-(2 bits), and a rest. A sum of k products of leading parts has
2 bits + log2(k) <= 53 bits: any order of summing, any BLAS, gives it exactly. Only products with a
rest are rounded, at 2^-(2 bits) of the unit roundoff.
"""

from __future__ import annotations

import numpy as np

DIGITS = 53  # bits of the numbers of float64
# Splits a number of 53 bits into two halves of at most 26 bits (Dekker 1971).
SPLITTER = 2.0**27 + 1.0

Pair = tuple[np.ndarray, np.ndarray]  # (hi, lo): a vector as the sum of a large and a small one


class ExactMatrix:
    """A (n, m) = [X, 1], or X, with products that carry about twice the digits of float64.

    Column j is held divided by 2^exponent[j].
    """

    def __init__(self, X: np.ndarray, intercept: bool):
        X = np.asarray(X, dtype=np.float64)
        self.exponent = np.frexp(np.abs(X).max(axis=0, initial=0.0))[1]
        A = np.ldexp(X, -self.exponent)
        if intercept:
            A, self.exponent = np.column_stack([A, np.ones(len(A))]), np.append(self.exponent, 0)
        self.bits = (DIGITS - int(max(A.shape)).bit_length()) // 2
        self.parts = _split(A, self.bits)

    def dot(self, x: Pair) -> list[np.ndarray]:
        """A x for x = (hi, lo), (m,) each: arrays (n,) whose sum it is, the largest first."""
        return self._products(self.parts, x)

    def residual(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """y - A x (n,) to the last digits, for y (n,) of about size 1 and x (m,).

        Here x and A are in the units of the data.
        """
        terms = self.dot((np.ldexp(x, self.exponent), np.zeros(len(x))))
        return added([y, *(-term for term in terms)])[0]

    def tdot(self, x: Pair) -> list[np.ndarray]:
        """A'x for x = (hi, lo), (n,) each: arrays (m,) whose sum it is, the largest first."""
        return self._products([part.T for part in self.parts], x)

    def _products(self, left: list[np.ndarray], x: Pair) -> list[np.ndarray]:
        """The products of the parts of a matrix, ``left``, and of x, the largest first."""
        hi, lo = x
        exponent = int(np.frexp(np.abs(hi).max(initial=0.0))[1])
        first, second, rest = _split(np.ldexp(hi, -exponent), self.bits)
        right = np.column_stack([first, second, rest + np.ldexp(lo, -exponent)])
        products = [np.ldexp((part @ right).T, exponent) for part in left]
        # Part i of the matrix times part j of x has the size 2^-((i + j) bits).
        return [products[i][size - i] for size in range(5) for i in range(3) if 0 <= size - i < 3]


def _split(a: np.ndarray, bits: int) -> list[np.ndarray]:
    """[first, second, rest], whose sum is a exactly, for abs(a) <= 1.

    Multiples of 2^-bits, multiples of 2^-(2 bits), and the rest.
    """
    parts = []
    for k in (bits, 2 * bits):
        magic = 1.5 * 2.0 ** (52 - k)  # its last place is 2^-k
        head = (a + magic) - magic
        a = a - head
        parts.append(head)
    return [*parts, a]


def added(terms: list[np.ndarray]) -> Pair:
    """The sum of arrays as (hi, lo), to about twice the digits of its largest partial sum."""
    hi, lo = terms[0], 0.0
    for term in terms[1:]:
        total = hi + term
        back = total - hi  # what of ``term`` is in the total; the rest goes to lo
        lo = lo + ((hi - (total - back)) + (term - back))
        hi = total
    total = hi + lo
    return total, (hi - total) + lo


def product(a: np.ndarray, b: np.ndarray) -> Pair:
    """a * b as (hi, lo) exactly, for entries whose products and halves stay within float64."""
    hi = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return hi, ((a_high * b_high - hi) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: np.ndarray) -> Pair:
    """(high, low), whose sum is a exactly, each of at most 26 bits."""
    big = a * SPLITTER
    high = big - (big - a)
    return high, a - high
