"""Differences between cells and the untrained encoder: paired by seed, or by Welch if it has further seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
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


def unpaired_difference(a: Sequence[float], b: Sequence[float]) -> Difference | None:
    """Return the mean of ``a`` minus that of ``b`` with Welch's interval (Welch 1947); None if either is empty."""
    if not a or not b:
        return None
    mean, how = statistics.fmean(a) - statistics.fmean(b), f"Welch, {len(b)} untrained encoders"
    if min(len(a), len(b)) == 1:
        return Difference(mean, None, None, 1)
    own = [statistics.variance(values) / len(values) for values in (a, b)]
    if not sum(own):
        return Difference(mean, mean, mean, len(a), how)
    df = sum(own) ** 2 / sum(part**2 / (len(values) - 1) for part, values in zip(own, (a, b), strict=True))
    half = float(stdtrit(df, (1 + CONFIDENCE) / 2)) * math.sqrt(sum(own))
    return Difference(mean, mean - half, mean + half, len(a), how)


def over_untrained(grid: Grid, ranking: Ranking, cell: Cell) -> Difference | None:
    """Return a cell minus the untrained encoder, or None if they cannot be compared.

    They are paired by seed; if more seeds of the untrained encoder are planned than of the cell, all seeds of both are
    compared without pairs: untrained encoders differ so much that their number decides.
    """
    untrained = grid.references.get("untrained")
    if untrained is None:
        return None
    ours, theirs = cell.seeds(ranking.metric), untrained.seeds(ranking.metric)
    if untrained.planned > cell.planned:
        difference = unpaired_difference(list(ours.values()), list(theirs.values()))
    else:
        difference = paired_difference(ours, theirs)
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
