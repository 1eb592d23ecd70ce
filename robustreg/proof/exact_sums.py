"""Sums of products without any rounding but that of the result.

A product of two float64 is the exact sum of two float64, where nothing over- or underflows
(Dekker 1971, Numer. Math. 18:224):

    a b = product + error,   product = fl(a b),   error = a b - product,

and ``math.fsum`` rounds the exact sum of any numbers once.
"""

from __future__ import annotations

import math

import numpy as np

# Splits a float64 of 53 bits into two halves of at most 26 bits (Veltkamp's constant).
SPLITTER = 2.0**27 + 1.0


def sum_of_products(w: np.ndarray, u: np.ndarray, x: np.ndarray) -> float:
    """sum_i w_i u_i x_i for three vectors (n,), correctly rounded; 0.0 only if it is 0."""
    wu, wu_error = two_product(w, u)
    terms = [*two_product(wu, x), *two_product(wu_error, x)]
    return math.fsum(np.concatenate(terms).tolist())


def two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(product, error), whose sum is a b exactly, entry by entry."""
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    # Products of halves have at most 52 bits: none of them is rounded, and no difference is.
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _halves(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(high, low), whose sum is a exactly, each of at most 26 bits."""
    big = a * SPLITTER
    high = big - (big - a)
    return high, a - high
