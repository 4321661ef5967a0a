"""The heatmap, in the manner of Figure 5: rows are first ops, columns second ops, and row averages stand apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from ablate.console import filled
from ablate.report.data.grid import Grid, grid_of
from ablate.report.data.results import Results, read_sweep
from ablate.report.figures.labels import NAMES, heading_height, short_names, spelled_out
from ablate.report.figures.panel import CELL, DENSE, MARK, Sizes, contenders, draw_panel
from ablate.report.figures.picture import Picture
from ablate.report.figures.scale import BELOW, Scale, scale
from ablate.report.figures.style import STYLE
from ablate.report.stats.predicted import NOT_RUN, Prediction, predicted_cells
from ablate.report.stats.words import judge, percent

if TYPE_CHECKING:
    import pandas as pd


def heatmap(
    data: pd.DataFrame | Grid | str | Path,
    *,
    metric: str | None = None,
    title: str = "",
    limits: tuple[float, float] | None = None,
    width: float | None = None,
    predicted: Mapping[str, Prediction] | None = None,
) -> Figure:
    """Draw a grid.

    Args:
        data: a sweep's directory, the table of :func:`ablate.load_results`, or a Grid.
        metric: ``linear_top1``, ``linear_val_top1``, ``linear_balanced_accuracy``, ``knn_top1``, ``sgd_top1``,
            ``online_top1``, ``classifier_top1``, ``z_linear_top1``, ``linear_10pct_top1``, ``linear_1pct_top1``,
            ``finetune_top1``, ``finetune_10pct_top1``, ``finetune_1pct_top1``, ``rotation_top1`` or
            ``rotation_val_top1``;
            default: ``linear_top1``, or ``rotation_top1`` if there is no linear evaluation.
        title: the text above the figure, wrapped to its width.
        limits: the ends of the colour scale, as fractions; default: the lowest and highest cell, but wide enough that
            noise alone does not look like a result (:mod:`ablate.report.figures.scale`).
        width: the width of the figure in inches, for a column of a paper. Cells and text are fitted to it, and title
            and notes are left out, since they belong in the caption. Default: the width of cells of a readable size.
        predicted: predictions of that metric for cells that were not run, by label; default: those of the sweep if
            ``data`` is a directory.

    Returns:
        A matplotlib figure, which a notebook shows. It has means in percent, ± standard deviation over seeds, and a dot
        in the cells that cannot be told from the best. Cells below the untrained encoder have a triangle, and its place
        is marked on the colour bar. Cells without a result are marked too. Cells that a budget did not run are
        hatched and have no colour; their number is a prediction.

    Raises:
        UsageError: the directory is not a sweep's.
        ValueError: ``data`` is none of these, the table lacks a column or holds no grid, or the metric is unknown.
    """
    if metric is not None and metric not in NAMES:
        raise ValueError(f"unknown metric {metric!r}; allowed: {', '.join(NAMES)}")
    grid, sweep = _grid(data)
    if not grid.ops:
        raise ValueError("the table holds no grid: no trial has a row and a column")
    shown = metric or grid.metric
    if sweep and predicted is None:
        predicted = predicted_cells(sweep, shown)
    with mpl.rc_context(STYLE):
        colours = scale(grid, shown)
        if limits:
            colours = replace(colours, low=limits[0], high=limits[1], why="")
        if width is not None:
            return _draw_column(grid, shown, colours, width, predicted)
        return _draw(grid, shown, title, colours, predicted)


PLACED = ("label", "seed", "row", "column", "reference", "status")
"""The columns that a table needs for its trials to be placed in a grid."""


def _grid(data: pd.DataFrame | Grid | str | Path) -> tuple[Grid, Results | None]:
    """Return the grid of ``data``, and the sweep if ``data`` is its directory."""
    if isinstance(data, Grid):
        return data, None
    if isinstance(data, str | Path):
        sweep = read_sweep(data, interval="both")
        return sweep.grid, sweep
    missing = [name for name in PLACED if name not in getattr(data, "columns", ())]
    if missing:
        what = f"a table without the column {missing[0]!r}" if hasattr(data, "columns") else repr(data)
        raise ValueError(f"heatmap draws a sweep's directory or the table of ablate.load_results, not {what}")
    return grid_of(data), None


def _draw(grid: Grid, metric: str, title: str, colours: Scale, predicted: Mapping[str, Prediction] | None) -> Figure:
    k = len(grid.ops)
    names = short_names(grid.ops)
    label = 0.065 * max(len(name) for name in names) + 0.45  # inches that the row labels take
    width = max(label + (k + 1.25) * CELL[0] + 0.9, 4.2)
    columns = int(width * 16)  # characters of a line of text
    below = notes(grid, metric, colours, columns)
    if predicted:
        below += filled(NOT_RUN, columns)
    height = k * CELL[1] + heading_height(grid.ops) + 0.75 + 0.13 * max(0, len(below) - 1)
    figure = Picture(figsize=(width, height), layout="constrained")
    main, side = figure.subplots(1, 2, width_ratios=[k, 1], squeeze=False)[0]
    draw_panel(main, side, grid, metric, colours, predicted=predicted)
    heading = "\n".join([*filled(title, columns), NAMES[metric]])
    figure.suptitle(heading, fontsize=8, parse_math=False)
    figure.supxlabel("\n".join(below), fontsize=7, parse_math=False)
    return figure


def _draw_column(
    grid: Grid, metric: str, colours: Scale, width: float, predicted: Mapping[str, Prediction] | None
) -> Figure:
    """Draw the panel alone, ``width`` inches wide."""
    label = 0.055 * max(len(name) for name in short_names(grid.ops)) + 0.3
    sizes = Sizes.fitting(len(grid.ops), width, label)
    height = len(grid.ops) * sizes.cell[1] + heading_height(grid.ops) + 0.1
    figure = Picture(figsize=(width, height), layout="constrained")
    main, side = figure.subplots(1, 2, width_ratios=[len(grid.ops), 1], squeeze=False)[0]
    draw_panel(main, side, grid, metric, colours, sizes, predicted=predicted)
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
    known = [f"{grid.called(name)} {percent(cell, metric)}" for name, cell in grid.references.items()]
    lines = filled(f"References: {', '.join(known)}", columns) if known else []
    if len(grid.ops) > DENSE and any(cell.std(metric) is not None for cell in grid.cells.values()):
        lines += filled("Cells show means; their standard deviations are in table.csv.", columns)
    if any(cell.label in marked for cell in grid.cells.values()):
        lines += filled(f"{MARK} cannot be told from the best by {judge(grid)} (Hsu, 95 %).", columns)
    if any(colours.is_below_untrained(cell, metric) for cell in grid.cells.values()):
        images = "validation" if "_val_" in metric else "the test set"
        lines += filled(f"{BELOW} below {grid.start} on {images}.", columns)
    if colours.why:
        lines += filled(colours.why, columns)
    lines += [line for sentence in grid.seldom for line in filled(sentence, columns)]
    return lines + spelled_out(grid.ops, columns)
