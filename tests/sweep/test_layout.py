"""Every path below a sweep's directory is named in one class, and the docs list each of them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from ablate.sweep.layout import SweepDir
from tests.support.modules import ROOT

SOURCES = [path for path in (ROOT / "ablate").rglob("*.py") if path.name != "layout.py"]


def paths() -> dict[str, Path]:
    """Every path that SweepDir names, relative to the sweep's directory."""
    sweep, named = SweepDir(Path("DIR")), {}
    for name, member in inspect.getmembers(SweepDir):
        if isinstance(member, property):
            value = getattr(sweep, name)
        elif inspect.isfunction(member) and not name.startswith("_"):
            given = [f"<{p}>" for p, of in inspect.signature(member).parameters.items() if of.default is of.empty]
            value = member(sweep, *given[1:])
        else:
            continue
        named.update({f"{name} {i}": path for i, path in enumerate(value if isinstance(value, tuple) else (value,))})
    return named


def test_the_docs_list_every_path():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = page.partition("## Sweep directory")[2].partition("## ")[0]
    names = {word for word in re.split(r"[\s,;:]+", listed) if word}
    parents = {parent for path in paths().values() for parent in path.parents}
    lacking = [
        path for path in paths().values() if path not in parents and not names & {path.name, f"{path}", f"{path}/"}
    ]
    assert len(paths()) > 20
    assert not lacking


def test_no_other_module_builds_a_path_below_a_sweep_s_directory():
    names = {part for path in paths().values() for part in path.parts[1:] if "<" not in part}
    built = re.compile(rf"/ f?[\"'](?:{'|'.join(map(re.escape, names))})(?:[/\"'])")
    assert [
        f"{path}: {line.strip()}" for path in SOURCES for line in path.read_text().splitlines() if built.search(line)
    ] == []
