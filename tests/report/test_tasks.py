"""Several tasks of one sweep: the report and the recommendation of each, and where they disagree."""

from __future__ import annotations

import json
import random
import re

import pytest

from ablate.config.sweep import ClassCounts, NamedComposition, Task
from ablate.errors import UsageError
from ablate.report import write_report
from ablate.report.data.results import read_sweep, read_tasks
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.order import order
from ablate.report.stats.summary import summary
from ablate.report.text import tasks
from ablate.report.write import publish
from ablate.sweep.asked import asked_for
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from tests.support.sweeps import make_experiment, record, write_record

OPS = ["crop", "color", "blur", "flip"]
SHAPE = {"color": 0.2, "crop": 0.05}
HUE = {"color": -0.3, "crop": 0.1}
COUNTS = ClassCounts(train=(300, 300), validation=(30, 30), test=(60, 60))


def planned(*further, seeds=3):
    main = Task(name="shape", images=(600, 60, 120))
    return make_experiment(OPS, seeds).replace(label="shape,hue", tasks=(main, *further))


def value(trial, gains, task):
    ops = {} if trial.reference else {op.name for op in trial.config.composition}
    noise = random.Random(f"{task} {trial.label} {trial.seed}").gauss(0, 0.004)
    return 0.5 + sum(gain for op, gain in gains.items() if op in ops) + noise


def write(directory, experiment):
    """Records where color helps the main task, shape, and costs the further one, hue."""
    save_plan(directory, experiment)
    for trial in plan(experiment):
        result, hue = record(trial, value(trial, SHAPE, "shape")), value(trial, HUE, "hue")
        further = {"hue:linear_top1": hue, "hue:linear_val_top1": hue + 0.01, "hue:linear_balanced_accuracy": hue}
        flags = ("hue:l2-at-edge",) if trial.label == "crop" else ()
        write_record(directory, result.replace(metrics={**result.metrics, **further}, flags=flags))
    return directory


@pytest.fixture
def sweep(tmp_path):
    return write(tmp_path / "sweep", planned(Task(name="hue", images=(600, 60, 120), class_counts=COUNTS)))


def test_a_task_of_numbers_is_judged_by_r2_where_rotation_prediction_cannot_judge_a_composition(tmp_path):
    """The main task has no labels, so compositions that turn images have the flag of rotation prediction."""
    main = Task(name="none", images=(600, 60, 120))
    age = Task(name="age", kind="regression", images=(600, 60, 120))
    experiment = make_experiment(["crop", "rotate"]).replace(label="none,age:regression", tasks=(main, age))
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        turns = "rotate" in trial.label
        judged = {} if turns else {"rotation_top1": 0.4, "rotation_val_top1": 0.4}
        r2 = {"age:linear_r2": 0.3 + 0.1 * turns, "age:linear_val_r2": 0.3 + 0.1 * turns, "lidar": 5.0}
        flags = ("rotation-not-applicable",) * turns
        write_record(tmp_path, record(trial, metrics={**judged, **r2}, flags=flags))
    grid = read_sweep(tmp_path, task="age").grid
    assert grid.metric == "linear_r2"
    assert grid.cells["rotate", "rotate"].mean() == 0.4
    assert grid.cells["rotate", "rotate"].mean("lidar") == 5.0  # it needs no labels, so it belongs to every task
    assert read_sweep(tmp_path).grid.metric == "rotation_top1"


def test_each_task_has_its_own_grid_and_winner(sweep):
    main, hue = read_sweep(sweep), read_sweep(sweep, task="hue")
    assert read_sweep(sweep, task="shape").grid == main.grid
    assert main.task_name == "" and hue.task_name == "hue"
    cell = hue.grid.cells["crop", "color"]
    assert cell.mean() == pytest.approx(0.5 + 0.1 - 0.3, abs=0.01)
    assert main.grid.cells["crop", "color"].mean() == pytest.approx(0.75, abs=0.01)
    assert hue.grid.cells["crop", "crop"].flags == ("l2-at-edge",)
    assert hue.class_counts == COUNTS and hue.classes == 2
    ranked = "Compositions are ranked by top-1 accuracy."
    assert hue.measured == ("Judged by the task hue; the main task is shape.", ranked)
    assert [read.grid for read in read_tasks(sweep)] == [main.grid, hue.grid]


def test_where_tasks_disagree_and_what_each_choice_costs(sweep):
    compared = tasks.tasks_of(read_sweep(sweep))
    ranks, of_main, of_hue = compared.sentences()
    assert ranks.startswith("Spearman rank correlation of shape with hue: -0.")
    assert "permuting ops" in ranks
    assert of_main.startswith("The winner of shape, crop+color, costs +3") or "color+crop, costs +3" in of_main
    assert of_hue.startswith("The winner of hue, crop")
    (page,) = tasks.section(compared)
    _, disagree, costs = page.parts
    assert tasks.SHARED in page.text
    assert disagree.headings == ("composition", "shape", "hue")
    assert disagree.rows[0][0] in {"color+blur", "blur+color", "color", "color+flip", "flip+color"}
    first, second = (int(text.partition(" ")[0]) for text in disagree.rows[0][1:])
    assert second - first > 5
    assert len(costs.rows) == 2


