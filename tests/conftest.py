import os

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported: scikit-learn's array API checks need it


def pytest_addoption(parser):
    parser.addoption("--stream", action="store_true", help="row reduction and two passes for small data, too")


def pytest_configure(config):
    if config.getoption("--stream"):
        from robustreg.fitting import at_knot as fitting
        from robustreg.passes import reduction

        fitting.TALL, fitting.SMALL, reduction.TALL, reduction.MAE_TALL = 2, 0, 2, 2
