"""The two-way model of a grid's cells."""

from __future__ import annotations

from collections.abc import Sequence

from ablate.inference.dunnett import CONFIDENCE
from ablate.inference.model import Difference, Model, estimate
from ablate.report.data.grid import Cell

__all__ = ["CONFIDENCE", "Difference", "Model", "fit"]


def fit(cells: Sequence[Cell], metric: str | None = None) -> Model | None:
    """Fit the model of ``metric`` (default: the grid's own) to the cells with results.

    Return None if the data are too few: fewer than two cells, fewer than two seeds, or cells that share no seeds.
    """
    return estimate({cell.label: cell.seeds(metric) for cell in cells})
