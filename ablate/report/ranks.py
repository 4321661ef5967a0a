"""Rank correlations: Spearman's, its bootstrap interval, and the most that a grid's own noise leaves room for."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ablate.report.grid import Cell
from ablate.report.model import CONFIDENCE

FEWEST = 4  # values that a rank correlation is worth reporting for
RESAMPLES = 2000


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank; NaN for constants."""

    def ranks(values: Sequence[float]) -> list[float]:
        ordered = sorted(values)
        return [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]

    try:
        return statistics.correlation(ranks(x), ranks(y))
    except statistics.StatisticsError:
        return math.nan


def interval(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Of :func:`spearman`, 95 %: the percentile bootstrap over pairs; resamples without a ranking are left out.

    NaN where :func:`spearman` is. SciPy's would warn of every such resample, which a grid of four cells has many of.
    """
    if math.isnan(spearman(x, y)):
        return math.nan, math.nan
    pairs = np.array([x, y])
    picks = np.random.default_rng(0).integers(0, pairs.shape[1], (RESAMPLES, pairs.shape[1]))
    drawn = [spearman(*pairs[:, pick].tolist()) for pick in picks]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return float(low), float(high)


def reliability(cells: Sequence[Cell]) -> float:
    """What the ranking of the cells' means is worth: split-half, over all ways to take two seeds, stepped up to all.

    The halves are single seeds, so that any number of seeds divides evenly: with their mean rank correlation ``r`` and
    ``n`` seeds, Spearman and Brown's formula gives ``n r / (1 + (n - 1) r)``. Its square root is the most that the
    means can correlate with anything free of noise (Spearman 1904). 0 where seeds agree no more than by chance; NaN
    below two seeds or four cells that share them, and where a seed has equal values for all cells.
    """
    shared = set.intersection(*(set(cell.seeds()) for cell in cells)) if cells else set()
    n = len(shared)
    if n < 2 or len(cells) < FEWEST:
        return math.nan
    values = {seed: [cell.seeds()[seed] for cell in cells] for seed in shared}
    r = statistics.fmean(spearman(values[a], values[b]) for a, b in combinations(sorted(shared), 2))
    return 0.0 if r <= 0 else n * r / (1 + (n - 1) * r)
