"""Products of a matrix with about twice the digits of float64, by splitting it into parts without rounding.

Products are made exact by splitting (Ozaki, Ogita, Oishi and Rump 2012, Numer. Algorithms 59:95). Every
column of A and every vector is scaled to the largest entry 1 and cut into bits above 2^-k, bits above
2^-2k, and a rest. A sum of N products of leading parts has 2k + log2(N) <= 53 bits: any order of summing,
any BLAS, gives it exactly. Only products with a rest are rounded, at 2^-2k of the unit roundoff.
"""

from __future__ import annotations

import numpy as np

EPS = np.finfo(np.float64).eps


class ExactMatrix:
    """A (n, m) = [X, 1], or X, with products that carry about twice the digits of float64.

    Column j is held divided by 2^exponent[j].
    """

    def __init__(self, X, intercept):
        X = np.asarray(X, dtype=np.float64)
        self.exponent = np.frexp(np.abs(X).max(axis=0, initial=0.0))[1]
        A = np.ldexp(X, -self.exponent)
        if intercept:
            A, self.exponent = np.column_stack([A, np.ones(len(A))]), np.append(self.exponent, 0)
        bits = (53 - int(max(A.shape)).bit_length()) // 2
        self.bits = bits
        self.parts = _split(A, bits)

    def dot(self, x):
        """A x for x = (hi, lo), (m,) each: arrays (n,) whose sum it is, the largest first."""
        return self._products(self.parts, x)

    def residual(self, y, x):
        """y - A x for y (n,) of about size 1 and x (m,), in the units of the data, to the last digits."""
        return added([y, *(-term for term in self.dot((np.ldexp(x, self.exponent), np.zeros(len(x)))))])[0]

    def tdot(self, x):
        """A'x for x = (hi, lo), (n,) each: arrays (m,) whose sum it is, the largest first."""
        return self._products([part.T for part in self.parts], x)

    def _products(self, left, x):
        hi, lo = x
        exponent = int(np.frexp(np.abs(hi).max(initial=0.0))[1])
        first, second, rest = _split(np.ldexp(hi, -exponent), self.bits)
        right = np.column_stack([first, second, rest + np.ldexp(lo, -exponent)])
        products = [np.ldexp((part @ right).T, exponent) for part in left]
        return [products[i][size - i] for size in range(5) for i in range(3) if 0 <= size - i < 3]


def _split(a, bits):
    """a = first + second + rest, abs(a) <= 1: multiples of 2^-bits, of 2^-2bits, and what is left."""
    parts = []
    for k in (bits, 2 * bits):
        magic = 1.5 * 2.0 ** (52 - k)  # its last place is 2^-k
        head = (a + magic) - magic
        a = a - head
        parts.append(head)
    return [*parts, a]


def added(terms):
    """The sum of arrays as (hi, lo), to about twice the digits of its largest partial sum."""
    hi, lo = terms[0], 0.0
    for term in terms[1:]:
        total = hi + term
        back = total - hi
        lo = lo + ((hi - (total - back)) + (term - back))
        hi = total
    total = hi + lo
    return total, (hi - total) + lo


def product(a, b):
    """a * b as (hi, lo) exactly, for entries whose products and halves do not leave float64's range."""
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(a):
    big = a * (2.0**27 + 1.0)
    head = big - (big - a)
    return head, a - head
