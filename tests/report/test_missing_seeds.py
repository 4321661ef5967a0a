"""What reports say where trials have failed and seeds are lopsided: seed 1 is better by 40 points for everything."""

from __future__ import annotations

import pytest

from ablate.report import recommend as advice
from ablate.report.data.results import read_sweep
from ablate.report.stats.order import order
from ablate.report.stats.summary import summary, verdict
from ablate.sweep.plan import load_experiment, plan
from ablate.sweep.record import write_record
from tests.report.test_recommend import make
from tests.report.test_report import failure


def lopsided(directory, means, gone, seeds=2, branches="two"):
    """A two-branch sweep of crop and color in which every trial of ``gone`` (label, seed) has failed."""
    make(
        directory, seeds=seeds, branches=branches, value=lambda t: means.get(t.label, 0.3) - 0.01 + 0.4 * (t.seed == 1)
    )
    for trial in plan(load_experiment(directory)):
        if (trial.label, trial.seed) in gone:
            write_record(directory, failure(trial))
    return read_sweep(directory)


PAIRS = ("crop+color", "color+crop")


def test_what_has_every_seed_is_shown_as_it_is(tmp_path):
    means = {"crop": 0.52, "color": 0.5, "crop+color": 0.51, "color+crop": 0.49}
    found = lopsided(tmp_path, means, {(label, 0) for label in means if label != "crop"})
    best = order(found.grid)
    assert best.best.label == "crop"
    assert best.percent(best.best).startswith("72.0 ")
    assert best.scores["color"] == pytest.approx(0.70)
    assert summary(found)[0].startswith(
        "Best composition by validation accuracy: crop, 72.0 ± 28.3 % (test 71.0 ± 28.3 %"
    )


def test_a_seed_that_is_missing_makes_no_composition_a_guess(tmp_path):
    """Over both seeds crop is at 56 %; its one seed has shown 36, which is below guessing (1.1 / 3)."""
    gone = {(label, seed) for label in PAIRS for seed in (0, 1)} | {("crop", 1)}
    found = lopsided(tmp_path, {"crop": 0.36, "color": 0.3}, gone)
    assert order(found.grid).scores == pytest.approx({"crop": 0.56, "color": 0.5})
    assert verdict(found, order(found.grid)) == []
    assert advice.advise(found).final.cell.label == "crop"


def test_no_percentage_is_beyond_100(tmp_path):
    found = lopsided(tmp_path, {"crop": 0.9, "color": 0.5}, {("crop", 1), *((p, s) for p in PAIRS for s in (0, 1))})
    assert order(found.grid).percent(order(found.grid).best) == "100.0 %"
