"""The numbers on the page about evaluation are those of the committed measurement."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_costs_of_protocols_are_the_measured_ones():
    page = (ROOT / "docs" / "evaluation.md").read_text()
    rows = json.loads((ROOT / "benchmarks" / "results" / "protocols.json").read_text())["rows"]
    names, _, shares = re.findall(r"^\|.*\|$", page[page.index("## What protocols cost") :], re.MULTILINE)[:3]
    shown = dict(zip(re.findall(r"`([^`]+)`", names), re.findall(r"(\d+) %", shares), strict=True))
    assert shown == {name: f"{100 * rows['protocols'][name]['ratio']:.0f}" for name in shown}
    assert len(shown) == 8
    assert f"AMD EPYC that others used too: {rows['settings']['training']:.0f} s)" in page
