"""Rank correlations: Spearman's, its interval by resampling ops, and the most that a grid's own noise leaves room for.

Cells are no sample: 49 of them are made of seven ops, and share what these do. So ops are drawn, with replacement, and
a cell counts as often as its ops were drawn together (the bootstrap of a two-way array by its labels; McCullagh 2000).
With cells drawn instead, the interval of two unrelated grids excludes 0 half of the time, see docs/report.md.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ablate.console import counted
from ablate.inference.dunnett import CONFIDENCE
from ablate.report.data.grid import Cell

FEWEST = 4  # values that a rank correlation is worth reporting for
FEWEST_OPS = 4  # that an interval takes
RESAMPLES = 2000
EQUAL = 1e-9
Array = NDArray[np.float64]


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank; NaN for constants."""

    def ranks(values: Sequence[float]) -> list[float]:
        ordered = sorted(values)
        return [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]

    try:
        return statistics.correlation(ranks(x), ranks(y))
    except statistics.StatisticsError:
        return math.nan


def interval(x: Sequence[float], y: Sequence[float], ops: Sequence[tuple[str, ...]]) -> tuple[float, float]:
    """Of :func:`spearman`, 95 %: the percentile bootstrap over ops; resamples without a ranking are left out.

    ``ops`` are those of each value's composition, of an op alone that op twice, as on a grid's diagonal. NaN where
    :func:`spearman` is, and below four ops.
    """
    names = sorted({op for several in ops for op in several})
    if len(names) < FEWEST_OPS or math.isnan(spearman(x, y)):
        return math.nan, math.nan
    times = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    place = {op: number for number, op in enumerate(names)}
    weights = np.stack([times[:, [place[op] for op in several]].prod(axis=1) for several in ops], axis=1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(_weighted(np.array(x), np.array(y), weights), [tail, 100 - tail])
    return float(low), float(high)


def told(x: Sequence[float], y: Sequence[float], ops: Sequence[tuple[str, ...]]) -> str:
    """``+0.47 [-0.18, +0.76]`` and, below four ops, ``+0.47 (2 ops: no interval)``."""
    low, high = interval(x, y, ops)
    if math.isnan(low):
        return f"{spearman(x, y):+.2f} ({counted(len({op for several in ops for op in several}), 'op')}: no interval)"
    return f"{spearman(x, y):+.2f} [{low:+.2f}, {high:+.2f}]"


def ops_of(cell: Cell) -> tuple[str, ...]:
    """A cell's ops as :func:`interval` takes them; a cell whose ops are not known is one of its own."""
    return 2 * (cell.ops or (cell.label,)) if len(cell.ops) < 2 else cell.ops


def _weighted(x: Array, y: Array, weights: NDArray[np.int64]) -> Array:
    """:func:`spearman` where each value counts as often as each row of ``weights`` [resamples, values] says."""
    ranks = []
    for values in (x, y):
        _, group = np.unique(values, return_inverse=True)
        counts = weights @ np.eye(group.max() + 1)[group]
        ranks.append((counts.cumsum(axis=1) - counts / 2)[:, group])
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    a, b = (r - (weights * r).sum(axis=1, keepdims=True) / total for r in ranks)
    both = ((weights * one * other).sum(axis=1) for one, other in ((a, b), (a, a), (b, b)))
    covariance, of_a, of_b = both
    ranked = (of_a > EQUAL) & (of_b > EQUAL)
    return np.where(ranked, covariance / np.sqrt(np.where(ranked, of_a * of_b, 1.0)), np.nan)


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
