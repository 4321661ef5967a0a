"""Figures for papers: column widths, the cells that are marked, curves, strengths, label-free metrics, the caption."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.text import Text
from scipy import stats

from ablate.config.sweep import NamedComposition, Variant
from ablate.report import write_report
from ablate.report.data.results import read_sweep
from ablate.report.figures import axes, label_free
from ablate.report.figures.comparison import draw
from ablate.report.figures.heatmap import heatmap
from ablate.report.figures.multiples import multiples
from ablate.report.figures.panel import MARK, contenders
from ablate.report.figures.paper import beside_the_paper
from ablate.report.figures.scale import BELOW
from ablate.report.figures.style import save
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.conftest import op_spec
from tests.support.noisy import noisy, strengths
from tests.support.recommendations import make
from tests.support.sweeps import HUGE, by_position, extents, make_experiment, record, sweep, write_record

TWELVE = [f"kornia.RandomMotionBlur(kernel_size={3 + 2 * i}, angle=35.0)" for i in range(8)] + HUGE


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("width", [3.25, 6.75])
@pytest.mark.parametrize("ops", [1, 2, 7, 12])
def test_a_column_has_its_width_and_clips_nothing(tmp_path, ops, width):
    grid = read_sweep(sweep(tmp_path, TWELVE[:ops], seeds=2, value=noisy)).grid
    figure = heatmap(grid, width=width)
    boxes = extents(figure)
    assert figure.get_figwidth() == width
    for text, box in boxes.items():
        assert box.x0 >= -1 and box.y0 >= -1, text
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text
        assert text.get_fontsize() >= 5 or text.get_text() in (MARK, BELOW)
    numbers = [box for text, box in boxes.items() if text.get_text()[0].isdigit() and text.axes is figure.axes[0]]
    for a, b in itertools.combinations(numbers, 2):
        assert not a.overlaps(b)


def test_numbers_go_where_they_would_be_too_small(tmp_path):
    grid = read_sweep(sweep(tmp_path, [f"op{i}" for i in range(12)], seeds=2, value=noisy)).grid
    wide = texts(heatmap(grid, width=6.75))
    assert any(text.startswith("±") for text in wide)
    narrow = texts(heatmap(grid, width=3.25))
    assert not any(text.startswith("±") for text in narrow)


def test_the_pdf_embeds_its_fonts(tmp_path):
    save(heatmap(read_sweep(sweep(tmp_path, ["a"])).grid), [tmp_path / "a.pdf"])
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content


def test_what_cannot_be_told_from_the_best_is_marked_and_explained(tmp_path):
    grid = read_sweep(make(tmp_path)).grid
    assert contenders(grid) == {"crop+color", "color+crop"}
    assert texts(heatmap(grid)).count(MARK) == 2
    assert any("cannot be told from the best" in text for text in texts(heatmap(grid)))
    write_report(tmp_path)
    caption = (tmp_path / "report" / "caption.txt").read_text()
    assert "Hsu's multiple comparisons with the best at 95 %" in caption
    assert "conditional on this data set and its split" in caption
    assert "n = 3 seeds" in caption
    assert "References: untrained 12.0 ± 2.0 %." in caption
    table = pd.read_csv(tmp_path / "report" / "table.csv").set_index("label")
    assert table.contender[["crop", "color", "crop+color", "color+crop"]].tolist() == [0, 0, 1, 1]
    assert table.half_width["crop"] == pytest.approx(table.half_width["color"])


def test_with_one_seed_nothing_is_marked(tmp_path):
    directory = make(tmp_path, seeds=1)
    assert MARK not in texts(heatmap(read_sweep(directory).grid))
    write_report(directory)
    assert "the noise is unknown" in (directory / "report" / "caption.txt").read_text()
    assert pd.read_csv(directory / "report" / "table.csv").contender.isna().all()


def test_curves_of_every_cell(tmp_path):
    assert multiples(read_sweep(sweep(tmp_path, ["a", "b"], value=by_position))) is None
    for trial in plan(load_plan(tmp_path)):
        history = tuple({"epoch": float(e), "loss": 4.0 / e, "knn_val_top1": 0.1 * e} for e in (1, 2, 3))
        write_record(tmp_path, record(trial, 0.5, history=history))
    figure = multiples(read_sweep(tmp_path))
    loss, knn = figure.findobj(LineCollection)
    assert len(loss.get_segments()) == len(knn.get_segments()) == 4
    last = {tuple(segment[-1].round(6)) for segment in knn.get_segments()}
    assert last == {
        (round(x + 0.93, 6), round(y + 0.07, 6)) for x in (0, 1) for y in (0, 1)
    }  # epoch 3 of 3, the highest kNN
    assert "loss (1.33 to 4.00)" in texts(figure)
    write_report(tmp_path)
    assert (tmp_path / "report" / "curves.pdf").stat().st_size > 0


def test_accuracy_against_strength(tmp_path):
    found = axes.axis(read_sweep(strengths(tmp_path)))
    assert (found.name, found.values) == ("strength of color", ("0.25", "0.5", "1"))
    assert [found.lines[0].cells[value].mean() for value in found.values] == pytest.approx([0.13, 0.255, 0.505])
    write_report(tmp_path)
    assert (tmp_path / "report" / "axis.pdf").stat().st_size > 0
    own = read_sweep(tmp_path)
    figure = axes.draw([(own, found), (read_sweep(strengths(tmp_path / "other", "supervised")), found)])
    assert "(%)\n± standard deviation, n = " in figure.axes[0].get_ylabel()
    assert {"simclr", "supervised", "untrained", "strength of color"} <= set(texts(figure))


def test_a_grid_of_different_ops_has_no_axis(tmp_path):
    assert axes.axis(read_sweep(sweep(tmp_path, ["a", "b"]))) is None


def on_axes(directory, points, ops=(), value=lambda trial: 0.5):
    """A two-seed sweep of crop (or the grid of ``ops``) at ``points``: the values of each, and what they change."""
    experiment = make_experiment(list(ops), 2)
    variants = tuple(
        Variant(values=values, shared=experiment.shared.model_copy(update=changes)) for values, changes in points
    )
    beside = () if ops else (NamedComposition(label="crop", ops=(op_spec("crop"),)),)
    experiment = experiment.model_copy(update={"compositions": beside, "variants": variants})
    save_plan(directory, experiment)
    for trial in plan(experiment):
        write_record(directory, record(trial, value(trial)))
    return directory


def test_lines_along_a_setting_with_numbers_one_per_value_of_the_other(tmp_path):
    points = [
        ({"objective": objective, "temperature": f"{t:g}"}, {"objective": objective, "temperature": t})
        for objective in ("simclr", "supervised")
        for t in (1.0, 0.1)
    ]

    def value(trial):
        return 0.1 if trial.reference else trial.config.temperature / 2 + 0.1 * (trial.config.objective == "simclr")

    found = axes.axis(read_sweep(on_axes(tmp_path, points, value=value)))
    assert (found.name, found.values) == ("temperature", ("0.1", "1"))
    assert [line.name for line in found.lines] == ["simclr", "supervised"]
    assert [found.lines[0].cells[v].mean() for v in found.values] == pytest.approx([0.15, 0.6])
    page = (write_report(tmp_path).sweep.directory / "report" / "index.html").read_text()
    assert "Linear evaluation top-1 on test (%) by temperature" in page
    assert "1-branch" not in page and "one-branch simclr or supervised" in page


def test_axes_that_go_hand_in_hand_make_one_line(tmp_path):
    points = [({"epochs": str(n), "batch_size": str(8 * n)}, {"epochs": n, "batch_size": 8 * n}) for n in (2, 4, 6)]
    found = axes.axis(read_sweep(on_axes(tmp_path, points)))
    assert [len(line.cells) for line in found.lines] == [3]
    assert "2 or 4 or 6 epochs" in str(read_sweep(tmp_path))


def test_a_grid_at_every_point_has_a_heatmap_at_every_point(tmp_path):
    points = [({"temperature": f"{t:g}"}, {"temperature": t}) for t in (0.1, 1.0)]

    def value(trial):
        return 0.5 if trial.reference else trial.config.temperature / 2

    sweep_ = read_sweep(on_axes(tmp_path, points, ["crop", "blur"], value))
    assert not sweep_.grid.ops
    assert list(sweep_.by_variant) == ["temperature=0.1", "temperature=1"]
    assert sweep_.by_variant["temperature=1"].cells["crop", "blur"].mean() == 0.5
    assert sweep_.by_variant["temperature=0.1"].references["untrained"].mean() == 0.5
    write_report(tmp_path)
    assert {"heatmap-1.png", "heatmap-2.pdf"} <= {path.name for path in (tmp_path / "report").iterdir()}


def judged(directory, metrics):
    """A 3x3 sweep with metrics that need no labels: functions of the accuracy."""
    sweep(directory, ["a", "b", "c"])
    for number, trial in enumerate(plan(load_plan(directory))):
        value = 0.3 + 0.05 * ((7 * number) % 10)
        known = {"linear_top1": value, "linear_val_top1": value, "knn_top1": value}
        write_record(directory, record(trial, metrics={**known, **{name: f(value) for name, f in metrics.items()}}))
    return read_sweep(directory).grid


def test_label_free_metrics_that_agree_and_one_that_does_not(tmp_path):
    metrics = {"rankme": lambda v: 20 * v, "common_alignment": lambda v: 1 - v, "common_uniformity": lambda v: v}
    grid = judged(tmp_path, metrics)
    found = {a.metric: a for a in label_free.agreements(grid)}
    assert found["rankme"].rho == found["common_alignment"].rho == pytest.approx(1)  # less alignment is better
    assert found["rankme"].regret == 0
    assert found["common_uniformity"].rho == pytest.approx(-1)
    means = [cell.mean() for cell in grid.with_results]
    assert found["common_uniformity"].regret == pytest.approx(max(means) - min(means))
    write_report(tmp_path)
    assert (tmp_path / "report" / "label-free.pdf").stat().st_size > 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Choosing without labels" in page
    assert "own pairs" not in page


def test_alignment_of_earlier_records_is_told_from_the_present_one(tmp_path):
    """Earlier versions measured it on every cell's own pairs; the two never share a row."""
    grid = judged(tmp_path, {"alignment": lambda v: 1 - v, "common_alignment": lambda v: v})
    (section,) = label_free.section(grid)
    assert [row[0] for row in section.rows] == ["alignment", "alignment, own pairs"]
    assert [row[1][:5] for row in section.rows] == ["-1.00", "+1.00"]
    assert "a weaker composition is better by construction" in section.text[-1]


