"""Pack trials into jobs, and jobs into arrays, within the cluster's limits; a pure computation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Limits:
    """The cluster's limits: tasks per array, and how many more jobs the user may submit now, if it is known."""

    array_size: int = 1001
    room: int | None = None


@dataclass(frozen=True)
class Packing:
    """A layout of trials in jobs and arrays.

    ``packs``: each job's trial ids. ``arrays``: (first pack, number of packs, how many at a time). ``left``: how many
    trials did not fit.
    """

    packs: tuple[tuple[str, ...], ...]
    arrays: tuple[tuple[int, int, int], ...]
    left: int


def pack(
    trials: Sequence[str], together: int, limits: Limits, trials_per_job: int | None = None, parallel: int | None = None
) -> Packing:
    """Lay out ``trials`` in jobs and arrays, in order.

    Args:
        trials: the ids of the trials.
        together: how many trials run side by side in a job.
        limits: the cluster's limits.
        trials_per_job: how many trials a job has; None: ``together``, or the smallest multiple of it with which all
            jobs are allowed.
        parallel: how many jobs run at a time, over all arrays; None: no limit. Every array has at least one job at a
            time, so there are at most ``parallel`` arrays.
    """
    most = len(trials) if limits.room is None else max(0, limits.room)
    if parallel is not None:
        most = min(most, parallel * limits.array_size)
    if not trials or not most:
        return Packing((), (), len(trials))
    rounds = -(-len(trials) // (together * most))
    size = trials_per_job or together * rounds
    packs = tuple(tuple(trials[i : i + size]) for i in range(0, len(trials), size))[:most]
    return Packing(packs, _arrays(len(packs), limits.array_size, parallel), len(trials) - sum(map(len, packs)))


def _arrays(packs: int, array_size: int, parallel: int | None) -> tuple[tuple[int, int, int], ...]:
    """Split the packs into as few arrays as possible, of even sizes and with even shares of ``parallel``."""
    number = -(-packs // array_size)
    sizes = _shares(packs, number)
    at_once = sizes if parallel is None else _shares(parallel, number)
    firsts = [sum(sizes[:i]) for i in range(number)]
    return tuple((first, size, min(size, k)) for first, size, k in zip(firsts, sizes, at_once, strict=True))


def _shares(total: int, number: int) -> list[int]:
    """Split ``total`` into ``number`` parts that differ by at most one."""
    return [b - a for a, b in pairwise(total * i // number for i in range(number + 1))]
