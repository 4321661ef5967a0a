"""docs/findings.md against the committed records that it is about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablate.report.data.grid import LINEAR
from ablate.report.data.results import read_sweep
from ablate.report.stats.untrained import paired_difference
from ablate.report.stats.words import percent

PAGE = Path("docs/findings.md").read_text()
RESULTS = Path("results")
Z, CLASSIFIER = "z_linear_top1", "classifier_top1"


def color(strength, objective="simclr"):
    return f"{strength}, objective={objective}"


def head(kind, output):
    return f"crop+color, head={kind}, output={output}"


def tau(value):
    return f"crop+color, temperature={value}"


def batches(size, epochs):
    return f"crop+color, batch_size={size}, epochs={epochs}"


DIFFERENCES = [
    ("color-strength", color("1/2"), color("1/8")),
    ("color-strength", color("1"), color("1/8")),
    ("color-strength", color("1"), color("1/2")),
    ("color-strength", color("1 + blur"), color("1")),
    ("color-strength", color("1", "supervised"), color("1/8", "supervised")),
    ("color-strength", color("1", "supervised"), color("1/8", "supervised"), CLASSIFIER, CLASSIFIER),
    ("projection-head", head("linear", 64), head("none", "as h")),
    *(("projection-head", head("non-linear", n), head("linear", n)) for n in (16, 64, 256)),
    ("projection-head", head("non-linear", 256), head("non-linear", 16)),
    *(("projection-head", head("linear", n), head("linear", n), LINEAR, Z) for n in (16, 64, 256)),
    *(("projection-head", head("non-linear", n), head("non-linear", n), LINEAR, Z) for n in (16, 64, 256)),
    ("temperature", tau("0.1"), tau("0.5")),
    ("temperature", tau("0.1"), tau("0.05")),
    ("temperature", tau("0.2"), tau("0.1")),
    ("temperature", tau("1"), tau("0.1")),
    ("batch-size", batches(32, 12), batches(32, 6)),
    ("batch-size", batches(32, 24), batches(32, 12)),
    ("batch-size", batches(256, 12), batches(32, 12)),
    ("batch-size", batches(64, 6), batches(32, 6)),
    ("batch-size", batches(64, 12), batches(32, 6)),
    ("batch-size", batches(128, 24), batches(32, 6)),
]


@pytest.mark.parametrize("claim", DIFFERENCES, ids=lambda claim: " - ".join(map(str, claim)))
def test_every_difference_is_what_the_records_give(claim):
    name, a, b, *metrics = claim
    cells = read_sweep(RESULTS / f"{name}-glyphs").grid.further
    difference = paired_difference(*(cells[x].seeds(m) for x, m in zip((a, b), metrics or (LINEAR,) * 2, strict=True)))
    assert str(difference).partition(" (95 %")[0] in PAGE


@pytest.mark.parametrize("name", ["color-strength", "projection-head", "temperature", "batch-size"])
def test_every_cell_is_in_the_tables(name):
    sweep = read_sweep(RESULTS / f"{name}-glyphs")
    for cell in [*sweep.grid.further.values(), *sweep.grid.references.values()]:
        for metric in (LINEAR, Z, CLASSIFIER):
            if cell.seeds(metric) and not (metric == Z and cell.label == "untrained"):
                assert percent(cell, metric).removesuffix(" %") in PAGE, (cell.label, metric)


def test_every_number_with_an_interval_is_one_that_is_checked():
    claims = re.findall(r"[+-]\d+\.\d points \[[^]]+\]", PAGE)
    checked = set()
    for name, a, b, *metrics in DIFFERENCES:
        cells = read_sweep(RESULTS / f"{name}-glyphs").grid.further
        pair = (cells[x].seeds(m) for x, m in zip((a, b), metrics or (LINEAR,) * 2, strict=True))
        checked.add(str(paired_difference(*pair)).partition(" (95 %")[0])
    assert set(claims) <= checked
