"""The p value of two grids' rank agreement, by permuting ops: the quadratic assignment procedure.

The cells of a grid share its ops, so they are no independent observations. If two grids are unrelated, the names of the
ops in one of them are exchangeable: with other names for its ops, rows and columns together, every correlation was as
likely as the one that was seen. (Mantel 1967, *Cancer Research* 27, for matrices of distances; Hubert and Schultz 1976,
*British Journal of Mathematical and Statistical Psychology* 29, for any two matrices.)
"""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from ablate.report.stats.ranks import EQUAL

MOST = 5040  # permutations: all of seven ops; of more ops, so many are drawn
AT_ONCE = 500  # permutations in memory at once
Array = NDArray[np.float64]


def permutation_p(ours: Array, theirs: Array) -> float:
    """Return the one-sided p value of Spearman's correlation of two grids, by permuting the ops of one.

    It is the share of permutations, the given order among them, whose correlation is as high as the one that was seen.
    It is exact for up to seven ops. For more, 5,039 permutations are drawn, the same each time, and added to the given
    order (Phipson and Smyth 2010, *Statistical Applications in Genetics and Molecular Biology* 9). No p value is below
    :func:`smallest`, which is 1/6 for three ops.

    Args:
        ours: the values of one grid, [ops, ops]; NaN without a result. Values are ranked before they are permuted.
        theirs: the values of the other grid, its ops in the same order.

    Returns:
        The p value; NaN if a grid is constant. A permutation without a correlation counts as one that is as high.
    """
    k = len(ours)
    a, b = (_ranks(values) for values in (ours, theirs))
    orders = _orders(k)
    found = np.concatenate([_correlations(a, b, orders[i : i + AT_ONCE]) for i in range(0, len(orders), AT_ONCE)])
    seen = found[0]
    return math.nan if math.isnan(seen) else float(np.mean(~(found < seen - EQUAL)))


def smallest(k: int) -> float:
    """Return the smallest p value that ``k`` ops can have: one over the number of permutations."""
    return 1 / min(math.factorial(k), MOST)


def _orders(k: int) -> NDArray[np.int64]:
    """Return the permutations of ``k`` ops, [permutations, k]; the first one is the given order."""
    if math.factorial(k) <= MOST:
        return np.array(list(permutations(range(k))))
    drawn = np.random.default_rng(0).permuted(np.tile(np.arange(k), (MOST - 1, 1)), axis=1)
    return np.concatenate([np.arange(k)[None], drawn])


def _ranks(values: Array) -> Array:
    """Return the ranks of a grid's values, minus their mean; equal values share their mean rank, and NaN stays."""
    known = np.isfinite(values)
    _, group, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks = np.full(values.shape, math.nan)
    ranks[known] = (counts.cumsum() - (counts - 1) / 2)[group] - (known.sum() + 1) / 2
    return ranks


def _correlations(a: Array, b: Array, orders: NDArray[np.int64]) -> Array:
    """Return Pearson's correlation of ``a``, in each order of its ops, and ``b`` over the cells that both know."""
    places = (orders[:, :, None] * len(a) + orders[:, None, :]).reshape(len(orders), -1)
    x, y = np.nan_to_num(a).ravel()[places], np.nan_to_num(b).ravel()
    has_x, has_y = np.isfinite(a).ravel()[places].astype(float), np.isfinite(b).ravel().astype(float)
    n = np.maximum(has_x @ has_y, 1.0)
    of_x, of_y = x @ has_y, has_x @ y
    squares = (x**2 @ has_y - of_x**2 / n) * (has_x @ y**2 - of_y**2 / n)
    ranked = squares > EQUAL
    return np.where(ranked, (x @ y - of_x * of_y / n) / np.sqrt(np.where(ranked, squares, 1.0)), math.nan)
