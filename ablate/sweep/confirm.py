"""A one-branch grid's best compositions, run again as they will be used: on both branches, with fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence

from ablate.config import Experiment, NamedComposition

CONFIRMATION = "confirmation"
"""``DIR/confirmation`` is a sweep's directory of its own."""


def confirmation(
    experiment: Experiment, compositions: Sequence[NamedComposition], seeds: int, command: str
) -> Experiment:
    """The two-branch experiment on ``compositions``, with the ``seeds`` seeds that follow the last one of the grid."""
    first = max(experiment.seeds) + 1
    return experiment.model_copy(
        update={
            "command": command,
            "ops": (),
            "search": None,
            "prune": (),  # all of the few are compared in the end
            "compositions": tuple(compositions),
            "seeds": tuple(range(first, first + seeds)),
            "references": ("untrained",),
            "shared": experiment.shared.model_copy(update={"branches": "two", "base": None}),
        }
    )
