"""The numbers and sentences of a report: means, states of cells, the best composition."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from rich.console import Console
from scipy import stats

from ablate.report import write_report
from ablate.report.data.grid import grid_of, sweep_rows
from ablate.report.data.results import read_sweep
from ablate.report.figures.heatmap import heatmap
from ablate.report.stats.order import order
from ablate.report.stats.summary import summary
from ablate.report.stats.untrained import paired_difference
from ablate.report.text.terminal import render
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.cli import ablate, one_sentence
from tests.support.sweeps import by_position, failure, make_experiment, record, sweep, write_record


@pytest.mark.usefixtures("undrawn")
def test_means_deviations_and_row_averages(tmp_path):
    grid = write_report(sweep(tmp_path, ["a", "b"], seeds=3, value=by_position)).grid
    assert grid.cells["a", "b"].mean() == pytest.approx(0.21)
    assert grid.cells["a", "b"].std() == pytest.approx(np.std([0.20, 0.21, 0.22], ddof=1))
    assert grid.average("a") == pytest.approx((0.11 + 0.21) / 2)  # the diagonal included
    assert grid.references["untrained"].mean() == pytest.approx(0.05)
    assert [cell.status for cell in grid.cells.values()] == ["done"] * 4


def acting_sweep(directory, shares):
    """Two by two cells whose ops act on these shares of images; None: not known."""
    sweep(directory, list(shares), seeds=2, value=by_position)
    experiment = load_plan(directory)
    ops = tuple(op.model_copy(update={"acts": shares[op.label]}) for op in experiment.ops)
    save_plan(directory, experiment.model_copy(update={"ops": ops}))
    return read_sweep(directory).grid


@pytest.mark.usefixtures("undrawn")
def test_how_often_an_op_acts_stands_beside_its_row_average(tmp_path):
    grid = acting_sweep(tmp_path, {"a": 1.0, "b": 0.5})
    sentence = "Share of images on which an op acts, if not on all: b 50 %."
    assert grid.seldom == [sentence]
    words = [text.get_text() for text in heatmap(grid).findobj(Text)]
    assert words.count("acts on\n50 %") == 1
    assert sentence in words[-1] or any(sentence in text for text in words)
    console = Console(file=io.StringIO(), width=80)
    render(grid, console)
    assert sentence in console.file.getvalue()
    write_report(tmp_path)
    table = pd.read_csv(tmp_path / "report" / "table.csv")
    averages = table[table["kind"] == "average"].set_index("first")["acts"]
    assert averages.to_dict() == {"a": 1.0, "b": 0.5}
    assert r"if not on all: b 50 \%." in (tmp_path / "report" / "table.tex").read_text()
    assert sentence in (tmp_path / "report" / "caption.txt").read_text()
    page = (tmp_path / "report" / "index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert page.count("<small>acts on 50 %</small>") == 1
    assert sentence in page


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("shares", [{"a": 1.0, "b": 1.0}, {"a": None, "b": None}])
def test_where_every_op_acts_on_every_image_or_nobody_knows_nothing_is_said(tmp_path, shares):
    grid = acting_sweep(tmp_path, shares)
    assert grid.seldom == []
    assert not any(text.get_text().startswith("acts on") for text in heatmap(grid).findobj(Text))
    write_report(tmp_path)
    assert "Share of images" not in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_failed_missing_and_partial_cells_are_told_apart(tmp_path):
    experiment = make_experiment(["a", "b"], seeds=2)
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        if trial.label == "a" or (trial.label == "a+b" and trial.seed == 0):
            write_record(tmp_path, record(trial))
        if trial.label == "b+a":
            write_record(tmp_path, failure(trial))
    report = write_report(tmp_path)
    grid = report.grid
    states = {cell.label: cell.status for cell in grid.cells.values()}
    assert states == {"a": "done", "a+b": "partial", "b+a": "failed", "b": "missing"}
    assert grid.average("b") is None
    assert len(report.sweep.failed) == 2
    texts = {text.get_text() for text in heatmap(grid).findobj(Text)}
    assert {"failed", "missing", "n = 1 of 2", "50.0"} <= texts
    console = Console(record=True, width=100, force_terminal=False)
    report.show(console)
    shown = console.export_text()
    assert "failed: b+a seed 0: the loss became nan <b>" in shown
    assert "--retry-failed" in shown


def test_the_empty_sweep_and_damaged_records(tmp_path):
    sweep(tmp_path, ["a", "b"], skip=("a", "b", "a+b", "b+a", "untrained"))
    report = write_report(tmp_path)
    assert (tmp_path / "report" / "heatmap.png").exists()
    assert summary(report.sweep) == ["No composition has a result yet."]
    trial = plan(make_experiment(["a", "b"]))[1]
    path = write_record(tmp_path, record(trial))
    path.write_text("{")
    assert write_report(tmp_path).sweep.damaged == [path]


def test_paired_difference_against_scipy():
    a, b = {0: 0.61, 1: 0.64, 2: 0.66, 9: 0.1}, {0: 0.50, 1: 0.55, 2: 0.51, 8: 0.9}
    ours = paired_difference(a, b)
    reference = stats.ttest_rel([0.61, 0.64, 0.66], [0.50, 0.55, 0.51])
    interval = reference.confidence_interval(0.95)
    assert ours.mean == pytest.approx(0.35 / 3)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert paired_difference({0: 0.6}, {0: 0.5}).low is None
    assert paired_difference({0: 0.6}, {1: 0.5}) is None


@pytest.mark.usefixtures("undrawn")
def test_the_best_is_chosen_by_validation_not_by_test(tmp_path):
    experiment = make_experiment(["a", "b"])
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        lucky = trial.label == "a+b"
        metrics = {"linear_top1": 0.9 if lucky else 0.5, "linear_val_top1": 0.3 if lucky else 0.4, "knn_top1": 0.1}
        if trial.label == "b":
            metrics["linear_val_top1"] = 0.45
        write_record(tmp_path, record(trial, metrics=metrics))
    report = write_report(tmp_path)
    assert order(report.grid).best.label == "b"
    assert "by validation accuracy: b, 45.0 % (test 50.0 %, n = 1)" in summary(report.sweep)[0]


@pytest.mark.usefixtures("undrawn")
def test_ties_and_unfinished_cells_win_nothing_silently(tmp_path):
    sweep(tmp_path, ["a", "b"], seeds=2, value=lambda trial: 0.5 if trial.reference is None else 0.6)
    lines = summary(write_report(tmp_path).sweep)
    best = "Best composition by validation accuracy: a, 51.0 ± 0.0 % (test 50.0 ± 0.0 %, n = 2), tied with a+b, b+a, b."
    assert lines[0].startswith(best)
    assert any("No composition is better than the untrained encoder (61.0 ± 0.0 %" in line for line in lines)
    for trial in plan(load_plan(tmp_path)):
        if trial.label == "b" and trial.seed == 0:
            write_record(tmp_path, record(trial, 0.9))
        if trial.label == "b" and trial.seed == 1:
            SweepDir(tmp_path).record(trial.id).unlink()
    report = write_report(tmp_path)
    lead = "Best composition so far, after 9 of 10 trials, by validation accuracy: b, 91.0 % (test 90.0 %, n = 1)"
    assert summary(report.sweep)[0].startswith(lead)
    assert "90.0$^{*}$" in (tmp_path / "report" / "table.tex").read_text()
    console = Console(record=True, width=100, force_terminal=False)
    report.show(console)
    assert "* not all seeds are done" in console.export_text()


@pytest.mark.usefixtures("undrawn")
def test_collapse_is_shown(tmp_path):
    experiment = make_experiment(["a"])
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, record(trial, flags=("collapsed",)))
    report = write_report(tmp_path)
    assert any("Collapsed" in line for line in summary(report.sweep))
    assert any("collapsed" in text.get_text() for text in heatmap(report.grid).findobj(Text))


def test_importing_the_report_imports_no_torch():
    code = "import sys, ablate.report.write, ablate.launch.screen; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_means_are_not_of_nothing():
    assert math.isclose(grid_of(sweep_rows(plan(make_experiment(["a"])), {})).cells["a", "a"].mean() or 0, 0)


def test_a_file_in_place_of_the_report_is_one_sentence(tmp_path):
    directory = sweep(tmp_path / "sweep", ["a", "b"], 1, by_position)
    (directory / "report").write_text("mine")
    for words in (("report",), ("export", "--to", "csv")):
        told = one_sentence(ablate(words[0], directory, *words[1:]))
        assert told.endswith("report is a file, where a directory of that name is needed; move the file away")
    assert (directory / "report").read_text() == "mine"
