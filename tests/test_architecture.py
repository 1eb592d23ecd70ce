"""Imports run one way, rooms stay small, and the package stays pure."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "robustreg"
LONGEST = 50  # lines of a function without its docstring
FILES = sorted(PACKAGE.rglob("*.py"))

# Each folder may import from those to its right, and from itself; files beside the folders are the
# doors.
ROOMS = [
    "doors",
    "inferring",
    "paths",
    "fitting",
    "passes",
    "solvers",
    "problem",
    "data",
    "numerics",
]
APART = {
    "proof": {"data.threads"},
    "display": {"problem.losses", "inference"},
}  # and what each of them may use


def room(name):
    first = name.split(".")[0]
    return first if (PACKAGE / first).is_dir() else "doors"


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


NAMES = {module_name(path) for path in FILES}


def imports(path):
    """(internal modules, external top-level packages) that a file imports, at any depth."""
    inside, outside = set(), set()
    folder = path.parent.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            outside.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = list(folder[: len(folder) - node.level + 1]) + (
                node.module.split(".") if node.module else []
            )
            for alias in node.names:
                full = ".".join([*base, alias.name])
                inside.add(full if full in NAMES else ".".join(base))
    return inside, outside


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_from_left_to_right(path):
    name = module_name(path)
    for other in imports(path)[0]:
        here, there = room(name), room(other)
        if here in APART:
            assert here == there or other in APART[here], f"{name} imports {other}"
        elif there in APART:
            assert here in ("doors", "fitting"), f"{name} imports {other}"
        else:
            assert ROOMS.index(here) <= ROOMS.index(there), f"{name} imports {other}"


def test_there_are_no_circles():
    known = {module_name(path): path for path in FILES}
    below = {name: imports(path)[0] & set(known) for name, path in known.items()}
    while below:
        leaves = {name for name, used in below.items() if not used & set(below)}
        assert leaves, f"a circle among {sorted(below)}"
        below = {name: used for name, used in below.items() if name not in leaves}


DOORS = {
    "linear_regressor",
    "linear_regressor_cv",
    "inputs",
    "certificate",
    "inference",
    "path",
    "process",
    "progress",
    "display.fit",
    "__main__",
    "on_dask",
}
# Packages beyond NumPy, SciPy and the standard library, and the only files that know them.
KNOWN_BY = {
    "sklearn": DOORS,
    "joblib": {"linear_regressor_cv"},  # scikit-learn brings it
    "threadpoolctl": {"data.threads", "__main__"},  # scikit-learn brings it, too
    "matplotlib": {"display.drawing"},
    "pandas": {"inferring.record"},  # where a table is made a frame
    "polars": {"inferring.record"},
    "dask": {"data.dask", "data.dask_lazy"},
    "skl2onnx": {"onnx"},
}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_the_door_knows_scikit_learn(path):
    for package in imports(path)[1] - {"numpy", "scipy"} - sys.stdlib_module_names:
        assert module_name(path) in KNOWN_BY[package], package


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_function_is_read_at_a_glance(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= LONGEST, f"{node.name} has {lines} lines"


def test_only_data_and_the_proof_ask_how_X_is_stored():
    others = {"solvers.reference", "problem.duality", "fitting.direct"}
    for path in FILES:
        if room(module_name(path)) not in ("data", "proof") and module_name(path) not in others:
            assert "issparse" not in path.read_text(), path


def test_the_proof_shares_nothing_with_the_solvers():
    for path in (PACKAGE / "proof").glob("*.py"):
        outside = {name for name in imports(path)[0] if not name.startswith("proof")}
        assert outside <= {"data.threads"}, "threads share out work, and compute nothing"


def test_what_has_to_be_trusted_does_not_use_what_need_not_be():
    for name in (
        "bound",
        "metric",
        "judged_problem",
        "directions",
        "coordinates",
        "design",
        "exact_sums",
    ):
        assert (
            not {"proof.dual_points", "proof.uniqueness"}
            & imports(PACKAGE / "proof" / f"{name}.py")[0]
        )


def test_losses_are_pointwise():
    assert imports(PACKAGE / "problem" / "losses.py") == (
        set(),
        {"__future__", "dataclasses", "numpy"},
    )


def test_displays_take_fitted_estimators_and_records():
    for path in (PACKAGE / "display").glob("*.py"):
        assert not {"linear_regressor", "fitting.fit", "solvers.solve"} & imports(path)[0]
