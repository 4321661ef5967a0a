"""Sweeps that another protocol than linear evaluation judges: rotation prediction without labels, and further ones."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from matplotlib.text import Text
from rich.console import Console

import ablate
from ablate.errors import UsageError
from ablate.report import write_report
from ablate.report.data.grid import grid_of
from ablate.report.figures.heatmap import heatmap
from ablate.report.stats.summary import summary
from ablate.report.text.terminal import render
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.cli import ablate as ablate_command
from tests.support.sweeps import make_experiment, record, sweep, write_record


def unlabelled(directory):
    """A grid of crop and rotate that was evaluated by rotation prediction; what turns images was not judged."""
    experiment = make_experiment(["crop", "color", "rotate"])
    save_plan(directory, experiment)
    for place, trial in enumerate(plan(experiment)):
        turns = "rotate" in trial.label
        metrics = {"rankme": 5.0 + place}
        if not turns:
            metrics |= {"rotation_top1": 0.3 + place / 100, "rotation_val_top1": 0.5 - place / 100}
        flags = ("rotation-not-applicable",) if turns else ()
        write_record(directory, record(trial, metrics=metrics, flags=flags))
    return directory


def test_without_labels_rotation_prediction_takes_the_place_of_linear_evaluation(tmp_path):
    report = write_report(unlabelled(tmp_path))
    grid = report.grid
    assert grid.metric == "rotation_top1"
    assert grid.cells["crop", "crop"].mean() == pytest.approx(0.31)
    assert grid.references["untrained"].mean() == pytest.approx(0.30)
    states = {cell.label: cell.status for cell in grid.cells.values()}
    judged = {"crop", "crop+color", "color+crop", "color"}
    assert {label for label, status in states.items() if status == "done"} == judged
    assert {label for label, status in states.items() if status == "not judged"} == states.keys() - judged
    lines = summary(report.sweep)
    best = "Best composition by validation accuracy of rotation prediction: crop, 49.0 % (test 31.0 %, n = 1)."
    assert lines[0].startswith(best)
    assert (
        "Not judged, since rotation prediction cannot judge compositions that turn images: crop+rotate, " in lines[-1]
    )


@pytest.mark.parametrize("asked", ["balanced", "auroc"])
def test_a_measure_that_rotation_prediction_lacks_is_not_taken_in_silence(tmp_path, asked):
    told = ablate_command("report", unlabelled(tmp_path), "--metric", asked).stdout
    words = {"balanced": "balanced accuracy", "auroc": "AUROC"}[asked]
    sentence = f"Compositions are ranked by rotation prediction: without linear evaluation, no {words}."
    assert sentence in " ".join(told.split())
    assert sentence in (tmp_path / "report" / "caption.txt").read_text()
    assert "ranked by rotation" not in ablate_command("report", tmp_path).stdout


def test_what_is_drawn_and_written_without_labels(tmp_path):
    write_report(unlabelled(tmp_path))
    rows = pd.read_csv(tmp_path / "report" / "table.csv").set_index("label")
    assert rows.loc["crop", "rotation_top1_mean"] == pytest.approx(0.31)
    assert rows.loc["crop+rotate", "status"] == "not judged"
    assert rows.loc["rotate", "rankme_mean"] > 5
    assert not [name for name in rows.columns if name.startswith(("linear", "knn"))]
    tex = (tmp_path / "report" / "table.tex").read_text()
    assert "crop & 31.0 & 32.0 & not judged & -- " in tex
    grid = grid_of(ablate.load_results(tmp_path))
    texts = [text.get_text() for text in heatmap(grid).findobj(Text)]
    assert "rotation prediction top-1 on test (%)" in texts
    assert texts.count("not judged") == 5
    console = Console(width=80, record=True, file=io.StringIO())
    render(grid, console)
    assert console.export_text().count("n/a") == 5


@pytest.mark.usefixtures("undrawn")
def test_one_linear_evaluation_makes_it_a_grid_of_linear_evaluations(tmp_path):
    unlabelled(tmp_path)
    trial = plan(load_plan(tmp_path))[1]
    write_record(tmp_path, record(trial))
    grid = write_report(tmp_path).grid
    assert grid.metric == "linear_top1"
    assert {cell.status for cell in grid.cells.values()} == {"done", "missing"}


def test_further_protocols_are_in_the_table_and_can_be_drawn(tmp_path):
    sweep(tmp_path, ["a", "b"])
    trial = plan(load_plan(tmp_path))[1]
    write_record(tmp_path, record(trial, metrics={"linear_top1": 0.5, "linear_val_top1": 0.5, "sgd_top1": 0.75}))
    grid = write_report(tmp_path).grid
    columns = pd.read_csv(tmp_path / "report" / "table.csv").columns
    assert [name for name in columns if name.endswith("_mean")][-1] == "sgd_top1_mean"
    assert "75.0" in [text.get_text() for text in heatmap(grid, metric="sgd_top1").findobj(Text)]


def test_fine_tuning_and_few_labels_are_in_the_table_and_can_be_drawn(tmp_path):
    sweep(tmp_path, ["a", "b"])
    trial = plan(load_plan(tmp_path))[1]
    measured = {"finetune_10pct_top1": 0.625, "linear_1pct_top1": 0.25, "finetune_balanced_accuracy": 0.5}
    write_record(tmp_path, record(trial, metrics={"linear_top1": 0.5, "linear_val_top1": 0.5, **measured}))
    grid = write_report(tmp_path).grid
    columns = pd.read_csv(tmp_path / "report" / "table.csv").columns
    assert {f"{name}_mean" for name in measured} <= set(columns)
    drawn = [text.get_text() for text in heatmap(grid, metric="finetune_10pct_top1").findobj(Text)]
    assert "62.5" in drawn
    assert "fine-tuning with 10 % of the labels, top-1 on test (%)" in drawn


def test_the_paper_is_no_match_for_rotation_prediction(tmp_path):
    with pytest.raises(UsageError, match="at least one op of Figure 5: crop, cutout"):
        write_report(unlabelled(tmp_path), paper=True)
