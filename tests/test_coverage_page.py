"""docs/report.md's simulated coverages against the committed numbers, and the simulation against the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ablate.inference.model import estimate
from benchmarks import coverage, related

FOUND = json.loads(coverage.RESULTS.read_text())


def test_the_tables_are_what_was_simulated():
    page = Path("docs/report.md").read_text()
    assert [row["truth"] for row in FOUND] == [truth.name for truth in coverage.truths()]
    for line in coverage.rows(FOUND):
        assert line in page, line


def test_every_set_holds_the_best_and_what_falls_short_is_named():
    assert all(row["moderated"]["held"] >= 0.95 for row in FOUND)
    short = [row["moderated"]["pairs"] for row in FOUND if row["moderated"]["pairs"] < 0.94]
    assert [round(share, 3) for share in short] == [0.938]


@pytest.mark.parametrize("truth", [coverage.truths()[5], coverage.truths()[6]], ids=lambda truth: truth.name)
def test_its_intervals_are_the_models(truth):
    model = estimate(coverage.sweep(truth, 0))
    half = coverage.half_widths(model)
    for a, b in [("0", "1"), ("3", "48")]:
        difference = model.difference(a, b)
        i, j = model.position[a], model.position[b]
        assert difference.high - difference.mean == pytest.approx(half[i, j])
    assert np.isfinite(half).all()


def test_how_often_unrelated_grids_are_called_related():
    page = Path("docs/report.md").read_text()
    seven, four = json.loads(related.RESULTS.read_text()).values()
    assert f"exclude 0 in {seven['ops']:.0%} of draws for seven ops and {four['ops']:.0%}".replace("%", " %") in page
    cells = f"cells instead, in {100 * seven['cells']:.0f} and {100 * four['cells']:.0f} %"
    assert cells in page
