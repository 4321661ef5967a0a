"""The verdicts on single classes: the rule of docs/classes.md, and that the page and the code say the same rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablate.report.data.results import read_sweep
from ablate.report.stats.classes import ClassEffect
from ablate.report.stats.model import Difference
from benchmarks.classes import (
    BEGIN,
    CLAIMS,
    EXAMPLE,
    Claim,
    afterwards,
    example,
    judged,
    outcome,
    paragraph,
    quoted,
    table,
    verdict,
)
from benchmarks.harness import saved
from benchmarks.marked import filled

BLOOD = Path("results/real-blood-cells")
PAGE = Path("docs/classes.md").read_text(encoding="utf-8").partition("### Predictions")[2]


def test_the_page_and_the_code_have_the_same_rows():
    rows = re.findall(r"^\| (\d+) \| ([\w ]+) \| (\w+) (.*?) \|", PAGE, re.MULTILINE)
    assert [(int(number), name, op) for number, name, op, _ in rows] == [(c.number, c.set, c.op) for c in CLAIMS]
    for claim, (*_, text) in zip(CLAIMS, rows, strict=True):
        for what in claim.what:
            assert what == "*" or what.removesuffix(" beyond the others") in text


def test_the_page_has_the_verdicts_that_were_measured():
    rows = saved("classes")
    looked, shown = rows.pop("afterwards"), rows.pop("example")
    page = Path("docs/classes.md").read_text(encoding="utf-8")
    assert sorted(map(int, rows)) == [claim.number for claim in CLAIMS]
    assert filled(page, EXAMPLE, quoted(shown)) == page
    assert "\n".join(table(rows)) in page
    assert filled(page, BEGIN, paragraph(looked)) == page


def test_numbers_of_glyphs_follow_from_the_committed_records():
    rows, sweep = saved("classes"), read_sweep("results/classes-glyphs", interval="both")
    assert {number: rows[number] for number in map(str, range(1, 6))} == {
        str(claim.number): judged(claim, sweep) for claim in CLAIMS if claim.set == "glyphs"
    }


def test_numbers_of_blood_cells_follow_from_the_committed_records():
    rows, sweep = saved("classes"), read_sweep(BLOOD)
    assert rows["afterwards"] == afterwards(sweep)
    assert rows["example"] == example(BLOOD)
    assert {number: rows[number] for number in map(str, range(6, 12))} == {
        str(claim.number): judged(claim, sweep) for claim in CLAIMS if claim.set == "blood cells"
    }


def test_other_numbers_in_the_text_follow_from_committed_records():
    text = " ".join(Path("docs/classes.md").read_text(encoding="utf-8").split())
    glyphs, blood = read_sweep("results/fig5-glyphs").grid, read_sweep(BLOOD).grid
    learned = [100 * glyphs.cells[at].mean() for at in (("rotate", "rotate"), ("crop", "rotate"), ("rotate", "crop"))]
    assert f"rotate, crop+rotate and rotate+crop have {min(learned):.1f} to {max(learned):.1f} %" in text
    crop, first = "crop(flip_p=0.0)", blood.validation_metric
    both, alone = (
        [blood.cells[at].seeds(first)[0] for at in places]
        for places in (((crop, "color"), ("color", crop)), ((crop, crop),))
    )
    assert f"with one seed, crop with color was {100 * (alone[0] - sum(both) / 2):.1f} points below crop" in text


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"a": (-0.2, -0.1), "b": (-0.2, -0.1)}, "confirmed"),
        ({"a": (-0.2, -0.1), "b": (-0.2, 0.1)}, "undecided"),
        ({"a": (0.1, 0.2), "b": (-0.2, 0.1)}, "wrong"),
        ({}, "not measured yet"),
    ],
)
def test_the_rule(bounds, said):
    effects = [
        ClassEffect("op", name, Difference((low + high) / 2, low, high, 2)) for name, (low, high) in bounds.items()
    ]
    assert verdict(Claim(1, "set", "op", lowers=("a", "b")), effects) == said


def test_a_class_that_is_spared_may_have_any_interval_that_is_not_below_0():
    wide = ClassEffect("op", "a", Difference(-0.3, -0.7, 0.1, 2))
    below = ClassEffect("op", "a", Difference(-0.3, -0.5, -0.1, 2))
    claim = Claim(1, "set", "op", spares=("*",))
    assert (verdict(claim, [wide]), verdict(claim, [wide, below])) == ("confirmed", "wrong")


def test_beyond_the_others_leaves_out_the_classes_of_the_row():
    (own, *others) = outcome("6 beyond the others", ["1", "6", "8", "9"], ["6", "9"]).shares
    assert (own.of, own.weight) == (1, 1.0)
    assert [(share.of, share.weight) for share in others] == [(0, -0.5), (2, -0.5)]
