"""docs/invariance.md against the numbers that were measured, and its rules against numbers that were made up."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from ablate.report.data.results import read_sweep
from ablate.report.stats.invariances import Invariances
from benchmarks.invariance import BEGIN, BLOOD, GLYPHS, ORDER, crops_see_colour, paragraph, raises, table, verdicts
from benchmarks.marked import filled

ROOT = Path(__file__).parents[1]


def test_the_page_has_the_verdicts_that_were_measured():
    rows = json.loads((ROOT / "benchmarks/results/invariance.json").read_text())["rows"]
    looked = rows.pop("afterwards")
    judged = {int(number): row for number, row in rows.items()}
    assert sorted(judged) == sorted({**GLYPHS, **BLOOD}) == list(range(1, 16))
    page = (ROOT / "docs/invariance.md").read_text()
    assert filled(page, BEGIN, paragraph(looked)) == page
    assert "\n".join(table(judged)) in page
    wrong, undecided, confirmed = (sum(row["verdict"] == said for row in judged.values()) for said in ORDER)
    assert f"Of 15 predictions, {wrong} are wrong, {undecided} undecided and {confirmed} confirmed" in page


def test_numbers_of_glyphs_follow_from_the_committed_records():
    rows = json.loads((ROOT / "benchmarks/results/invariance.json").read_text())["rows"]
    judged = verdicts(ROOT / "results/invariance-glyphs", GLYPHS)
    assert {str(number): row for number, row in judged.items()} == {n: rows[n] for n in rows if n in map(str, GLYPHS)}


def test_percentages_in_the_text_are_in_the_numbers_or_in_the_committed_grid():
    text = (ROOT / "docs/invariance.md").read_text().partition("## What is measured")[0]
    text = re.sub(r"<!-- results.*?end of results -->", "", text, flags=re.DOTALL)
    said = re.findall(r"(\d+\.?\d*)(?: and (\d+\.?\d*))? %", "\n".join(x for x in text.splitlines() if x[:1] != "|"))
    grid = read_sweep(ROOT / "results/fig5-glyphs").grid
    alone = [f"{100 * grid.cells[op, op].mean():.1f}" for op in ("crop", "rotate")]
    assert tuple(alone) in said
    measured = (ROOT / "benchmarks/results/invariance.json").read_text()
    for number in {*filter(None, itertools.chain(*said))}.difference(alone):
        assert f"{number} %" in measured


@pytest.mark.parametrize(("gain", "holds"), [(0.06, True), (0.04, False), (-0.2, False)])
def test_a_rule_asks_for_more_than_a_trifle(gain, holds):
    effects = {"color": {"invariance_color": {3: 0.5}, "invariance_stain": {3: gain}}}
    rows = {"crop": {"invariance_color": {3: 0.3 - gain}}, "untrained": {"invariance_color": {3: 0.3}}}
    found = Invariances(("color", "stain"), ("color",), rows, effects)
    assert raises("color", "color", "stain")(found, [], 3) == (holds, f"color +0.50, stain {gain:+.2f}")
    assert crops_see_colour(found, [], 3)[0] is holds
