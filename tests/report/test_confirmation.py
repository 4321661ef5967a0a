"""Recommendations and their confirmations: with both branches, and with fresh seeds."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from ablate.config.sweep import NamedComposition
from ablate.errors import UsageError
from ablate.files import names_in
from ablate.report.correction import take_back
from ablate.report.recommendation import files
from ablate.report.recommendation.choice import to_confirm
from ablate.report.recommendation.conclusion import conclusion
from ablate.report.recommendation.recommend import recommend
from ablate.report.write import publish, write_report
from ablate.sweep.confirm import confirmation
from ablate.sweep.layout import CONFIRMATION, KORNIA_CODE, OTHER_CODE, TORCHVISION_CODE, SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.record import read_record
from tests.support.recommendations import confirm, lead, make, shown, trial_of, value
from tests.support.sweeps import record, write_record

pytestmark = pytest.mark.usefixtures("undrawn")


def test_one_branch_is_confirmed_before_a_pipeline_is_printed(tmp_path):
    found = recommend(make(tmp_path))
    assert found.final is None and not found.pipelines
    text = shown(found)
    assert f"ablate recommend {tmp_path} --confirm" in text
    assert "2 compositions with 3 fresh seeds, about 3 min 30 s of CPU time" in text
    assert "Recommended" not in text


def test_two_branches_need_no_confirmation(tmp_path):
    found = recommend(make(tmp_path, branches="two"))
    assert found.final is found.choice.best
    assert {path.name for path in files.write(found)} == {
        "recommendation.json",
        KORNIA_CODE,
        TORCHVISION_CODE,
        *(set(OTHER_CODE) & names_in(tmp_path / "report")),
    }
    code = (tmp_path / "report" / KORNIA_CODE).read_text()
    assert "# Both views are augmented" in code
    text = shown(found)
    last = text.strip().splitlines()[-1]
    assert last.startswith("Recommended: crop+color (P(best) ")
    assert last.endswith(" %). 1 other composition cannot be told from it: color+crop.")
    assert "AugmentationSequential(" not in text
    assert "AugmentationSequential(" in shown(found, code=True)
    assert shown(found, code=True).strip().splitlines()[-1] == last
    assert str(tmp_path / "report" / TORCHVISION_CODE) in text
    assert (
        json.loads((tmp_path / "report" / "recommendation.json").read_text())["recommended"]["ops"][0]["name"] == "crop"
    )


def test_a_confirmation_decides(tmp_path):
    confirm(make(tmp_path), value=lambda trial: 0.9 if trial.label == "color+crop" else 0.8 + 0.001 * trial.seed)
    found = recommend(tmp_path)
    assert found.choice.best.cell.label == "crop+color"
    assert found.final is not None and found.final.cell.label == "color+crop"
    assert found.confirmed is not None
    assert found.confirmed.sweep.experiment.seeds == (3, 4, 5)
    assert found.confirmed.sweep.experiment.shared.branches == "two"
    told = files.as_json(found)
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
    found = recommend(tmp_path)
    assert found.final is None
    assert found.confirming.startswith(sentence)
    assert f"ablate status {tmp_path / CONFIRMATION}" in found.confirming


def test_a_confirmation_of_one_seed_is_provisional(tmp_path):
    confirm(make(tmp_path), seeds=1)
    assert conclusion(recommend(tmp_path)).startswith("Recommended, provisionally: ")


def test_a_confirmation_waits_for_the_whole_sweep(tmp_path):
    choice = recommend(make(tmp_path, skip=("crop",))).choice
    with pytest.raises(UsageError, match=r"3 of 15 trials of .* are missing and could change which compositions"):
        to_confirm(choice)


def test_a_confirmation_of_an_earlier_choice_decides_nothing(tmp_path):
    make(tmp_path, value=lambda trial: value(trial) - 0.6 * (trial.label == "crop"))
    confirm(tmp_path)
    assert recommend(tmp_path).final is not None
    for seed in (0, 1, 2):
        write_record(tmp_path, record(trial_of(tmp_path, "crop", seed), 0.95 + 0.01 * seed))
    found = recommend(tmp_path)
    assert found.final is None
    assert conclusion(found).startswith(
        "The confirmation is of an earlier choice and lacks crop, which is the best now"
    )


def test_a_confirmation_is_the_same_experiment_but_for_branches_seeds_and_cells(tmp_path):
    experiment = load_plan(make(tmp_path))
    chosen = [NamedComposition(label="crop+color", ops=tuple(op.op for op in experiment.ops))]
    planned = confirmation(experiment, chosen, seeds=2, command="ablate recommend DIR --confirm")
    assert sorted(trial.label for trial in plan(planned)) == ["crop+color", "crop+color", "untrained", "untrained"]
    assert {trial.seed for trial in plan(planned)} == {3, 4}
    for trial in plan(planned):
        assert trial.config.base is None
        assert trial.config.epochs == experiment.shared.epochs or trial.reference


def test_a_confirmation_that_goes_on_withdraws_what_the_earlier_one_said(tmp_path):
    confirm(make(tmp_path))
    write_report(tmp_path)
    publish(recommend(tmp_path))
    assert lead(tmp_path).startswith("Recommended, provisionally: ")
    fresh = load_plan(tmp_path / CONFIRMATION)
    save_plan(tmp_path / CONFIRMATION, fresh.model_copy(update={"seeds": (*fresh.seeds, 9)}))
    console = Console(width=200, record=True, file=io.StringIO())
    take_back(tmp_path / CONFIRMATION, [t for t in plan(load_plan(tmp_path / CONFIRMATION)) if t.seed == 9], console)
    assert f"withdrawn: the recommendation in {tmp_path / 'report'}" in console.export_text()
    assert lead(tmp_path).startswith("Best composition: ")
    assert not {"recommendation.json", KORNIA_CODE, TORCHVISION_CODE} & names_in(tmp_path / "report")


def test_where_nothing_is_better_than_the_untrained_encoder_there_is_nothing_to_confirm(tmp_path):
    make(tmp_path, value=lambda trial: 0.9 if trial.reference else value(trial))
    for trial in plan(load_plan(tmp_path)):
        if trial.reference:
            old = read_record(SweepDir(tmp_path).record(trial.id))
            write_record(tmp_path, old.model_copy(update={"metrics": {**old.metrics, "linear_top1": 0.6}}))
    last = conclusion(recommend(tmp_path))
    assert last.startswith("There is nothing to confirm. No composition is better than the untrained encoder (91.0")
    assert ", though 2 of 4 are on the test set (60.0 ± 0.0 %): train longer" in last
    write_report(tmp_path)
    html = (tmp_path / "report" / "index.html").read_text()
    assert lead(tmp_path).startswith("No composition to recommend; the highest validation accuracy: crop+color. ")
    assert html.partition("<main>")[0].count("No composition is better than") == 1
    assert "--confirm" not in html.partition("<main>")[0]


def test_a_confirmation_says_how_many_it_takes_of_how_many(tmp_path, monkeypatch):
    for module in ("choice", "conclusion"):
        monkeypatch.setattr(f"ablate.report.recommendation.{module}.MOST", 2)
    found = recommend(make(tmp_path, seeds=1))
    said = "2 compositions, the best of 4 by validation accuracy, since a confirmation takes 2, with 3 fresh seeds"
    assert said in conclusion(found)
    assert "and 2 more that cannot be told from these either" in shown(found)
    assert recommend(make(tmp_path / "few")).choice.is_shortened is False
