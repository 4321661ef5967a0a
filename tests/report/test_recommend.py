from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from ablate.composition import Composition
from ablate.config import NamedComposition
from ablate.errors import UsageError
from ablate.report import recommend as advice
from ablate.results import read_record, record_path, write_record
from ablate.sweep.confirm import CONFIRMATION, confirmation
from ablate.sweep.plan import load_experiment, plan, save_experiment
from tests.report.test_report import failure, make_experiment, record

MEANS = {"crop": 0.3, "color": 0.5, "crop+color": 0.8, "color+crop": 0.79}
NOISE = {"crop": 0.01, "color": -0.01, "crop+color": 0.02, "color+crop": -0.015}
SECONDS = {"crop": 10.0, "color": 20.0, "crop+color": 40.0, "color+crop": 30.0}


def value(trial):
    """A cell's mean, a seed's own offset, and residuals that alternate in sign."""
    mean = MEANS.get(trial.label, 0.1)
    return mean + 0.02 * trial.seed + NOISE.get(trial.label, 0.0) * (-1) ** trial.seed


def make(directory, seeds=3, branches="one", value=value, skip=()):
    """A 2x2 sweep of crop and color with timings."""
    experiment = make_experiment(["crop", "color"], seeds)
    ops = tuple(named.model_copy(update={"op": Composition.parse(named.label).specs()[0]}) for named in experiment.ops)
    base = {} if branches == "one" else {"branches": "two", "base": None}
    shared = experiment.shared.model_copy(update=base)
    experiment = experiment.model_copy(update={"ops": ops, "shared": shared})
    save_experiment(directory, experiment)
    for trial in plan(experiment):
        if trial.label not in skip:
            timings = {"cpu": SECONDS.get(trial.label, 1.0), "total": 1.0}
            write_record(directory, record(trial, value(trial), timings=timings))
    return directory


def shown(found):
    console = Console(width=200, record=True, file=io.StringIO())
    advice.show(found, console)
    return console.export_text()


def confirm(directory, value=lambda trial: 0.9, fail=(), skip=()):
    """What ``--confirm`` leaves behind."""
    choice = advice.recommend(directory).choice
    planned = confirmation(choice.sweep.experiment, advice.to_confirm(choice), 3, f"ablate recommend {directory}")
    save_experiment(directory / CONFIRMATION, planned)
    for trial in plan(planned):
        if trial.label not in skip:
            write_record(
                directory / CONFIRMATION, failure(trial) if trial.label in fail else record(trial, value(trial))
            )


def test_the_candidates_are_those_that_cannot_be_told_from_the_best_cheapest_first(tmp_path):
    choice = advice.recommend(make(tmp_path)).choice
    assert choice.best.cell.label == "crop+color"
    assert [(candidate.cell.label, candidate.seconds) for candidate in choice.candidates] == [
        ("color+crop", 30.0),
        ("crop+color", 40.0),
    ]
    lead, doubt = choice.evidence
    assert "over the best single op (color)" in lead
    assert "over the untrained encoder" in lead
    assert doubt.startswith("Cannot be told from crop+color: color+crop (")


def test_the_best_is_chosen_by_validation_accuracy(tmp_path):
    make(tmp_path)
    for trial in plan(load_experiment(tmp_path)):
        if trial.label == "color+crop":  # the better test accuracy
            found = read_record(record_path(tmp_path, trial.id))
            write_record(tmp_path, found.model_copy(update={"metrics": {**found.metrics, "linear_top1": 0.99}}))
    assert advice.recommend(tmp_path).choice.best.cell.label == "crop+color"


def test_one_branch_is_confirmed_before_a_pipeline_is_printed(tmp_path):
    found = advice.recommend(make(tmp_path))
    assert found.final is None and not found.pipelines
    text = shown(found)
    assert f"ablate recommend {tmp_path} --confirm" in text
    assert "2 compositions on both branches with 3 fresh seeds, about 3 min 30 s of CPU time" in text
    assert "Recommended" not in text


