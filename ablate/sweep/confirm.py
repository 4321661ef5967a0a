"""Confirm the best compositions of a one-branch grid in the way they will be used: on both branches, with new seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ablate.config.base import LARGEST_SEED
from ablate.config.sweep import NamedComposition, SweepPlan


def shares_no_crop(compositions: Sequence[NamedComposition]) -> str:
    """Name those of one-branch ``compositions`` that lose the sweep's base crop when run on two branches.

    Returns:
        A sentence that begins with a space; empty if no composition loses the crop.
    """
    bare = [item.label for item in compositions if not _crops_first(item)]
    if not bare:
        return ""
    names = " and ".join([", ".join(bare[:-1]), bare[-1]] if len(bare) > 1 else bare)
    start = "starts" if len(bare) == 1 else "start"
    return (
        f" Two-branch pairs share no crop: there, {names} {start} from the centre of each image, "
        "without the random crop that both views share in this sweep."
    )


def _crops_first(composition: NamedComposition) -> bool:
    """Return True if :class:`~ablate.ops.pair.TransformPair` on two branches crops from the stored image."""
    first = composition.ops[0] if composition.ops else None
    return first is not None and first.name == "crop" and first.params.get("p", 1) == 1


def confirmation(
    experiment: SweepPlan, compositions: Sequence[NamedComposition], seeds: int, command: str
) -> SweepPlan:
    """Return the two-branch experiment on ``compositions``, with seeds that the grid has not used.

    Args:
        experiment: the one-branch grid.
        compositions: the compositions to confirm.
        seeds: how many seeds to use: those that follow the last one of the grid.
        command: the command to record in the experiment.
    """
    following = (seed % (LARGEST_SEED + 1) for seed in itertools.count(max(experiment.seeds) + 1))
    fresh = itertools.islice((seed for seed in following if seed not in experiment.seeds), seeds)
    return experiment.replace(
        command=command,
        ops=(),
        search=None,
        rounds=None,
        budgeted=None,
        prune=(),  # there are few, and all of them are compared at the end
        compositions=tuple(compositions),
        seeds=tuple(fresh),
        untrained_seeds=(),
        references=("untrained",),
        shared=experiment.shared.replace(branches="two", base=None),
    )
