"""Densities and rank tests of quantiles other than the median, against R; and beside ties."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.optimize import linprog
from scipy.special import stdtrit

from robustreg.data.arrays import make_source
from robustreg.fitting.fit import fit
from robustreg.inferring import corner as covariances
from robustreg.inferring import density
from robustreg.inferring.corner import Smoothing, specification
from robustreg.inferring.moments import first_look
from robustreg.problem.losses import corner

REFERENCE = Path(__file__).parents[2] / "reference"
R = json.loads((REFERENCE / "inference_reference.json").read_text())
HALL_SHEATHER = Smoothing("hall-sheather", None)


def reference_fit(name, tau):
    table = np.genfromtxt(REFERENCE / f"{name}.csv", delimiter=",", names=True)
    target = {"engel": "foodexp", "stackloss": "stackloss"}[name]
    X = np.column_stack([table[c] for c in table.dtype.names if c != target])
    return X, table[target], *looked(X, table[target], tau)


def looked(X, y, tau, w=None):
    loss = corner(tau - 1.0, tau)
    found = fit(X, y[:, None], w, specification(loss, True))
    source = make_source(X, y, w)
    return source, first_look(source, True, found.rank, found.coef[0], found.intercept[0], loss)[0]


def std_err(found, V):
    return found.at.frame.y_scale * np.sqrt(np.diag(found.at.covariance(V)))


def rank_intervals(X, y, source, found, level, how):
    unit, n = found.at.frame.y_scale, source.weight
    ends = unit * covariances.rank_intervals(source, found, n, level, how)
    ends[0] += found.at.frame.y_shift
    return ends


@pytest.mark.parametrize("name", ["engel", "stackloss"])
@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
def test_standard_errors_are_those_of_quantreg(name, tau):
    _, y, source, found = reference_fit(name, tau)
    wanted, n = R[name][f"quantile_{tau}"], len(y)
    for key, V in [
        ("iid", covariances.iid(source, found, n, HALL_SHEATHER)),
        ("nid", covariances.nid(source, found, n, HALL_SHEATHER)),
        ("ker", covariances.kernel(source, found, n, HALL_SHEATHER)),
    ]:
        # Its interior point leaves 1e-8 of the two fits of "nid".
        rtol = 3e-8 if key == "nid" else 1e-10
        np.testing.assert_allclose(std_err(found, V), wanted[key], rtol=rtol, err_msg=key)
    bandwidths = density.hall_sheather(n, tau), density.bofinger(n, tau)
    keys = "bandwidth_hall_sheather", "bandwidth_bofinger"
    np.testing.assert_allclose(bandwidths, [wanted[key] for key in keys], rtol=1e-12)


@pytest.mark.parametrize("kind", ["iid", "nid"])
@pytest.mark.parametrize("name", ["engel", "stackloss"])
@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
def test_rank_intervals_are_those_of_quantreg(name, tau, kind):
    X, y, source, found = reference_fit(name, tau)
    wanted = R[name][f"quantile_{tau}"].get(f"rank_interval90_{kind}")
    ends = rank_intervals(X, y, source, found, 0.9, HALL_SHEATHER if kind == "nid" else None)
    if wanted is None:  # quantreg asks for the quantile 1.03
        return
    wanted = np.array(wanted)
    if (name, tau) == ("stackloss", 0.5):
        # Here two rows meet the fit at once, and quantreg takes neither T nor its limit: see below.
        wanted[1, 0] = ends[1, 0]
    np.testing.assert_allclose(ends, wanted, rtol=1e-9, atol=1e-9)


def exact_statistic(X, y, j, tau, xi):
    """T(xi), which falls with xi, by a linear program."""
    D = np.column_stack([np.ones(len(y)), X])
    others = np.arange(D.shape[1]) != j
    equal = {"A_eq": D[:, others].T, "b_eq": (1.0 - tau) * D[:, others].sum(axis=0)}
    dual = linprog(-(y - xi * D[:, j]), **equal, bounds=(0, 1), method="highs").x
    q = 1.0 / np.linalg.inv(D.T @ D)[j, j]
    return D[:, j] @ (dual - (1.0 - tau)) / np.sqrt(tau * (1.0 - tau) * q)


def test_the_end_that_differs_from_quantreg_lies_where_the_statistic_jumps():
    X, y, source, found = reference_fit("stackloss", 0.5)
    end = rank_intervals(X, y, source, found, 0.9, None)[1, 0]
    low, high = 0.5079365, 0.5277778  # breakpoints
    below, inside = (exact_statistic(X, y, 1, 0.5, xi) for xi in (low - 1e-4, low + 1e-4))
    assert inside == pytest.approx(exact_statistic(X, y, 1, 0.5, high - 1e-4))
    cutoff = stdtrit(17, 0.95)
    assert inside < cutoff < below
    wanted = high + (low - high) * (cutoff - inside) / (below - inside)
    assert end == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
def test_the_statistic_reaches_the_cutoff_at_the_ends(tau):
    rng = np.random.default_rng(0)
    X = rng.normal([0.0, 5.0], size=(80, 2))
    y = np.round(X[:, 0] + rng.normal(size=80), 1)  # with ties
    source, found = looked(X, y, tau)
    ends, cutoff = rank_intervals(X, y, source, found, 0.95, None), stdtrit(77, 0.975)
    coef = np.append(found.b0, found.b)
    for j, (low, high) in enumerate(ends):
        assert low < coef[j] < high
        far = 0.3 * (high - low)  # several pieces
        for end, sign in ((low, -1.0), (high, 1.0)):
            assert -sign * exact_statistic(X, y, j, tau, end - sign * far) < cutoff
            assert -sign * exact_statistic(X, y, j, tau, end + sign * far) > cutoff


def test_rank_intervals_of_weights_units_and_order():
    rng = np.random.default_rng(1)
    X, w = rng.normal(size=(60, 2)), rng.integers(1, 4, size=60)
    y = X[:, 0] + rng.standard_t(3, size=60)
    many, order = np.repeat(np.arange(60), w), rng.permutation(60)
    wanted = rank_intervals(X, y, *looked(X, y, 0.4, w.astype(float)), 0.9, None)
    found = rank_intervals(X[many], y[many], *looked(X[many], y[many], 0.4), 0.9, None)
    np.testing.assert_allclose(found, wanted, rtol=1e-7)
    wanted = rank_intervals(X, y, *looked(X, y, 0.4), 0.9, HALL_SHEATHER)
    found = rank_intervals(X[order], y[order], *looked(X[order], y[order], 0.4), 0.9, HALL_SHEATHER)
    np.testing.assert_allclose(found, wanted, rtol=1e-7)
    Z, t = X * [1e-5, 1e3] + [0.0, 1e4], 1e6 * y
    found = rank_intervals(Z, t, *looked(Z, t, 0.4), 0.9, HALL_SHEATHER)
    np.testing.assert_allclose(found[1:] * [[1e-11], [1e-3]], wanted[1:], rtol=1e-6)


def test_the_quantile_of_weights_is_that_of_repeated_rows():
    rng = np.random.default_rng(2)
    r, w = rng.normal(size=50), rng.integers(1, 5, size=50)
    for part in (0.0, 0.25, 1 / 3, 0.75, 1.0):
        wanted = np.quantile(np.repeat(r, w), part)
        assert density.quantile(r, w.astype(float), part) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", density.KERNELS)
def test_kernels_have_the_integral_of_a_density(name):
    u = np.linspace(-8.0, 8.0, 160_001)
    assert trapezoid(density.KERNELS[name](u), u) == pytest.approx(
        1.0, rel=2e-4
    )  # steps at the ends
