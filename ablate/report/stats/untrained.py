"""Differences between cells and the untrained encoder, paired by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import replace

from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes half a second to import

from ablate.inference.over_images import OverImages
from ablate.report.data.grid import Cell, Grid
from ablate.report.stats.model import CONFIDENCE, Difference
from ablate.report.stats.order import Ranking


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Difference | None:
    """Return ``a`` minus ``b`` over the seeds that both have, or None if they share none."""
    differences = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
    n = len(differences)
    if not n:
        return None
    mean = statistics.fmean(differences)
    if n == 1:
        return Difference(mean, None, None, 1)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * statistics.stdev(differences) / math.sqrt(n)
    return Difference(mean, mean - half, mean + half, n)


def over_untrained(grid: Grid, ranking: Ranking, cell: Cell) -> Difference | None:
    """Return a cell minus the untrained encoder, paired by seed, or None if they share no seed."""
    untrained = grid.references.get("untrained")
    if untrained is None:
        return None
    difference = paired_difference(cell.seeds(ranking.metric), untrained.seeds(ranking.metric))
    return difference and with_images(difference, grid.images, (cell.label, untrained.label))


def with_images(difference: Difference, images: OverImages | None, labels: tuple[str, str]) -> Difference:
    """Return the difference of two cells with an interval that holds other images too, if their covariance is known."""
    if images is None or not set(labels) <= set(images.labels):
        return difference
    pair, mean = images.of(labels), difference.mean
    half = pair.multiple() * float(pair.errors[0, 1])
    if images.alone:
        return replace(difference, low=mean - half, high=mean + half, how=pair.how)
    if difference.high is None:
        return difference
    half = math.hypot(half, difference.high - mean)
    return replace(difference, low=mean - half, high=mean + half, how=f"{difference.how}, {pair.how}")


def beats_untrained(grid: Grid, ranking: Ranking, cell: Cell) -> bool | None:
    """Return True if a cell's validation accuracy is above the untrained encoder's, or None if that is unknown."""
    difference = over_untrained(grid, ranking, cell)
    return None if difference is None else difference.mean > 0


def is_unclear(grid: Grid, ranking: Ranking) -> bool:
    """Return True if the best composition is above the untrained encoder, but by no more than noise.

    This is so if the interval of the difference contains 0.
    """
    difference = over_untrained(grid, ranking, ranking.best) if ranking.best else None
    if difference is None or difference.low is None or difference.is_constant:
        return False
    return difference.mean > 0 >= difference.low
