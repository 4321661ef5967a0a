"""Two grids side by side: another data set, another mode or budget, or the paper's Figure 5."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from ablate.console import filled
from ablate.report.figures.heatmap import notes
from ablate.report.figures.labels import NAMES, heading_height, short_names
from ablate.report.figures.panel import CELL, contenders, draw_panel
from ablate.report.figures.scale import scale
from ablate.report.figures.style import STYLE
from ablate.report.stats.comparison import Comparison

WIDEST = 10.0  # inches at most of a figure whose text is still legible on a page


def draw(comparison: Comparison, titles: tuple[str, str]) -> Figure:
    """Draw both grids, each on its own colour scale, since ranks are compared and not accuracies.

    The grids are side by side if that is not too wide for a page, else one above the other.
    """
    ours, colours = comparison.ours, [scale(grid) for grid in comparison.whole]
    k = len(ours.ops)
    label = 0.065 * max(len(op) for op in short_names(ours.ops)) + 0.45
    width = max(label + (k + 1.25) * CELL[0] + 0.9, 4.2)  # inches of each half
    across = 2 if 2 * width <= WIDEST else 1
    down = 3 - across
    columns = int(across * width * 16)
    sentence = f"{NAMES[ours.metric].capitalize()}; each grid has a colour scale of its own. {comparison}"
    marked = [contenders(grid) for grid in comparison.whole]
    lines = filled(sentence, columns) + notes(ours, ours.metric, colours[0], columns, marked[0])
    headings = [filled(title, int(width * 15)) for title in titles]
    longest = max(map(len, headings))
    height = down * (k * CELL[1] + heading_height(ours.ops) + 0.6 + 0.13 * longest) + 0.13 * len(lines)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(across * width, height), layout="constrained")
        halves = figure.subfigures(down, across, wspace=0.04, squeeze=False).flat
        called = ours.ops, comparison.called
        for number, (half, grid) in enumerate(zip(halves, (ours, comparison.other), strict=True)):
            main, side = half.subplots(1, 2, width_ratios=[k, 1])
            names = short_names(called[number])
            draw_panel(main, side, grid, grid.metric, colours[number], marked=marked[number], names=names)
            padding = [""] * (longest - len(headings[number]))  # both grids at one height
            half.suptitle("\n".join([*headings[number], *padding]), fontsize=8, parse_math=False)
        figure.supxlabel("\n".join(lines), fontsize=7, parse_math=False)
    return figure
