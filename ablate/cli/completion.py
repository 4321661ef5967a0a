"""Shell completion: ops, data sets, presets, the trials of a sweep. A TAB imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path

import typer

OPS = Path(__file__).parents[1] / "ops"
KINDS = ("glyphs", "cifar10:", "cifar100:", "stl10:", "folder:")
"""The kinds of data sets, as ``--data`` takes them; :mod:`ablate.data` has them too, but imports torch."""


def ops(incomplete: str) -> list[str]:
    """Complete the last op of a list or composition: ``crop,co`` to ``crop,color``."""
    begun, last = re.fullmatch(r"(.*[,+])?(.*)", incomplete, re.DOTALL).groups("")  # type: ignore[union-attr]
    return [begun + name for name in op_names() if name.startswith(last)]


def op_names() -> list[str]:
    """Return the name of every op without importing one: names that our modules register or packages announce."""
    registered = re.compile(r'^@register\("(\w+)"\)', re.MULTILINE)
    ours = [name for path in OPS.glob("*.py") for name in registered.findall(path.read_text(encoding="utf-8"))]
    return sorted({*ours, *(entry.name for entry in entry_points(group="ablate.ops"))})


def data(incomplete: str) -> list[str]:
    """Complete the kind of a data set."""
    return _beginning(KINDS, incomplete)


def presets(incomplete: str) -> list[str]:
    """Complete a preset's name."""
    from ablate.config.presets import NAMED

    return _beginning(NAMED, incomplete)


def cells(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the names of the trials of the sweep in DIR; return nothing if DIR holds no readable sweep."""
    from ablate.errors import UsageError
    from ablate.sweep.plan import load_plan, plan

    try:
        trials = plan(load_plan(Path(context.params["directory"])))
    except (KeyError, TypeError, ValueError, OSError, UsageError):
        return []
    return _beginning(dict.fromkeys(trial.label for trial in trials), incomplete)


OF_FIELDS: dict[str, Callable[[str], list[str]]] = {
    "ops": ops,
    "pairs_with": ops,
    "compositions": ops,
    "data": data,
    "eval_data": data,
    "preset": presets,
}
"""The completion functions for options that are made of a description's fields."""


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
