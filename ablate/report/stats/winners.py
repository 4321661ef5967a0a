"""Whose winner costs how much: the best composition of one grid, under the conditions of another one.

The cost is the comparison by which reports set a grid's best cell against another cell: the difference of validation
accuracies with the 95 % interval of that grid's own two-way model. The best cell was selected by these accuracies, so
the cost is a little too large on average, and the interval does not take that into account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

from ablate.report.data.grid import Grid
from ablate.report.data.results import Results
from ablate.report.stats.model import Difference
from ablate.report.stats.order import Ranking, order


@dataclass(frozen=True)
class Side:
    """A grid that is compared with others, with a name that tells it from them: a sweep, or a point of its axes."""

    name: str
    grid: Grid

    @cached_property
    def ranking(self) -> Ranking:
        """The compositions of the grid, the best first."""
        return order(self.grid)


@dataclass(frozen=True)
class Cost:
    """The cost of the winner of the side ``of`` under the side ``under``.

    ``winner`` is its label, empty before ``of`` has a result. ``score`` is its validation accuracy under ``under``,
    and ``cost`` is that of the best cell there minus ``score``; None if it ``is_best`` there, too. ``contends`` is True
    if it cannot be told from the best there; None if the noise is unknown. Without a score, ``why`` says the reason.
    """

    of: str
    under: str
    winner: str = ""
    score: float | None = None
    cost: Difference | None = None
    is_best: bool = False
    contends: bool | None = None
    why: str = ""

    @property
    def mean(self) -> float:
        """The cost as a fraction; 0 without one."""
        return self.cost.mean if self.cost else 0.0


def costs(sides: Sequence[Side]) -> list[Cost]:
    """Return the cost of the winner of every side under every other side."""
    return [_cost(a, b) for a, b in permutations(sides, 2)]


def _cost(a: Side, b: Side) -> Cost:
    winner, ranking = a.ranking.best, b.ranking
    if winner is None:
        return Cost(a.name, b.name, why=f"{a.name} has no result")
    there = next((cell for cell in b.grid.compositions if cell.label == winner.label), None)
    best = ranking.best
    if there is None or best is None or there.label not in ranking.scores:
        status = "not in its grid" if there is None else there.status if not there.n else "shares no seed"
        return Cost(a.name, b.name, winner.label, why=status)
    is_best = there.label == best.label
    cost = None if is_best else ranking.difference(best, there)
    contends = there.label in ranking.contenders if ranking.contenders else None
    return Cost(a.name, b.name, winner.label, ranking.score(there), cost, is_best, contends)


def sides_of(sweep: Results, others: Sequence[Results] = ()) -> list[Side]:
    """Return what a report compares: the sweep and the others or, without others, the points of its axes."""
    if others:
        return [
            Side(name, each.grid) for name, each in zip(told_apart([sweep, *others]), [sweep, *others], strict=True)
        ]
    return [Side(name, grid) for name, grid in sweep.by_variant.items()]


def told_apart(sweeps: Sequence[Results]) -> list[str]:
    """Return names that tell sweeps apart: those of their data sets, else of their directories, else whole paths."""
    ways = (
        [sweep.experiment.shared.data.name.partition(" (")[0] for sweep in sweeps],
        [sweep.directory.resolve().name for sweep in sweeps],
    )
    paths = [str(sweep.directory) for sweep in sweeps]
    return next((names for names in ways if len(set(names)) == len(names)), paths)
