"""``--metric`` of the commands that plan a sweep: what it decides, and what is refused."""

from __future__ import annotations

import pytest

from ablate.config.experiment_file import validated
from ablate.config.measure import at_rungs
from ablate.config.sweep import ClassCounts
from ablate.errors import UsageError
from ablate.planning.metric import check_metric, measure_of
from ablate.report.data.results import read_sweep
from ablate.sweep.extend import differences
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.record import read_record
from tests.support.cli import ablate, one_sentence
from tests.support.in_process import without_workers


class Counted:
    """As much of a data set as the choice of a measure looks at."""

    name, lacks = "made-up", "has no labels"

    def __init__(self, validation=(3, 3), rule="top1"):
        self.measure = rule
        self.all_class_counts = (
            None if validation is None else ClassCounts(train=(9, 9), validation=validation, test=(9, 9))
        )


def wish(**fields):
    return validated({"ops": ["crop"], **fields})


def test_a_trial_keeps_the_key_of_the_rule_where_the_rule_gives_the_same_measure():
    assert measure_of(wish(), Counted()) is None
    assert measure_of(wish(metric="top1"), Counted()) is None
    assert measure_of(wish(metric="balanced"), Counted(rule="balanced")) is None
    assert measure_of(wish(metric="top1"), Counted(rule="balanced")) == "top1"
    assert measure_of(wish(metric="macro-f1"), Counted()) == "f1"
    assert measure_of(wish(metric="ap"), Counted(validation=(3, 0))) == "ap"


@pytest.mark.parametrize(
    ("fields", "data", "said"),
    [
        ({"metric": "auroc"}, Counted(validation=None), "made-up has no labels: leave it out"),
        ({"metric": "auroc"}, Counted(validation=(0, 3)), "validation images of made-up, which are all of one class"),
        ({"metric": "r2"}, None, "'r2' does not suit the task label, whose kind is classes; allowed: top1, balanced,"),
        ({"metric": "auroc", "protocol": ["rotation", "knn"]}, None, "add linear to the protocols rotation,knn"),
    ],
)
def test_what_a_metric_needs(fields, data, said):
    asked = wish(**fields)
    with pytest.raises(UsageError) as error:
        check_metric(asked, asked.protocol)
        measure_of(asked, data)
    assert said in str(error.value)


def test_an_unknown_metric_names_the_nearest(tmp_path):
    done = ablate("grid", "--ops", "crop", "--metric", "aurock", "--out", tmp_path / "out")
    allowed = "unknown metric 'aurock'; allowed: top1, balanced, f1, auroc, ap, r2"
    assert one_sentence(done) == f"error: --metric: {allowed}; did you mean 'auroc'?"


def test_kNN_has_accuracies_only():
    assert at_rungs("balanced") == ""
    assert at_rungs("auroc") == "; kNN has no AUROC, so its balanced accuracy decides there"


@pytest.mark.usefixtures("undrawn", "unmeasured")
def test_a_grid_goes_by_its_metric_from_l2_to_the_page(tiny_folder, cache, tmp_path):
    small = ("image_size=16", "encoder.name=resnet8", "encoder.width=4", "epochs=2", "batch_size=8", "warmup_epochs=0")
    line = ["--data", f"folder:{tiny_folder}", "--cache", cache, "--out", tmp_path, "--device", "cpu"]
    line += [part for setting in small for part in ("--set", setting)]
    with without_workers():
        done = ablate("grid", "--ops", "crop", "--metric", "auroc", *line)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test images; compositions are ranked by AUROC, as requested\n") == 1
    planned = load_plan(tmp_path)
    assert planned.measure == planned.shared.measure == "auroc"
    for trial in plan(planned):
        record = read_record(SweepDir(tmp_path).record(trial.id))
        assert "chosen on the validation split by AUROC, then refitted" in record.protocols["linear"]
    sweep = read_sweep(tmp_path)
    assert sweep.grid.metric == "linear_auroc"
    assert "validation AUROC" in done.stdout
    assert f"AUROC: linear {record.metrics['linear_auroc']:.1%}; balanced accuracy: kNN" in done.stdout
    again = ablate("grid", "--ops", "crop", *line, "--dry-run")  # it follows the sweep's own
    assert "2 done; 0 to run" in again.stdout
    more = ablate("grid", "--ops", "crop,color", *line, "--dry-run")
    assert "2 done; 3 to run" in more.stdout
    refused = one_sentence(ablate("grid", "--ops", "crop", "--metric", "top1", *line))
    assert f"planned with AUROC, which chooses l2 in its trials: `ablate report {tmp_path} --metric top1`" in refused


def test_shards_by_different_measures_are_told_by_their_names(experiment, tmp_path):
    other = experiment.replace(measure="ap", shared=experiment.shared.replace(measure="ap"))
    assert differences(experiment, other) == ["metric was 'top1', is 'ap'"]
    save_plan(tmp_path, other)
    assert load_plan(tmp_path).shared.key == other.shared.key != experiment.shared.key
