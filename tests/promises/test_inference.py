"""Standard errors are those of R and statsmodels, and follow the data, not its form."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.regression.quantile_regression import QuantReg

from robustreg import LinearRegressor, infer

REFERENCE = Path(__file__).parents[1] / "reference"
R = json.loads((REFERENCE / "inference_reference.json").read_text())
TARGET = {"engel": "foodexp", "stackloss": "stackloss"}
KINDS = {
    "mse": ("iid", "HC0", "HC1", "HC2", "HC3", "cluster"),
    "huber": ("H1", "H2", "H3", "MASS", "sandwich", "cluster"),
    "mae": ("iid", "nid", "kernel", "robust", "rank", "rank-nid", "cluster"),
}
EVERY = [(loss, cov) for loss, kinds in KINDS.items() for cov in kinds]


def reference_data(name):
    table = np.genfromtxt(REFERENCE / f"{name}.csv", delimiter=",", names=True)
    features = [column for column in table.dtype.names if column != TARGET[name]]
    return np.column_stack([table[column] for column in features]), table[TARGET[name]]


def statsmodels_data(name):
    data = getattr(sm.datasets, name).load()
    X, y = np.asarray(data.exog, dtype=float), np.asarray(data.endog, dtype=float)
    return X[:, np.ptp(X, axis=0) > 0.0], y


def some_data(seed, n=120, p=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + [0.0, 2.0, -30.0][:p]
    y = X @ [1.0, -2.0, 0.5][:p] + 3.0 + rng.standard_t(3, size=n) * np.exp(0.3 * X[:, 0])
    return X, y, rng.integers(0, 20, size=n)


def fitted(loss, X, y, w=None, **kwargs):
    delta = {"delta": 1.345, "scale": "mad"} | kwargs if loss == "huber" else {}
    more = {name: kwargs[name] for name in kwargs if name not in ("delta", "scale")}
    return LinearRegressor(loss, **(delta | more)).fit(X, y, w)


def of(loss, cov, X, y, w=None, groups=None, **kwargs):
    model = fitted(loss, X, y, w, **kwargs)
    return infer(model, X, y, w, cov=cov, groups=groups if cov == "cluster" else None)


# -- second opinions --------------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGET)
@pytest.mark.parametrize("cov", ["iid", "HC0", "HC1", "HC2", "HC3", "cluster"])
def test_least_squares_is_as_in_R(name, cov):
    X, y = reference_data(name)
    found = of("mse", cov, X, y, groups=np.arange(len(y)) // 5)
    key = "cluster_of_5_rows_CR1" if cov == "cluster" else cov
    np.testing.assert_allclose(found.std_err, R[name]["mse"][key], rtol=1e-10)
    if cov == "iid":
        np.testing.assert_allclose(found.interval, R[name]["mse"]["interval95_iid"], rtol=1e-10)


@pytest.mark.parametrize("name", TARGET)
@pytest.mark.parametrize("scale", ["mad", "proposal2"])
def test_huber_is_as_in_MASS(name, scale):
    X, y = reference_data(name)
    wanted = R[name][f"huber_1.345_{scale}"]["std_err"]
    np.testing.assert_allclose(of("huber", "MASS", X, y, scale=scale).std_err, wanted, rtol=1e-10)


@pytest.mark.parametrize("name", TARGET)
@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
@pytest.mark.parametrize(("cov", "key"), [("iid", "iid"), ("nid", "nid"), ("kernel", "ker")])
def test_quantiles_are_as_in_quantreg(name, tau, cov, key):
    X, y = reference_data(name)
    wanted = R[name][f"quantile_{tau}"]
    found = of("quantile", cov, X, y, quantile=tau)
    # Its interior point leaves 1e-8 of the two fits of "nid".
    np.testing.assert_allclose(found.std_err, wanted[key], rtol=3e-8)


@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["iid", "nid"])
def test_rank_intervals_of_quantiles_are_as_in_quantreg(tau, kind):
    X, y = reference_data("engel")
    model = fitted("quantile", X, y, quantile=tau)
    found = infer(model, X, y, cov={"iid": "rank", "nid": "rank-nid"}[kind], level=0.9)
    wanted = R["engel"][f"quantile_{tau}"][f"rank_interval90_{kind}"]
    np.testing.assert_allclose(found.interval, wanted, rtol=1e-9)


@pytest.mark.parametrize("name", ["longley", "stackloss", "ccard", "scotland"])
@pytest.mark.parametrize("cov", ["iid", "HC0", "HC1", "HC2", "HC3", "cluster"])
def test_least_squares_is_as_in_statsmodels(name, cov):
    X, y = statsmodels_data(name)
    groups = np.arange(len(y)) // 3
    kinds = {"iid": {}, "cluster": {"cov_type": "cluster", "cov_kwds": {"groups": groups}}}
    theirs = sm.OLS(y, sm.add_constant(X)).fit(**kinds.get(cov, {"cov_type": cov}), use_t=True)
    found = of("mse", cov, X, y, groups=groups)
    np.testing.assert_allclose(found.std_err, theirs.bse, rtol=1e-7)
    np.testing.assert_allclose(found.p_value, theirs.pvalues, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(found.interval, theirs.conf_int(), rtol=1e-6)


@pytest.mark.parametrize("name", ["longley", "stackloss", "ccard", "scotland"])
@pytest.mark.parametrize("cov", ["H1", "H2", "H3"])
def test_huber_is_as_in_statsmodels(name, cov):
    X, y = statsmodels_data(name)
    model = sm.RLM(y, sm.add_constant(X), M=sm.robust.norms.HuberT(1.345))
    theirs = model.fit(cov=cov, tol=1e-14, maxiter=5000)
    mad = 0.6745 * sm.robust.scale.mad(theirs.resid, center=0.0)
    knot = 1.345 * theirs.scale
    found = of("huber", cov, X, y, delta=knot, scale=1.0)
    assert theirs.scale == pytest.approx(mad / 0.6745)
    np.testing.assert_allclose(found.std_err, theirs.bse, rtol=1e-7)


KERNELS = {
    "gaussian": "gau", "epanechnikov": "epa", "biweight": "biw", "cosine": "cos", "parzen": "par"
}  # fmt: skip
SMOOTHED = [(name, "hall-sheather", "hsheather") for name in KERNELS]
SMOOTHED += [("epanechnikov", "bofinger", "bofinger"), ("gaussian", "chamberlain", "chamberlain")]


@pytest.mark.parametrize("name", ["engel", "ccard", "stackloss"])
@pytest.mark.parametrize("cov", ["iid", "robust"])
@pytest.mark.parametrize(("kernel", "bandwidth", "their_bandwidth"), SMOOTHED)
def test_medians_are_as_in_statsmodels(name, cov, kernel, bandwidth, their_bandwidth):
    X, y = statsmodels_data(name)
    y = 1e4 * y  # theirs takes no residual to be below 1e-6
    how = {"vcov": cov, "kernel": KERNELS[kernel], "bandwidth": their_bandwidth}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it ends in a cycle of the last digits
        theirs = QuantReg(y, sm.add_constant(X)).fit(0.5, p_tol=1e-11, max_iter=3000, **how)
    found = infer(fitted("mae", X, y), X, y, cov=cov, bandwidth=bandwidth, kernel=kernel)
    np.testing.assert_allclose(found.std_err, theirs.bse, rtol=1e-7)


# -- naive formulas ---------------------------------------------------------------------------


def test_huber_sandwich_and_clusters_by_their_formulas():
    X, y, groups = some_data(1)
    model = fitted("huber", X, y)
    D, r, d = np.column_stack([np.ones(len(y)), X]), y - model.predict(X), 1.345 * model.scale_
    psi = np.clip(r, -d, d)
    bread = np.linalg.inv(D.T @ ((np.abs(r) <= d)[:, None] * D))
    scores = psi[:, None] * D
    sums = np.array([scores[groups == g].sum(axis=0) for g in np.unique(groups)])
    n, k = D.shape
    few = len(sums) / (len(sums) - 1) * (n - 1) / (n - k)
    sandwich, cluster = (bread @ S.T @ S @ bread for S in (scores, sums))
    np.testing.assert_allclose(infer(model, X, y).covariance, sandwich, rtol=1e-9)
    found = infer(model, X, y, groups=groups)
    np.testing.assert_allclose(found.covariance, few * cluster, rtol=1e-9)
    assert (found.cov, found.df) == ("cluster", len(sums) - 1)


def test_median_clusters_by_their_formula():
    X, y, groups = some_data(2)
    model = fitted("mae", X, y)
    D, r = np.column_stack([np.ones(len(y)), X]), y - model.predict(X)
    kernel = infer(model, X, y, cov="kernel", kernel="uniform")
    # tau (1 - tau) F^-1 G F^-1 of "kernel" gives F.
    G = D.T @ D
    root = np.linalg.cholesky(G)
    half = np.linalg.inv(root).T  # G^-1/2
    values, vectors = np.linalg.eigh(root.T @ kernel.covariance @ root)
    bread = half @ vectors @ np.diag(2.0 * np.sqrt(values)) @ vectors.T @ half.T
    psi = np.where(np.abs(r) < 1e-9, 0.0, 0.5 * np.sign(r))
    sums = np.array([(psi[:, None] * D)[groups == g].sum(axis=0) for g in np.unique(groups)])
    few = len(sums) / (len(sums) - 1) * (len(y) - 1) / (len(y) - 4)
    found = infer(model, X, y, groups=groups)
    np.testing.assert_allclose(found.covariance, few * bread @ sums.T @ sums @ bread, rtol=1e-7)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_a_cluster_per_row_is_the_sandwich(loss):
    X, y, _ = some_data(3)
    found = of(loss, "cluster", X, y, groups=np.arange(len(y)))
    other = of(loss, {"mse": "HC1", "huber": "sandwich"}[loss], X, y)
    factor = 1.0 if loss == "mse" else len(y) / (len(y) - 4)  # n / (n - 1) (n - 1) / (n - k)
    np.testing.assert_allclose(found.std_err, np.sqrt(factor) * other.std_err, rtol=1e-12)


# -- invariances ------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "cov"), EVERY)
def test_units_move_nothing_but_units(loss, cov):
    X, y, groups = some_data(4)
    units, unit, shift = np.array([1e-6, 1.0, 1e5]), 1e7, np.array([0.0, 1e3, 0.0])
    found = of(loss, cov, X, y, groups=groups)
    other = of(loss, cov, X * units + shift, unit * y, groups=groups)
    ends = other.interval[1:] * units[:, None] / unit
    np.testing.assert_allclose(ends, found.interval[1:], rtol=1e-7)
    np.testing.assert_allclose(other.p_value[1:], found.p_value[1:], rtol=1e-6)


@pytest.mark.parametrize(("loss", "cov"), EVERY)
def test_a_weight_is_that_many_rows(loss, cov):
    X, y, groups = some_data(5)
    w = np.random.default_rng(5).integers(0, 4, size=len(y)).astype(float)
    times = w.astype(int)
    many = np.repeat(np.arange(len(y)), times)
    found = of(loss, cov, X, y, w, groups=groups)
    other = of(loss, cov, X[many], y[many], groups=groups[many])
    np.testing.assert_allclose(found.std_err, other.std_err, rtol=1e-8)
    np.testing.assert_allclose(found.interval, other.interval, rtol=1e-8)
    assert found.n_samples == len(many)
    assert found.df_resid == len(many) - 4


@pytest.mark.parametrize(("loss", "cov"), EVERY)
def test_the_order_of_rows_and_columns_does_not_matter(loss, cov):
    X, y, groups = some_data(6)
    order, columns = np.random.default_rng(6).permutation(len(y)), np.array([2, 0, 1])
    found = of(loss, cov, X, y, groups=groups)
    other = of(loss, cov, X[order][:, columns], y[order], groups=groups[order])
    np.testing.assert_allclose(other.interval[1:], found.interval[1:][columns], rtol=1e-8)


@pytest.mark.parametrize(("loss", "cov"), EVERY)
def test_dependent_columns_have_no_standard_error_and_leave_the_others_alone(loss, cov):
    X, y, groups = some_data(7)
    found = of(loss, cov, X[:, [0, 1]], y, groups=groups)
    # A copy of column 1 and a constant: columns 1 and 2, the intercept and the last are not told.
    more = np.column_stack([X[:, [0, 1, 1]], np.full(len(y), 7.0)])
    other = of(loss, cov, more, y, groups=groups)
    np.testing.assert_allclose(other.interval[1], found.interval[1], rtol=1e-7)
    assert np.isnan(other.interval[[0, 2, 3, 4]]).all()
    assert np.isnan(other.covariance[0]).all()
    assert other.df_resid == found.df_resid
    assert "do not determine intercept, x1, x2, x3." in str(other)
    if cov.startswith("rank"):
        return
    # What they determine together is known, as well as without them.
    mine, theirs = other.predict(more[:9]), found.predict(X[:9, [0, 1]])
    np.testing.assert_allclose(mine.std_err, theirs.std_err, rtol=1e-6)
    np.testing.assert_allclose(mine.interval, theirs.interval, rtol=1e-6)
    assert np.isnan(other.predict(more[:1] + np.eye(4)[[1]]).std_err).all()
    total = other.test([0, 0, 1, 1, 0])
    assert total.p_value == pytest.approx(found.test("x1").p_value, rel=1e-6)
    with pytest.raises(ValueError, match="R must be about what the data determine"):
        other.test("x1")


@pytest.mark.parametrize("loss", KINDS)
def test_levels_of_a_factor_beside_an_intercept(loss):
    X, y, groups = some_data(8)
    levels = np.eye(4)[groups % 4]
    found = of(loss, KINDS[loss][0], np.column_stack([X, levels[:, 1:]]), y)
    other = of(loss, KINDS[loss][0], np.column_stack([X, levels]), y)
    np.testing.assert_allclose(other.std_err[1:4], found.std_err[1:4], rtol=1e-7)
    assert np.isnan(other.std_err[[0, 4, 5, 6, 7]]).all()
    # The difference of two levels is determined.
    difference = np.array([0, 0, 0, 0, -1, 1, 0, 0.0])
    test = other.test(difference)
    assert test.p_value == pytest.approx(found.test("x3").p_value, rel=1e-6)


@pytest.mark.parametrize("loss", KINDS)
def test_sparse_rows_blocks_and_float32_give_the_same(loss):
    from scipy import sparse

    rng = np.random.default_rng(9)
    X = rng.normal(size=(30_000, 4)).astype(np.float32).astype(float)
    y = X.sum(axis=1) + rng.standard_t(3, size=len(X))
    found = of(loss, None, X, y)
    other = of(loss, None, sparse.csr_matrix(X), y)
    np.testing.assert_allclose(other.std_err, found.std_err, rtol=1e-9)
    other = of(loss, None, X.astype(np.float32), y)
    np.testing.assert_allclose(other.std_err, found.std_err, rtol=1e-3)


@pytest.mark.parametrize("loss", KINDS)
def test_on_dask_the_numbers_are_those_of_memory(loss):
    da = pytest.importorskip("dask.array")
    X, y, groups = some_data(15)
    model = fitted(loss, X, y)
    parts = [da.from_array(v, chunks=(40, *v.shape[1:])) for v in (X, y, groups)]
    found = infer(model, *parts[:2], groups=parts[2])
    wanted = infer(model, X, y, groups=groups)
    np.testing.assert_array_equal(found.covariance, wanted.covariance)


def test_nearly_dependent_columns_have_the_standard_errors_of_an_orthogonal_factorisation():
    x = np.linspace(1.0, 2.0, 60)
    X = np.column_stack([x**k for k in range(1, 7)])
    y = np.random.default_rng(10).normal(size=60) + X.sum(axis=1)
    D = np.column_stack([np.ones(60), X])
    size = np.linalg.norm(D, axis=0)
    _, s, Vt = np.linalg.svd(D / size)
    model = fitted("mse", X, y)
    s2 = np.sum(np.square(y - model.predict(X))) / (60 - 7)
    wanted = np.sqrt(s2 * np.diag((Vt.T / s**2) @ Vt)) / size
    np.testing.assert_allclose(infer(model, X, y, cov="iid").std_err, wanted, rtol=1e-6)


def test_a_direction_that_the_fit_leaves_out_is_not_determined():
    rng = np.random.default_rng(16)
    X = rng.normal(size=(40, 2))
    X = np.column_stack([X, 1e8 + X[:, 0]])  # a copy but for the last places
    y = X[:, 1] + rng.normal(size=40)
    model = fitted("mse", X, y)
    found = infer(model, X, y)
    assert found.df_resid == 40 - 1 - model.rank_
    wanted = of("mse", None, X[:, :2], y)
    np.testing.assert_allclose(found.std_err[2], wanted.std_err[2], rtol=0.03)


@pytest.mark.parametrize("cov", ["HC0", "HC2", "HC3"])
def test_a_row_with_a_column_of_its_own_does_not_count(cov):
    X, y, _ = some_data(17)
    found = of("mse", cov, np.column_stack([X, np.arange(len(y)) == 5]), y)
    wanted = of("mse", cov, np.delete(X, 5, axis=0), np.delete(y, 5))
    np.testing.assert_allclose(found.std_err[:4], wanted.std_err, rtol=1e-9)
    assert np.isfinite(found.std_err[4])


# -- the record -------------------------------------------------------------------------------


def test_without_an_intercept():
    X, y, _ = some_data(11)
    found = of("mse", "HC3", X, y, fit_intercept=False)
    theirs = sm.OLS(y, X).fit(cov_type="HC3", use_t=True)
    np.testing.assert_allclose(found.std_err, theirs.bse, rtol=1e-10)
    assert found.names == ("x0", "x1", "x2")
    np.testing.assert_allclose(
        found.predict(X[:5]).std_err, theirs.get_prediction(X[:5]).se_mean, rtol=1e-9
    )


def test_wald_tests_and_the_line_are_those_of_statsmodels():
    X, y, _ = some_data(12)
    D = sm.add_constant(X)
    theirs, found = sm.OLS(y, D).fit(cov_type="HC1", use_t=True), of("mse", "HC1", X, y)
    H, q = np.array([[0, 1, 1, 0], [0, 0, 0, 2.0]]), np.array([-1.0, 0.9])
    test, wanted = found.test(H, q), theirs.f_test((H, q))
    assert test.statistic == pytest.approx(float(wanted.fvalue), rel=1e-9)
    assert test.p_value == pytest.approx(float(wanted.pvalue), rel=1e-7)
    assert (test.df_num, test.df_denom) == (2.0, len(y) - 4)
    assert found.test("x1").statistic == pytest.approx(found.statistic[2] ** 2)
    line, wanted = found.predict(X[:7]), theirs.get_prediction(D[:7])
    np.testing.assert_allclose(line.mean, wanted.predicted_mean, rtol=1e-9)
    np.testing.assert_allclose(line.interval, wanted.conf_int(), rtol=1e-9)


@pytest.mark.parametrize(("loss", "cov"), [("mse", "HC3"), ("mse", "iid"), ("huber", "sandwich")])
def test_an_exact_fit_is_sure(loss, cov):
    X = np.random.default_rng(13).normal(size=(50, 3))
    found = of(loss, cov, X, X.sum(axis=1) + 2.0, scale=1.0)
    np.testing.assert_allclose(found.std_err, 0.0, atol=1e-13)
    assert str(found)


@pytest.mark.parametrize("cov", [cov for cov in KINDS["mae"] if cov != "cluster"])
def test_an_exact_median_fit_has_no_density(cov):
    X = np.random.default_rng(14).normal(size=(50, 3))
    with pytest.raises(ValueError, match="cov"):
        of("mae", cov, X, X.sum(axis=1))


def test_alike_residuals_beside_the_median_have_no_slope():
    rng = np.random.default_rng(18)
    X = rng.normal(size=(40, 2))
    y, w = X.sum(axis=1) + rng.normal(size=40), np.full(40, 1e6)
    model = fitted("mae", X, y, w)
    with pytest.raises(ValueError, match="residuals of different sizes beside the fit"):
        infer(model, X, y, w, cov="iid")
    assert np.all(infer(model, X, y, w, cov="kernel").std_err > 0.0)
