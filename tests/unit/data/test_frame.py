"""A frame beside one dense Z made from the definition, for any storage; and what it refuses."""

import numpy as np
import pytest
from scipy import sparse

from robustreg.data.arrays import make_source
from robustreg.data.frame import make_frame
from robustreg.data.source import Refused

P, N = 7, 400
EPS = np.finfo(np.float64).eps


def memory_map(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


STORED = {
    "C": lambda X, folder: X,
    "F": lambda X, folder: np.asfortranarray(X),
    "float32": lambda X, folder: X.astype(np.float32),
    "int8": lambda X, folder: np.clip(np.round(20.0 * X), -128, 127).astype(np.int8),
    "bool": lambda X, folder: X > 0.5,
    "memory map": memory_map,
    "shifted": lambda X, folder: X + np.where(np.arange(P) % 3, 0.0, 1e5),
    "shifted float32 F": lambda X, folder: np.asfortranarray((X - 100.0).astype(np.float32)),
    "shifted int8": lambda X, folder: np.clip(np.round(2.0 * X + 90.0), -128, 127).astype(np.int8),
    "decades apart": lambda X, folder: X * 10.0 ** np.linspace(-12, 12, P),
    "CSR": lambda X, folder: sparse.csr_array(np.where(X > 0.5, X, 0.0)),
    "shifted CSR, nearly full": lambda X, folder: sparse.csr_array(
        np.where(np.arange(X.size).reshape(X.shape) % 37, X + 50.0 * (np.arange(P) % 3 == 0), 0.0)
    ),
}


class Case:
    """A source, its frame, and Z (n, m), t (n,), weights w (n,) from the definition."""

    def __init__(self, kind, folder, weighted=True, intercept=True):
        rng = np.random.default_rng(3)
        stored = STORED[kind](rng.standard_normal((N, P)), folder)
        self.X = np.asarray(
            stored.toarray() if sparse.issparse(stored) else stored, dtype=np.float64
        )
        self.y = 3e4 + 250.0 * rng.standard_t(2, N)
        w = rng.uniform(0.5, 2.0, N) if weighted else None
        self.source = make_source(stored, self.y, w)
        self.frame = frame = make_frame(self.source, intercept)
        self.w = np.ones(N) if w is None else w
        self.shift = np.zeros(P) if frame.shift is None else frame.shift
        Z = (self.X - self.shift) * frame.inverse_scale
        self.Z = np.column_stack([Z, np.ones(N)]) if intercept else Z
        self.t = (self.y - frame.y_shift) / frame.y_scale
        self.phi = rng.standard_normal(self.Z.shape[1])

    def parts(self):
        return (part for group in range(self.source.n_groups) for part in self.source.parts(group))


@pytest.fixture(
    scope="module",
    params=[(kind, weighted) for kind in STORED for weighted in (False, True)],
    ids=str,
)
def case(request, tmp_path_factory):
    kind, weighted = request.param
    return Case(
        kind, tmp_path_factory.mktemp("frame"), weighted, intercept=weighted or "shifted" in kind
    )


def near(found, expected, size=1.0):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * size)


def test_the_verbs_are_those_of_the_dense_matrix(case):
    frame, Z, w = case.frame, case.Z, case.w
    v = np.random.default_rng(5).standard_normal(N)
    assert frame.n_cols == Z.shape[1]
    rows, targets, residuals, adjoint, gram = [], [], [], 0.0, 0.0
    for part in case.parts():
        C, here = frame.centred(part), slice(part.begin, part.begin + len(part.y))
        rows.append(frame.rows(C))
        targets.append(frame.target(part))
        residuals.append(frame.residual(part, C, case.phi))
        adjoint = adjoint + frame.adjoint(C, v[here])
        gram = gram + frame.gram(C, part.w)
    near(np.vstack(rows), Z)
    near(np.concatenate(targets), case.t)
    r = np.concatenate(residuals)
    near(r, case.t - Z @ case.phi, np.abs(case.t).max())
    near(adjoint, Z.T @ v, np.sqrt(N))
    near(gram, (Z.T * w) @ Z, N)
    # <Z phi, v> = <phi, Z'v>
    assert (case.t - r) @ v == pytest.approx(case.phi @ adjoint, rel=1e-9, abs=1e-9 * N)


