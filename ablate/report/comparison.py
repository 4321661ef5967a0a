"""Two grids side by side: another data set, another mode or budget, or the paper's Figure 5."""

from __future__ import annotations

import math
import statistics
import textwrap
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

from ablate.console import counted
from ablate.report.grid import Grid
from ablate.report.heatmap import CELL, NAMES, STYLE, draw_panel, heading_height, limits_of, notes, short_names

FEWEST = 4  # cells that a rank correlation is worth reporting for


@dataclass(frozen=True)
class Comparison:
    """Two grids, cut to the ops that both have; Spearman's ``rho`` over the ``n`` cells with results in both.

    ``rho`` is NaN below four cells, and where one of the two grids is constant.
    """

    name: str
    ours: Grid
    other: Grid
    rho: float
    n: int

    @property
    def ranks(self) -> bool:
        """Whether there is a rank correlation."""
        return not math.isnan(self.rho)

    def __str__(self) -> str:
        if not self.ranks:
            why = "too few for a rank correlation" if self.n < FEWEST else "which one of the two does not rank"
            return f"{self.name}: {counted(self.n, 'cell')} in common, {why}."
        return f"Spearman rank correlation with {self.name}: {self.rho:+.2f} over {self.n} cells."


def compare(grid: Grid, other: Grid, name: str, names: Mapping[str, str] | None = None) -> Comparison | None:
    """Rank the cells of ``grid`` against those of ``other``; None without a common op.

    ``names``: what ops of ``grid`` are called in ``other``, where that differs.
    """
    called = {op: (names or {}).get(op, op) for op in grid.ops}
    ops = tuple(op for op in grid.ops if called[op] in other.ops)
    if not ops:
        return None
    places = {(a, b): (called[a], called[b]) for a in ops for b in ops}
    ours = Grid(ops, {place: grid.cells[place] for place in places}, grid.references, grid.metric)
    theirs = Grid(ops, {place: other.cells[there] for place, there in places.items()}, other.references, other.metric)
    means = [(ours.cells[place].mean(), theirs.cells[place].mean()) for place in places]
    pairs = [(a, b) for a, b in means if a is not None and b is not None]
    rho = spearman(*zip(*pairs, strict=True)) if len(pairs) >= FEWEST else math.nan
    return Comparison(name, ours, theirs, rho, len(pairs))


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank; NaN for constants."""

    def ranks(values: Sequence[float]) -> list[float]:
        ordered = sorted(values)
        return [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]

    try:
        return statistics.correlation(ranks(x), ranks(y))
    except statistics.StatisticsError:
        return math.nan


def draw(comparison: Comparison, titles: tuple[str, str]) -> Figure:
    """Both grids side by side, each on its own colour scale: ranks are compared, not accuracies."""
    ours = comparison.ours
    k = len(ours.ops)
    label = 0.065 * max(len(op) for op in short_names(ours.ops)) + 0.45
    width = max(label + (k + 1.25) * CELL[0] + 0.9, 4.2)  # inches of each half
    columns = int(2 * width * 16)
    sentence = f"{NAMES[ours.metric].capitalize()}. {comparison}"
    lines = textwrap.wrap(sentence, columns) + notes(ours, ours.metric, columns)
    height = k * CELL[1] + heading_height(ours.ops) + 0.75 + 0.13 * len(lines)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * width, height), layout="constrained")
        halves = figure.subfigures(1, 2, wspace=0.04, squeeze=False)[0]
        for half, grid, title in zip(halves, (ours, comparison.other), titles, strict=True):
            main, side = half.subplots(1, 2, width_ratios=[k, 1])
            draw_panel(main, side, grid, grid.metric, limits_of(grid, grid.metric))
            half.suptitle("\n".join(textwrap.wrap(title, int(width * 15))), fontsize=8, parse_math=False)
        figure.supxlabel("\n".join(lines), fontsize=7, parse_math=False)
    return figure
