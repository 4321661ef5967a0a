"""Fewer levels for kornia, whose own rounds otherwise; see the package."""

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Posterize(PerImage):
    """Keeps between ``bits[0]`` and ``bits[1]`` bits per channel, each number with equal chance."""

    def __init__(self, bits: tuple[int, int], p: float) -> None:
        super().__init__(p)
        self.low, self.high = bits

    def change(self, images: Tensor) -> Tensor:
        """Each image with its own number of bits."""
        levels = 2 ** torch.randint(self.low, self.high + 1, (len(images), 1, 1, 1), device=images.device)
        return torch.minimum((images * levels).floor(), levels - 1) / levels
