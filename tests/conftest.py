import os

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported: scikit-learn's array API checks need it


def pytest_addoption(parser):
    parser.addoption("--stream", action="store_true", help="stream small data, too: two passes and row reduction")


def pytest_configure(config):
    if config.getoption("--stream"):
        from robustreg import fitting

        fitting.TALL = dict.fromkeys(fitting.TALL, 0)
        fitting.SMALL = 0
