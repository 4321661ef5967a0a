"""Heatmaps beside Figure 5 of the paper, and beside other sweeps."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy import stats

from ablate.errors import UsageError
from ablate.report import write_report
from ablate.report.data.grid import grid_of
from ablate.report.figures.comparison import draw
from ablate.report.figures.heatmap import heatmap
from ablate.report.figures.paper import TITLE, beside_the_paper, published
from ablate.sweep.plan import load_plan, save_plan
from tests.support.sweeps import HUGE, big, extents, sweep


def test_row_average_is_the_papers():
    """Recomputed from the published cells, to the rounding of 0.1."""
    paper = published()
    row = {"reference": None, "key": "0", "seed": 0, "status": "done"}
    rows = [{**row, "row": a, "column": b, "linear_top1": paper[a][b] / 100} for a in paper for b in paper]
    grid = grid_of(pd.DataFrame(rows))
    for op in paper:
        assert 100 * grid.average(op) == pytest.approx(paper[op]["average"], abs=0.11)
    assert beside_the_paper(grid).rho == pytest.approx(1)


def test_comparison_with_figure_5(tmp_path):
    sweep(tmp_path, ["crop", "color(strength=0.5)"], value=lambda t: 0.5 if t.reference else 0.1 * len(t.label))
    report = write_report(tmp_path, paper=True)
    (both,) = report.compared.comparisons
    assert both.n == 4
    pairs = [(cell.mean(), both.other.cells[place].mean()) for place, cell in both.ours.cells.items()]
    assert both.rho == pytest.approx(stats.spearmanr(pairs).statistic)
    assert both.other.cells["crop", "color(strength=0.5)"].mean() == pytest.approx(0.563)
    assert (tmp_path / "report" / "fig5-comparison.png").stat().st_size


@pytest.mark.usefixtures("undrawn")
def test_comparison_with_figure_5_needs_common_cells(tmp_path):
    sweep(tmp_path, ["crop", "color(strength=0.5)"], value=lambda t: 0.5 if t.reference else 0.1 * len(t.label))
    assert write_report(tmp_path).compared.comparisons == []
    assert not (tmp_path / "report" / "fig5-comparison.png").exists()
    with pytest.raises(UsageError, match="no op in common"):
        write_report(tmp_path, [sweep(tmp_path / "strange", ["flip", "gray"])])
    with pytest.raises(UsageError, match="beside has no grid"):
        write_report(tmp_path, [sweep(tmp_path / "beside", [])])
    little = write_report(tmp_path, [sweep(tmp_path / "little", ["crop", "gray"])]).compared.comparisons[0]
    assert math.isnan(little.rho)
    assert str(little) == f"{tmp_path / 'little'}: 1 cell in common, too few for a rank correlation."
    same = sweep(tmp_path / "same", ["crop", "color(strength=0.5)"], value=lambda t: 0.1 * len(t.label))
    again = write_report(tmp_path, [same]).compared.comparisons[0]
    assert (again.rho, again.n) == (pytest.approx(1), 4)
    assert (tmp_path / "report" / "comparison-1.png").exists()
    other = sweep(tmp_path / "other", ["flip", "gray"])
    assert beside_the_paper(write_report(other).grid) is None
    with pytest.raises(UsageError, match="at least one op of Figure 5: crop, cutout"):
        write_report(other, paper=True)
    experiment = load_plan(tmp_path)
    two = experiment.shared.model_copy(update={"branches": "two", "base": None})
    save_plan(tmp_path, experiment.model_copy(update={"shared": two}))
    with pytest.raises(UsageError, match="one-branch"):
        write_report(tmp_path, paper=True)


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
    found = write_report(tmp_path).grid
    both, alone = draw(beside_the_paper(found), ("ours", TITLE)), heatmap(found)
    names = [[tick.get_text() for tick in axes.get_yticklabels()] for axes in both.axes]
    assert names[0] == ["crop", "color(strength=0.5)"]
    assert names[2] == ["crop", "color"]

    def ends(figure):
        return [text.get_text() for text in figure.axes[1].child_axes[0].get_yticklabels()]

    assert ends(both) == ends(alone)
    dots = [sum(text.get_text() == "●" for text in figure.axes[0].texts) for figure in (both, alone)]
    assert dots[0] == dots[1]
