"""Rank correlations: Spearman's, its interval by resampling ops, and the ceiling that a grid's own noise sets.

Cells are not an independent sample: 49 of them are made of seven ops and share the effects of these. Therefore ops are
drawn, with replacement, and a cell counts as often as its ops were drawn together (the bootstrap of a two-way array by
its labels; McCullagh 2000). If cells were drawn instead, the interval of two unrelated grids would exclude 0 half of
the time; see docs/report.md.
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

FEWEST = 4  # values from which on a rank correlation is worth reporting
FEWEST_OPS = 4  # ops from which on an interval is computed
RESAMPLES = 2000
LEFT = 0.5  # the share of resamples that leave two cells to compare, from which on an interval is computed
EQUAL = 1e-9
Array = NDArray[np.float64]


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Spearman's rank correlation, or NaN if either side is constant.

    It is Pearson's correlation of the ranks; equal values share their mean rank.
    """

    def ranks(values: Sequence[float]) -> list[float]:
        ordered = sorted(values)
        return [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]

    try:
        return statistics.correlation(ranks(x), ranks(y))
    except statistics.StatisticsError:
        return math.nan


def interval(x: Sequence[float], y: Sequence[float], ops: Sequence[tuple[str, ...]]) -> tuple[float, float]:
    """Return the 95 % interval of :func:`spearman`, by the percentile bootstrap over ops.

    Resamples without a ranking are left out.

    Args:
        x: the values on one side.
        y: the values on the other side.
        ops: the ops of each value's composition; for an op alone that op twice, as on a grid's diagonal.

    Returns:
        The lower and the upper end; NaN if :func:`spearman` is NaN, or if ops cannot be resampled.
    """
    weights = resamples(ops)
    if weights is None or math.isnan(spearman(x, y)):
        return math.nan, math.nan
    return ends(_weighted(np.array(x), np.array(y), weights))


def resamples(ops: Sequence[tuple[str, ...]]) -> NDArray[np.int64] | None:
    """Return how often each value counts in each resample of the ops, [resamples, values].

    It is None with fewer than four ops, and if most resamples leave fewer than two values: of a recipe and the recipe
    without each op, the others would be nearly all the same.

    Args:
        ops: the ops of each value's composition, as :func:`interval` takes them.
    """
    names = sorted({op for several in ops for op in several})
    if len(names) < FEWEST_OPS:
        return None
    times = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    column = {op: number for number, op in enumerate(names)}
    weights = np.stack([times[:, [column[op] for op in several]].prod(axis=1) for several in ops], axis=1)
    return weights if ((weights > 0).sum(axis=1) > 1).mean() >= LEFT else None


def ends(values: Array) -> tuple[float, float]:
    """Return the ends of the interval that holds 95 % of ``values``; NaN among them are left out."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


def correlation_in_words(x: Sequence[float], y: Sequence[float], ops: Sequence[tuple[str, ...]]) -> str:
    """Describe the correlation, as in ``+0.47 [-0.18, +0.76]``.

    Args:
        x: the values on one side.
        y: the values on the other side.
        ops: the ops of each value's composition, as :func:`interval` takes them.

    Returns:
        The text; where ops cannot be resampled, ``+0.47 (2 ops: no interval)``.
    """
    low, high = interval(x, y, ops)
    if math.isnan(low):
        number = len({op for several in ops for op in several})
        why = counted(number, "op") if number < FEWEST_OPS else "mostly shared ops"
        return f"{spearman(x, y):+.2f} ({why}: no interval)"
    return f"{spearman(x, y):+.2f} [{low:+.2f}, {high:+.2f}]"


def ops_of(cell: Cell) -> tuple[str, ...]:
    """Return a cell's ops in the form that :func:`interval` takes.

    A cell whose ops are unknown counts as an op of its own.
    """
    return 2 * (cell.ops or (cell.label,)) if len(cell.ops) < 2 else cell.ops


def _weighted(x: Array, y: Array, weights: NDArray[np.int64]) -> Array:
    """Compute :func:`spearman` once for every row of ``weights`` [resamples, values].

    A row says how often each value counts.
    """
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
    """Estimate the reliability of the ranking of the cells' means.

    It is the split-half reliability over all ways to take two seeds, stepped up to all seeds. The halves are single
    seeds, so that any number of seeds divides evenly: with their mean rank correlation ``r`` and ``n`` seeds, Spearman
    and Brown's formula gives ``n r / (1 + (n - 1) r)``. Its square root is the highest correlation that the means can
    have with anything free of noise (Spearman 1904).

    Returns:
        The reliability; 0 if the seeds agree no more than by chance; NaN with fewer than two seeds or fewer than four
        cells that share them, and if a seed has equal values for all cells.
    """
    shared = set.intersection(*(set(cell.seeds()) for cell in cells)) if cells else set()
    n = len(shared)
    if n < 2 or len(cells) < FEWEST:
        return math.nan
    values = {seed: [cell.seeds()[seed] for cell in cells] for seed in shared}
    r = statistics.fmean(spearman(values[a], values[b]) for a, b in combinations(sorted(shared), 2))
    return 0.0 if r <= 0 else n * r / (1 + (n - 1) * r)