def test_two_branches_need_no_confirmation(tmp_path):
    found = advice.recommend(make(tmp_path, branches="two"))
    assert found.final is found.choice.best
    assert {path.name for path in advice.write(found)} == {
        "recommendation.json",
        advice.KORNIA_FILE,
        advice.TORCHVISION_FILE,
    }
    code = (tmp_path / "report" / advice.KORNIA_FILE).read_text()
    assert "# Both views are augmented" in code
    text = shown(found)
    assert "Recommended: crop+color" in text
    assert "AugmentationSequential(" in text
    assert str(tmp_path / "report" / advice.TORCHVISION_FILE) in text
    assert (
        json.loads((tmp_path / "report" / "recommendation.json").read_text())["recommended"]["ops"][0]["name"] == "crop"
    )


def test_a_confirmation_decides(tmp_path):
    confirm(make(tmp_path), value=lambda trial: 0.9 if trial.label == "color+crop" else 0.8 + 0.001 * trial.seed)
    found = advice.recommend(tmp_path)
    assert found.choice.best.cell.label == "crop+color"
    assert found.final is not None and found.final.cell.label == "color+crop"
    assert found.confirmed is not None
    assert found.confirmed.sweep.experiment.seeds == (3, 4, 5)
    assert found.confirmed.sweep.experiment.shared.branches == "two"
    told = advice.as_json(found)
    assert told["recommended"]["composition"] == "color+crop"
    assert told["confirmation"]["branches"] == "two"
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"skip": ("color+crop",)}, "The confirmation has 6 of 9 trials"),
        ({"fail": ("crop+color", "color+crop")}, "Every trial of the confirmation failed"),
    ],
)
def test_a_confirmation_that_says_nothing_yet(changes, sentence, tmp_path):
    confirm(make(tmp_path), **changes)
    found = advice.recommend(tmp_path)
    assert found.final is None
    assert found.confirming.startswith(sentence)
    assert f"ablate status {tmp_path / CONFIRMATION}" in found.confirming


def test_nothing_is_recommended_that_training_did_not_improve(tmp_path):
    make(tmp_path, branches="two", value=lambda trial: 0.5 if trial.reference else 0.3 + 0.01 * trial.seed)
    found = advice.recommend(tmp_path)
    assert found.final is None
    text = shown(found)
    assert "No recommendation" in text


def test_one_seed_names_the_next_best_and_says_why(tmp_path):
    choice = advice.recommend(make(tmp_path, seeds=1)).choice
    assert {candidate.cell.label for candidate in choice.candidates} == set(MEANS)
    assert "One seed: the noise is unknown" in choice.evidence[1]


def test_one_cell(tmp_path):
    choice = advice.recommend(make(tmp_path, skip=("color", "crop", "color+crop"))).choice
    assert choice.evidence[1] == "No other composition has results."


def test_no_results_yet(tmp_path):
    with pytest.raises(UsageError, match="has no results yet; to run it: ablate grid --ops x"):
        advice.recommend(make(tmp_path, skip=(*MEANS, "untrained")))


def test_what_cannot_be_written_as_code_is_said(tmp_path, monkeypatch):
    def refuse(*args):
        raise advice.NotExportable("mine.Tint is not an op of ablate's")

    monkeypatch.setattr(advice, "torchvision_code", refuse)
    found = advice.recommend(make(tmp_path, branches="two"))
    assert set(found.pipelines) == {advice.KORNIA_FILE}
    text = shown(found)
    assert "mine.Tint is not an op of ablate's" in text


def test_a_confirmation_is_the_same_experiment_but_for_branches_seeds_and_cells(tmp_path):
    experiment = load_experiment(make(tmp_path))
    chosen = [NamedComposition(label="crop+color", ops=tuple(op.op for op in experiment.ops))]
    planned = confirmation(experiment, chosen, seeds=2, command="ablate recommend DIR --confirm")
    assert sorted(trial.label for trial in plan(planned)) == ["crop+color", "crop+color", "untrained", "untrained"]
    assert {trial.seed for trial in plan(planned)} == {3, 4}
    for trial in plan(planned):
        assert trial.config.base is None
        assert trial.config.epochs == experiment.shared.epochs or trial.reference


def test_recommend_imports_no_torch(tmp_path):
    make(tmp_path, branches="two")
    script = (
        "import sys; from ablate.report import recommend as advice\n"
        f"advice.write(advice.recommend({str(tmp_path)!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
