"""Beside the paper: Figure 5 of Chen et al. 2020 (arXiv 2002.05709), ImageNet, ResNet-50, and this grid's cells."""

from __future__ import annotations

import csv
import math
import statistics
import textwrap
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import matplotlib as mpl
from matplotlib.figure import Figure

from ablate.report.grid import LINEAR, Cell, Grid
from ablate.report.heatmap import CELL, STYLE, draw_panel, heading_height, limits_of, notes, short_names

FEWEST = 4  # cells that a rank correlation is worth reporting for


@dataclass(frozen=True)
class Comparison:
    """This grid and the paper's, cut to the ops that both have; Spearman's ``rho`` over their ``n`` results."""

    ours: Grid
    paper: Grid
    rho: float
    n: int

    def __str__(self) -> str:
        return f"Spearman rank correlation with Figure 5 of the SimCLR paper: {self.rho:+.2f} over {self.n} cells."


def published() -> dict[str, dict[str, float]]:
    """Figure 5 as published, in percent: ``published()[first][second]``; ``second`` may be ``average``."""
    with files("ablate.report").joinpath("fig5.csv").open() as file:
        return {row.pop("first"): {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)}


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank; NaN for constants."""

    def ranks(values: Sequence[float]) -> list[float]:
        ordered = sorted(values)
        return [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]

    try:
        return statistics.correlation(ranks(x), ranks(y))
    except statistics.StatisticsError:
        return math.nan


def compare(grid: Grid) -> Comparison | None:
    """Rank this grid's cells against the paper's; None with fewer than four in common."""
    table = published()
    names = {op: op.partition("(")[0] for op in grid.ops}
    ops = tuple(op for op in grid.ops if names[op] in table)
    places = [(a, b) for a in ops for b in ops]
    ours = Grid(ops, {place: grid.cells[place] for place in places}, {})
    values = {(a, b): table[names[a]][names[b]] / 100 for a, b in places}
    cells = {place: Cell(ours.cells[place].label, {LINEAR: {0: values[place]}}, planned=1) for place in places}
    pairs = [(mean, values[place]) for place in places if (mean := ours.cells[place].mean(LINEAR)) is not None]
    if len(pairs) < FEWEST:
        return None
    return Comparison(ours, Grid(ops, cells, {}), spearman(*zip(*pairs, strict=True)), len(pairs))


def draw(comparison: Comparison, name: str) -> Figure:
    """Both grids side by side, each on its own colour scale: ranks are compared, not accuracies."""
    k = len(comparison.ours.ops)
    label = 0.065 * max(len(op) for op in short_names(comparison.ours.ops)) + 0.45
    width = max(label + (k + 1.25) * CELL[0] + 0.9, 4.2)  # inches of each half
    lines = textwrap.wrap(f"Linear evaluation top-1 (%). {comparison}", int(2 * width * 16))
    lines += notes(comparison.ours, LINEAR, int(2 * width * 16))
    height = k * CELL[1] + heading_height(comparison.ours.ops) + 0.75 + 0.13 * len(lines)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * width, height), layout="constrained")
        halves = figure.subfigures(1, 2, wspace=0.04, squeeze=False)[0]
        titles = (name, "Chen et al. 2020, Figure 5: ImageNet, ResNet-50")
        for half, grid, title in zip(halves, (comparison.ours, comparison.paper), titles, strict=True):
            main, side = half.subplots(1, 2, width_ratios=[k, 1])
            draw_panel(main, side, grid, LINEAR, limits_of(grid, LINEAR))
            half.suptitle("\n".join(textwrap.wrap(title, int(width * 15))), fontsize=8, parse_math=False)
        figure.supxlabel("\n".join(lines), fontsize=7, parse_math=False)
    return figure
