"""The panel of a heatmap: its cells, its row averages, and its colour scale."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from ablate.report.data.grid import Cell, Grid
from ablate.report.figures.labels import UPRIGHT, short_names
from ablate.report.figures.palette import UNSIGNED, colour, ink_on
from ablate.report.figures.scale import BELOW, Scale
from ablate.report.stats.order import order
from ablate.report.stats.predicted import APPROXIMATELY, Prediction

CELL = (0.66, 0.52)  # inches
MARK = "●"  # the mark of cells that cannot be told from the best
SMALLEST = 5.0  # points: a number that would be smaller is not printed
NARROW = 0.4  # inches of a cell below which all column labels are vertical
DENSE = 20  # ops beyond which cells show their mean alone


@dataclass(frozen=True)
class Sizes:
    """Sizes of a cell in inches, and of its texts in points: the mean, the text below it (0: none), and the labels."""

    cell: tuple[float, float] = CELL
    mean: float = 8.0
    below: float = 6.0
    label: float = 7.5
    decimals: int = 1

    @classmethod
    def fitting(cls, k: int, width: float, label: float) -> Sizes:
        """Fit the sizes to the width of a figure.

        Cells that are too narrow lose their deviations, then the decimal, then all numbers.

        Args:
            k: the number of ops.
            width: the width of the figure in inches.
            label: the inches that the row labels take.
        """
        across = (width - label - 0.75) / (k + 1.25)
        points = 72 * across - 1
        decimals = 1 if points >= SMALLEST * 2.4 else 0
        mean = min(8.0, points / (2.4 if decimals else 1.3))
        below = 0.75 * mean if 0.75 * mean >= SMALLEST and points >= 0.75 * mean * 3.2 else 0.0
        height = min(CELL[1], across * (0.8 if below else 0.7) + 0.04)
        return cls((across, height), mean if mean >= SMALLEST else 0.0, below, 7.0, decimals)


def contenders(grid: Grid) -> frozenset[str]:
    """Return the labels of marked cells, which by validation accuracy cannot be told from the best (Hsu, 95 %)."""
    return frozenset(order(grid).contenders)


def draw_panel(
    main: Axes,
    side: Axes,
    grid: Grid,
    metric: str,
    colours: Scale,
    sizes: Sizes | None = None,
    *,
    marked: Collection[str] | None = None,
    names: Sequence[str] | None = None,
    predicted: Mapping[str, Prediction] | None = None,
) -> None:
    """Draw the cells into ``main``, and the row averages and the colour scale into ``side``.

    Args:
        main: the axes of the cells.
        side: the axes of the row averages and the colour scale.
        grid: the grid.
        metric: the metric to show.
        colours: the colour scale.
        sizes: the sizes of cells and texts; default: those of a figure of its own.
        marked: the labels of cells with a dot; default: :func:`contenders`.
        names: the labels of rows and columns; default: those of the ops.
        predicted: predictions of cells that were not run, by label.
    """
    k = len(grid.ops)
    sizes = sizes or Sizes(below=6.0 if k <= DENSE else 0.0)
    draw_cells(main, grid, metric, colours, sizes, contenders(grid) if marked is None else marked, names, predicted)
    for i, row in enumerate(grid.ops):
        _draw_average(side, i, grid.average(row, metric), colours, sizes, grid.acts_on(row))
    frame(side, ("average",), (), sizes, upright=sizes.cell[0] < NARROW)
    side.sharey(main)
    _draw_scale(side, k, colours, sizes)


def draw_cells(
    axes: Axes,
    grid: Grid,
    metric: str,
    colours: Scale,
    sizes: Sizes,
    marked: Collection[str],
    names: Sequence[str] | None = None,
    predicted: Mapping[str, Prediction] | None = None,
) -> None:
    """Draw the cells of a grid, with the labels of its rows and columns; long column labels are vertical.

    Args:
        axes: the axes to draw into.
        grid: the grid.
        metric: the metric to show.
        colours: the colour scale.
        sizes: the sizes of cells and texts.
        marked: the labels of cells with a dot.
        names: the labels of rows and columns; default: those of the ops.
        predicted: predictions of cells that were not run, by label.
    """
    for i, row in enumerate(grid.ops):
        for j, column in enumerate(grid.ops):
            cell = grid.cells[row, column]
            if predicted and cell.label in predicted:
                _draw_predicted(axes, j, i, predicted[cell.label], sizes)
            else:
                _draw_cell(axes, j, i, cell, metric, colours, sizes, marked)
    names = names or short_names(grid.ops)
    frame(axes, names, names, sizes, upright=max(len(name) for name in names) > UPRIGHT or sizes.cell[0] < NARROW)
    axes.set_xlabel("second op")
    axes.set_ylabel("first op")


def _draw_scale(side: Axes, k: int, colours: Scale, sizes: Sizes) -> None:
    """Draw the colour bar, as tall as the grid, with a line at the accuracy of the untrained encoder."""
    beside = side.inset_axes((1.15, 0.0, 0.3, 1.0))
    low, high = 100 * colours.low, 100 * colours.high
    bar = side.figure.colorbar(mpl.cm.ScalarMappable(Normalize(low, high), UNSIGNED), cax=beside)
    bar.ax.tick_params(labelsize=6)
    bar.outline.set_visible(False)
    letter = (high - low) * 8 / (72 * sizes.cell[1] * k)  # the height of a tick's label
    ticks = [tick for tick in bar.get_ticks() if low + letter / 2 <= tick <= high - letter / 2]
    named = sizes.cell == CELL  # at other sizes the caption names it
    if colours.untrained is None:
        bar.set_ticks(ticks)
        return
    at = 100 * colours.untrained
    if low <= at <= high:
        bar.ax.axhline(at, color="white", lw=2.2)
        bar.ax.axhline(at, color="black", lw=0.9)
        ticks = [tick for tick in ticks if abs(tick - at) > letter * named]
        bar.set_ticks([*ticks, at], labels=[*(f"{tick:g}" for tick in ticks), colours.called if named else ""])
        return
    bar.set_ticks(ticks)
    if named:
        above = at > high
        xy, arrow, side_of = ((0.0, 1.02), "↑", "bottom") if above else ((0.0, -0.02), "↓", "top")
        bar.ax.annotate(f"{colours.called} {at:.1f} {arrow}", xy, xycoords="axes fraction", va=side_of, fontsize=6)


def _draw_cell(
    axes: Axes, x: int, y: int, cell: Cell, metric: str, colours: Scale, sizes: Sizes, marked: Collection[str]
) -> None:
    mean, std = cell.mean(metric), cell.std(metric)
    if cell.status == "left out":
        return
    if mean is None:
        _draw_without(axes, x, y, cell.status, sizes)
        return
    ink = _paint(axes, x, y, mean, colours)
    notes = [f"± {100 * std:.1f}"] if std is not None and sizes.below else []
    if sizes.cell == CELL:  # at other sizes the caption has them
        notes += [f"n = {cell.n} of {cell.planned}"] if cell.status == "partial" else []
        notes += ["collapsed"] if {"collapsed", "collapsed-z"} & set(cell.flags) else []
    if sizes.mean:
        write(axes, x, y + (0.36 if notes else 0.5), f"{100 * mean:.{sizes.decimals}f}", sizes.mean, ink)
    if notes:
        write(axes, x, y + 0.73, "\n".join(notes), sizes.below if len(notes) == 1 else 4.5, ink)
    if cell.label in marked:
        mark(axes, x + 0.97, y, MARK, sizes, ink)
    if colours.is_below_untrained(cell, metric):
        mark(axes, x + 0.03, y, BELOW, sizes, ink)


def mark(axes: Axes, x: float, y: int, sign: str, sizes: Sizes, ink: str) -> None:
    """Draw a small sign in the upper corner of a cell, at its right or left."""
    side, size = "right" if x % 1 > 0.5 else "left", max(3.0, 0.5 * sizes.mean)
    axes.text(x, y + 0.03, sign, ha=side, va="top", fontsize=size, color=ink).set_in_layout(False)


def _draw_without(axes: Axes, x: int, y: int, status: str, sizes: Sizes) -> None:
    """Draw a cell that has no result."""
    failed = status == "failed"
    colour = "#b2182b" if failed else "#999999"
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor="white", edgecolor=colour, hatch="xx" if failed else "//", lw=0))
    if sizes.cell[0] >= NARROW:
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        write(axes, x, y + 0.5, status, min(6.0, 13 * sizes.cell[0]), colour, bbox=white)


def _draw_predicted(axes: Axes, x: int, y: int, prediction: Prediction, sizes: Sizes) -> None:
    """Draw a cell that was not run: hatched, without a colour of the scale, its number in grey italics."""
    quiet = "#6b6b6b"
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor="white", edgecolor="#d4d4d4", hatch="////", lw=0))
    if not sizes.mean:
        return
    white = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    interval = sizes.cell == CELL and bool(sizes.below)  # at other sizes it is in predicted.csv alone
    value = f"{APPROXIMATELY}{100 * prediction.mean:.0f}"
    write(axes, x, y + (0.36 if interval else 0.5), value, 0.9 * sizes.mean, quiet, bbox=white, style="italic")
    if interval:
        ends = f"{100 * prediction.low:.0f} to {100 * prediction.high:.0f}"
        write(axes, x, y + 0.73, ends, sizes.below, quiet, bbox=white, style="italic")


def _draw_average(axes: Axes, y: int, average: float | None, colours: Scale, sizes: Sizes, acts_on: str) -> None:
    """Draw a row's average and, if its op acts on fewer than all images, the share of images."""
    below = f"acts on\n{acts_on}" if acts_on and sizes.cell == CELL and sizes.below else ""  # else the caption says it
    if average is None:
        write(axes, 0, y + (0.36 if below else 0.5), "-", 8, "#666666")
        ink = "#666666"
    else:
        ink = _paint(axes, 0, y, average, colours)
    if average is not None and sizes.mean:
        write(axes, 0, y + (0.36 if below else 0.5), f"{100 * average:.{sizes.decimals}f}", sizes.mean, ink)
    if below:
        write(axes, 0, y + 0.73, below, sizes.below, ink)


