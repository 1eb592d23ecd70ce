import os

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported: scikit-learn's array API checks need it
