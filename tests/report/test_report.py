from __future__ import annotations

import io
import itertools
import math
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from rich.console import Console
from scipy import stats

import ablate
from ablate.errors import UsageError
from ablate.report import write_report
from ablate.report.data.grid import grid_of, sweep_rows
from ablate.report.data.results import read_sweep
from ablate.report.figures.comparison import draw
from ablate.report.figures.heatmap import heatmap
from ablate.report.figures.palette import SIGNED, UNSIGNED, colour, ink_on
from ablate.report.figures.paper import TITLE, beside_the_paper, published
from ablate.report.figures.style import save
from ablate.report.stats.order import order
from ablate.report.stats.summary import summary
from ablate.report.stats.untrained import paired_difference
from ablate.report.text.terminal import render
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.sweeps import HUGE, by_position, extents, failure, make_experiment, record, sweep, write_record

MANY = [f"color(strength={i / 50})" for i in range(31)]
LONG = [f"kornia.RandomPlanckianJitter(p={p / 10})" for p in range(4)]


def grid_in(directory):
    return write_report(directory).grid


@pytest.mark.usefixtures("undrawn")
def test_means_deviations_and_row_averages(tmp_path):
    grid = grid_in(sweep(tmp_path, ["a", "b"], seeds=3, value=by_position))
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


def test_row_average_is_the_papers():
    """Recomputed from the published cells, to the rounding of 0.1."""
    paper = published()
    row = {"reference": None, "key": "0", "seed": 0, "status": "done"}
    rows = [{**row, "row": a, "column": b, "linear_top1": paper[a][b] / 100} for a in paper for b in paper]
    grid = grid_of(pd.DataFrame(rows))
    for op in paper:
        assert 100 * grid.average(op) == pytest.approx(paper[op]["average"], abs=0.11)
    assert beside_the_paper(grid).rho == pytest.approx(1)


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


@pytest.mark.usefixtures("undrawn")
def test_table_csv(tmp_path):
    sweep(tmp_path, ["a", "b"], seeds=2, value=by_position)
    write_report(tmp_path)
    table = pd.read_csv(tmp_path / "report" / "table.csv")
    cells = table[table["kind"] == "cell"].set_index(["first", "second"])
    assert cells.loc[("b", "a"), "linear_top1_mean"] == pytest.approx(0.305)
    assert cells.loc[("b", "a"), "seeds"] == "0=0.3 1=0.31"
    assert cells.loc[("b", "a"), "n"] == 2
    averages = table[table["kind"] == "average"].set_index("first")
    assert averages.loc["a", "linear_top1_mean"] == pytest.approx((0.105 + 0.205) / 2)
    assert table[table["kind"] == "reference"]["label"].tolist() == ["untrained"]


@pytest.mark.usefixtures("undrawn")
def test_table_tex_is_escaped_booktabs(tmp_path):
    label = "mine_op(name='50 % & more')"
    sweep(tmp_path, [label, "b"], seeds=2)
    write_report(tmp_path)
    tex = (tmp_path / "report" / "table.tex").read_text()
    assert r"\toprule" in tex
    assert r"mine\_op(name='50 \% \& more')" in tex
    assert r"50.0 $\pm$ 0.0" in tex
    assert len(re.findall(r"\\\\", tex)) == 4  # a heading, two rows, n


def big(labels, seeds):
    experiment = make_experiment(labels, seeds, references=("untrained", "no-op", "supervised"))
    trials = plan(experiment)
    records = {trial.id: record(trial, 0.2 + 0.6 * i / len(trials)) for i, trial in enumerate(trials)}
    for trial in trials[5::7]:
        records[trial.id] = failure(trial)
    for trial in trials[6::11]:
        del records[trial.id]
    return grid_of(sweep_rows(trials, records))