def write(axes: Axes, x: int, y: float, words: str, size: float, colour: str, **style: Any) -> None:
    """Write text into a cell.

    The layout need not measure it: the text stays within its cell, and there may be thousands.
    """
    text = axes.text(x + 0.5, y, words, ha="center", va="center", fontsize=size, color=colour, **style)
    text.set_in_layout(False)


def _paint(axes: Axes, x: int, y: int, value: float, colours: Scale) -> str:
    """Fill a cell, and return the ink that is legible on it, by relative luminance."""
    background = colour(colours.share(value))
    axes.add_artist(Rectangle((x, y), 1, 1, facecolor=background, edgecolor="white", lw=0.8))
    return ink_on(background)


def frame(axes: Axes, columns: Sequence[str], rows: Sequence[str], sizes: Sizes, *, upright: bool) -> None:
    """Set the limits and labels of axes with a cell for each of ``columns`` and ``rows``."""
    axes.set_xlim(0, len(columns))
    axes.set_ylim(max(len(rows), 1), 0)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(
        [i + 0.5 for i in range(len(columns))],
        columns,
        fontsize=sizes.label,
        rotation=90 if upright else 0,
        parse_math=False,
    )
    if rows:
        axes.set_yticks([i + 0.5 for i in range(len(rows))], rows, fontsize=sizes.label, parse_math=False)
    else:
        axes.tick_params(labelleft=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
