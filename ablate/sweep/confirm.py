"""A one-branch grid's best compositions, run again as they will be used: on both branches, with fresh seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ablate.config import LARGEST_SEED, Experiment, NamedComposition

CONFIRMATION = "confirmation"
"""``DIR/confirmation`` is a sweep's directory of its own."""


def confirmation(
    experiment: Experiment, compositions: Sequence[NamedComposition], seeds: int, command: str
) -> Experiment:
    """The two-branch experiment on ``compositions``, with the ``seeds`` seeds that follow the last one of the grid."""
    following = (seed % (LARGEST_SEED + 1) for seed in itertools.count(max(experiment.seeds) + 1))
    fresh = itertools.islice((seed for seed in following if seed not in experiment.seeds), seeds)
    return experiment.model_copy(
        update={
            "command": command,
            "ops": (),
            "search": None,
            "prune": (),  # all of the few are compared in the end
            "compositions": tuple(compositions),
            "seeds": tuple(fresh),
            "references": ("untrained",),
            "shared": experiment.shared.model_copy(update={"branches": "two", "base": None}),
        }
    )
