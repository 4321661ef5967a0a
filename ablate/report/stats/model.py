"""The two-way model of a grid's cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from ablate.inference.difference import Difference
from ablate.inference.dunnett import CONFIDENCE, TAIL
from ablate.inference.images_only import over_images_only
from ablate.inference.model import TwoWayModel, estimate
from ablate.inference.over_images import OverImages
from ablate.report.data.grid import Cell

__all__ = ["CONFIDENCE", "Difference", "TwoWayModel", "combined", "fit"]


def fit(
    cells: Sequence[Cell],
    metric: str | None = None,
    tail: float = TAIL,
    left: frozenset[str] | None = None,
    images: OverImages | None = None,
) -> TwoWayModel | None:
    """Fit the model to the cells with results.

    Args:
        cells: the cells.
        metric: the metric; None: the grid's own.
        tail: the probability with which the comparisons with the best may err.
        left: the labels of the cells that may be the best; None: all.
        images: the covariance of the metric over images, if intervals are to hold other images too.

    Returns:
        The model; None if the data are too few: fewer than two cells, fewer than two seeds, or cells that share no
        seeds.
    """
    return _estimate(tuple((cell.label, tuple(cell.seeds(metric).items())) for cell in cells), tail, left, images)


@lru_cache(maxsize=4)
def _estimate(
    values: tuple[tuple[str, tuple[tuple[int, float], ...]], ...],
    tail: float,
    left: frozenset[str] | None,
    images: OverImages | None,
) -> TwoWayModel | None:
    """Remember the last models, since the parts of a report ask for the same one about ten times."""
    by_label = {label: dict(seeds) for label, seeds in values}
    if images and images.alone:
        return over_images_only(by_label, images, tail=tail, among=left)
    return estimate(by_label, tail=tail, among=left, images=images)


def combined(parts: Sequence[tuple[float, Difference]]) -> Difference:
    """Return a weighted sum of differences of unrelated grids.

    Half its interval is the root of the sum of the squares of the parts' halves: the method of variance estimates
    recovery (Zou and Donner 2008, *Statistics in Medicine* 27), for symmetric intervals.

    Args:
        parts: the weight of each difference, and the difference.
    """
    mean = sum(factor * part.mean for factor, part in parts)
    n, how = min(part.n for _, part in parts), parts[0][1].how
    if any(part.low is None for _, part in parts):
        return Difference(mean, None, None, n)
    half = math.hypot(*(factor * (part.high - part.mean) for factor, part in parts if part.high is not None))
    return Difference(mean, mean - half, mean + half, n, how)
