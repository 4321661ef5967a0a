from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ablate.config.sweep import ClassCounts
from ablate.report.data.results import read_sweep
from ablate.report.stats import noise as told
from ablate.report.stats.model import Difference
from ablate.sweep.plan import load_plan, save_plan
from ablate.sweep.prune import RUNGS
from tests.support.recommendations import MEANS, make, value


def sentences(directory, **kwargs):
    return told.noise(read_sweep(make(directory, **kwargs)))


def test_contenders_and_the_seeds_that_would_separate_them(tmp_path):
    first, second = sentences(tmp_path)
    assert " cannot be told from crop+color, P(best) " in first
    assert first.endswith(" %) (validation accuracy, Hsu's multiple comparisons with the best, 95 %).")
    assert second.endswith("seeds, the same comparisons would tell crop+color from color+crop in four of five sweeps.")


def test_a_clear_winner(tmp_path):
    (only,) = sentences(tmp_path, value=lambda t: 0.05 + value(t) if t.label == "crop+color" else value(t) - 0.04)
    assert only.startswith("Every other composition is worse than crop+color")


def test_one_seed_says_what_more_would_cost(tmp_path):
    (sentence,) = sentences(tmp_path, seeds=1)
    assert sentence.startswith("With one seed, real differences and noise cannot be separated. ")
    assert "Run --seeds 3 (10 more trials, about 3 min 22 s of CPU time)." in sentence  # 2 * (10+20+40+30+1)


def test_trials_that_have_not_run_yet_cost_what_the_others_did(tmp_path):
    """3 of 5 trials are known, of 60 s in all: 5 take 100 s, and two more seeds twice that."""
    sweep = read_sweep(make(tmp_path, seeds=1, skip=("crop", "untrained")))
    assert told.more_seeds(sweep) == "Run --seeds 3 (10 more trials, about 5 min 00 s of CPU time)."
    nothing = read_sweep(make(tmp_path / "b", seeds=1, skip=("crop", "color", "crop+color", "color+crop", "untrained")))
    assert told.more_seeds(nothing) == "Run --seeds 3 (10 more trials)."


def test_more_seeds_of_a_pruned_sweep_are_another_one(tmp_path):
    sweep = read_sweep(make(tmp_path, seeds=1))
    sweep = replace(sweep, experiment=sweep.experiment.model_copy(update={"prune": RUNGS}))
    assert "Run --seeds 3 in another --out (15 more trials, about 5 min" in told.more_seeds(sweep)


def test_more_seeds_of_an_experiment_file_are_set_as_its_command_takes_them(tmp_path):
    sweep = read_sweep(make(tmp_path, seeds=1))
    sweep = replace(sweep, experiment=sweep.experiment.model_copy(update={"command": "ablate run leaves.toml"}))
    assert told.more_seeds(sweep).startswith("Run --set seeds=3 (10 more trials, ")


def test_noise_that_changes_with_accuracy(tmp_path):
    def uneven(trial):
        draw = np.random.default_rng([trial.seed, *trial.label.encode()]).normal()
        return value(trial) + (0.1 * draw if MEANS.get(trial.label, 0) > 0.7 else 0.0)

    found = sentences(tmp_path, seeds=24, value=uneven)
    assert found[-1].startswith("The noise changes with the mean of a cell")


def test_nothing_is_said_of_nothing(tmp_path):
    assert sentences(tmp_path, skip=("crop", "color", "crop+color", "color+crop")) == []


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.053, -0.0003, "[-5.3, -0.03] (95 %, paired by seed, n = 2)"),  # it does not hold 0
        (-0.053, 0.0003, "[-5.3, +0.03] (95 %, paired by seed, n = 2)"),
        (0.0, 0.053, "[+0.0, +5.3] (95 %, paired by seed, n = 2)"),
        (-2.366, 2.692, "(2 seeds are too few for an interval)"),
        (-0.5, 1.7, "[-50.0, +100.0] (95 %, paired by seed, n = 2)"),
        (0.163, 0.163, "(no interval: the same with all 2 seeds)"),
        (None, None, "(one seed)"),
    ],
)
def test_an_interval_of_accuracies_says_only_what_is_possible(low, high, said):
    assert str(Difference(0.163, low, high, 2)) == f"+16.3 points {said}"


def test_few_validation_images_are_what_is_missing_not_seeds(tmp_path):
    counts = ClassCounts(train=(50, 50), validation=(8, 8), test=(20, 20))
    directory = make(tmp_path)
    save_plan(directory, load_plan(directory).model_copy(update={"class_counts": counts}))
    _, second = told.noise(read_sweep(directory))
    assert second.endswith("on these few validation images only, which all seeds share: add images.")
