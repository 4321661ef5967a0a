"""The calibration of made-up sweeps whose truth is known."""

from __future__ import annotations

import csv
import html
import io
import json

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import spearmanr

from ablate.console import tight
from ablate.report import write_report
from ablate.report.data.results import read_sweep
from ablate.report.stats import regret
from ablate.report.stats.calibration import calibration_of
from ablate.report.stats.ranks import resamples
from ablate.report.stats.sample import sample, spread
from ablate.report.text.calibration import conclusion, remarks, show, write
from ablate.sweep.calibrations import quote
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan
from tests.support.calibrations import cheaper, full, true
from tests.support.sweeps import failure, write_record

HALF = {"epochs": 4, "warmup_epochs": 1}
QUARTER = {"epochs": 2, "warmup_epochs": 0.5}


def wrong(trial):
    """A cheap ranking upside down: it prefers d, the worst cell."""
    return 0.8 - true(trial)


def found(directory):
    return calibration_of(read_sweep(directory))


def test_without_cheaper_sweeps_there_is_no_calibration(tmp_path):
    assert found(full(tmp_path)) is None


def test_a_planted_wrong_ranking_is_seen_and_never_advised(tmp_path):
    full(tmp_path)
    cheaper(tmp_path, "epochs-4", true, 50, **HALF)
    cheaper(tmp_path, "epochs-2", wrong, 25, **QUARTER)
    right, misleading = found(tmp_path).cheaper
    assert (right.price, right.spearman, right.regret, right.regret_interval) == (0.5, 1.0, 0.0, (0.0, 0.0))
    assert (misleading.price, misleading.spearman) == (0.25, -1.0)
    assert misleading.regret == pytest.approx(0.555 - 0.1)  # a+b against d
    assert conclusion(found(tmp_path), 0.01).startswith("For a decision within 1 point: 4 epochs, 50 % of the price (")
    assert found(tmp_path).by_chance == pytest.approx(0.555 - 0.26 * (1 + 3 / 8))
    assert "differ too little to judge a cheaper training within 60 points" in conclusion(found(tmp_path), 0.6)


def test_where_no_cheaper_training_decides_the_closest_is_named(tmp_path):
    full(tmp_path)
    cheaper(tmp_path, "epochs-4", wrong, 50, **HALF)
    sentence = conclusion(found(tmp_path), 0.01)
    assert sentence.startswith("No cheaper training is known to decide within 1 point; the closest: 4 epochs, 50 %")


def test_a_training_that_is_not_cheaper_is_no_advice(tmp_path):
    full(tmp_path)
    cheaper(tmp_path, "size-16", true, 120, image_size=16)
    cheaper(tmp_path, "epochs-4", wrong, 50, **HALF)
    assert "4 epochs" in conclusion(found(tmp_path), 0.01)


def test_numbers_are_those_of_scipy_and_of_the_definition(tmp_path):
    rng = np.random.default_rng(3)
    noise = {}

    def noisy(trial):
        return true(trial) + noise.setdefault((trial.label, trial.seed), 0.1 * rng.standard_normal())

    full(tmp_path, seeds=3)
    cheaper(tmp_path, "epochs-4", noisy, 50, **HALF)
    (row,) = found(tmp_path).cheaper
    cells = read_sweep(tmp_path).grid.with_results
    means = [cell.mean("linear_val_top1") for cell in cells]
    by_seed = [[cell.seeds("linear_val_top1")[s] + noise[cell.label, s] for cell in cells] for s in range(3)]
    cheap = np.mean(by_seed, axis=0)
    assert row.spearman == pytest.approx(spearmanr(cheap, means).statistic)
    assert row.regret == pytest.approx(max(means) - means[int(cheap.argmax())])


OPS = [(a, b) for a in "abcd" for b in "abcd"]


def test_the_interval_of_the_regret_is_that_over_resampled_ops():
    rng = np.random.default_rng(0)
    means, cheap = rng.random(16), rng.random(16)
    each = []
    for weights in resamples(OPS):
        there = np.flatnonzero(weights)
        if len(there) > 1:
            each.append(means[there].max() - means[there[cheap[there].argmax()]])
    assert regret.interval(means, cheap[:, None], OPS) == pytest.approx(tuple(np.percentile(each, [2.5, 97.5])))


