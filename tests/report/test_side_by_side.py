"""Several sweeps of the same ops in one picture: which are in it, what its colours mean, and that it can be read."""

from __future__ import annotations

from collections import Counter

import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ablate.report import write_report
from ablate.report.data.results import read_sweep
from ablate.report.figures.panel import MARK
from ablate.report.figures.panels import WIDTH
from ablate.report.figures.scale import BELOW, above_untrained, least_span
from ablate.report.figures.side_by_side import alike, draw
from ablate.report.stats.order import order
from tests.support.alike import OPS, made_up
from tests.support.sweeps import extents, sweep


def several(root, count, k, **kwargs):
    return [made_up(root / str(n), k, number=n, **kwargs) for n in range(count)]


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize(
    ("count", "k", "name"), [(3, 2, "a"), (5, 5, "blood cells"), (4, 7, "images " * 9), (3, 10, "a")]
)
def test_it_can_be_read_in_a_readme(tmp_path, count, k, name):
    figure = draw(several(tmp_path, count, k, name=name))
    assert figure.get_figwidth() == WIDTH
    inside = figure.bbox
    for text, box in extents(figure).items():
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1, text
        assert inside.y0 <= box.y0 <= box.y1 <= inside.y1, text
        assert text.get_fontsize() >= 7 or text.get_text() in (MARK, BELOW), text
    above = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    assert len(above) == count
    assert not any(a.overlaps(b) for n, a in enumerate(above) for b in above[:n])


def test_only_sweeps_of_the_same_ops_are_in_it_in_the_order_of_the_first(tmp_path):
    first, second, third = several(tmp_path, 3, 3)
    turned = read_sweep(sweep(tmp_path / "turned", OPS[2::-1], 2, lambda trial: 0.5))
    other = made_up(tmp_path / "other", 4)
    assert alike(first, [second]) == []
    assert alike(first, [second, other]) == []
    assert alike(first, [second, other, third, turned]) == [first, second, third, turned]
    rows = [[tick.get_text() for tick in axes.get_yticklabels()] for axes in draw([first, turned, second]).axes[:3]]
    assert rows == [["crop", "flip", "rotate"]] * 3
    one = made_up(tmp_path / "one", 1)
    assert alike(one, [one, one]) == []


@pytest.mark.parametrize(("count", "rows"), [(3, [3]), (4, [2, 2]), (5, [3, 2])])
def test_rows_of_panels_are_even(tmp_path, count, rows):
    figure = draw(several(tmp_path, count, 2))
    figure.draw_without_rendering()
    heights = Counter(round(axes.get_window_extent().y0) for axes in figure.axes if axes.get_title())
    assert [number for _, number in sorted(heights.items(), reverse=True)] == rows


def test_every_panel_says_its_untrained_encoder_and_frames_its_best_cell(tmp_path):
    sweeps = several(tmp_path, 3, 4)
    figure = draw(sweeps)
    for axes, found in zip(figure.axes, sweeps, strict=False):
        assert axes.get_title() == found.experiment.shared.data.name.partition(" (")[0]
        assert axes.get_xlabel() == "untrained 30.0 ± 0.0 %; 2 seeds"
        [frame] = [box for box in axes.findobj(Rectangle) if box.get_linewidth() > 1 and box.axes is axes]
        place = round(frame.get_y() - 0.04), round(frame.get_x() - 0.04)
        assert found.grid.cells[found.grid.ops[place[0]], found.grid.ops[place[1]]] is order(found.grid).best
    below = sum(cell.mean() < 0.3 for found in sweeps for cell in found.grid.compositions)
    assert texts(figure).count(BELOW) == below > 0


def test_sweeps_of_one_data_set_are_told_apart_by_their_directories(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    sweeps = [made_up(path, 2) for path in paths]
    assert [axes.get_title().replace("\n", "") for axes in draw(sweeps).axes[:3]] == [*"abc"]


def test_colours_begin_at_the_untrained_encoder_and_leave_room_for_noise(tmp_path):
    grid = made_up(tmp_path / "good", 4).grid
    scale = above_untrained(grid)
    assert (scale.low, scale.why) == (0.3, "")
    assert scale.share(max(cell.mean() for cell in grid.compositions)) == 1
    alike_cells = made_up(tmp_path / "flat", 3, seeds=1, untrained=0.55).grid
    scale = above_untrained(alike_cells)
    assert scale.high - scale.low == pytest.approx(least_span(alike_cells)[0])
    assert scale.why
    assert above_untrained(made_up(tmp_path / "none", 3, untrained=None).grid).low > 0.2


@pytest.mark.usefixtures("undrawn")
def test_figures_of_an_earlier_report_that_compared_others_are_removed(tmp_path):
    first, *others = several(tmp_path, 3, 2)
    out = first.directory / "report"
    out.mkdir()
    earlier = ["comparison-3.png", "fig5-comparison.png", "side-by-side.pdf", "differences.png", "mine.png"]
    for name in earlier:
        (out / name).write_text("")
    write_report(first.directory, [other.directory for other in others])
    there = {path.name for path in out.iterdir()}
    assert there >= {"comparison-1.png", "comparison-2.png", "side-by-side.pdf", "differences.png", "mine.png"}
    assert not there & {"comparison-3.png", "fig5-comparison.png"}
    write_report(first.directory)
    left = {path.name for path in out.iterdir()}
    assert "mine.png" in left and not {name for name in left if name.startswith(("comparison", "side", "differ"))}


@pytest.mark.slow
def test_the_report_writes_it_and_shows_it_on_the_page(tmp_path):
    first, *others = several(tmp_path, 3, 2, name="<b>")
    write_report(first.directory, [other.directory for other in others])
    written = first.directory / "report"
    assert (written / "side-by-side.png").stat().st_size > 0
    assert (written / "side-by-side.pdf").stat().st_size > 0
    page = (written / "index.html").read_text()
    assert "<h2>Side by side</h2>" in page
    assert "<b> 0" not in page
    write_report(others[0].directory, [first.directory])
    assert not (others[0].directory / "report" / "side-by-side.png").exists()
