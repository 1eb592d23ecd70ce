"""Sums of products without any rounding but that of the result.

A product a b of two float64 is the exact sum of two float64, where nothing over- or underflows
(Dekker 1971, Numer. Math. 18:224):

    a b = p + e,   p = fl(a b),   e = a b - p,

and ``math.fsum`` rounds the exact sum of any numbers once.
"""

from __future__ import annotations

import math

import numpy as np


def sum_of_products(w: np.ndarray, u: np.ndarray, x: np.ndarray) -> float:
    """sum_i w_i u_i x_i for three vectors (n,), correctly rounded; 0.0 only if it is 0."""
    wu, rest = two_product(w, u)
    terms = [*two_product(wu, x), *two_product(rest, x)]
    return math.fsum(np.concatenate(terms).tolist())


def two_product(a, b):
    """(p, e) with p + e = a b exactly."""
    p = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a):
    """a = high + low exactly, each of at most 26 bits."""
    big = a * (2.0**27 + 1.0)
    high = big - (big - a)
    return high, a - high
