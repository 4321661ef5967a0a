"""Additive noise; see the package."""

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Noise(PerImage):
    """Gaussian noise for every pixel and channel, clipped to [0, 1]; its standard deviation is uniform in ``sigma``."""

    def __init__(self, sigma: tuple[float, float], p: float) -> None:
        super().__init__(p)
        self.low, self.high = sigma

    def change(self, images: Tensor) -> Tensor:
        """Each image with a standard deviation of its own."""
        sigma = self.low + (self.high - self.low) * torch.rand(len(images), 1, 1, 1, device=images.device)
        return (images + sigma * torch.randn_like(images)).clamp(0, 1)
