"""The marks of a heatmap's cells: the best, what cannot be told from it, and what lies below the untrained encoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ablate.report.data.grid import Cell, Grid
from ablate.report.figures.scale import Scale, scale
from ablate.report.stats.noise import condition
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.words import judge

BEST, CONTENDS, BELOW = "★", "●", "▼"


@dataclass(frozen=True)
class Marks:
    """The marks of the compositions of a grid, by the measure of that grid.

    Args:
        grid: the grid.
        ranking: its compositions, the best first.
        colours: the scale of its means, which knows the untrained encoder.
    """

    grid: Grid
    ranking: Ranking
    colours: Scale

    def of(self, cell: Cell) -> str:
        """Return the marks of a composition, such as ``★`` or ``●▼``; empty without any, and for cells not run."""
        return self._by_label.get(cell.label, "")

    @cached_property
    def _by_label(self) -> dict[str, str]:
        best = {cell.label for cell in self.ranking.equals} if len(self.ranking.cells) > 1 else set()
        places = {**dict.fromkeys(self.ranking.contenders, CONTENDS), **dict.fromkeys(best, BEST)}
        return {
            cell.label: places.get(cell.label, "") + (BELOW if self.colours.is_below_untrained(cell) else "")
            for cell in self.grid.compositions
        }

    @property
    def legend(self) -> dict[str, str]:
        """What each mark says that some composition has, the best first."""
        used = "".join(self._by_label.values())
        said = {
            BEST: f"the best composition by {judge(self.grid)}.",
            CONTENDS: f"cannot be told from the best by {judge(self.grid)}: Hsu's multiple comparisons with the best, "
            f"95 %; {condition(self.ranking.model)}.",
            BELOW: f"below {self.grid.start} on the test set.",
        }
        return {mark: words for mark, words in said.items() if mark in used}


def marks_of(grid: Grid) -> Marks:
    """Return the marks of a grid."""
    return Marks(grid, order(grid), scale(grid))
