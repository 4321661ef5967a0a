"""A composition: ops applied in the order in which they are written, the same to both views or to each its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ablate.config.base import OpSpec
from ablate.errors import UsageError
from ablate.ops import (
    Op,
    as_unit_range,
    branches_to_string,
    from_spec,
    parse_branches,
    spec,
)


@dataclass(frozen=True)
class Composition:
    """An ordered sequence of ops; the first is applied first. The empty one is written ``none``.

    With ``second``, which is written ``A|B``, the second view has ops of its own. It is None where both views have the
    same.
    """

    ops: tuple[Op, ...]
    second: tuple[Op, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ops", tuple(self.ops))
        own = None if self.second is None else tuple(self.second)
        object.__setattr__(self, "second", None if own == self.ops else own)

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Apply every op to a batch, one after the other, at the images' own size.

        Args:
            images: float ``[n, c, h, w]`` in [0, 1], or uint8 or uint16, which are divided by 255 or 65535.
            generator: the source of the draws; default: torch's global generator on the CPU.

        Returns:
            float ``[n, c, h, w]`` in [0, 1] on the device of ``images``.

        Raises:
            UsageError: images of another shape or dtype, or a composition ``A|B``, which makes two views.
        """
        if self.second is not None:
            raise UsageError(f"{self} makes two views: make them with ablate.TransformPair.two_branch")
        images = as_unit_range(images)
        for op in self.ops:
            images = op(images, generator)
        return images

    @classmethod
    def parse(cls, text: str, defaults: Mapping[str, Mapping[str, Any]] | None = None) -> Composition:
        """Read ``crop+color(strength=0.5)`` or ``A|B``.

        Args:
            text: the composition.
            defaults: parameters by op name, used where the text sets none.

        Raises:
            UsageError: malformed text, an unknown op, an unknown or out-of-range parameter.
        """
        return cls(*parse_branches(text, defaults))

    @classmethod
    def from_specs(cls, specs: tuple[OpSpec, ...], second: tuple[OpSpec, ...] | None = None) -> Composition:
        """Return the composition of resolved specs; raise UsageError if an op is gone or has another version."""
        return cls(tuple(map(from_spec, specs)), None if second is None else tuple(map(from_spec, second)))

    @property
    def every_op(self) -> tuple[Op, ...]:
        """The ops of both views, those of the first before those that the second has of its own."""
        return (*self.ops, *(self.second or ()))

    def branch(self, number: int) -> tuple[Op, ...]:
        """Return the ops of branch 1 or 2 of a two-branch pair."""
        return self.ops if number == 1 or self.second is None else self.second

    def specs(self) -> tuple[OpSpec, ...]:
        """Return every op of the first view with its version and all its parameters written out."""
        return tuple(spec(op) for op in self.ops)

    def second_specs(self) -> tuple[OpSpec, ...] | None:
        """Return :meth:`specs` for the second view; None where both views have the same ops."""
        return None if self.second is None else tuple(spec(op) for op in self.second)

    def __str__(self) -> str:
        return branches_to_string(self.ops, self.second)


def _composition(value: str | Composition) -> Composition:
    return Composition.parse(value) if isinstance(value, str) else value
