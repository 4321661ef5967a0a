"""Two grids side by side: another data set, another mode or budget, or the paper's Figure 5."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import matplotlib as mpl
from matplotlib.figure import Figure

from ablate.console import counted, filled
from ablate.report.data.grid import Grid
from ablate.report.figures.heatmap import notes
from ablate.report.figures.labels import NAMES, heading_height, short_names
from ablate.report.figures.panel import CELL, contenders, draw_panel
from ablate.report.figures.scale import scale
from ablate.report.figures.style import STYLE
from ablate.report.stats.order import scores
from ablate.report.stats.ranks import FEWEST, FEWEST_OPS, correlation_in_words, reliability, spearman

WIDEST = 10.0  # inches at most of a figure whose text is still legible on a page
NO_AGREEMENT = 0.1  # ceiling below which the seeds agree no more than by chance


@dataclass(frozen=True)
class Comparison:
    """Two grids, cut to the ops that both have, with Spearman's rank correlation over the cells with results in both.

    ``called`` are the names of these ops in the other grid. ``whole`` holds both grids before they were cut; their
    cells are coloured and marked by these, as in their own heatmaps.
    """

    name: str
    ours: Grid
    other: Grid
    called: tuple[str, ...]
    whole: tuple[Grid, Grid]

    @cached_property
    def _positions(self) -> list[tuple[str, str]]:
        """The places where both have a result; the two grids have their cells in the same order."""
        both = zip(self.ours.cells, self.ours.cells.values(), self.other.cells.values(), strict=True)
        return [position for position, a, b in both if a.n and b.n]

    @property
    def n(self) -> int:
        """The number of cells with results in both."""
        return len(self._positions)

    @cached_property
    def _means(self) -> tuple[list[float], list[float]]:
        there = dict(zip(self.ours.cells, self.other.cells.values(), strict=True))
        sides = [self.ours.cells[p] for p in self._positions], [there[p] for p in self._positions]
        ours, other = (scores(cells, grid.metric) for cells, grid in zip(sides, (self.ours, self.other), strict=True))
        return ours, other

    @cached_property
    def rho(self) -> float:
        """Spearman's rank correlation.

        NaN with fewer than four cells, if one of the two grids is constant, and if cells were pruned: the cells that
        are left were selected by the quantity that is to be ranked.
        """
        return spearman(*self._means) if self.n >= FEWEST and not self.pruned else math.nan

    @property
    def pruned(self) -> int:
        """The number of cells that one of the two sweeps did not train to the end."""
        both = zip(self.ours.cells.values(), self.other.cells.values(), strict=True)
        return sum("pruned" in (a.status, b.status) for a, b in both)

    @cached_property
    def ceiling(self) -> float:
        """The highest correlation that our grid's noise allows if the other grid had none.

        NaN with fewer than two seeds.
        """
        return math.sqrt(reliability([self.ours.cells[position] for position in self._positions]))

    @property
    def ranks(self) -> bool:
        """True if there is a rank correlation."""
        return not math.isnan(self.rho)

    def __str__(self) -> str:
        if not self.ranks:
            why = "too few for a rank correlation" if self.n < FEWEST else "which are all equal in one of the two grids"
            if self.pruned:
                why = f"no rank correlation, since {counted(self.pruned, 'cell')} were not trained to the end"
            return f"{self.name}: {counted(self.n, 'cell')} in common, {why}."
        by = " (95 %, resampling ops)" if len(self.ours.ops) >= FEWEST_OPS else ""
        return (
            f"Spearman rank correlation with {self.name}: {correlation_in_words(*self._means, self._positions)}{by} "
            f"over {self.n} cells{self._limit()}."
        )

    def _limit(self) -> str:
        """Describe the limit that the noise of our seeds sets; empty if it is unknown."""
        if math.isnan(self.ceiling):
            return ""
        if self.ceiling < NO_AGREEMENT:
            return ". It says little: the seeds of this sweep disagree on the ranks of the cells"
        return f"; with the noise of this sweep, two grids with the same true ranks would reach {self.ceiling:.2f}"


def compare(grid: Grid, other: Grid, name: str, names: Mapping[str, str] | None = None) -> Comparison | None:
    """Rank the cells of ``grid`` against those of ``other``.

    Args:
        grid: our grid.
        other: the other grid.
        name: the name of the other grid.
        names: the names in ``other`` of ops of ``grid``, if they differ.

    Returns:
        The comparison, or None without a common op.
    """
    called = {op: (names or {}).get(op, op) for op in grid.ops}
    ops = tuple(op for op in grid.ops if called[op] in other.ops)
    if not ops:
        return None
    positions = {(a, b): (called[a], called[b]) for a in ops for b in ops}
    ours = Grid(ops, {position: grid.cells[position] for position in positions}, grid.references, grid.metric)
    theirs = Grid(
        ops, {position: other.cells[there] for position, there in positions.items()}, other.references, other.metric
    )
    return Comparison(name, ours, theirs, tuple(called[op] for op in ops), (grid, other))


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
