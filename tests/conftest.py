import os

# Before SciPy is imported: scikit-learn's array API checks need it.
os.environ["SCIPY_ARRAY_API"] = "1"


def pytest_addoption(parser):
    parser.addoption(
        "--passes", action="store_true", help="fits in passes over the rows for small data, too"
    )


def pytest_configure(config):
    if config.getoption("--passes"):
        from robustreg.fitting.at_knot import WAY

        WAY.set("passes")
