"""An erased square; see the package."""

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Cutout(PerImage):
    """One square of ``side`` pixels filled with ``fill``, fully inside the image, anywhere with equal chance."""

    def __init__(self, side: int, p: float, fill: float = 0.0) -> None:
        super().__init__(p)
        self.side, self.fill = side, fill

    def change(self, images: Tensor) -> Tensor:
        """``fill`` inside each image's square."""
        n, _, height, width = images.shape
        device = images.device
        top = torch.randint(height - self.side + 1, (n, 1, 1, 1), device=device)
        left = torch.randint(width - self.side + 1, (n, 1, 1, 1), device=device)
        y = torch.arange(height, device=device)[:, None] - top
        x = torch.arange(width, device=device) - left
        return images.masked_fill((y >= 0) & (y < self.side) & (x >= 0) & (x < self.side), self.fill)