def test_the_page_marks_a_grid_by_the_task_that_colours_it(sweep, undrawn):
    write_report(sweep)
    page = SweepDir(sweep).page.read_text()
    data = json.loads(page.partition('id="layers">')[2].partition("</script>")[0])
    of = {layer["key"]: [cell[4] for cell in layer["cells"]] for layer in data}
    grids = {"accuracy": read_sweep(sweep).grid, "task-1": read_sweep(sweep, task="hue").grid}
    for key, grid in grids.items():
        ranking, untrained = order(grid), grid.references["untrained"].seeds()
        for cell, marks in zip(grid.compositions, of[key], strict=True):
            contends = cell.label in ranking.contenders
            assert marks[:1] in ("★" if cell is ranking.best else "●" if contends else ("", "▼"))
            gaps = [value - untrained[seed] for seed, value in cell.seeds().items() if seed in untrained]
            assert ("▼" in marks) == (sum(gaps) < 0)
    assert of["accuracy"] != of["task-1"] and of["synergy"] == of["accuracy"]
    assert "line: the untrained encoder" in data[-1]["mark"]["text"]
    assert re.findall(r'data-legend="([^"]+)"( hidden)?', page) == [("accuracy", ""), ("task-1", " hidden")]
    assert "All but this grid is by the task shape." in data[-1]["about"]


def test_a_sweep_with_one_task_compares_none(tmp_path):
    experiment = make_experiment(OPS[:2])
    save_plan(tmp_path, experiment)
    assert tasks.tasks_of(read_sweep(tmp_path)) is None
    assert tasks.section(None) == []
    with pytest.raises(UsageError, match="has no further tasks: a sweep has them if --label names several columns"):
        read_sweep(tmp_path, task="hue")


def test_regression_is_ranked_by_r2(tmp_path, undrawn):
    experiment = planned(Task(name="age", kind="regression", images=(600, 60, 120)))
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        result, r2 = record(trial, value(trial, SHAPE, "shape")), value(trial, HUE, "age") - 0.4
        write_record(tmp_path, result.replace(metrics={**result.metrics, "age:linear_r2": r2, "age:linear_val_r2": r2}))
    read = read_sweep(tmp_path, task="age")
    assert (read.grid.metric, read.grid.measure, read.grid.validation_metric) == ("linear_r2", "r2", "linear_val_r2")
    assert read.grid.metrics == ("linear_r2", "linear_val_r2")
    assert read.measured == ("Judged by the task age, by R²; the main task is shape.",)
    assert read.class_counts is None and read.classes == 0
    write_report(tmp_path, task="age")
    page = SweepDir(tmp_path).page.read_text()
    assert "validation R²" in page and "Task age: " not in page and "Task shape" in page
    with pytest.raises(
        UsageError, match="metric 'auroc' does not suit the task age, whose kind is regression; allowed: r2"
    ):
        read_sweep(tmp_path, "auroc", "age")
    with pytest.raises(UsageError, match="metric 'r2' does not suit the task shape, whose kind is classes"):
        read_sweep(tmp_path, "r2")


@pytest.mark.parametrize(("images", "few"), [(15, True), (600, False)])
def test_a_number_that_nothing_predicts_and_few_images_for_r2_are_told(tmp_path, images, few):
    experiment = planned(Task(name="age", kind="regression", images=(200, images, images)))
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        metrics = {"age:linear_r2": -2.76, "age:linear_val_r2": value(trial, HUE, "age") - 0.9}
        write_record(tmp_path, record(trial).replace(metrics=metrics | {"linear_top1": 0.5, "linear_val_top1": 0.5}))
    text = " ".join(summary(read_sweep(tmp_path, task="age")))
    assert "No composition predicts age better than its mean does, which has R² 0" in text
    assert ("only 15 validation images to choose by: on so few, R² is uncertain by up to 20 points" in text) == few
    assert recommend(tmp_path, task="age").final is None


def test_compositions_without_a_grid_have_costs_and_no_ranks(tmp_path):
    experiment = planned(Task(name="hue", images=(600, 60, 120), class_counts=COUNTS))
    alone = tuple(NamedComposition(label=op.label, ops=(op.op,)) for op in experiment.ops)
    compared = tasks.tasks_of(read_sweep(write(tmp_path, experiment.replace(ops=(), compositions=alone))))
    assert not compared.has_ranks
    of_shape, of_hue = compared.sentences()
    assert of_shape.startswith("The winner of shape, color, costs +4")
    assert of_hue.startswith("The winner of hue, crop, costs +1")
    (page,) = tasks.section(compared)
    assert [part.title for part in page.parts] == ["Where do the rankings disagree?", "Whose winner costs how much?"]


def test_an_unknown_task_has_a_nearest_match(sweep):
    with pytest.raises(UsageError, match="unknown task 'huge'; allowed: shape, hue; did you mean 'hue'"):
        read_sweep(sweep, task="huge")


def test_the_page_and_the_recommendation_are_those_of_the_task(sweep, undrawn):
    write_report(sweep)
    page = SweepDir(sweep).page.read_text()
    assert "<span>Task hue</span>" in page and "Where do the rankings disagree?" in page
    assert asked_for(sweep).task == ""
    chosen = recommend(sweep, task="hue")
    assert chosen.choice.best.cell.label.startswith("crop")
    assert "color" not in chosen.choice.best.cell.label
    publish(chosen)
    assert asked_for(sweep).task == "hue"
    assert "<span>Task shape</span>" in SweepDir(sweep).page.read_text()
    assert json.loads(SweepDir(sweep).recommendation.read_text())["task"] == "hue"
