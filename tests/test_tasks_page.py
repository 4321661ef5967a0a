"""docs/tasks.md against the committed records of digits and speakers, and its verdicts against made-up ones."""

from __future__ import annotations

import pytest

from ablate.config.sweep import Task
from ablate.sweep.plan import plan, save_plan
from benchmarks import tasks
from benchmarks.claims import short
from benchmarks.marked import END
from benchmarks.tasks import PREDICTIONS, over_bare
from tests.support.sweeps import make_experiment, record, write_record

OPS = ("crop(flip_p=0.0)", "color", "cutout")
AS_PREDICTED = {  # the accuracy of each cell for digits and for speakers
    "no-op": (0.50, 0.70),
    "crop": (0.80, 0.90),
    "color": (0.60, 0.50),
    "cutout": (0.65, 0.60),
    "crop+color": (0.95, 0.85),
    "color+crop": (0.90, 0.80),
    "crop+cutout": (0.70, 0.75),
    "cutout+crop": (0.72, 0.65),
    "color+cutout": (0.55, 0.72),
    "cutout+color": (0.57, 0.55),
}
TURNED = {cell: (0.9 - digits, 0.3 + speakers / 2) for cell, (digits, speakers) in AS_PREDICTED.items()} | {
    "crop+color": (0.15, 0.95),
    "color+crop": (0.12, 0.94),
}
SAME = {cell: (digits, digits) for cell, (digits, _) in AS_PREDICTED.items()}


@pytest.fixture(scope="module")
def committed():
    return tasks.read(tasks.DIRECTORY)


def made_up(directory, truth):
    """Read a sweep of both tasks with two seeds, in which cells have these accuracies but for 0.1 points of noise."""
    images = (120, 30, 60)
    both = Task(name="digit", images=images), Task(name="speaker", images=images)
    experiment = make_experiment(OPS, seeds=2, references=("no-op",)).replace(label="digit,speaker", tasks=both)
    save_plan(directory, experiment)
    for trial in plan(experiment):
        digits, speakers = truth[trial.reference or short(trial.label)]
        noise = 0.001 * (len(trial.label) % 3) * trial.seed
        metrics = {"linear_top1": digits + noise, "linear_val_top1": digits + noise}
        metrics |= {"speaker:linear_top1": speakers - noise, "speaker:linear_val_top1": speakers - noise}
        write_record(directory, record(trial, metrics=metrics))
    return tasks.read(directory)


def test_the_committed_page_is_what_the_committed_records_say(committed):
    page = tasks.PAGE.read_text()
    assert tasks.written(page, committed) == page
    results = committed.digits.results
    assert not results.damaged and results.ended == len(results.trials) == 38


def test_numbers_in_the_text_are_those_of_the_records(committed):
    text = " ".join(tasks.PAGE.read_text().partition(END)[2].split())
    digits, speakers = (case.difference(over_bare(case)) for case in (committed.digits, committed.speakers))
    assert f"it gains {100 * digits.mean:.1f} points" in text
    assert f"{100 * speakers.mean:.1f} [{100 * speakers.low:.1f}, {100 * speakers.high:.1f}] for speakers" in text
    assert f"p = {committed.agreement.p:.3f}" in text


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        (AS_PREDICTED, dict.fromkeys(PREDICTIONS, "confirmed")),
        (TURNED, {1: "wrong", 2: "wrong", 3: "wrong", 4: "wrong", 5: "confirmed", 6: "wrong"}),
        (SAME, {1: "confirmed", 2: "undecided", 3: "undecided", 4: "wrong", 5: "undecided", 6: "wrong"}),
    ],
    ids=["as predicted", "turned", "the same for both"],
)
def test_a_verdict_follows_the_rule_of_the_page(tmp_path, truth, expected):
    both = made_up(tmp_path, truth)
    assert {number: judge(both).outcome for number, judge in PREDICTIONS.items()} == expected
