"""The heatmap, in the manner of Figure 5: rows are first ops, columns second ops, and row averages stand apart."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from ablate.console import filled
from ablate.files import write_atomically
from ablate.report.data.grid import Cell, Grid, grid_of
from ablate.report.data.results import read_sweep
from ablate.report.figures.palette import UNSIGNED, colour, ink_on
from ablate.report.figures.picture import Picture
from ablate.report.figures.scale import BELOW, Scale, scale
from ablate.report.stats.order import order
from ablate.report.stats.summary import percent

if TYPE_CHECKING:
    import pandas as pd

CELL = (0.66, 0.52)  # inches
MARK = "●"  # the mark of cells that cannot be told from the best
DPI = 200
SMALLEST = 5.0  # points: a number that would be smaller is not printed
NARROW = 0.4  # inches of a cell below which all column labels are vertical
DENSE = 20  # ops beyond which cells show their mean alone
LONGEST, UPRIGHT = 20, 8  # characters of a label beyond which it is shortened, and beyond which it is vertical
NAMES = {
    "linear_top1": "linear evaluation top-1 (%)",
    "linear_val_top1": "linear evaluation top-1 on validation (%)",
    "knn_top1": "kNN top-1 (%)",
    "linear_balanced_accuracy": "linear evaluation balanced accuracy (%)",
    "linear_val_balanced_accuracy": "linear evaluation balanced accuracy on validation (%)",
    "knn_balanced_accuracy": "kNN balanced accuracy (%)",
    "sgd_balanced_accuracy": "linear evaluation balanced accuracy by the paper's SGD (%)",
    "online_balanced_accuracy": "online probe balanced accuracy (%)",
    "classifier_balanced_accuracy": "supervised classifier balanced accuracy (%)",
    "z_linear_balanced_accuracy": "linear evaluation of z balanced accuracy (%)",
    "sgd_top1": "linear evaluation top-1 by the paper's SGD (%)",
    "online_top1": "online probe top-1 (%)",
    "classifier_top1": "supervised classifier top-1 (%)",
    "z_linear_top1": "linear evaluation of z top-1 (%)",
    "rotation_top1": "rotation prediction top-1 (%)",
    "rotation_val_top1": "rotation prediction top-1 on validation (%)",
}
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "ablate",
    "hatch.linewidth": 0.4,
}
TIMELESS = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}  # same records, same bytes


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


def heatmap(
    data: pd.DataFrame | Grid | str | Path,
    *,
    metric: str | None = None,
    title: str = "",
    limits: tuple[float, float] | None = None,
    width: float | None = None,
) -> Figure:
    """Draw a grid.

    Args:
        data: a sweep's directory, the table of :func:`ablate.load_results`, or a Grid.
        metric: ``linear_top1``, ``linear_val_top1``, ``linear_balanced_accuracy``, ``knn_top1``, ``sgd_top1``,
            ``online_top1``, ``classifier_top1``, ``z_linear_top1``, ``rotation_top1`` or ``rotation_val_top1``;
            default: ``linear_top1``, or ``rotation_top1`` if there is no linear evaluation.
        title: the text above the figure, wrapped to its width.
        limits: the ends of the colour scale, as fractions; default: the lowest and highest cell, but wide enough that
            noise alone does not look like a result (:mod:`ablate.report.figures.scale`).
        width: the width of the figure in inches, for a column of a paper. Cells and text are fitted to it, and title
            and notes are left out, since they belong in the caption. Default: the width of cells of a readable size.

    Returns:
        A matplotlib figure, which a notebook shows. It has means in percent, ± standard deviation over seeds, and a dot
        in the cells that cannot be told from the best. Cells below the untrained encoder have a triangle, and its place
        is marked on the colour bar. Cells without a result are marked too.

    Raises:
        UsageError: the directory is not a sweep's.
        ValueError: ``data`` is none of these, the table lacks a column or holds no grid, or the metric is unknown.
    """
    if metric is not None and metric not in NAMES:
        raise ValueError(f"unknown metric {metric!r}; allowed: {', '.join(NAMES)}")
    grid = _grid(data)
    if not grid.ops:
        raise ValueError("the table holds no grid: no trial has a row and a column")
    with mpl.rc_context(STYLE):
        shown = metric or grid.metric
        colours = scale(grid, shown)
        if limits:
            colours = replace(colours, low=limits[0], high=limits[1], why="")
        if width is not None:
            return _draw_column(grid, shown, colours, width)
        return _draw(grid, shown, title, colours)


PLACED = ("label", "seed", "row", "column", "reference", "status")
"""The columns that a table needs for its trials to be placed in a grid."""


def _grid(data: pd.DataFrame | Grid | str | Path) -> Grid:
    if isinstance(data, Grid):
        return data
    if isinstance(data, str | Path):
        return read_sweep(data).grid
    missing = [name for name in PLACED if name not in getattr(data, "columns", ())]
    if missing:
        what = f"a table without the column {missing[0]!r}" if hasattr(data, "columns") else repr(data)
        raise ValueError(f"heatmap draws a sweep's directory or the table of ablate.load_results, not {what}")
    return grid_of(data)


def save(figure: Figure, paths: Sequence[Path]) -> None:
    """Write ``figure`` to every path, atomically, in the format of its suffix.

    This fixes the layout of the figure.
    """
    with mpl.rc_context(STYLE):
        fix_layout(figure)
        for path in paths:
            kind = path.suffix.removeprefix(".")
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=TIMELESS[kind])
            write_atomically(path, buffer.getvalue())


def as_svg(figure: Figure) -> str:
    """Return ``figure`` as the text of an SVG."""
    with mpl.rc_context(STYLE):
        fix_layout(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata=TIMELESS["svg"])
    return buffer.getvalue().decode()


def fix_layout(figure: Figure) -> None:
    """Solve the layout once, since every format would solve it anew.

    The second pass corrects for the moves of the first.
    """
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        figure.set_dpi(DPI)  # text is not equally wide at every resolution
        engine.set(w_pad=0.08)  # inches; text is not equally wide in every format either
        engine.execute(figure)
        engine.execute(figure)
        figure.set_layout_engine(None)


def _draw(grid: Grid, metric: str, title: str, colours: Scale) -> Figure:
    k = len(grid.ops)
    names = short_names(grid.ops)
    label = 0.065 * max(len(name) for name in names) + 0.45  # inches that the row labels take
    width = max(label + (k + 1.25) * CELL[0] + 0.9, 4.2)
    columns = int(width * 16)  # characters of a line of text
    below = notes(grid, metric, colours, columns)
    height = k * CELL[1] + heading_height(grid.ops) + 0.75 + 0.13 * max(0, len(below) - 1)
    figure = Picture(figsize=(width, height), layout="constrained")
    main, side = figure.subplots(1, 2, width_ratios=[k, 1], squeeze=False)[0]
    draw_panel(main, side, grid, metric, colours)
    heading = "\n".join([*filled(title, columns), NAMES[metric]])
    figure.suptitle(heading, fontsize=8, parse_math=False)
    figure.supxlabel("\n".join(below), fontsize=7, parse_math=False)
    return figure


def _draw_column(grid: Grid, metric: str, colours: Scale, width: float) -> Figure:
    """Draw the panel alone, ``width`` inches wide."""
    label = 0.055 * max(len(name) for name in short_names(grid.ops)) + 0.3
    sizes = Sizes.fitting(len(grid.ops), width, label)
    height = len(grid.ops) * sizes.cell[1] + heading_height(grid.ops) + 0.1
    figure = Picture(figsize=(width, height), layout="constrained")
    main, side = figure.subplots(1, 2, width_ratios=[len(grid.ops), 1], squeeze=False)[0]
    draw_panel(main, side, grid, metric, colours, sizes)
    return figure


def notes(grid: Grid, metric: str, colours: Scale, columns: int, marked: Collection[str] | None = None) -> list[str]:
    """Return the lines below a figure: references, the meaning of its marks, and the full names of shortened labels.

    Args:
        grid: the grid in the figure.
        metric: the metric it shows.
        colours: its colour scale.
        columns: the highest number of characters of a line.
        marked: the labels of cells with a dot; default: :func:`contenders`.
    """
    marked = contenders(grid) if marked is None else marked
    known = [f"{name} {percent(cell, metric)}" for name, cell in grid.references.items()]
    lines = filled(f"References: {', '.join(known)}", columns) if known else []
    if len(grid.ops) > DENSE and any(cell.std(metric) is not None for cell in grid.cells.values()):
        lines += filled("Cells show means; their standard deviations are in table.csv.", columns)
    if any(cell.label in marked for cell in grid.cells.values()):
        lines += filled(f"{MARK} cannot be told from the best by validation accuracy (Hsu, 95 %).", columns)
    if any(colours.is_below_untrained(cell, metric) for cell in grid.cells.values()):
        images = "validation" if "_val_" in metric else "the test set"
        lines += filled(f"{BELOW} below the untrained encoder on {images}.", columns)
    if colours.why:
        lines += filled(colours.why, columns)
    lines += [line for sentence in grid.seldom for line in filled(sentence, columns)]
    return lines + spelled_out(grid.ops, columns)


def spelled_out(ops: Sequence[str], columns: int) -> list[str]:
    """Return the full names of shortened labels, in lines of at most ``columns`` characters."""
    pairs = zip(short_names(ops), ops, strict=True)
    return [line for name, op in pairs if name != op for line in filled(f"{name}: {op}", columns)]


def short_names(ops: Sequence[str]) -> list[str]:
    """Return the labels of rows and columns.

    A name of more than 20 characters is cut to the op's own name, with a number.
    """
    names = []
    for number, op in enumerate(ops, start=1):
        own = op.partition("(")[0].removeprefix("kornia.")
        names.append(op if len(op) <= LONGEST else f"{own if len(own) <= 15 else own[:14] + '…'} [{number}]")
    return names


def heading_height(ops: Sequence[str]) -> float:
    """Return the inches that the column labels and the title take."""
    longest = max(len(name) for name in short_names(ops))
    return 0.5 + 0.062 * longest if longest > UPRIGHT else 0.55


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
) -> None:
    """Draw the cells into ``main``, and the row averages and the colour scale into ``side``.

    Long column labels are vertical.

    Args:
        main: the axes of the cells.
        side: the axes of the row averages and the colour scale.
        grid: the grid.
        metric: the metric to show.
        colours: the colour scale.
        sizes: the sizes of cells and texts; default: those of a figure of its own.
        marked: the labels of cells with a dot; default: :func:`contenders`.
        names: the labels of rows and columns; default: those of the ops.
    """
    k = len(grid.ops)
    sizes = sizes or Sizes(below=6.0 if k <= DENSE else 0.0)
    marked = contenders(grid) if marked is None else marked
    for i, row in enumerate(grid.ops):
        for j, column in enumerate(grid.ops):
            _draw_cell(main, j, i, grid.cells[row, column], metric, colours, sizes, marked)
        _draw_average(side, i, grid.average(row, metric), colours, sizes, grid.acts_on(row))
    names = names or short_names(grid.ops)
    _frame(main, names, names, sizes, upright=max(len(name) for name in names) > UPRIGHT or sizes.cell[0] < NARROW)
    _frame(side, ("average",), (), sizes, upright=sizes.cell[0] < NARROW)
    side.sharey(main)
    main.set_xlabel("second op")
    main.set_ylabel("first op")
    _draw_scale(side, k, colours, sizes)


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
        bar.set_ticks([*ticks, at], labels=[*(f"{tick:g}" for tick in ticks), "untrained" if named else ""])
        return
    bar.set_ticks(ticks)
    if named:
        above = at > high
        xy, arrow, side_of = ((0.0, 1.02), "↑", "bottom") if above else ((0.0, -0.02), "↓", "top")
        bar.ax.annotate(f"untrained {at:.1f} {arrow}", xy, xycoords="axes fraction", va=side_of, fontsize=6)


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
        notes += ["collapsed"] if "collapsed" in cell.flags else []
    if sizes.mean:
        _write(axes, x, y + (0.36 if notes else 0.5), f"{100 * mean:.{sizes.decimals}f}", sizes.mean, ink)
    if notes:
        _write(axes, x, y + 0.73, "\n".join(notes), sizes.below if len(notes) == 1 else 4.5, ink)
    if cell.label in marked:
        _mark(axes, x + 0.97, y, MARK, sizes, ink)
    if colours.is_below_untrained(cell, metric):
        _mark(axes, x + 0.03, y, BELOW, sizes, ink)


def _mark(axes: Axes, x: float, y: int, sign: str, sizes: Sizes, ink: str) -> None:
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
        _write(axes, x, y + 0.5, status, min(6.0, 13 * sizes.cell[0]), colour, bbox=white)


def _draw_average(axes: Axes, y: int, average: float | None, colours: Scale, sizes: Sizes, acts_on: str) -> None:
    """Draw a row's average and, if its op acts on fewer than all images, the share of images."""
    below = f"on {acts_on}" if acts_on and sizes.below else ""
    if average is None:
        _write(axes, 0, y + (0.36 if below else 0.5), "-", 8, "#666666")
        ink = "#666666"
    else:
        ink = _paint(axes, 0, y, average, colours)
    if average is not None and sizes.mean:
        _write(axes, 0, y + (0.36 if below else 0.5), f"{100 * average:.{sizes.decimals}f}", sizes.mean, ink)
    if below:
        _write(axes, 0, y + 0.73, below, sizes.below, ink)


def _write(axes: Axes, x: int, y: float, words: str, size: float, colour: str, **box: Any) -> None:
    """Write text into a cell.

    The layout need not measure it: the text stays within its cell, and there may be thousands.
    """
    text = axes.text(x + 0.5, y, words, ha="center", va="center", fontsize=size, color=colour, **box)
    text.set_in_layout(False)


def _paint(axes: Axes, x: int, y: int, value: float, colours: Scale) -> str:
    """Fill a cell, and return the ink that is legible on it, by relative luminance."""
    background = colour(colours.share(value))
    axes.add_artist(Rectangle((x, y), 1, 1, facecolor=background, edgecolor="white", lw=0.8))
    return ink_on(background)


def _frame(axes: Axes, columns: Sequence[str], rows: Sequence[str], sizes: Sizes, *, upright: bool) -> None:
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
