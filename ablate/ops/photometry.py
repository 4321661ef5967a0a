"""Ops on single pixel values: solarize, invert, posterize, equalize."""

from __future__ import annotations

import kornia
import torch
from torch import Tensor

from ablate.ops.op import Op, Params
from ablate.ops.parameters import param
from ablate.ops.registry import register


@register("solarize")
class Solarize(Op):
    """Invert all values at or above ``threshold``, with kornia's ``solarize`` (BYOL, app. B, with threshold 0.5).

    The threshold is passed as a tensor on the images' device, since kornia would copy a Python float there.
    """

    capturable = True

    threshold: float = param(0.5, "smallest value that is inverted", low=0.0, high=1.0)

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Invert the values that reach the threshold."""
        from ablate.ops.cpu.solarize import solarize

        solarize(images, mask, self.threshold)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return ``1 - x`` where ``x >= threshold``."""
        result: Tensor = kornia.enhance.solarize(images, images.new_full((len(images),), self.threshold))
        return result


@register("invert")
class Invert(Op):
    """Invert the image, ``1 - x`` (AutoAugment's Invert).

    kornia's ``invert`` keeps its 1 on the host and copies it to the device.
    """

    capturable = True

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return the negative."""
        return 1 - images


@register("posterize")
class Posterize(Op):
    """Keep only the highest bits of every value (AutoAugment's Posterize, by torchvision v2's formula for floats).

    kornia's ``posterize`` computes with bytes and agrees with this, except for the value of the highest level.
    """

    capturable = True

    bits: tuple[int, int] = param((4, 8), "draws the number of bits to keep uniformly", low=1, high=8, unit="bits")

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``bits``, int64 ``[n]``."""
        return {"bits": torch.randint(self.bits[0], self.bits[1] + 1, (n,), generator=generator, device=device)}

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return ``floor(x * 2^bits) / 2^bits``, with the topmost level kept below 1."""
        levels = torch.exp2(params["bits"].to(images.dtype))[:, None, None, None]
        return torch.minimum((images * levels).floor(), levels - 1) / levels


@register("equalize")
class Equalize(Op):
    """Equalise the histogram of each channel over 256 levels, with kornia's ``equalize``, as PIL and torchvision do.

    A value between two levels counts as the lower one. kornia computes the whole batch at once and does not wait for
    the device.
    """

    capturable = True

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Replace every level by its rank; a channel with one level stays as it is."""
        result: Tensor = kornia.enhance.equalize(images)
        return result
