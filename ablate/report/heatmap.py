"""The heatmap, in the manner of Figure 5: rows are first ops, columns second ops, the row averages set apart."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from ablate.report.grid import Cell, Grid, grid_of
from ablate.report.palette import UNSIGNED, colour, ink_on
from ablate.report.statistics import percent
from ablate.results import write_atomically

if TYPE_CHECKING:
    import pandas as pd

CELL = (0.66, 0.52)  # inches
DPI = 200
DENSE = 20  # ops: beyond, cells show their mean alone
LONGEST, UPRIGHT = 20, 8  # characters of a label: beyond, it is shortened; beyond, it stands on end
NAMES = {
    "linear_top1": "linear evaluation top-1 (%)",
    "linear_val_top1": "linear evaluation top-1 on validation (%)",
    "knn_top1": "kNN top-1 (%)",
    "linear_balanced_accuracy": "linear evaluation balanced accuracy (%)",
    "sgd_top1": "linear evaluation top-1 by the paper's SGD (%)",
    "online_top1": "online probe top-1 (%)",
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


def heatmap(
    data: pd.DataFrame | Grid,
    *,
    metric: str | None = None,
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw a grid.

    Args:
        data: the table of :func:`ablate.load_results`, or a Grid.
        metric: ``linear_top1``, ``linear_val_top1``, ``linear_balanced_accuracy``, ``knn_top1``, ``sgd_top1``,
            ``online_top1``, ``rotation_top1`` or ``rotation_val_top1``; default: ``linear_top1``, or ``rotation_top1``
            where there is no linear evaluation.
        title: above the figure; wrapped to its width.
        limits: of the colour scale, as fractions; default: the lowest and highest cell.

    Returns:
        A matplotlib figure: means in percent, ± standard deviation over seeds, cells without result marked.

    Raises:
        ValueError: the table holds no grid, or an unknown metric.
    """
    if metric is not None and metric not in NAMES:
        raise ValueError(f"unknown metric {metric!r}; allowed: {', '.join(NAMES)}")
    grid = data if isinstance(data, Grid) else grid_of(data)
    if not grid.ops:
        raise ValueError("the table holds no grid: no trial has a row and a column")
    with mpl.rc_context(STYLE):
        return _draw(grid, metric or grid.metric, title, limits or limits_of(grid, metric or grid.metric))


def save(figure: Figure, paths: Sequence[Path]) -> None:
    """Write ``figure`` to every path, atomically, in the format of its suffix; that fixes its layout."""
    with mpl.rc_context(STYLE):
        fix_layout(figure)
        for path in paths:
            kind = path.suffix.removeprefix(".")
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=TIMELESS[kind])
            write_atomically(path, buffer.getvalue())


def fix_layout(figure: Figure) -> None:
    """Solve the layout here, where every format would solve it anew; the second pass settles what the first moved."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        figure.set_dpi(DPI)  # text is not equally wide at every resolution
        engine.set(w_pad=0.08)  # inches: nor in every format
        engine.execute(figure)
        engine.execute(figure)
        figure.set_layout_engine(None)


def _draw(grid: Grid, metric: str, title: str, limits: tuple[float, float]) -> Figure:
    k = len(grid.ops)
    names = short_names(grid.ops)
    label = 0.065 * max(len(name) for name in names) + 0.45  # inches that the row labels take
    width = max(label + (k + 1.25) * CELL[0] + 0.9, 4.2)
    columns = int(width * 16)  # characters of a line of text
    below = notes(grid, metric, columns)
    height = k * CELL[1] + heading_height(grid.ops) + 0.75 + 0.13 * max(0, len(below) - 1)
    figure = Figure(figsize=(width, height), layout="constrained")
    main, side = figure.subplots(1, 2, width_ratios=[k, 1], squeeze=False)[0]
    draw_panel(main, side, grid, metric, limits)
    heading = "\n".join([*textwrap.wrap(title, columns), NAMES[metric]])
    figure.suptitle(heading, fontsize=8, parse_math=False)
    figure.supxlabel("\n".join(below), fontsize=7, parse_math=False)
    return figure


def notes(grid: Grid, metric: str, columns: int) -> list[str]:
    """The lines below a figure: the references, and what the numbers of shortened labels stand for."""
    known = [f"{name} {percent(cell, metric)}" for name, cell in grid.references.items()]
    lines = textwrap.wrap(f"References: {', '.join(known)}", columns) if known else []
    if len(grid.ops) > DENSE and any(cell.std(metric) is not None for cell in grid.cells.values()):
        lines += textwrap.wrap("Cells show means; their standard deviations are in table.csv.", columns)
    return lines + spelled_out(grid.ops, columns)


def spelled_out(ops: Sequence[str], columns: int) -> list[str]:
    """What shortened labels stand for, in lines of at most ``columns`` characters."""
    pairs = zip(short_names(ops), ops, strict=True)
    return [line for name, op in pairs if name != op for line in textwrap.wrap(f"{name}: {op}", columns)]


def short_names(ops: Sequence[str]) -> list[str]:
    """The labels of rows and columns: names over 20 characters are cut to the op's own, with a number."""
    names = []
    for number, op in enumerate(ops, start=1):
        own = op.partition("(")[0].removeprefix("kornia.")
        names.append(op if len(op) <= LONGEST else f"{own if len(own) <= 15 else own[:14] + '…'} [{number}]")
    return names


