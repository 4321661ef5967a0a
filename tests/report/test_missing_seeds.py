"""What reports say where trials have failed and seeds are lopsided: seed 1 is better by 40 points for everything."""

from __future__ import annotations

import csv

import pytest

from ablate.report.data.results import read_sweep
from ablate.report.figures.scale import scale
from ablate.report.recommendation.choice import choose
from ablate.report.recommendation.conclusion import conclusion, doubt
from ablate.report.recommendation.recommend import advise
from ablate.report.stats.effects import interactions, main_effects
from ablate.report.stats.noise import noise
from ablate.report.stats.order import order
from ablate.report.stats.summary import summary
from ablate.report.stats.verdict import verdict
from ablate.report.write import write_report
from ablate.sweep.plan import load_plan, plan
from tests.support.recommendations import make
from tests.support.sweeps import failure, write_record


def noisy(trial):
    """A little noise, so that not all seeds show exactly the same differences."""
    return 0.005 * ((trial.seed + len(trial.label)) % 2)


def lopsided(directory, means, gone, seeds=2, branches="two", noise=lambda trial: 0.0):
    """A two-branch sweep of crop and color in which every trial of ``gone`` (label, seed) has failed."""
    make(
        directory,
        seeds=seeds,
        branches=branches,
        value=lambda t: means.get(t.label, 0.3) - 0.01 + 0.4 * (t.seed == 1) + noise(t),
    )
    for trial in plan(load_plan(directory)):
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
    assert advise(found).final.cell.label == "crop"


def test_no_percentage_is_beyond_100(tmp_path):
    found = lopsided(tmp_path, {"crop": 0.9, "color": 0.5}, {("crop", 1), *((p, s) for p in PAIRS for s in (0, 1))})
    assert order(found.grid).percent(order(found.grid).best) == "100.0 %"


def test_what_has_no_result_is_not_called_worse(tmp_path):
    """Neither where trials have failed nor while some are missing."""
    means = {"crop": 0.8, "color": 0.5}
    found = lopsided(tmp_path / "failed", means, {(label, seed) for label in PAIRS for seed in (0, 1)}, noise=noisy)
    said = "Every other composition that could be compared is worse"
    assert conclusion(advise(found)).split(". ")[1].startswith(f"{said} (95 %)")
    assert noise(found)[0].startswith(f"{said} than crop (")
    make(tmp_path / "missing", seeds=2, value=lambda t: means.get(t.label, 0.1) + noisy(t), skip=PAIRS)
    sweep = read_sweep(tmp_path / "missing")
    assert noise(sweep)[0].startswith(f"{said} than crop so far, after 6 of 10 trials (")
    assert f"{said} so far, after 6 of 10 trials (95 %)." in doubt(choose(sweep))
    make(tmp_path / "whole", seeds=2, value=lambda t: (0.8 if t.label == "crop" else 0.1) + noisy(t))
    assert noise(read_sweep(tmp_path / "whole"))[0].startswith("Every other composition is worse than crop (")


def test_a_composition_that_shares_no_seed_takes_no_intervals_from_the_others(tmp_path):
    """color has only seed 2, which all others lack."""
    labels = ("crop", "color", *PAIRS)
    gone = {(label, seed) for label in labels for seed in range(3) if (seed == 2) != (label == "color")}
    means = {"crop": 0.5, "color": 0.9, "crop+color": 0.4, "color+crop": 0.45}
    found = lopsided(tmp_path, means, gone, seeds=3)
    assert order(found.grid).contenders
    (told,) = [line for line in summary(found) if "failed" in line]
    assert "color failed with seeds 0, 1 and is not compared" in told
    written = write_report(tmp_path)
    rows = {row["label"]: row for row in csv.DictReader((tmp_path / "report" / "table.csv").read_text().splitlines())}
    assert [bool(rows[label]["half_width"]) for label in labels] == [True, False, True, True]
    assert "the noise is unknown" not in scale(written.grid).why
    assert main_effects(written.grid) == interactions(written.grid) == []


def test_a_triangle_is_by_the_seeds_that_both_have(tmp_path):
    """crop lacks seed 1; over seed 0 it is above the untrained encoder, whose mean over both is higher."""
    gone = {(label, seed) for label in PAIRS for seed in (0, 1)} | {("crop", 1)}
    grid = lopsided(tmp_path, {"crop": 0.4, "color": 0.2}, gone).grid
    assert grid.cells["crop", "crop"].mean() < grid.references["untrained"].mean()
    below = {cell.label for cell in grid.cells.values() if scale(grid).is_below_untrained(cell)}
    assert below == {"color"}


def test_no_number_of_seeds_is_promised_for_equal_compositions(tmp_path):
    make(tmp_path, seeds=2, value=lambda t: {"crop": 0.9, "color": 0.9, "untrained": 0.1}.get(t.label, 0.5 + noisy(t)))
    said = "crop and color are equal so far, so the number of seeds that would tell them apart is unknown."
    assert said in noise(read_sweep(tmp_path))
