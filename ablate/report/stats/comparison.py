"""The agreement of two grids: another data set, another method, mode or budget, or the paper's Figure 5."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ablate.console import counted
from ablate.report.data.grid import Cell, Grid
from ablate.report.stats.model import Difference, combined
from ablate.report.stats.order import ordered, scores
from ablate.report.stats.permutation import permutation_p, smallest
from ablate.report.stats.ranks import FEWEST, FEWEST_OPS, correlation_in_words, reliability, spearman

NO_AGREEMENT = 0.1  # ceiling below which the seeds agree no more than by chance
LEVEL = 0.05  # the p value from which on grids do not agree by more than chance


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

    @cached_property
    def p(self) -> float:
        """The one-sided p value of :attr:`rho`, by permuting ops (:func:`permutation_p`).

        NaN without a rank correlation, and if a grid leaves out cells by its plan: its ops are not exchangeable then.
        """
        cells = (*self.ours.cells.values(), *self.other.cells.values())
        if not self.ranks or any(cell.status == "left out" for cell in cells):
            return math.nan
        k = len(self.ours.ops)
        grids = np.full((2, k, k), math.nan)
        for (row, column), *values in zip(self._positions, *self._means, strict=True):
            grids[:, self.ours.ops.index(row), self.ours.ops.index(column)] = values
        return permutation_p(*grids)

    @cached_property
    def mean_difference(self) -> float:
        """The mean of the other grid minus ours over the cells with results in both, as a fraction; NaN without any."""
        ours, other = self._means
        return float(np.mean(other) - np.mean(ours)) if self.n else math.nan

    @cached_property
    def beyond(self) -> dict[tuple[str, str], Difference]:
        """The difference of the other grid minus ours in every cell, beyond the mean difference.

        The 95 % intervals hold together: they combine the joint intervals of the two grids' models. There are none with
        a single cell, or if one of the grids has one seed.
        """
        cells = [[grid.cells[position] for position in self._positions] for grid in (self.ours, self.other)]
        ours, other = (_from_mean(side, self.ours.metric) for side in cells)
        both = zip(self._positions, ours, other, strict=True)
        return {position: combined([(1.0, b), (-1.0, a)]) for position, a, b in both}

    @property
    def ranks(self) -> bool:
        """True if there is a rank correlation."""
        return not math.isnan(self.rho)

    @property
    def attainable(self) -> float:
        """The correlation to expect if both true rankings are equal, by the noise of both; NaN with one seed."""
        sides = [[grid.cells[position] for position in self._positions] for grid in (self.ours, self.other)]
        return math.sqrt(math.prod(map(reliability, sides)))

    def __str__(self) -> str:
        return self.sentence()

    def sentence(self, of: str = "") -> str:
        """Describe the rank correlation and its limits; ``of`` is the name of our grid, if it has to be said."""
        if not self.ranks:
            why = "too few for a rank correlation" if self.n < FEWEST else "which are all equal in one of the two grids"
            if self.pruned:
                why = f"no rank correlation, since {counted(self.pruned, 'cell')} were not trained to the end"
            return f"{of}{' and ' * bool(of)}{self.name}: {counted(self.n, 'cell')} in common, {why}."
        by = " (95 %, resampling ops)" if len(self.ours.ops) >= FEWEST_OPS else ""
        tested = "" if math.isnan(self.p) else f", {in_words(self.p)} (one-sided, permuting ops{self._least()})"
        found = f"Spearman rank correlation {f'of {of} ' * bool(of)}with {self.name}: {self.words}{by}{tested}"
        return f"{found} over {self.n} cells{self._limit()}."

    @property
    def words(self) -> str:
        """The rank correlation and its interval, as in ``+0.47 [-0.18, +0.76]``."""
        return correlation_in_words(*self._means, self._positions)

    def _least(self) -> str:
        """Say that the ops are too few for a p value that is small enough; empty if they are not."""
        return f"; {limited}" if (limited := too_few(len(self.ours.ops))) else ""

    def _limit(self) -> str:
        """Describe the limit that the noise of our seeds sets; empty if it is unknown."""
        if math.isnan(self.ceiling):
            return ""
        if self.ceiling < NO_AGREEMENT:
            return ". It says little: the seeds of this sweep disagree on the ranks of the cells"
        return f"; with the noise of this sweep, two grids with the same true ranks would reach {self.ceiling:.2f}"


def _from_mean(cells: Sequence[Cell], metric: str) -> list[Difference]:
    """Return each cell's mean minus the mean of all, with joint intervals if the noise of all is known."""
    ranking = ordered(cells, metric)
    if ranking.model is None or ranking.apart:
        values = scores(cells, metric)
        return [Difference(value - sum(values) / len(values), None, None, 1) for value in values]
    labels, even = [cell.label for cell in cells], 1 / len(cells)
    return ranking.model.contrasts([{each: (each == label) - even for each in labels} for label in labels])


def in_words(p: float) -> str:
    """Return a p value as in ``p = 0.042``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def too_few(k: int) -> str:
    """Return words for ``k`` ops that are too few for a p value below 0.05, with the smallest one; else nothing."""
    return f"with {k} ops no p is below {smallest(k):.3f}" if smallest(k) > LEVEL else ""


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
