"""docs/objectives.md: every objective, with its paper and its defaults."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ablate.config.objectives import KINDS, Method
from ablate.config.settable import SETTABLE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "objectives.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_tables_say_what_is_planned(kind):
    what, defaults = (next(row for row in part if row.startswith(f"| `{kind.name}` |")) for part in (ROWS, ROWS[9:]))
    assert kind.paper.rpartition(" ")[2] in what or kind.name == "supervised"
    assert what.rstrip("| ").endswith("yes") == kind.has_target
    for setting, value in kind.settings.items():
        if value is not None:
            assert f"`{setting}` {value:g}" in defaults
    for size in kind.widths.values():
        assert str(size) in defaults


def test_every_setting_of_an_objective_can_be_set_and_stands_on_the_page():
    for name in Method.model_fields:
        assert f"method.{name}" in SETTABLE
        assert name in PAGE, name


def test_the_cost_of_every_objective_is_the_measured_one():
    measured = json.loads((ROOT / "benchmarks" / "results" / "objectives.json").read_text())["rows"]
    table = PAGE[PAGE.index("## What they cost") :]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \| (\S+) \|$", table, re.MULTILINE)
    shown = {name: cells for name, *cells in rows}
    assert shown.keys() == measured.keys() == KINDS.keys()
    for name, row in measured.items():
        assert shown[name] == [f"{row['median'] / 64:.1f}", f"{row['ratio']:.2f}", f"{row['peak MiB']:.0f}"]
