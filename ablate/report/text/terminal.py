"""The heatmap in the terminal, within 80 columns for seven ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.console import say, shortened
from ablate.report.data.grid import Cell, Grid
from ablate.report.figures.palette import as_hex, colour, ink_on
from ablate.report.figures.scale import Scale, scale
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.predicted import APPROXIMATELY, Prediction
from ablate.report.stats.words import numbers, percent

ROW_LABEL = 16  # columns at most
LEAST_LABEL, LEAST_CELL = 4, 6  # columns of a row's label and of a number, below which they are unreadable
LISTED = 20  # compositions at most in a ranking
MARKS = {"failed": "failed", "missing": "-", "not judged": "n/a", "left out": "", "pruned": "pruned"}


def render(grid: Grid, console: Console, predicted: Mapping[str, Prediction] | None = None) -> None:
    """Print means in percent, coloured like the figure, with row averages, deviations if known, and references.

    If there are compositions beside the grid, or the grid is too wide for the terminal, the best of all are listed
    below it, ranked by validation accuracy.

    Args:
        grid: the grid.
        console: the console to print to.
        predicted: predictions of cells that were not run, by label; they are dim and have no colour.
    """
    fits = LEAST_LABEL + LEAST_CELL * (len(grid.ops) + 1) <= console.width
    if grid.ops and fits:
        console.print(_matrix(grid, console.width, predicted or {}))
        if grid.with_results:
            say(console, numbers(grid))
        if predicted:
            say(console, f"{APPROXIMATELY} not run: predicted from the trained cells, no result")
        for sentence in grid.seldom:
            say(console, sentence)
    elif grid.ops:
        say(console, f"The grid of {len(grid.ops)} ops needs a wider terminal; it is in the report. The best:")
    if any(cell.status == "partial" for cell in grid.compositions):
        say(console, "* not all seeds are done")
    if grid.further or not fits:
        ranking = order(grid)
        for rank, cell in enumerate(ranking.cells[:LISTED], start=1):
            say(console, f"{rank}. {_listed(cell, ranking)}")
        for cell in ranking.apart[: LISTED - len(ranking.cells)] if len(ranking.cells) < LISTED else ():
            say(console, f"not compared: {_listed(cell, ranking)}")
        if (more := len(ranking.cells) + len(ranking.apart) - LISTED) > 0:
            say(console, f"... and {more} more, in the report")
    if grid.references:
        known = ", ".join(f"{grid.called(name)} {percent(cell)}" for name, cell in grid.references.items())
        say(console, f"references: {known}")


def _listed(cell: Cell, ranking: Ranking) -> str:
    mark = "*" if cell.status == "partial" else ""
    return f"{cell.label}: {percent(cell)}{mark} (validation {ranking.percent(cell)})"


def _matrix(grid: Grid, width: int, predicted: Mapping[str, Prediction]) -> Table:
    deviations = any(cell.std() is not None for cell in grid.cells.values())
    table = Table(box=None, pad_edge=False, padding=(0, 0), collapse_padding=True)
    columns = len(grid.ops) + 1
    label = max(LEAST_LABEL, min(ROW_LABEL, width - LEAST_CELL * columns))
    table.add_column("first \\ second ", no_wrap=True, overflow="ellipsis", max_width=label)
    width = max(LEAST_CELL, min(14, (width - label) // columns))
    names = _names(grid.ops, min(label, width - 1))  # rows and columns have the same names
    for name in (*names, shortened("average", width - 1)):
        table.add_column(Text(name), justify="center", no_wrap=True, min_width=width, max_width=width)
    colours = scale(grid)
    show = deviations and width >= 10
    for row, name in zip(grid.ops, names, strict=True):
        cells = [
            _guess(predicted[cell.label]) if cell.label in predicted else _text(cell, colours, show)
            for cell in (grid.cells[row, column] for column in grid.ops)
        ]
        average = grid.average(row)
        table.add_row(Text(name), *cells, Text("-" if average is None else f"{100 * average:.1f}", style="bold"))
    return table


def _names(ops: Sequence[str], width: int) -> list[str]:
    """Return names of at most ``width`` columns: without parameters where these do not fit, if no other op is alike."""
    bare = [op.partition("(")[0] for op in ops]
    return [
        shortened(op if len(op) <= width or bare.count(own) > 1 else own, width)
        for op, own in zip(ops, bare, strict=True)
    ]


def _text(cell: Cell, colours: Scale, deviation: bool) -> Text:
    mean, std = cell.mean(), cell.std()
    if mean is None:
        return Text(MARKS[cell.status], style="red" if cell.status == "failed" else "dim")
    text = f"{100 * mean:.1f}" + (f"±{100 * std:.1f}" if deviation and std is not None else "")
    text += "*" if cell.status == "partial" else ""
    background = colour(colours.share(mean))
    return Text(text, style=f"{ink_on(background)} on {as_hex(background)}")


def _guess(prediction: Prediction) -> Text:
    return Text(f"{APPROXIMATELY}{100 * prediction.mean:.0f}", style="dim italic")
