"""Which composition is best: the one ordering of a grid's cells, from which everything that is called best is taken.

A seed shifts all cells that are trained with it, so a mean over some seeds says nothing beside a mean over others.
Cells are compared by means that are adjusted for the seeds they lack: those of the two-way fit, cell + seed, by least
squares. So what is best does not depend on which trials have been run so far, or on which have failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ablate.inference.adjusted import adjusted, largest
from ablate.inference.model import EQUAL
from ablate.report.data.grid import Cell, Grid
from ablate.report.stats.model import Difference, Model, fit


@dataclass(frozen=True)
class Order:
    """The cells that can be compared, the best first; equal ones in the order of the plan.

    ``scores`` by label: fractions, means over seeds that are adjusted for the seeds a cell lacks; that of a cell which
    has every seed is its plain mean. ``apart``: cells with results that share no seed with those, not even
    through others, and so cannot be compared with them. ``metric`` is what all of it is about.
    """

    cells: tuple[Cell, ...]
    scores: Mapping[str, float]
    apart: tuple[Cell, ...]
    metric: str

    @cached_property
    def model(self) -> Model | None:
        """The noise of the comparison; None where seeds or cells are too few to know it."""
        return fit(self.cells, self.metric)

    @property
    def best(self) -> Cell | None:
        """The first; None without results."""
        return self.cells[0] if self.cells else None

    @property
    def equals(self) -> tuple[Cell, ...]:
        """Every cell with the highest score."""
        return tuple(cell for cell in self.cells if self.scores[cell.label] >= self.scores[self.cells[0].label] - EQUAL)

    @property
    def contenders(self) -> tuple[str, ...]:
        """The labels that cannot be told from the best, the best first; empty where the noise is unknown."""
        return self.model.contenders if self.model else ()

    def best_of(self, cells: Iterable[Cell]) -> Cell | None:
        """The first of ``cells``; None where none of them is compared."""
        labels = {cell.label for cell in cells}
        return next((cell for cell in self.cells if cell.label in labels), None)

    def contrast(self, weights: Mapping[str, float]) -> Difference:
        """``sum(weight * score)``, with its 95 % interval where the noise is known; the weights sum to 0."""
        if self.model:
            return self.model.contrast(weights)
        # Without a model no two cells share more than one seed.
        return Difference(sum(weight * self.scores[label] for label, weight in weights.items()), None, None, 1)

    def difference(self, a: Cell, b: Cell) -> Difference:
        """``a`` minus ``b``."""
        return self.contrast({a.label: 1.0, b.label: -1.0})

    @property
    def is_adjusted(self) -> bool:
        """Whether a score is not the plain mean over a cell's seeds, as far as one decimal of a percent shows."""
        return any(abs(self.scores[cell.label] - (cell.mean(self.metric) or 0.0)) >= 0.0005 for cell in self.cells)

    def score(self, cell: Cell) -> float | None:
        """What the cell is ordered by; of one that is not compared, as a reference, the plain mean."""
        return self.scores.get(cell.label, cell.mean(self.metric))

    def percent(self, cell: Cell) -> str:
        """``78.1 ± 2.0 %``: the score and the standard deviation over seeds; empty without a value.

        What an adjusted mean has beyond 0 or 100 % is not shown.
        """
        score, std = self.score(cell), cell.std(self.metric)
        spread = "" if std is None else f" ± {100 * std:.1f}"
        return "" if score is None else f"{100 * min(1.0, max(0.0, score)):.1f}{spread} %"


def order(grid: Grid) -> Order:
    """The ordering of a grid's compositions by validation accuracy (of rotation prediction, where there is no other).

    Where cells fall into groups that share no seed, the group with most cells is compared, then that with most results.
    """
    return ordered(grid.with_results, grid.validation_metric)


def best_first(grid: Grid, cells: Iterable[Cell]) -> list[Cell]:
    """``cells`` of the grid, the best first; those that are not compared, or have no result, behind the others."""
    place = {cell.label: number for number, cell in enumerate(order(grid).cells)}
    return sorted(cells, key=lambda cell: place.get(cell.label, len(place)))


def scores(cells: Sequence[Cell], metric: str) -> list[float]:
    """What each of ``cells``, which have values, is ordered by: a mean that is adjusted for the seeds it lacks."""
    found = ordered(cells, metric)
    return [found.score(cell) or 0.0 for cell in cells]


def ordered(cells: Sequence[Cell], metric: str) -> Order:
    """As :func:`order`, of any cells by any metric."""
    known = {cell.label: cell.seeds(metric) for cell in cells if cell.seeds(metric)}
    scores = adjusted({label: known[label] for label in largest(known)})
    first = sorted((cell for cell in cells if cell.label in scores), key=lambda cell: -round(scores[cell.label], 9))
    apart = tuple(cell for cell in cells if cell.label in known and cell.label not in scores)
    return Order(tuple(first), scores, apart, metric)
