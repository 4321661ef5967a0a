"""The two-way model of a grid's cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ablate.inference.dunnett import CONFIDENCE, TAIL
from ablate.inference.model import Difference, TwoWayModel, estimate
from ablate.report.data.grid import Cell

__all__ = ["CONFIDENCE", "Difference", "TwoWayModel", "fit"]


def fit(
    cells: Sequence[Cell], metric: str | None = None, tail: float = TAIL, left: frozenset[str] | None = None
) -> TwoWayModel | None:
    """Fit the model to the cells with results.

    Args:
        cells: the cells.
        metric: the metric; None: the grid's own.
        tail: the probability with which the comparisons with the best may err.
        left: the labels of the cells that may be the best; None: all.

    Returns:
        The model; None if the data are too few: fewer than two cells, fewer than two seeds, or cells that share no
        seeds.
    """
    return _estimate(tuple((cell.label, tuple(cell.seeds(metric).items())) for cell in cells), tail, left)


@lru_cache(maxsize=4)
def _estimate(
    values: tuple[tuple[str, tuple[tuple[int, float], ...]], ...], tail: float, left: frozenset[str] | None
) -> TwoWayModel | None:
    """Remember the last models, since the parts of a report ask for the same one about ten times."""
    return estimate({label: dict(seeds) for label, seeds in values}, tail=tail, among=left)