def heading_height(ops: Sequence[str]) -> float:
    """Inches that the column labels and the title take."""
    longest = max(len(name) for name in short_names(ops))
    return 0.5 + 0.062 * longest if longest > UPRIGHT else 0.55


def draw_panel(main: Axes, side: Axes, grid: Grid, metric: str, limits: tuple[float, float]) -> None:
    """The cells into ``main``, row averages and colour scale into ``side``; long column labels stand on end."""
    norm = Normalize(100 * limits[0], 100 * limits[1])
    for i, row in enumerate(grid.ops):
        for j, column in enumerate(grid.ops):
            _draw_cell(main, j, i, grid.cells[row, column], metric, norm, spread=len(grid.ops) <= DENSE)
        _draw_average(side, i, grid.average(row, metric), norm)
    names = short_names(grid.ops)
    _frame(main, names, names, upright=max(len(name) for name in names) > UPRIGHT)
    _frame(side, ("average",), (), upright=False)
    side.sharey(main)
    main.set_xlabel("second op")
    main.set_ylabel("first op")
    scale = main.figure.colorbar(mpl.cm.ScalarMappable(norm, UNSIGNED), ax=side, fraction=0.25, pad=0.08)
    scale.ax.tick_params(labelsize=6)
    scale.outline.set_visible(False)


def limits_of(grid: Grid, metric: str) -> tuple[float, float]:
    """The lowest and the highest cell's mean, as fractions; apart, even where all are equal."""
    means = [mean for cell in grid.cells.values() if (mean := cell.mean(metric)) is not None]
    low, high = (min(means), max(means)) if means else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.005, high + 0.005)


def _draw_cell(axes: Axes, x: int, y: int, cell: Cell, metric: str, norm: Normalize, *, spread: bool) -> None:
    mean, std = cell.mean(metric), cell.std(metric)
    if mean is None:
        failed = cell.status == "failed"
        colour = "#b2182b" if failed else "#999999"
        axes.add_patch(
            Rectangle((x, y), 1, 1, facecolor="white", edgecolor=colour, hatch="xx" if failed else "//", lw=0)
        )
        _write(axes, x, y + 0.5, cell.status, 6, colour, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        return
    ink = _paint(axes, x, y, 100 * mean, norm)
    notes = [f"± {100 * std:.1f}"] if std is not None and spread else []
    notes += [f"n = {cell.n} of {cell.planned}"] if cell.status == "partial" else []
    notes += ["collapsed"] if "collapsed" in cell.flags else []
    _write(axes, x, y + (0.36 if notes else 0.5), f"{100 * mean:.1f}", 8, ink)
    if notes:
        _write(axes, x, y + 0.73, "\n".join(notes), 6 if len(notes) == 1 else 4.5, ink)


def _draw_average(axes: Axes, y: int, average: float | None, norm: Normalize) -> None:
    if average is None:
        _write(axes, 0, y + 0.5, "-", 8, "#666666")
        return
    ink = _paint(axes, 0, y, 100 * average, norm)
    _write(axes, 0, y + 0.5, f"{100 * average:.1f}", 8, ink)


def _write(axes: Axes, x: int, y: float, words: str, size: float, colour: str, **box: Any) -> None:
    """Write into a cell. The layout need not measure it: a number stays in its cell, and there may be thousands."""
    text = axes.text(x + 0.5, y, words, ha="center", va="center", fontsize=size, color=colour, **box)
    text.set_in_layout(False)


def _paint(axes: Axes, x: int, y: int, value: float, norm: Normalize) -> str:
    """Fill a cell; the ink that reads on it, by relative luminance."""
    background = colour(float(norm(value)))
    axes.add_artist(Rectangle((x, y), 1, 1, facecolor=background, edgecolor="white", lw=0.8))
    return ink_on(background)


def _frame(axes: Axes, columns: Sequence[str], rows: Sequence[str], *, upright: bool) -> None:
    axes.set_xlim(0, len(columns))
    axes.set_ylim(max(len(rows), 1), 0)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(
        [i + 0.5 for i in range(len(columns))], columns, fontsize=7.5, rotation=90 if upright else 0, parse_math=False
    )
    if rows:
        axes.set_yticks([i + 0.5 for i in range(len(rows))], rows, fontsize=7.5, parse_math=False)
    else:
        axes.tick_params(labelleft=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
