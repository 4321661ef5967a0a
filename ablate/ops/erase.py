"""Ops that destroy information in place: cutout, noise."""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.ops.counter import normal
from ablate.ops.op import Op, Params, param
from ablate.ops.registry import register


@register("cutout")
class Cutout(Op):
    """Erase one square at a random place inside the image (DeVries & Taylor 2017; paper, figure 4g).

    Every place inside the image is equally likely. The paper gives no values. In its figure the side of the square is
    0.49 of the image's, and its colour is grey, 0.584 in every channel: ``cutout(fill=0.584)``. The mask is computed
    here because kornia's ``RandomErasing`` waits for the device.
    """

    capturable = True

    size: float = param(0.5, "side of the square", low=0.0, high=1.0, unit="of the shorter side")
    strength: float = param(1.0, "scales the side, up to that of the whole image", low=0.0, high=10.0)
    fill: float = param(
        0.0, "value inside the square: 0 for black, 0.584 for the grey of figure 4g", low=0.0, high=1.0, later=True
    )

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``top``, ``left`` and ``side`` of the square, float ``[n]``, whole pixels."""
        side = min(round(min(size) * self.size * self.strength), *size)
        uniform = torch.rand(2, n, generator=generator, device=device)
        return {
            "top": (uniform[0] * (size[0] - side + 1)).floor(),
            "left": (uniform[1] * (size[1] - side + 1)).floor(),
            "side": torch.full((n,), float(side), device=device),
        }

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Write ``fill`` into each image's square."""
        y = torch.arange(images.shape[2], device=images.device)[None, :, None] - params["top"][:, None, None]
        x = torch.arange(images.shape[3], device=images.device)[None, None, :] - params["left"][:, None, None]
        side = params["side"][:, None, None]
        inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
        return images.masked_fill(inside[:, None], self.fill)


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
