"""Ops that make every pixel noisy: noise, poisson."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ablate.ops.counter import normal, poisson
from ablate.ops.op import Op, Params
from ablate.ops.parameters import param
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

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Draw and add the numbers pair by pair."""
        from ablate.ops.cpu.noise import noise

        noise(images, mask, params["sigma"], params["seed"])

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return ``clip(x + sigma * normal)``."""
        noise = normal(params["seed"], images[0].numel(), images.dtype).view_as(images)
        return torch.addcmul(images, params["sigma"].to(images.dtype)[:, None, None, None], noise).clamp_(0, 1)


@register("poisson")
class Poisson(Op):
    """Count photons: replace every value by a Poisson number with that mean, divided by the photons of full scale.

    This is the shot noise of a detector, strongest in bright places; the range is ours. The numbers of an image follow
    from one 64-bit seed, as those of ``noise`` do (:func:`ablate.ops.counter.poisson`). ``torch.poisson`` takes one
    generator for the whole batch.
    """

    capturable = True

    photons: tuple[float, float] = param(
        (20.0, 500.0), "draws the photons at full scale, on a logarithmic scale", low=1.0, high=1e6
    )
    strength: float = param(1.0, "scales the noise: photons are divided by its square", low=0.0, high=10.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``photons`` float ``[n]`` and ``seed`` int64 ``[n]``."""
        low, span = math.log(self.photons[0]), math.log(self.photons[1] / self.photons[0])
        uniform = torch.rand(n, generator=generator, device=device)
        return {
            "photons": (low + span * uniform).exp() / max(self.strength, 1e-3) ** 2,
            "seed": torch.randint(2**62, (n,), generator=generator, device=device),
        }

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return ``clip(Poisson(x * photons) / photons)``."""
        photons = params["photons"].to(images.dtype)[:, None]
        counts = poisson(params["seed"], images.flatten(1) * photons)
        return (counts / photons).view_as(images).clamp_(0, 1)
