"""The ordering of a grid's cells. Everything that a report calls best is taken from it.

A seed shifts all cells that are trained with it, so a mean over some seeds cannot be compared with a mean over others.
Cells are therefore compared by means that are adjusted for the seeds they lack. These are the means of the two-way fit,
cell + seed, by least squares. The best cell therefore does not depend on which trials have been run so far, or on which
have failed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ablate.inference.adjusted import adjusted, largest
from ablate.inference.difference import EQUAL
from ablate.inference.dunnett import TAIL
from ablate.inference.over_images import OverImages
from ablate.report.data.grid import Cell, Grid
from ablate.report.stats.model import Difference, TwoWayModel, fit


@dataclass(frozen=True)
class Ranking:
    """The cells that can be compared, the best first; equal ones in the order of the plan.

    ``scores`` maps a label to its score: a fraction, the mean over seeds, adjusted for the seeds that the cell lacks.
    The score of a cell that has every seed is its plain mean. ``apart`` holds the cells with results that share no seed
    with ``cells``, not even through others, and so cannot be compared with them. ``metric`` is the metric of all these
    values. ``tail``, ``left`` and ``images`` are those of the grid.
    """

    cells: tuple[Cell, ...]
    scores: Mapping[str, float]
    apart: tuple[Cell, ...]
    metric: str
    tail: float = TAIL
    left: frozenset[str] | None = None
    images: OverImages | None = None

    @cached_property
    def model(self) -> TwoWayModel | None:
        """The noise of the comparison; None if there are too few seeds or cells to estimate it."""
        return fit(self.cells, self.metric, self.tail, self.left, self.images)

    @property
    def best(self) -> Cell | None:
        """The best cell; None without results."""
        return self.cells[0] if self.cells else None

    @property
    def eligible(self) -> tuple[Cell, ...]:
        """The cells that may be the best: not dropped in rounds of seeds, and keeping protected classes."""
        return tuple(cell for cell in self.cells if self.left is None or cell.label in self.left)

    @property
    def equals(self) -> tuple[Cell, ...]:
        """Every cell that may be the best with the score of the best one; none without results."""
        if not self.cells:
            return ()
        best = self.scores[self.cells[0].label]
        return tuple(cell for cell in self.eligible if abs(self.scores[cell.label] - best) <= EQUAL)

    @property
    def contenders(self) -> tuple[str, ...]:
        """The labels that cannot be told from the best, in the order of ``cells``; empty if the noise is unknown."""
        found = self.model.contenders if self.model else ()
        return tuple(cell.label for cell in self.cells if cell.label in found)

    def best_of(self, cells: Iterable[Cell]) -> Cell | None:
        """Return the best of ``cells``, or None if none of them is compared."""
        labels = {cell.label for cell in cells}
        return next((cell for cell in self.cells if cell.label in labels), None)

    def contrast(self, weights: Mapping[str, float]) -> Difference:
        """Return ``sum(weight * score)``, with its 95 % interval if the noise is known; the weights sum to 0."""
        if self.model:
            return self.model.contrast(weights)
        # Without a model no two cells share more than one seed.
        return Difference(sum(weight * self.scores[label] for label, weight in weights.items()), None, None, 1)

    def difference(self, a: Cell, b: Cell) -> Difference:
        """Return the difference ``a`` minus ``b``."""
        return self.contrast({a.label: 1.0, b.label: -1.0})

    @property
    def is_adjusted(self) -> bool:
        """True if a score differs from the plain mean over a cell's seeds by 0.05 percentage points or more."""
        return any(abs(self.scores[cell.label] - (cell.mean(self.metric) or 0.0)) >= 0.0005 for cell in self.cells)

    def score(self, cell: Cell) -> float | None:
        """Return the score by which the cell is ordered, or its plain mean if it is not compared, like a reference."""
        return self.scores.get(cell.label, cell.mean(self.metric))

    def percent(self, cell: Cell) -> str:
        """Return the score and the standard deviation over seeds, as in ``78.1 ± 2.0 %``.

        The text is empty without a value. An adjusted mean is cut to the range 0 to 100 %.
        """
        score, std = self.score(cell), cell.std(self.metric)
        spread = "" if std is None else f" ± {100 * std:.1f}"
        return "" if score is None else f"{100 * min(1.0, max(0.0, score)):.1f}{spread} %"


def order(grid: Grid) -> Ranking:
    """Order a grid's compositions by validation accuracy (of rotation prediction, if there is no other).

    If the cells fall into groups that share no seed, the group with the most cells is compared; of several, the one
    with the most results. In rounds of seeds, cells that were dropped follow those that are left: none of them is the
    best, also if the others have fallen below it since.
    """
    ranking = ordered(grid.with_results, grid.validation_metric)
    left = frozenset(ranking.scores) if grid.left is None else grid.left
    first = sorted(ranking.cells, key=lambda cell: cell.label not in left)
    return dataclasses.replace(ranking, cells=tuple(first), tail=grid.tail, left=grid.left, images=grid.images)


def best_first(grid: Grid, cells: Iterable[Cell]) -> list[Cell]:
    """Sort ``cells`` of the grid, the best first.

    Cells that are not compared, or have no result, follow the others.
    """
    rank = {cell.label: number for number, cell in enumerate(order(grid).cells)}
    return sorted(cells, key=lambda cell: rank.get(cell.label, len(rank)))


def scores(cells: Sequence[Cell], metric: str) -> list[float]:
    """Return the score by which each of ``cells`` is ordered: a mean that is adjusted for the seeds it lacks.

    All of ``cells`` must have values.
    """
    ranking = ordered(cells, metric)
    return [ranking.score(cell) or 0.0 for cell in cells]


def ordered(cells: Sequence[Cell], metric: str) -> Ranking:
    """Order any cells by any metric, in the same way as :func:`order`."""
    known = [cell for cell in cells if cell.seeds(metric)]
    scores = _scores(tuple((cell.label, tuple(cell.seeds(metric).items())) for cell in known))
    first = sorted((cell for cell in known if cell.label in scores), key=lambda cell: -round(scores[cell.label], 9))
    apart = tuple(cell for cell in known if cell.label not in scores)
    return Ranking(tuple(first), scores, apart, metric)


@lru_cache(maxsize=4)
def _scores(values: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]) -> Mapping[str, float]:
    """Remember the last scores, since the parts of a report ask for the same ones about ten times."""
    known = {label: dict(seeds) for label, seeds in values}
    return adjusted({label: known[label] for label in largest(known)})
