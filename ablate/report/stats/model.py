"""The two-way model of a grid's cells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ablate.inference.dunnett import CONFIDENCE
from ablate.inference.model import Difference, TwoWayModel, estimate
from ablate.report.data.grid import Cell

__all__ = ["CONFIDENCE", "Difference", "TwoWayModel", "fit"]


def fit(cells: Sequence[Cell], metric: str | None = None) -> TwoWayModel | None:
    """Fit the model of ``metric`` (default: the grid's own) to the cells with results.

    Return None if the data are too few: fewer than two cells, fewer than two seeds, or cells that share no seeds.
    """
    return _estimate(tuple((cell.label, tuple(cell.seeds(metric).items())) for cell in cells))


@lru_cache(maxsize=4)
def _estimate(values: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]) -> TwoWayModel | None:
    """Remember the last models, since the parts of a report ask for the same one about ten times."""
    return estimate({label: dict(seeds) for label, seeds in values})
