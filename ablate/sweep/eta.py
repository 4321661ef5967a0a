"""How long a sweep still takes: the measured trials' mean, laid out over the workers. Needs no torch."""

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


def clock(seconds: float) -> str:
    """``42 s``, ``3 min 05 s``, ``2 h 10 min``, ``2 days 03 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole >= 2 * 86400:
        return f"{whole // 86400} days {whole % 86400 // 3600:02d} h"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
