"""The regret of a cheap choice: how far the cell that it prefers lies below the best one, by full results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ablate.report.stats.ranks import EQUAL, RESAMPLES, ends, resamples

Array = NDArray[np.float64]


def regret(full: Sequence[float], cheap: Sequence[float]) -> float:
    """Return the full value of the best cell minus that of the leader by cheap values; of equal leaders, their mean.

    Args:
        full: the full result of each cell, as a fraction.
        cheap: the cheap result of each cell; NaN for one without, which cannot be preferred.
    """
    one = np.array([cheap])
    return float(_regrets(np.array(full), one, np.ones_like(one, dtype=bool))[0])


def interval(
    full: Sequence[float], cheap: Sequence[Sequence[float]], ops: Sequence[tuple[str, ...]]
) -> tuple[float, float] | None:
    """Return the 95 % interval of :func:`regret` by resampling ops and, for the cheap choice, seeds.

    It says what the regret could have been with other ops and other seeds. Where ops cannot be resampled, only seeds
    are; with one seed only ops. Resamples that leave fewer than two cells are left out, since they leave no choice.

    Args:
        full: the full result of each cell, a mean over seeds.
        cheap: the cheap results of each cell by seed, without the seeds' own effects; NaN where there is none.
        ops: the ops of each cell, as :func:`ablate.report.stats.ranks.interval` takes them.

    Returns:
        The lower and the upper end; None if neither ops nor seeds can be resampled.
    """
    values = np.array(cheap)
    weights, n = resamples(ops), values.shape[1]
    if weights is None and n < 2:
        return None
    there = np.ones((RESAMPLES, len(full)), dtype=bool) if weights is None else weights > 0
    times = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    known = np.isfinite(values)
    counts = times @ known.T
    means = np.where(counts > 0, times @ np.where(known, values, 0.0).T / np.maximum(counts, 1), np.nan)
    is_choice = (there & (counts > 0)).sum(axis=1) > 1
    return ends(_regrets(np.array(full), means[is_choice], there[is_choice])) if is_choice.any() else None


def _regrets(full: Array, cheap: Array, there: NDArray[np.bool_]) -> Array:
    """Return the regret of each choice: ``cheap`` and ``there`` are [choices, cells], ``full`` is [cells]."""
    seen = np.where(there & np.isfinite(cheap), cheap, -np.inf)
    leads = seen >= seen.max(axis=1, keepdims=True) - EQUAL
    chosen = (leads * full).sum(axis=1) / leads.sum(axis=1)
    return np.asarray(np.where(there, full, -np.inf).max(axis=1) - chosen)
