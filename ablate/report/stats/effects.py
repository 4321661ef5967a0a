"""What an op does on average over a grid, and what two ops do together beyond that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ablate.report.data.grid import Grid
from ablate.report.stats.model import Difference
from ablate.report.stats.order import Order, ordered


@dataclass(frozen=True)
class MainEffect:
    """An op's row, and its column, against the mean of all cells: what it does as the first op, and as the second."""

    op: str
    first: Difference
    second: Difference


@dataclass(frozen=True)
class Interaction:
    """Two ops together, mean of both orders, beyond the sum of their main effects."""

    a: str
    b: str
    difference: Difference


def main_effects(grid: Grid) -> list[MainEffect]:
    """Of every op; empty while a cell of the grid cannot be compared, as without a result."""
    ops = grid.ops if _is_whole(grid) else ()
    found = _estimates(grid, [_row(grid, op, side) for op in ops for side in (0, 1)])
    return [MainEffect(op, *found[2 * i : 2 * i + 2]) for i, op in enumerate(ops)]


def interactions(grid: Grid) -> list[Interaction]:
    """Of every pair of ops, the strongest first; empty while a cell of the grid cannot be compared."""
    pairs = list(combinations(grid.ops, 2)) if _is_whole(grid) else []
    estimates = _estimates(grid, [_together(grid, a, b) for a, b in pairs])
    found = [Interaction(a, b, estimate) for (a, b), estimate in zip(pairs, estimates, strict=True)]
    return sorted(found, key=lambda interaction: -abs(interaction.difference.mean))


def _is_whole(grid: Grid) -> bool:
    return len(grid.ops) > 1 and len(_compared(grid).cells) == len(grid.cells)


def _compared(grid: Grid) -> Order:
    return ordered(list(grid.cells.values()), grid.metric)


def _row(grid: Grid, op: str, side: int) -> dict[str, float]:
    """The mean of the cells with ``op`` on that side (0 first, 1 second), minus the mean of all."""
    k = len(grid.ops)
    return {cell.label: (place[side] == op) / k - 1 / k**2 for place, cell in grid.cells.items()}


def _together(grid: Grid, a: str, b: str) -> dict[str, float]:
    """Mean of both orders minus their rows' and columns' effects and the mean of all."""
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
    """Contrasts of cell means with joint intervals; without any where one seed leaves the noise unknown."""
    found = _compared(grid)
    if found.model is not None:
        return found.model.contrasts(contrasts)
    sums = [sum(weight * found.scores[label] for label, weight in weights.items()) for weights in contrasts]
    return [Difference(total, None, None, 1) for total in sums]
