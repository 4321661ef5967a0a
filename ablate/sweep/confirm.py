"""A one-branch grid's best compositions, run again as they will be used: on both branches, with fresh seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ablate.config.base import LARGEST_SEED
from ablate.config.sweep import NamedComposition, SweepPlan

CONFIRMATION = "confirmation"
"""``DIR/confirmation`` is a sweep's directory of its own."""


def shares_no_crop(compositions: Sequence[NamedComposition]) -> str:
    """A sentence, after a space, that names those of one-branch ``compositions`` that lose the sweep's base crop."""
    bare = [item.label for item in compositions if not _crops_first(item)]
    if not bare:
        return ""
    names = " and ".join([", ".join(bare[:-1]), bare[-1]] if len(bare) > 1 else bare)
    start = "starts" if len(bare) == 1 else "start"
    return (
        f" Two branches share no crop: {names} {start} there from the centre of each image, "
        "without the random crop that both views shared in this sweep."
    )


def _crops_first(composition: NamedComposition) -> bool:
    """As :class:`~ablate.ops.pair.TransformPair` on two branches: the crop is taken from the stored image."""
    first = composition.ops[0] if composition.ops else None
    return first is not None and first.name == "crop" and first.params.get("p", 1) == 1


def confirmation(
    experiment: SweepPlan, compositions: Sequence[NamedComposition], seeds: int, command: str
) -> SweepPlan:
    """The two-branch experiment on ``compositions``, with the ``seeds`` seeds that follow the last one of the grid."""
    following = (seed % (LARGEST_SEED + 1) for seed in itertools.count(max(experiment.seeds) + 1))
    fresh = itertools.islice((seed for seed in following if seed not in experiment.seeds), seeds)
    return experiment.replace(
        command=command,
        ops=(),
        search=None,
        prune=(),  # all of the few are compared in the end
        compositions=tuple(compositions),
        seeds=tuple(fresh),
        references=("untrained",),
        shared=experiment.shared.replace(branches="two", base=None),
    )
