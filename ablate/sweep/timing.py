"""Estimate the time that a sweep still takes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

REPRESENTATIVE = {None, "no-op"}
"""References that cost what a cell (None) costs; supervised ones see half the views."""


def remaining_seconds(trial_seconds: float, waiting: int, running: Iterable[float], workers: int) -> float:
    """Seconds until the last trial ends.

    Args:
        trial_seconds: what one trial takes.
        waiting: trials not begun.
        running: for each running trial, the seconds it still needs.
        workers: how many trials run at once.
    """
    ends = sorted(running)[-workers:]
    free = [0.0] * (workers - len(ends)) + ends
    heapq.heapify(free)
    for _ in range(waiting):
        heapq.heapreplace(free, free[0] + trial_seconds)
    return max(free)
