"""docs/real-images.md against the committed records, and its verdicts against records that were made up for them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import real
from benchmarks.claims import OUTCOMES, Verdict, differ, enough
from benchmarks.predictions import PREDICTIONS, SETS, SEVEN, Records, verdicts
from tests.support.real_sets import Worlds, as_predicted, flat, turned

ON_DISK = {16, 17}  # these read confirmations and histories
NEVER_UNDECIDED = {5, 17}
NUMBERS = sorted(PREDICTIONS)


@pytest.fixture(scope="module")
def come_true(tmp_path_factory):
    return Worlds(as_predicted).write(tmp_path_factory.mktemp("come-true"))


@pytest.fixture(scope="module")
def fail(tmp_path_factory):
    return Worlds(turned, knn=lambda accuracy: 1 - accuracy).write(tmp_path_factory.mktemp("fail"))


@pytest.fixture(scope="module")
def drown(tmp_path_factory):
    return Worlds(flat, noise=0.1).known(tmp_path_factory.mktemp("drown"))


def test_the_committed_page_is_what_the_committed_records_say():
    page, records = real.PAGE.read_text(), Records(real.ROOT / "results")
    assert real.written(page, records) == page
    assert (real.PAGE.parent / real.PICTURE).is_file() == bool(real.panels(records))


def test_every_prediction_of_the_page_has_a_verdict():
    assert sorted(real.predictions(real.PAGE.read_text())) == NUMBERS == list(range(1, 18))


@pytest.mark.parametrize("number", NUMBERS)
def test_a_prediction_that_is_right_is_confirmed(come_true, number):
    assert PREDICTIONS[number](come_true).outcome == "confirmed"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_prediction_that_is_wrong_is_called_so(fail, number):
    assert PREDICTIONS[number](fail).outcome == "wrong"


@pytest.mark.parametrize("number", sorted({*NUMBERS} - ON_DISK - NEVER_UNDECIDED))
def test_noise_decides_nothing(drown, number):
    assert PREDICTIONS[number](drown).outcome == "undecided"


def test_without_records_nothing_is_measured(tmp_path):
    found = verdicts(Records(tmp_path))
    assert {verdict.outcome for verdict in found.values()} == {"not measured yet"}
    assert found[8].seen == "blood cells: no records"


def test_one_seed_decides_nothing_but_is_shown(tmp_path):
    found = verdicts(Worlds(as_predicted, seeds=1).known(tmp_path))
    measured = {number for number, verdict in found.items() if verdict.outcome != "not measured yet"}
    assert measured == {5}  # a correlation of means
    assert found[8].seen.startswith("one seed: rotate minus the bare pair: +1")
    assert found[7].seen.endswith("is the best so far")


def test_a_missing_trial_is_the_reason(tmp_path):
    records = Worlds(as_predicted, seeds=1).write(tmp_path, ["blood cells"], skip=("no-op",))
    assert verdicts(records)[8] == Verdict("not measured yet", "blood cells: 1 of 28 trials missing")


def test_some_sets_can_be_enough_to_be_wrong_but_not_to_be_right(tmp_path):
    for truth, expected in ((as_predicted, "not measured yet"), (turned, "wrong")):
        root = tmp_path / expected
        records = Worlds(truth, knn=lambda accuracy, truth=truth: accuracy if truth is as_predicted else -accuracy)
        found = verdicts(records.write(root, ["blood cells", "plankton"]))
        assert found[16].outcome == found[17].outcome == expected
        assert found[15].outcome == "not measured yet"


@pytest.mark.parametrize(
    ("contenders", "lacking", "outcome"),
    [
        (["a", "b", "c", "a", "a"], 0, "confirmed"),
        (["a", "b", "c"], 2, "confirmed"),
        (["a", "b", "ab", "a", "b"], 0, "wrong"),
        (["a", "b", "abc", "a", "b"], 0, "undecided"),
        (["ab", "bc", "ac", "a", "a"], 0, "undecided"),
        (["a", "b"], 3, "not measured yet"),
    ],
)
def test_whether_best_cells_differ_holds_for_every_choice_of_contenders(contenders, lacking, outcome):
    assert differ(contenders, least=3, lacking=lacking).outcome == outcome


@pytest.mark.parametrize(
    ("yes", "no", "outcome"),
    [(4, 0, "confirmed"), (4, 1, "confirmed"), (3, 1, "not measured yet"), (3, 2, "wrong"), (0, 2, "wrong")],
)
def test_four_of_five_sets_are_enough(yes, no, outcome):
    holds = {f"set {number}": number < yes for number in range(yes + no)}
    assert enough(holds, 4, 5) == (outcome, yes)


def test_the_page_has_the_wrong_ones_first_and_keeps_the_predictions(come_true, fail):
    page = real.PAGE.read_text()
    mixed = Records(Path())
    mixed.__dict__["found"] = {**come_true.found, "blood cells": fail.found["blood cells"]}
    written = real.written(page, mixed)
    assert written.startswith("# Five kinds of images: predictions and verdicts\n")
    table = [line.split(" | ") for line in written.partition(real.BEGIN)[2].splitlines() if line.count(" | ") == 4]
    rows = [row for row in table if row[3].startswith("**")]
    places = [OUTCOMES.index(row[3].strip("*")) for row in rows]
    assert places == sorted(places)
    assert places[0] == 0
    counts = Counter(row[3].strip("*") for row in rows)
    assert all(f"{counts[outcome]} {outcome}" in written for outcome in counts)
    assert real.predictions(written) == real.predictions(page)
    assert {int(row[0].strip("| ")): (row[1], row[2]) for row in rows} == real.predictions(page)
    assert written.partition(real.END)[2] == page.partition(real.END)[2]
    assert real.written(written, mixed) == written


def test_every_set_has_its_tables(come_true):
    written = real.written(real.PAGE.read_text(), come_true)
    assert real.PICTURE.as_posix() in written
    for name in SETS:
        assert f"### {name}\n" in written
    blood = written.partition("### blood cells")[2].partition("###")[0]
    assert re.search(r"^\| best cell \| \w+\+\w+ \| 8\d\.\d \[8\d\.\d, 8\d\.\d\] \| 8\d\.\d \|$", blood, re.MULTILINE)
    assert "3 seeds; a trial takes 150 s of CPU time, and the grid took 3.5 h of it." in blood
    assert [line.split(" | ")[0] for line in blood.splitlines()][-6:-1] == [
        "| crop",
        "| flip",
        "| rotate",
        "| color",
        "| cutout",
    ]
    rows = written.partition("### The winners, trained again on both branches\n")[2].partition("###")[0].splitlines()
    assert [row.split(" | ")[0] for row in rows if row.startswith("| ")][2:] == [f"| {name}" for name in SETS]
    assert "### Pruning, replayed" in written


def test_the_page_says_what_is_missing(tmp_path):
    records = Worlds(as_predicted).write(tmp_path / "some", ["CIFAR-10", SEVEN])
    written = real.written(real.PAGE.read_text(), records)
    assert written.startswith("# Five kinds of images: predictions and first verdicts\n")
    assert "Not measured yet: blood cells: no records; plankton: no records; spoken digits: no records;" in written
    assert [name for name in SETS if f"### {name}\n" in written] == ["CIFAR-10"]
    empty = real.written(written, Records(tmp_path))
    assert empty.startswith("# Five kinds of images: predictions\n")
    assert "No prediction can be judged yet" in empty
    assert "## Verdicts" not in empty
