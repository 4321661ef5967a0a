"""Ops on single pixel values: solarize, invert, posterize, equalize."""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.ops.op import Op, Params, param
from ablate.ops.registry import register


@register("solarize")
class Solarize(Op):
    """Invert the pixels at or above ``threshold`` (BYOL, app. B, where the threshold is 0.5).

    Own one-liner; kornia's ``solarize`` copies its threshold to the device.
    """

    threshold: float = param(0.5, "pixels from here on are inverted", low=0.0, high=1.0)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """``1 - x`` where ``x >= threshold``."""
        return torch.where(images >= self.threshold, 1 - images, images)


@register("invert")
class Invert(Op):
    """``1 - x`` (AutoAugment's Invert)."""

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """The negative."""
        return 1 - images


@register("posterize")
class Posterize(Op):
    """Keep a few bits per channel, as many as drawn (AutoAugment's Posterize; torchvision v2's float formula).

    kornia's ``posterize`` goes through bytes and agrees on them only up to the value of the highest level.
    """

    bits: tuple[int, int] = param((4, 8), "bits kept, drawn uniformly", low=1, high=8, unit="bits")

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """``bits``, int64 ``[n]``."""
        return {"bits": torch.randint(self.bits[0], self.bits[1] + 1, (n,), generator=generator, device=device)}

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """``floor(x * 2^bits) / 2^bits``, the topmost level kept below 1."""
        levels = torch.exp2(params["bits"].to(images.dtype))[:, None, None, None]
        return torch.minimum((images * levels).floor(), levels - 1) / levels


@register("equalize")
class Equalize(Op):
    """Equalise each channel's histogram of 256 levels (PIL's and torchvision's algorithm, for the whole batch at once).

    kornia's ``equalize`` loops over images and channels in Python.
    """

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Every level becomes its rank; a channel with one level stays as it is."""
        n, c, h, w = images.shape
        levels = (images * 255).round().long().view(n * c, h * w)
        counts = torch.zeros(n * c, 256, dtype=torch.long, device=images.device)
        counts.scatter_add_(1, levels, torch.ones_like(levels))
        below = counts.cumsum(1)
        # the count of the highest occupied level is left out, so that it maps to 255
        highest = counts.gather(1, levels.amax(1, keepdim=True))
        step = (h * w - highest) // 255
        table = ((below - counts + step // 2) // step.clamp_min(1)).clamp(0, 255)
        mapped = torch.where(step == 0, levels, table.gather(1, levels))
        flat = (step == 0).view(n, c, 1, 1)
        return torch.where(flat, images, mapped.view(n, c, h, w).to(images.dtype) / 255)
