"""docs/init.md against the committed records of the transfer, and its verdicts against numbers made up for them."""

from __future__ import annotations

import random
import re

import pytest

from benchmarks import transfer
from benchmarks.claims import short
from benchmarks.transfer import BOTH, CELLS, CROP, PREDICTIONS, Starts, both_orders

SEEDS = range(3)


def scores(untrained, no_op, crop, rotate, both, scale=1.0):
    means = {"untrained": untrained, "no-op": no_op, "supervised": 0.9, CELLS[0]: crop, CELLS[1]: rotate}
    means |= dict.fromkeys(BOTH, both)
    return {
        label: {seed: mean + random.Random(f"{label} {seed}").gauss(0, 0.003 * scale) for seed in SEEDS}
        for label, mean in means.items()
    }


RIGHT = Starts(scores(0.68, 0.5, 0.84, 0.8, 0.845), scores(0.55, 0.48, 0.84, 0.76, 0.845, scale=-1), (BOTH[0], CROP))
WRONG = Starts(scores(0.55, 0.7, 0.54, 0.5, 0.5), scores(0.68, 0.48, 0.84, 0.76, 0.845, scale=-1), (CROP,))
NOISY = Starts(
    scores(0.55, 0.55, 0.58, 0.5, 0.5, scale=30), scores(0.55, 0.48, 0.84, 0.76, 0.5, scale=-20), (CROP, BOTH[1])
)


def test_the_page_is_what_the_committed_records_say():
    page = transfer.PAGE.read_text()
    assert transfer.written(page) == page


def test_every_prediction_of_the_page_has_a_verdict():
    section = transfer.PAGE.read_text().partition("## From CIFAR-10 to blood cells")[2].partition(transfer.BEGIN)[0]
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == sorted(PREDICTIONS)


@pytest.mark.parametrize("number", PREDICTIONS)
def test_each_outcome_is_reached(number):
    assert PREDICTIONS[number](RIGHT).outcome == "confirmed"
    assert PREDICTIONS[number](WRONG).outcome == "wrong"
    assert PREDICTIONS[number](NOISY).outcome == ("confirmed" if number == 4 else "undecided")


def test_the_wrong_ones_come_first_and_every_cell_has_its_row():
    lines = transfer.results(WRONG)
    assert [line.split(" | ")[:2] for line in lines[2:7]] == [[f"| {number}", "**wrong**"] for number in range(1, 6)]
    assert [line.split(" | ")[0] for line in lines[10:17]] == [
        *(f"| {short(label)}" for label in CELLS),
        "| as given, and untrained",
        "| no-op",
        "| supervised",
    ]
    adapted, scratch = (100 * sum(both_orders(found).values()) / 3 for found in (WRONG.adapted, WRONG.scratch))
    assert (adapted, scratch) == (pytest.approx(50, abs=0.5), pytest.approx(84.5, abs=0.5))
