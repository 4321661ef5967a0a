"""Ops that add noise to every pixel: noise."""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.ops.counter import normal
from ablate.ops.op import Op, Params, param
from ablate.ops.registry import register


@register("noise")
class Noise(Op):
    """Add Gaussian noise, independent per pixel and channel, and clip to [0, 1] (paper, figure 4h; values are ours).

    The noise of an image follows from one 64-bit seed, which a counter hash expands. kornia's ``RandomGaussianNoise``
    draws whole images from the global generator and does not clip.
    """

    capturable = True

    sigma: tuple[float, float] = param((0.0, 0.2), "draws the standard deviation uniformly", low=0.0, high=2.0)
    strength: float = param(1.0, "scales sigma", low=0.0, high=10.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``sigma`` float ``[n]`` and ``seed`` int64 ``[n]``."""
        uniform = torch.rand(n, generator=generator, device=device)
        return {
            "sigma": (self.sigma[0] + (self.sigma[1] - self.sigma[0]) * uniform) * self.strength,
            "seed": torch.randint(2**62, (n,), generator=generator, device=device),
        }

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return ``clip(x + sigma * normal)``."""
        noise = normal(params["seed"], images[0].numel(), images.dtype).view_as(images)
        return torch.addcmul(images, params["sigma"].to(images.dtype)[:, None, None, None], noise).clamp_(0, 1)