@pytest.mark.parametrize(
    ("labels", "seeds"),
    [
        *itertools.product((["crop"], ["crop", "color"], LONG[:2], list("abcdefg"), [*LONG, *"abcdefgh"]), (1, 3)),
        pytest.param(MANY, 3, marks=pytest.mark.slow),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else str(len(value)),
)
def test_no_label_is_clipped_and_no_number_leaves_its_cell(labels, seeds):
    title = "a-data-set-with-a-long-name, one-branch simclr, resnet18, 100 epochs, 3 seeds"
    figure = heatmap(big(labels, seeds), title=title)
    boxes = extents(figure)
    width, height = figure.canvas.get_width_height()
    main = figure.axes[0]
    cell = main.transData.transform([(0, 1), (1, 0)])
    room = abs(cell[1] - cell[0])
    for text, box in boxes.items():
        assert box.x0 >= -0.5, text.get_text()
        assert box.y0 >= -0.5, text.get_text()
        assert box.x1 <= width + 0.5, text.get_text()
        assert box.y1 <= height + 0.5, text.get_text()
        if text.axes is main and text in main.texts:
            assert box.width <= room[0], text.get_text()
            assert box.height <= room[1], text.get_text()


def test_column_labels_do_not_overlap():
    figure = heatmap(big([*LONG, *"abcdefgh"], 1))
    boxes = extents(figure)
    for labels in (figure.axes[0].get_yticklabels(), heatmap(big(list("abcdefg"), 1)).axes[0].get_xticklabels()):
        known = [boxes[label] for label in labels if label in boxes]
        for a, b in itertools.pairwise(known):
            assert not a.overlaps(b)


def test_ink_is_readable_on_every_cell():
    """Contrast of at least 4.5:1 between text and colour (WCAG's bound for text of any size)."""

    def luminance(colour):
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for value in np.linspace(0, 1, 101):
        for name in (UNSIGNED, SIGNED):
            paper = colour(value, name)
            ink = 0.0 if ink_on(paper) == "black" else 1.0
            assert (max(ink, luminance(paper)) + 0.05) / (min(ink, luminance(paper)) + 0.05) >= 4.5, value


def test_same_records_same_bytes(tmp_path):
    grid = big(list("abc"), 2)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save(heatmap(grid), [tmp_path / name / f"h.{kind}" for kind in ("png", "svg", "pdf")])
    for kind in ("png", "svg", "pdf"):
        assert (tmp_path / "one" / f"h.{kind}").read_bytes() == (tmp_path / "two" / f"h.{kind}").read_bytes()
    pdf = (tmp_path / "one" / "h.pdf").read_bytes()
    assert b"/FontFile2" in pdf or b"/Type0" in pdf  # fonts are embedded, as TrueType


def test_public_heatmap_takes_the_table_of_results(tmp_path):
    sweep(tmp_path, ["a", "b"], value=by_position)
    frame = ablate.load_results(tmp_path)
    texts = {text.get_text() for text in ablate.heatmap(frame, metric="knn_top1").findobj(Text)}
    assert {"0.0", "10.0", "20.0", "30.0"} <= texts
    with pytest.raises(ValueError, match="no grid"):
        ablate.heatmap(frame[frame["reference"].notna()])
    with pytest.raises(ValueError, match="a table without the column 'row'"):
        ablate.heatmap(frame.drop(columns=["row"]))
    with pytest.raises(ValueError, match=r"draws a sweep's directory or the table of .*, not \['g1'\]"):
        ablate.heatmap(["g1"])


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_never_cuts_a_number(width):
    labels = ["crop", "cutout", "color(strength=0.5)", "sobel", "noise", "blur", "rotate"]
    experiment = make_experiment(labels, 3)
    trials = plan(experiment)
    records = {t.id: record(t, 0.2 + 0.6 * i / len(trials)) for i, t in enumerate(trials)}
    grid = grid_of(sweep_rows(trials, records))
    console = Console(record=True, width=width, force_terminal=False)
    render(grid, console)
    lines = console.export_text().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for row, line in zip(labels, lines[1:], strict=False):
        expected = [f"{100 * grid.cells[row, column].mean():.1f}" for column in labels]
        assert re.findall(r"(?<![±\d])\d+\.\d", line)[-8:-1] == expected


@pytest.mark.usefixtures("undrawn")
def test_a_row_is_called_in_the_terminal_what_its_column_is(tmp_path):
    labels = ["crop", "color(strength=0.25)", "color(strength=0.5)"]
    console = Console(width=70, record=True, file=io.StringIO())
    render(grid_in(sweep(tmp_path, labels)), console)
    head, *rows = console.export_text().splitlines()[:4]
    names = [line.split()[0] for line in rows]
    assert names[1] != names[2]
    assert head.split() == ["first", "\\", "second", *names, "average"]


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


def test_comparison_with_figure_5(tmp_path):
    sweep(tmp_path, ["crop", "color(strength=0.5)"], value=lambda t: 0.5 if t.reference else 0.1 * len(t.label))
    report = write_report(tmp_path, paper=True)
    (both,) = report.comparisons
    assert both.n == 4
    pairs = [(cell.mean(), both.other.cells[place].mean()) for place, cell in both.ours.cells.items()]
    assert both.rho == pytest.approx(stats.spearmanr(pairs).statistic)
    assert both.other.cells["crop", "color(strength=0.5)"].mean() == pytest.approx(0.563)
    assert (tmp_path / "report" / "fig5-comparison.png").stat().st_size


@pytest.mark.usefixtures("undrawn")
def test_comparison_with_figure_5_needs_common_cells(tmp_path):
    sweep(tmp_path, ["crop", "color(strength=0.5)"], value=lambda t: 0.5 if t.reference else 0.1 * len(t.label))
    assert write_report(tmp_path).comparisons == []
    assert not (tmp_path / "report" / "fig5-comparison.png").exists()
    with pytest.raises(UsageError, match="no op in common"):
        write_report(tmp_path, [sweep(tmp_path / "strange", ["flip", "gray"])])
    with pytest.raises(UsageError, match="beside has no grid"):
        write_report(tmp_path, [sweep(tmp_path / "beside", [])])
    little = write_report(tmp_path, [sweep(tmp_path / "little", ["crop", "gray"])]).comparisons[0]
    assert math.isnan(little.rho)
    assert str(little) == f"{tmp_path / 'little'}: 1 cell in common, too few for a rank correlation."
    again = write_report(tmp_path, [tmp_path]).comparisons[0]
    assert (again.rho, again.n) == (pytest.approx(1), 4)
    assert (tmp_path / "report" / "comparison-1.png").exists()
    other = sweep(tmp_path / "other", ["flip", "gray"])
    assert beside_the_paper(grid_in(other)) is None
    with pytest.raises(UsageError, match="at least one op of Figure 5: crop, cutout"):
        write_report(other, paper=True)
    experiment = load_plan(tmp_path)
    two = experiment.shared.model_copy(update={"branches": "two", "base": None})
    save_plan(tmp_path, experiment.model_copy(update={"shared": two}))
    with pytest.raises(UsageError, match="one-branch"):
        write_report(tmp_path, paper=True)


HUGE += ["kornia.RandomMotionBlur(kernel_size=5, angle=35.0, direction=0.5, p=1.0)", "blur"]


@pytest.mark.parametrize("labels", [HUGE, [HUGE[2]]], ids=len)
def test_long_labels_are_numbered_and_spelled_out_below(labels):
    figure = heatmap(big(labels, 2), title="shapes, one-branch simclr, resnet8, 3 epochs, 2 seeds")
    boxes = extents(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in boxes.items():
        assert box.x0 >= -0.5, text.get_text()
        assert box.y0 >= -0.5, text.get_text()
        assert box.x1 <= width + 0.5, text.get_text()
        assert box.y1 <= height + 0.5, text.get_text()
    below = " ".join(text.get_text() for text in boxes).replace("\n", " ")
    assert all(label in below for label in labels)
    title, heading = (next(t for t in boxes if t.get_text().endswith(end)) for end in ("top-1 (%)", "second op"))
    assert not boxes[title].overlaps(boxes[heading])


def test_long_labels_beside_the_paper(recwarn):
    figure = draw(beside_the_paper(big(HUGE, 2)), ("shapes, one-branch simclr, resnet8, 3 epochs, 2 seeds", TITLE))
    boxes = extents(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in boxes.items():
        assert box.x0 >= -0.5, text.get_text()
        assert box.x1 <= width + 0.5, text.get_text()
        assert box.y1 <= height + 0.5, text.get_text()
    assert not recwarn.list


def test_the_papers_half_has_the_papers_names_and_ours_the_scale_and_marks_of_its_own_heatmap(tmp_path):
    """Whatever the ops of the rest of the grid do, which the paper lacks: here one lies far below all others."""
    labels = ["crop", "color(strength=0.5)", "flip"]
    sweep(tmp_path, labels, seeds=3, value=lambda t: 0.1 if "flip" in t.label else 0.5 + 0.03 * len(t.label) / 9)
    found = grid_in(tmp_path)
    both, alone = draw(beside_the_paper(found), ("ours", TITLE)), heatmap(found)
    names = [[tick.get_text() for tick in axes.get_yticklabels()] for axes in both.axes]
    assert names[0] == ["crop", "color(strength=0.5)"]
    assert names[2] == ["crop", "color"]

    def ends(figure):
        return [text.get_text() for text in figure.axes[1].child_axes[0].get_yticklabels()]

    assert ends(both) == ends(alone)
    dots = [sum(text.get_text() == "●" for text in figure.axes[0].texts) for figure in (both, alone)]
    assert dots[0] == dots[1]


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


def test_the_table_of_results_comes_in_the_order_of_the_plan(tmp_path):
    sweep(tmp_path, list("dacb"))
    assert grid_of(ablate.load_results(tmp_path)).ops == tuple("dacb")


def test_an_unknown_metric(tmp_path):
    frame = ablate.load_results(sweep(tmp_path, ["a"]))
    with pytest.raises(ValueError, match="allowed: linear_top1"):
        heatmap(frame, metric="top5")


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


def test_dollars_in_names_are_not_mathematics(tmp_path):
    sweep(tmp_path, ["mine(name='$a_{$b')", "b"])
    experiment = load_plan(tmp_path)
    data = experiment.shared.data.model_copy(update={"name": "a$b_{$c"})
    save_plan(tmp_path, experiment.model_copy(update={"shared": experiment.shared.model_copy(update={"data": data})}))
    write_report(tmp_path)


def test_means_are_not_of_nothing():
    assert math.isclose(grid_of(sweep_rows(plan(make_experiment(["a"])), {})).cells["a", "a"].mean() or 0, 0)


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
    assert "rotation prediction top-1 (%)" in texts
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
    assert "fine-tuning with 10 % of the labels, top-1 (%)" in drawn


def test_the_paper_is_no_match_for_rotation_prediction(tmp_path):
    with pytest.raises(UsageError, match="at least one op of Figure 5: crop, cutout"):
        write_report(unlabelled(tmp_path), paper=True)
