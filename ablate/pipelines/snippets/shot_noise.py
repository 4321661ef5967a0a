"""Photon counts; see the package."""

import math

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class ShotNoise(PerImage):
    """Poisson numbers with the image as their mean; full scale is log-uniform in ``photons``. Clipped to [0, 1]."""

    def __init__(self, photons: tuple[float, float], p: float) -> None:
        super().__init__(p)
        self.low, self.high = map(math.log, photons)

    def change(self, images: Tensor) -> Tensor:
        """Each image with photons of its own."""
        drawn = torch.rand(len(images), 1, 1, 1, dtype=images.dtype, device=images.device)
        photons = (self.low + (self.high - self.low) * drawn).exp()
        return (torch.poisson(images * photons) / photons).clamp(max=1)
