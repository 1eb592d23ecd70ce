"""Imports run one way, rooms stay small, and the package stays pure."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "robustreg"
FILES = sorted(PACKAGE.rglob("*.py"))

# Each module may import from modules further down only; modules on one line may not import each other,
# but for the solvers' order below.
FLOORS = [
    ["__main__"],
    ["__init__"],
    ["display"],
    ["display.loss", "display.residuals", "display.path", "display.fit"],
    ["display.drawing"],
    ["certificate"],
    ["linear_regressor_cv"],
    ["path"],
    ["linear_regressor"],
    ["grid"],
    ["fitting", "parameters", "breakpoints", "cross_validation", "progress"],
    ["direct"],
    ["specification"],
    ["scale"],
    ["solvers", "extended"],
    ["proof.judge"],
    ["proof.uniqueness"],
    ["proof.dual_points"],
    ["proof.bound"],
    ["proof.metric"],
    ["proof.directions", "proof.judged_problem"],
    ["proof.coordinates"],
    ["proof.design"],
    ["proof", "proof.certificate", "proof.exact_sums"],
    ["solvers.knots"],
    ["solvers.reduction"],
    ["solvers.reference", "solvers.canonical"],
    ["solvers.mae", "solvers.huber", "solvers.pilot"],
    ["solvers.mse", "solvers.continuation", "solvers.crossover"],
    ["solvers.newton", "solvers.interior_point"],
    ["duality"],
    ["problem", "settling"],
    ["stream", "rows", "losses", "solution"],
    ["linalg", "columns"],
    ["blocks"],
    ["threads"],
    ["_version"],
]
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


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
            base = list(folder[: len(folder) - node.level + 1]) + (node.module.split(".") if node.module else [])
            for alias in node.names:
                full = ".".join([*base, alias.name])
                inside.add(full if full in FLOOR else ".".join(base))
    return inside, outside


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_down(path):
    inside, _ = imports(path)
    for other in inside:
        assert FLOOR[other] > FLOOR[module_name(path)], f"{module_name(path)} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_the_door_knows_scikit_learn(path):
    _, outside = imports(path)
    pure = {
        "numpy",
        "scipy",
        "__future__",
        "dataclasses",
        "collections",
        "contextlib",
        "enum",
        "fractions",
        "functools",
        "math",
        "numbers",
        "os",
        "threading",
        "time",
        "typing",
        "warnings",
    }
    allowed = pure | (
        {"sklearn"}
        if module_name(path)
        in {"linear_regressor", "linear_regressor_cv", "certificate", "path", "progress", "display.fit"}
        else set()
    )
    allowed |= {"joblib"} if module_name(path) == "linear_regressor_cv" else set()  # scikit-learn brings it, too
    allowed |= {"threadpoolctl"} if module_name(path) == "threads" else set()  # scikit-learn brings it
    allowed |= {"matplotlib"} if module_name(path) == "display.drawing" else set()  # within plot
    allowed |= {"sklearn", "platform", "threadpoolctl"} if module_name(path) == "__main__" else set()
    assert outside <= allowed


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_file_is_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 310


def test_only_columns_asks_how_X_is_stored():
    for path in FILES:
        if module_name(path) not in {
            "columns",
            "rows",
            "solvers.reference",
            "proof.design",
            "proof.coordinates",
            "proof.directions",
        }:
            assert "sparse" not in imports(path)[1] | imports(path)[0]
            assert "issparse" not in path.read_text()


def test_the_proof_shares_nothing_with_the_solvers():
    for path in (PACKAGE / "proof").glob("*.py"):
        outside = {name for name in imports(path)[0] if not name.startswith("proof")}
        assert outside <= {"threads"}, "threads share out work, and compute nothing"


def test_what_has_to_be_trusted_does_not_use_what_need_not_be():
    for name in ("bound", "metric", "judged_problem", "directions", "coordinates", "design", "exact_sums"):
        assert not {"proof.dual_points", "proof.uniqueness"} & imports(PACKAGE / "proof" / f"{name}.py")[0]


def test_losses_are_pointwise():
    assert imports(PACKAGE / "losses.py") == (set(), {"__future__", "dataclasses", "numpy"})


def test_displays_take_fitted_estimators_and_records():
    for path in (PACKAGE / "display").glob("*.py"):
        assert not {"linear_regressor", "fitting", "solvers"} & imports(path)[0]
