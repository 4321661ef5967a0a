"""Average effects of single ops over a grid, and the interactions of pairs of ops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ablate.report.data.grid import Grid
from ablate.report.stats.model import Difference
from ablate.report.stats.order import Ranking, ordered


@dataclass(frozen=True)
class MainEffect:
    """The effect of an op as the first and as the second: the mean of its row or column minus the mean of all cells."""

    op: str
    first: Difference
    second: Difference


@dataclass(frozen=True)
class Interaction:
    """The effect of two ops together beyond the sum of their main effects, as the mean of both orders."""

    a: str
    b: str
    difference: Difference


def main_effects(grid: Grid) -> list[MainEffect]:
    """Return the main effect of every op.

    The list is empty while a cell of the grid cannot be compared, for example because it has no result.
    """
    ops = grid.ops if _is_whole(grid) else ()
    estimates = _estimates(grid, [_row(grid, op, side) for op in ops for side in (0, 1)])
    return [MainEffect(op, *estimates[2 * i : 2 * i + 2]) for i, op in enumerate(ops)]


def interactions(grid: Grid) -> list[Interaction]:
    """Return the interaction of every pair of ops, the strongest first.

    The list is empty while a cell of the grid cannot be compared.
    """
    pairs = list(combinations(grid.ops, 2)) if _is_whole(grid) else []
    estimates = _estimates(grid, [_together(grid, a, b) for a, b in pairs])
    listed = [Interaction(a, b, estimate) for (a, b), estimate in zip(pairs, estimates, strict=True)]
    return sorted(listed, key=lambda interaction: -abs(interaction.difference.mean))


def _is_whole(grid: Grid) -> bool:
    return len(grid.ops) > 1 and len(_compared(grid).cells) == len(grid.cells)


def _compared(grid: Grid) -> Ranking:
    return ordered(list(grid.cells.values()), grid.metric)


def _row(grid: Grid, op: str, side: int) -> dict[str, float]:
    """Return weights for the mean of the cells with ``op`` on one side, minus the mean of all cells.

    ``side`` is 0 for the first op and 1 for the second.
    """
    k = len(grid.ops)
    return {cell.label: (position[side] == op) / k - 1 / k**2 for position, cell in grid.cells.items()}


def _together(grid: Grid, a: str, b: str) -> dict[str, float]:
    """Return weights for the mean of both orders, minus their row and column effects and the mean of all cells."""
    weights: dict[str, float] = defaultdict(float)
    for first, second in ((a, b), (b, a)):
        weights[grid.cells[first, second].label] += 0.5
        for op, side in ((first, 0), (second, 1)):
            for label, weight in _row(grid, op, side).items():
                weights[label] -= 0.5 * weight
    for cell in grid.cells.values():
        weights[cell.label] -= 1 / len(grid.cells)
    return weights


def _estimates(grid: Grid, contrasts: Sequence[Mapping[str, float]]) -> list[Difference]:
    """Estimate contrasts of cell means with joint intervals.

    The intervals are left out if there is only one seed, since the noise is then unknown.
    """
    ranking = _compared(grid)
    if ranking.model is not None:
        return ranking.model.contrasts(contrasts)
    sums = [sum(weight * ranking.scores[label] for label, weight in weights.items()) for weights in contrasts]
    return [Difference(total, None, None, 1) for total in sums]
