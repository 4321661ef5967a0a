"""Estimate the time that a sweep still takes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

REPRESENTATIVE = {None, "no-op"}
"""References that cost as much as a cell (None); supervised ones process half the views."""


def remaining_seconds(trial_seconds: float, waiting: int, running: Iterable[float], workers: int) -> float:
    """Estimate the seconds until the last trial ends.

    Args:
        trial_seconds: how long one trial takes.
        waiting: how many trials have not begun.
        running: for each running trial, the seconds it still needs.
        workers: how many trials run at once.
    """
    ends = sorted(running)[-workers:]
    free = [0.0] * (workers - len(ends)) + ends
    heapq.heapify(free)
    for _ in range(waiting):
        heapq.heapreplace(free, free[0] + trial_seconds)
    return max(free)
