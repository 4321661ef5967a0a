"""The steps of a pipeline as a file states them: classes with their arguments, before anything is known of either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ablate.errors import UsageError

LIBRARIES = ("torchvision", "kornia", "albumentations")
CONTAINERS = (
    *("Compose", "Sequential", "AugmentationSequential", "ImageSequential", "ReplayCompose"),
    *("RandomApply", "RandomChoice", "RandomOrder", "OneOf", "OneOrOther", "SomeOf"),
)
"""The classes that hold other steps."""


@dataclass(frozen=True)
class Unread:
    """An argument whose value is not known without running the file: its text, and why it is not known."""

    text: str
    why: str


@dataclass(frozen=True)
class Step:
    """A step: a call of a class.

    Args:
        library: one of ``LIBRARIES``; empty for any other class.
        name: the class, without its module.
        place: the file and the line, or the number of the step, for messages.
        positional: the arguments without a name; values, or :class:`Unread`.
        named: the arguments by name.
        inside: the steps that a container holds.
        is_printed: True if the arguments are those that ``print`` shows, which are not all and may have other names.
    """

    library: str
    name: str
    place: str
    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    inside: tuple[Step, ...] = ()
    is_printed: bool = False

    def error(self, why: str) -> UsageError:
        """Return the error that names the place of this step, and says why it cannot be read."""
        return UsageError(f"{self.place}: {why}")