def test_some_rows_are_those_of_the_dense_matrix(case):
    index = np.array([N - 1, 0, 17, 17, N // 2])
    Z, t, w = case.frame.take(case.source, index)
    near(Z, case.Z[index])
    near(t, case.t[index])
    near(w, case.w[index])
    _, r, _ = case.frame.take(case.source, index, case.phi)
    near(r, (case.t - case.Z @ case.phi)[index], np.abs(case.t).max())


def test_the_way_back_to_the_units_of_the_data(case):
    frame, phi = case.frame, case.phi
    b, b0 = frame.raw(phi)
    # 1. The same fitted values.
    fitted = case.X @ b + b0
    size = np.abs(case.X) @ np.abs(b) + abs(b0)
    assert np.all(np.abs(fitted - frame.y_shift - frame.y_scale * (case.Z @ phi)) <= 1e-13 * size)
    # 2. Each is the inverse of the other.
    terms = abs(b0) + abs(frame.y_shift) + np.abs(case.shift) @ np.abs(b)
    np.testing.assert_allclose(frame.from_raw(b, b0)[:P], phi[:P], rtol=1e-14)
    np.testing.assert_allclose(
        frame.from_raw(b, b0), phi, rtol=1e-14, atol=8 * EPS * terms / frame.y_scale
    )
    again, b0_again = frame.raw(frame.from_raw(b, b0))
    np.testing.assert_allclose(again, b, rtol=1e-14)
    assert b0_again == pytest.approx(b0, abs=8 * EPS * terms)


def test_what_rounding_in_the_units_of_the_data_does_to_fitted_values(case):
    frame = case.frame
    moved = case.Z @ (frame.from_raw(*frame.raw(case.phi)) - case.phi)
    assert np.sqrt(np.mean(np.square(moved))) <= 8.0 * frame.rounding(case.phi)


def test_the_penalty_is_that_of_the_coefficients(case):
    L = case.frame.penalty_root(0.3)
    b, _ = case.frame.raw(case.phi)
    assert L.shape == (P, case.frame.n_cols)
    assert np.sum((L @ case.phi) ** 2) == pytest.approx(0.3 * np.sum((b / case.frame.y_scale) ** 2))


def test_other_units_of_y_change_the_numbers_and_nothing_else(case):
    finer = case.frame.in_units(2.0**-7)
    part = case.source.take(np.arange(50))
    r = case.frame.residual(part, case.frame.centred(part), case.phi)
    phi = case.phi * 2.0**7
    np.testing.assert_array_equal(finer.residual(part, finer.centred(part), phi), r * 2.0**7)
    np.testing.assert_array_equal(finer.raw(phi)[0], case.frame.raw(case.phi)[0])
    assert finer.raw(phi)[1] == case.frame.raw(case.phi)[1]


def test_columns_and_targets_have_about_unit_size(case):
    slopes, t = case.Z[:, :P], case.t
    size = np.sqrt(np.mean(np.square(slopes), axis=0))
    assert np.all((size > 0.7) & (size < 3.0))
    assert 0.5 < np.median(np.abs(t)) < 4.0
    scales = np.append(case.frame.inverse_scale, case.frame.y_scale)
    assert np.all(np.frexp(scales)[0] == 0.5)  # powers of two


def test_only_a_mean_far_from_zero_is_shifted():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, 3)) + np.array([0.0, 2.0, 50.0])
    shift = make_frame(make_source(X, X[:, 0], None), True).shift
    np.testing.assert_array_equal(shift[:2], 0.0)
    assert shift[2] == pytest.approx(50.0, abs=0.2)
    assert make_frame(make_source(X[:, :2], X[:, 0], None), True).shift is None
    without = make_frame(make_source(X, X[:, 0] + 1e6, None), False)
    assert without.shift is None
    assert without.y_shift == 0.0


def test_a_column_of_zeros_and_a_constant_y_have_the_unit_one():
    frame = make_frame(make_source(np.zeros((20, 2)), np.full(20, 7.0), None), True)
    np.testing.assert_array_equal(frame.inverse_scale, 1.0)
    assert (frame.y_shift, frame.y_scale) == (7.0, 1.0)


