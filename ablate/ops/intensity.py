"""Brightness, contrast and gamma of images of any number of channels: what jitter is to colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ablate.ops.op import MOST_CHANNELS, Op, Params, short
from ablate.ops.parameters import param
from ablate.ops.registry import register


@register("intensity")
class Intensity(Op):
    """Change intensities to ``gain * x^gamma + offset``, clipped, with all three drawn (the ranges are ours).

    It takes the place of colour jitter where the channels are not red, green and blue. Without an offset it is
    torchvision's ``adjust_gamma(x, gamma, gain)``; gamma is drawn as by torchio's ``RandomGamma``. On a CPU this is one
    compiled pass (:mod:`ablate.ops.cpu.intensity`).
    """

    capturable = True

    p: float = param(0.8, "probability that an image is changed", low=0.0, high=1.0)
    gain: float = param(0.4, "draws the factor from 1 +- this, at least 0", low=0.0, high=10.0)
    offset: float = param(0.2, "draws the addend from +- this", low=0.0, high=1.0, unit="of full scale")
    gamma: float = param(0.3, "draws the logarithm of gamma from +- this", low=0.0, high=3.0)
    per_channel: bool = param(False, "True: every channel has draws of its own; False: the channels share them")
    strength: float = param(1.0, "scales the three ranges", low=0.0, high=10.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``gain``, ``offset`` and ``gamma``, float ``[n, 1]``, or ``[n, 32]`` per channel: the first are used."""
        count = MOST_CHANNELS if self.per_channel else 1
        spread = (2 * torch.rand(3, n, count, generator=generator, device=device) - 1) * self.strength
        return {
            "gain": (1 + spread[0] * self.gain).clamp_min(0),
            "offset": spread[1] * self.offset,
            "gamma": (spread[2] * self.gamma).exp(),
        }

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say ``gain 1.2, offset -0.05, gamma 0.9``, of the first channel if each has its own."""
        said = ", ".join(f"{name} {short(drawn[name][0])}" for name in ("gain", "offset", "gamma"))
        return f"{said} (first channel)" if self.per_channel else said

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Compute one channel of an image after the other."""
        from ablate.ops.cpu.intensity import intensity

        intensity(images, mask, *_each(params, images.shape[1]))

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return ``clip(gain * x^gamma + offset)``."""
        gain, offset, gamma = (value.to(images.dtype)[:, :, None, None] for value in _each(params, images.shape[1]))
        return torch.addcmul(offset, gain, images.pow(gamma)).clamp_(0, 1)


def _each(params: Params, channels: int) -> list[Tensor]:
    """Return gain, offset and gamma of every channel, ``[n, channels]`` each."""
    return [params[name][:, :channels].expand(-1, channels) for name in ("gain", "offset", "gamma")]
