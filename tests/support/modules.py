"""The modules of ablate: what they import, and what their first lines say. As a command it writes the docs' table."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- modules: python -m tests.support.modules -->\n", "<!-- end of modules -->\n"
UNLISTED = ("ablate.pipelines.snippets.", "ablate.sweep.slurm")
"""Text that recommendations are made of, and shims."""


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "ablate").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports() -> dict[str, set[str]]:
    """What every module imports of ablate, also within functions and for type checkers."""
    known = modules()
    found: dict[str, set[str]] = {module: set() for module in known}
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                names = [full if full in known else node.module for full in whole.values()]
            else:
                continue
            found[module] |= {name for name in names if name in known and name != module}
    return found


def first_line(path: Path) -> str:
    """The first line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text.split("\n")[0]).replace("``", "`").removesuffix(".")


def table() -> str:
    """The modules as Markdown, one table per package."""
    rooms: dict[str, list[str]] = {}
    for module, path in modules().items():
        if module != "ablate" and not module.startswith(UNLISTED):
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            rooms.setdefault(package, [])
            if package != module:
                rooms[package].append(f"| `{module.rpartition('.')[2]}` | {first_line(path)} |")
    text = []
    for package, rows in sorted(rooms.items()):
        if rows:
            says = "" if package == "ablate" else f": {first_line(modules()[package])}"
            text += [f"**`{package.replace('.', '/')}/`**{says}", ""]
            text += ["| module | what it does |", "| --- | --- |", *rows, ""]
    return "\n".join(text)


def main() -> None:
    """Write the table into ``docs/architecture.md``."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