# -- refusals ----------------------------------------------------------------------------------

RNG = np.random.default_rng(7)
PLAIN_X, PLAIN_Y, ONES = RNG.standard_normal((300, 3)), RNG.standard_normal(300), np.ones(300)


def with_one(a, value, place=(7, 1)):
    a = a.copy()
    a[place[: a.ndim]] = value
    return a


NOT_SQUARED = "A column of X has values too large or too small to be squared."
Y_NOT_SQUARED = "y has values too large or too small to be squared."
Y_NOT_CENTRED = "y has values that are not finite, or too large to be centred."
W_NOT_SQUARED = "sample_weight has values too large or too small to be squared."
UNEVEN = "sample_weight has a largest value more than 1e+08 times the least."
REFUSED = {
    "a large entry": (with_one(PLAIN_X, 1e120), PLAIN_Y, None, NOT_SQUARED),
    "a large entry, squared inf": (with_one(PLAIN_X, 1e200), PLAIN_Y, None, NOT_SQUARED),
    "a small column": (PLAIN_X * [1.0, 1e-120, 1.0], PLAIN_Y, None, NOT_SQUARED),
    "NaN in X": (with_one(PLAIN_X, np.nan), PLAIN_Y, None, NOT_SQUARED),
    "inf in X": (with_one(PLAIN_X, np.inf), PLAIN_Y, None, NOT_SQUARED),
    "inf in a sparse X": (sparse.csr_array(with_one(PLAIN_X, np.inf)), PLAIN_Y, None, NOT_SQUARED),
    "a large y": (PLAIN_X, PLAIN_Y * 1e100, None, Y_NOT_SQUARED),
    "a small y": (PLAIN_X, PLAIN_Y * 1e-100, None, Y_NOT_SQUARED),
    "an infinite y": (PLAIN_X, with_one(PLAIN_Y, -np.inf), None, Y_NOT_CENTRED),
    "y too wide": (PLAIN_X, np.where(PLAIN_Y > 0.0, 1.5e308, -1.5e308), None, Y_NOT_CENTRED),
    "large weights": (PLAIN_X, PLAIN_Y, 1e95 * ONES, W_NOT_SQUARED),
    "small weights": (PLAIN_X, PLAIN_Y, 1e-95 * ONES, W_NOT_SQUARED),
    "uneven weights": (PLAIN_X, PLAIN_Y, with_one(ONES, 1.1e8), UNEVEN),
    "a light row": (PLAIN_X, PLAIN_Y, with_one(ONES, 0.9e-8), UNEVEN),
}


@pytest.mark.parametrize("cause", REFUSED)
def test_what_is_too_extreme_is_refused_with_its_cause(cause):
    X, y, w, sentence = REFUSED[cause]
    with pytest.raises(Refused) as refused:
        make_frame(make_source(X, y, w), True)
    assert str(refused.value) == sentence


NOT_REFUSED = {
    "large X": (PLAIN_X * [1.0, 1e80, 1e-80], PLAIN_Y, None, True),
    "large y": (PLAIN_X, PLAIN_Y * 1e80, None, True),
    "small y": (PLAIN_X, PLAIN_Y * 1e-80, None, True),
    "weights as uneven as they may be": (PLAIN_X, PLAIN_Y, with_one(ONES, 1e8), True),
    "small weights alike": (PLAIN_X, PLAIN_Y, 1e-80 * ONES, True),
    "a sparse mean": (sparse.csr_array(PLAIN_X + 9.0), PLAIN_Y, None, True),
    "one y far away": (PLAIN_X, with_one(PLAIN_Y, 1e200), None, True),
}


@pytest.mark.parametrize("case", NOT_REFUSED)
def test_what_is_less_extreme_is_not(case):
    X, y, w, intercept = NOT_REFUSED[case]
    frame = make_frame(make_source(X, y, w), intercept)
    assert np.all(np.isfinite(frame.inverse_scale))
    assert 0.0 < frame.y_scale < np.inf