def test_the_correlation_is_scipys_and_three_ops_leave_no_interval(tmp_path):
    grid = judged(tmp_path, {"rankme": lambda v: (v * 997) % 1})
    (found,) = label_free.agreements(grid)
    x = [cell.mean("rankme") for cell in grid.with_results]
    y = [cell.mean() for cell in grid.with_results]
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.text == f"{found.rho:+.2f} (3 ops: no interval)"
    assert label_free.agreements(grid) == [found]  # the resamples are seeded


def test_without_such_metrics_nothing_is_said(tmp_path):
    assert label_free.agreements(read_sweep(sweep(tmp_path, ["a", "b"])).grid) == []
    assert label_free.section(read_sweep(tmp_path).grid) == []


def test_the_papers_half_has_the_papers_names_and_marks_name_their_images(tmp_path):
    labels = ["color(strength=0.5)", "color(strength=1.0)", "crop"]
    grid = read_sweep(sweep(tmp_path, labels, value=lambda t: 0.9 if t.reference else by_position_of(labels, t))).grid
    paper = beside_the_paper(grid)
    assert paper.called == ("color", "color", "crop")
    figure = draw(paper, ("ours", "theirs"))
    halves = [{text.get_text() for text in half.findobj(Text)} for half in figure.subfigs]
    assert "color(strength=0.5)" in halves[0] and "color(strength=0.5)" not in halves[1]
    assert {"color", "crop"} <= halves[1]
    notes = " ".join(text.get_text() for text in heatmap(grid).findobj(Text))
    assert "below the untrained encoder on the test set." in notes
    notes = " ".join(text.get_text() for text in heatmap(grid, metric="linear_val_top1").findobj(Text))
    assert "below the untrained encoder on validation." in notes
    write_report(tmp_path)
    assert "marks the cells below it on the test set." in (tmp_path / "report" / "caption.txt").read_text()


def by_position_of(labels, trial):
    return 0.1 * labels.index(trial.row) + 0.03 * labels.index(trial.column)
