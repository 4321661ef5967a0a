"""The objectives that an encoder can be trained with: what each needs and which settings it uses. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["simclr", "supervised", "untrained"]


@dataclass(frozen=True)
class Kind:
    """A kind of objective.

    Args:
        name: its name on the command line and in records.
        title: its name in a sentence.
        about: what it is, in a few words.
        views: the number of augmented views of each image that the encoder sees.
        needs_labels: it is trained on labelled images alone.
        uses: the settings that mean something to it, among those that not every objective uses.
    """

    name: str
    title: str
    about: str
    views: Literal[1, 2] = 2
    needs_labels: bool = False
    uses: frozenset[str] = frozenset()


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("simclr", "SimCLR", "NT-Xent", uses=frozenset({"temperature", "loss_scale"})),
        Kind("supervised", "supervised training", "cross-entropy with labels", views=1, needs_labels=True),
    )
}
"""The kinds of objectives by name, in the order in which messages list them."""


def kind_of(objective: str) -> Kind:
    """Return the kind of an objective; an untrained encoder has the head and the settings of SimCLR."""
    return KINDS["simclr" if objective == "untrained" else objective]
