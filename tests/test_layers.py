"""Imports run one way: every package of ablate stands above what it imports, and no modules import in a circle."""

from __future__ import annotations

import ast
import graphlib

import pytest

from tests.support.modules import ROOT, imports, modules, table

ORDER = (
    {"ablate", "__main__"},
    {"cli"},
    {"api", "testing"},
    {"search"},
    {"launch"},
    {"report"},
    {"planning"},
    {"trial"},
    {"evaluation"},
    {"training"},
    {"ops", "data", "sweep", "pipelines"},
    {"inference", "transforms"},
    {"config"},
    {"files", "distributed", "compiled", "processes"},
    {"errors", "console", "facts", "rng", "pixels", "_version"},
)
"""The packages and loose modules of ablate, top to bottom; those of one line do not import each other."""
REPORT = (
    {"correction"},
    {"write"},
    {"compared"},
    {"page"},
    {"recommendation"},
    {"trackers", "card"},
    {"text"},
    {"figures"},
    {"stats"},
    {"section"},
    {"data"},
)
"""The same within ``ablate.report``."""
EXEMPT = {"ablate.sweep.slurm.job"}
"""Jobs of an earlier version look for it."""


def room(module: str, depth: int) -> str:
    """The package of ``module`` below ``ablate``, or below ``ablate.report`` with ``depth`` 2."""
    parts = module.split(".")
    return parts[depth] if len(parts) > depth else "ablate"


@pytest.mark.parametrize(("order", "depth"), [(ORDER, 1), (REPORT, 2)])
def test_no_import_points_up(order, depth):
    floor = {name: number for number, names in enumerate(order) for name in names}
    upward = [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in others
        if module not in EXEMPT
        and (depth == 1 or (module.startswith("ablate.report.") and other.startswith("ablate.report.")))
        and room(module, depth) != room(other, depth)
        and floor[room(module, depth)] >= floor[room(other, depth)]
    ]
    assert not upward


def test_no_modules_import_in_a_circle():
    graphlib.TopologicalSorter(imports()).prepare()  # raises CycleError


def test_few_modules_stand_loose():
    loose = [module for module, path in modules().items() if module.count(".") == 1 and path.name != "__init__.py"]
    assert len(loose) <= 12


@pytest.mark.parametrize(
    ("file", "command"),
    [("sweep", "grid"), ("sweep", "run"), ("search", "search"), ("train", "train"), ("drop", "drop")],
)
def test_a_command_fits_on_a_screen(file, command):
    tree = ast.parse((ROOT / "ablate" / "cli" / f"{file}.py").read_text())
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == command]
    assert function.end_lineno - function.lineno < 40


def test_the_table_of_modules_is_what_they_say_of_themselves():
    """``python -m tests.support.modules`` writes it."""
    assert table() in (ROOT / "docs" / "architecture.md").read_text()


def test_no_test_module_imports_another():
    """What tests share is in tests/support or a conftest: a test module that is imported would run where it is not."""
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names_imported(node)
        if name.startswith("tests.") and any(part.startswith("test_") for part in name.split("."))
    ]
    assert found == []


def names_imported(node):
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
