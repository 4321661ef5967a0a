"""A composition: ops applied one after the other, in the order in which they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ablate.config.base import OpSpec
from ablate.ops import (
    Op,
    as_unit_range,
    from_spec,
    parse_composition,
    spec,
    to_string,
)


@dataclass(frozen=True)
class Composition:
    """An ordered sequence of ops; the first is applied first. The empty one is written ``none``."""

    ops: tuple[Op, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ops", tuple(self.ops))

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Apply every op to a batch, one after the other, at the images' own size.

        Args:
            images: float ``[n, c, h, w]`` in [0, 1], or uint8 or uint16, which are divided by 255 or 65535.
            generator: the source of the draws; default: torch's global generator on the CPU.

        Returns:
            float ``[n, c, h, w]`` in [0, 1] on the device of ``images``.

        Raises:
            UsageError: images of another shape or dtype.
        """
        images = as_unit_range(images)
        for op in self.ops:
            images = op(images, generator)
        return images

    @classmethod
    def parse(cls, text: str, defaults: Mapping[str, Mapping[str, Any]] | None = None) -> Composition:
        """Read ``crop+color(strength=0.5)``; ``defaults`` are parameters by op name, used where the text sets none.

        Raises:
            UsageError: malformed text, an unknown op, an unknown or out-of-range parameter.
        """
        return cls(parse_composition(text, defaults))

    @classmethod
    def from_specs(cls, specs: tuple[OpSpec, ...]) -> Composition:
        """Return the composition of resolved specs; raise UsageError if an op is gone or has another version."""
        return cls(tuple(from_spec(s) for s in specs))

    def specs(self) -> tuple[OpSpec, ...]:
        """Return every op with its version and all its parameters written out."""
        return tuple(spec(op) for op in self.ops)

    def __str__(self) -> str:
        return "+".join(to_string(op) for op in self.ops) or "none"


def _composition(value: str | Composition) -> Composition:
    return Composition.parse(value) if isinstance(value, str) else value