def test_with_few_ops_the_interval_is_over_resampled_seeds_and_with_one_seed_there_is_none():
    means, cheap = [0.9, 0.5, 0.4], [[0.5, 0.3], [0.1, 0.4], [0.0, 0.0]]  # seed 1 prefers the second cell
    assert regret.regret(means, np.mean(cheap, axis=1)) == 0
    assert regret.interval(means, cheap, OPS[:3]) == pytest.approx((0.0, 0.4))
    assert regret.interval(means, [[0.5], [0.1], [0.0]], OPS[:3]) is None


def test_the_interval_holds_the_true_regret_of_a_cheap_ranking():
    """The truth: a cheap ranking with noise; what its choice by three other seeds costs is within, in most cases."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(100):
        means = rng.random(16)
        cheap = means + 0.1 * rng.standard_normal(16)
        low, high = regret.interval(means, (cheap[:, None] + 0.1 * rng.standard_normal((16, 3))).tolist(), OPS)
        held += low <= regret.regret(means, cheap + 0.1 * rng.standard_normal((16, 3)).mean(axis=1)) <= high
    assert held >= 90


def test_equal_leaders_count_by_their_mean_and_a_cell_without_result_is_not_preferred():
    assert regret.regret([0.9, 0.5, 0.3], [0.2, 0.7, 0.7]) == pytest.approx(0.5)
    assert regret.regret([0.9, 0.5], [float("nan"), 0.1]) == pytest.approx(0.4)


def test_a_sweep_that_is_not_complete_is_named_and_left_out(tmp_path):
    full(tmp_path)
    cheaper(tmp_path, "epochs-4", true, 50, skip=3, **HALF)
    cheaper(tmp_path, "epochs-2", true, 25, **QUARTER)
    assert [row.name for row in found(tmp_path).cheaper] == ["epochs-2"]
    assert found(tmp_path).gaps == ("4 epochs: 3 of 32 trials are missing",)


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_training_is_named_and_the_sweep_still_reported(tmp_path):
    full(tmp_path)
    cheaper(tmp_path, "epochs-4", true, 50, **HALF)
    SweepDir(cheaper(tmp_path, "epochs-2", true, 25, **QUARTER)).plan.write_text("")
    (gap,) = found(tmp_path).gaps
    assert gap.startswith("epochs-2: ")
    assert "is damaged" in gap
    assert [row.name for row in found(tmp_path).cheaper] == ["epochs-4"]
    write_report(tmp_path)
    assert "is damaged" in SweepDir(tmp_path).page.read_text()


def test_failed_trials_are_named_and_their_cells_not_preferred(tmp_path):
    """All trials of seed 1 failed, and the best cell with both seeds."""
    full(tmp_path, seeds=3)
    out = cheaper(tmp_path, "epochs-4", true, 50, **HALF)
    for trial in plan(load_plan(out)):
        if trial.seed == 1 or trial.label == "a+b":
            write_record(out, failure(trial))
    (row,) = found(tmp_path).cheaper
    assert found(tmp_path).gaps == ("4 epochs: 18 trials failed",)
    assert row.regret == pytest.approx(0.555 - 0.515)  # the second best is a+c
    assert row.regret_interval[0] <= row.regret <= row.regret_interval[1]


def test_with_one_seed_the_noise_is_not_known(tmp_path):
    full(tmp_path, seeds=1)
    cheaper(tmp_path, "epochs-4", true, 50, **HALF)
    assert "with one seed the noise is not known" in conclusion(found(tmp_path), 0.01)
    assert "With one seed, the noise is not known." in remarks(found(tmp_path))


def test_with_few_ops_the_seeds_decide_and_with_one_seed_nothing_is_advised(tmp_path):
    full(tmp_path / "two", ops=("a", "b"))
    cheaper(tmp_path / "two", "epochs-4", true, 50, **HALF)
    (row,) = found(tmp_path / "two").cheaper
    assert (row.regret_interval, row.spearman_interval) == ((0.0, 0.0), None)
    assert "For a decision" in conclusion(found(tmp_path / "two"), 0.01)
    full(tmp_path / "one", ops=("a", "b"), seeds=1)
    cheaper(tmp_path / "one", "epochs-4", true, 50, **HALF)
    assert found(tmp_path / "one").cheaper[0].regret_interval is None
    assert "No cheaper training is known to decide" in conclusion(found(tmp_path / "one"), 0.01)


def test_luck_with_the_mean_over_seeds_is_no_advice(tmp_path):
    """By the mean of both seeds the best cell leads, by each seed alone another one."""

    def lucky(trial):
        return {"a+b": 0.5, "b+a": 0.9 - 0.9 * trial.seed, "b": 0.9 * trial.seed}.get(trial.label, 0.1)

    full(tmp_path)
    cheaper(tmp_path, "epochs-4", lucky, 50, **HALF)
    (row,) = found(tmp_path).cheaper
    assert row.regret == 0
    assert "No cheaper training is known" in conclusion(found(tmp_path), 0.01)


@pytest.mark.usefixtures("undrawn")
def test_files_the_terminal_and_the_page_agree(tmp_path):
    full(tmp_path)
    cheaper(tmp_path, "epochs-4", true, 50, **HALF)
    cheaper(tmp_path, "size-16", wrong, 30, image_size=16)
    calibration = found(tmp_path)
    write(calibration, 0.02)
    console = Console(file=io.StringIO(), width=200)
    show(calibration, 0.02, console)
    path = SweepDir(tmp_path).calibration_result
    content = json.loads(path.read_text())
    assert content["conclusion"] == conclusion(calibration, 0.02)
    assert content["conclusion"] in console.file.getvalue()
    rows = list(csv.DictReader(path.with_suffix(".csv").read_text().splitlines()))
    assert [(row["name"], row["epochs"], row["price"]) for row in rows] == [
        ("full", "8", "1"),
        ("epochs-4", "4", "0.5"),
        ("size-16", "", "0.3"),
    ]
    write_report(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "How cheap a training may be" in page
    assert tight(content["conclusion"]) in html.unescape(page)


def test_a_sweep_beside_it_quotes_it_on_the_same_images_only(tmp_path):
    full(tmp_path / "done")
    cheaper(tmp_path / "done", "epochs-4", true, 50, **HALF)
    write(found(tmp_path / "done"), 0.01)
    planned = load_plan(tmp_path / "done")
    sentence = f"calibration of {tmp_path / 'done'} (one-branch resnet18, 8 epochs"
    assert quote(tmp_path / "next", planned).startswith(sentence)
    assert "50 % of the price" in quote(tmp_path / "next", planned)
    other = planned.shared.data.replace(fingerprint="beef")
    assert quote(
        tmp_path / "next", planned.replace(shared=planned.shared.replace(data=other))
    )  # smaller, or fewer of them
    others = planned.replace(data="folder:/others", shared=planned.shared.replace(data=other))
    assert quote(tmp_path / "next", others) == ""
    assert quote(tmp_path / "elsewhere" / "next", planned) == ""
    SweepDir(tmp_path / "done").calibration_result.write_text("{")
    assert quote(tmp_path / "next", planned) == ""


def test_the_sample_has_contenders_and_spans_the_ranking(tmp_path):
    def close(trial):
        return true(trial) + 0.001 * (-1) ** (trial.seed + len(trial.label))

    sweep = read_sweep(full(tmp_path, close))
    chosen = [item.label for item in sample(sweep, 8).cells]
    assert len(chosen) == 8
    assert (chosen[0], chosen[-1]) == ("a+b", "d")
    assert sample(sweep, 8).seeds == (0, 1)
    more = [item.label for item in sample(sweep, 10, chosen).cells]
    assert len(more) == 10 and set(chosen) < set(more)
    assert [item.label for item in sample(sweep, 4, chosen).cells] == chosen
    assert len(sample(sweep, 99).cells) == 16


def test_cells_are_spread_evenly_to_the_last():
    assert spread(list("abcdefgh"), 4) == list("bdfh")
    assert spread(list("abc"), 5) == list("abc")
    assert spread(list("abc"), 0) == []
