"""From trials to jobs: packs of trials, and arrays of packs, within the cluster's limits. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Limits:
    """What the cluster allows: tasks per array, and how many more jobs one may submit now, if known."""

    array_size: int = 1001
    room: int | None = None


@dataclass(frozen=True)
class Packing:
    """``packs``: each job's trial ids. ``arrays``: (first pack, number of packs, how many at a time).

    ``left``: the trials that did not fit.
    """

    packs: tuple[tuple[str, ...], ...]
    arrays: tuple[tuple[int, int, int], ...]
    left: int


def pack(
    trials: Sequence[str], together: int, limits: Limits, trials_per_job: int | None = None, parallel: int | None = None
) -> Packing:
    """Lay ``trials`` out, in order.

    Args:
        trials: their ids.
        together: how many run side by side in a job.
        limits: what the cluster allows.
        trials_per_job: None: ``together``, or as many times that as it takes for all jobs to be allowed.
        parallel: jobs at a time, over all arrays; every array has at least one, so there are at most so many arrays.
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
    """As few arrays as can be, of even sizes, with even shares of ``parallel``."""
    number = -(-packs // array_size)
    sizes = _shares(packs, number)
    at_once = sizes if parallel is None else _shares(parallel, number)
    firsts = [sum(sizes[:i]) for i in range(number)]
    return tuple((first, size, min(size, k)) for first, size, k in zip(firsts, sizes, at_once, strict=True))


def _shares(total: int, number: int) -> list[int]:
    """``total`` in ``number`` parts that differ by one at most."""
    return [b - a for a, b in pairwise(total * i // number for i in range(number + 1))]
