"""Colour distortion: SimCLR's composite, and its parts alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from ablate.ops.color_math import distort, grayscale
from ablate.ops.op import Op, Params, short
from ablate.ops.parameters import param
from ablate.ops.registry import register


def draw_jitter(op: Color | Jitter, n: int, generator: torch.Generator, device: torch.device) -> Params:
    """Draw ``factors [n, 4]`` and ``order [n, 4]`` per image, with ranges scaled by ``op.strength``.

    Args:
        op: the op, with its ranges.
        n: the number of images.
        generator: the source of the draws.
        device: the device of the draws.
    """
    uniform = torch.rand(4, n, generator=generator, device=device)
    drawn = []
    for i, amount in enumerate((op.brightness, op.contrast, op.saturation)):
        scaled = amount * op.strength
        low = max(0.0, 1 - scaled)
        drawn.append(low + (1 + scaled - low) * uniform[i])
    if op.impl == "tf-v1":
        drawn[0] = (2 * uniform[0] - 1) * op.brightness * op.strength
    turn = min(op.hue * op.strength, 0.5)
    drawn.append((2 * uniform[3] - 1) * turn)
    order = torch.rand(n, 4, generator=generator, device=device).argsort(1)
    return {"factors": torch.stack(drawn, 1), "order": order}


def jitter_in_words(factors: list[float]) -> str:
    """Return three factors and a turn in words: ``bright 1.2, contrast 0.7, satur. 1.4, hue -0.1``.

    With ``tf-v1`` the first number is added, not multiplied.
    """
    return ", ".join(map("{} {}".format, ("bright", "contrast", "satur.", "hue"), map(short, factors)))


def distort_in_place(images: Tensor, factors: Tensor, order: Tensor, active: Tensor, gray: Tensor) -> None:
    """Do to float32 images on the CPU what :func:`ablate.ops.color_math.distort` returns."""
    from ablate.ops.cpu.color import distort as compiled

    compiled(images, factors, order, active, gray)


@register("color")
class Color(Op):
    """Distort colours as SimCLR does: jitter, then grayscale, each on some of the images (paper, app. A).

    Each image gets its own factors and its own order of the four jitter steps; kornia and torchvision draw one order
    per batch. ``strength`` scales only the jitter; grayscale keeps its probability, as in Table 1 of the paper. A
    strength of exactly 0 turns the whole op off. The formulas are torchvision's or, with ``impl``, those of the
    official code (:mod:`ablate.ops.color_math`); hue and grayscale are the same in all of them. kornia's ``adjust_hue``
    is correct but takes three times as long.
    """

    capturable = True
    version = 2
    channels = (3,)
    instead = ("intensity",)
    chromatic = ("saturation", "hue", "gray_p")
    brightness: float = param(
        0.8, "draws the factor from 1 +- this, at least 0; tf-v1 adds +- this instead", low=0.0, high=10.0
    )
    contrast: float = param(0.8, "draws the factor from 1 +- this, at least 0", low=0.0, high=10.0)
    saturation: float = param(0.8, "draws the factor from 1 +- this, at least 0", low=0.0, high=10.0)
    hue: float = param(
        0.2, "draws the shift from +- this, at most 0.5 after scaling", low=0.0, high=0.5, unit="of the hue circle"
    )
    jitter_p: float = param(0.8, "probability of the jitter", low=0.0, high=1.0)
    gray_p: float = param(0.2, "probability of grayscale", low=0.0, high=1.0)
    strength: float = param(1.0, "scales the four jitter ranges", low=0.0, high=10.0)
    impl: str = param(
        "torchvision",
        "formulas of torchvision, of the official code (tf), or of its first version, as in the paper (tf-v1)",
        choices=("torchvision", "tf", "tf-v1"),
        later=True,
    )

    @property
    def has_pass(self) -> bool:
        """True with torchvision's formulas."""
        return super().has_pass and self.impl == "torchvision"

    @property
    def acts(self) -> float:
        """The share of images that are jittered, made grey, or both."""
        return 0.0 if self.is_identity else self.p * (1 - (1 - self.jitter_p) * (1 - self.gray_p))

    def acting(self, share: float) -> Self:
        """Return the op with the jitter on all images that ``p`` draws; some of these are made grey as before."""
        return dataclasses.replace(self, p=share, jitter_p=1.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``factors`` and ``order``, ``[n, 4]``, and ``jitter`` and ``gray``, bool ``[n]``."""
        chance = torch.rand(2, n, generator=generator, device=device)
        drawn = draw_jitter(self, n, generator, device)
        return {**drawn, "jitter": chance[0] < self.jitter_p, "gray": chance[1] < self.gray_p}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say ``gray``, the jitter, both or neither."""
        said = ["gray"] * drawn["gray"] + [jitter_in_words(drawn["factors"])] * drawn["jitter"]
        return ", ".join(said) or "not applied"

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Take the steps of one image after the other."""
        distort_in_place(images, params["factors"], params["order"], params["jitter"] & mask, params["gray"] & mask)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Jitter, then make grey, the images for which each was drawn."""
        return distort(images, params["factors"], params["order"], params["jitter"], params["gray"], self.impl)


@register("jitter")
class Jitter(Op):
    """Change brightness, contrast, saturation and hue in random order (paper, app. A, without the grayscale)."""

    capturable = True
    version = 2
    channels = (3,)
    instead = ("intensity",)
    chromatic = ("saturation", "hue")
    p: float = param(0.8, "probability that an image is changed", low=0.0, high=1.0)
    brightness: float = param(
        0.8, "draws the factor from 1 +- this, at least 0; tf-v1 adds +- this instead", low=0.0, high=10.0
    )
    contrast: float = param(0.8, "draws the factor from 1 +- this, at least 0", low=0.0, high=10.0)
    saturation: float = param(0.8, "draws the factor from 1 +- this, at least 0", low=0.0, high=10.0)
    hue: float = param(
        0.2, "draws the shift from +- this, at most 0.5 after scaling", low=0.0, high=0.5, unit="of the hue circle"
    )
    strength: float = param(1.0, "scales the four ranges", low=0.0, high=10.0)
    impl: str = param(
        "torchvision",
        "formulas of torchvision, of the official code (tf), or of its first version, as in the paper (tf-v1)",
        choices=("torchvision", "tf", "tf-v1"),
        later=True,
    )

    @property
    def has_pass(self) -> bool:
        """True with torchvision's formulas."""
        return super().has_pass and self.impl == "torchvision"

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``factors`` and ``order``, ``[n, 4]``."""
        return draw_jitter(self, n, generator, device)

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say the three factors and the turn of the hue."""
        return jitter_in_words(drawn["factors"])

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Take the steps of one image after the other."""
        distort_in_place(images, params["factors"], params["order"], mask, torch.zeros_like(mask))

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Jitter all images, each with its factors in its order."""
        everywhere = torch.ones(len(images), dtype=torch.bool, device=images.device)
        return distort(images, params["factors"], params["order"], everywhere, ~everywhere, self.impl)


@register("gray")
class Gray(Op):
    """Remove the colour: three equal channels, by torchvision's luma weights (paper, app. A)."""

    capturable = True
    channels = (3,)
    instead = ("channel_drop", "intensity")
    p: float = param(0.2, "probability that an image loses its colour", low=0.0, high=1.0)

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Make one image after the other grey."""
        no_factors = torch.zeros(len(images), 4)
        distort_in_place(images, no_factors, no_factors.long(), torch.zeros_like(mask), mask)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return three equal channels."""
        return grayscale(images).expand(-1, 3, -1, -1).contiguous()
