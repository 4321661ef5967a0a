"""From the stored image to a square; see the package."""

import torch.nn.functional as F
from torch import Tensor, nn


class CenterSquare(nn.Module):
    """The largest centre square of [N, C, H, W] or [C, H, W], resized to ``size`` pixels with antialiasing."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = (size, size)

    def forward(self, images: Tensor) -> Tensor:
        """[..., size, size]."""
        height, width = images.shape[-2:]
        side = min(height, width)
        top, left = round((height - side) / 2), round((width - side) / 2)
        square = images[..., top : top + side, left : left + side]
        batch = square if images.ndim == 4 else square[None]
        resized = F.interpolate(batch, self.size, mode="bilinear", antialias=True)
        return resized if images.ndim == 4 else resized[0]
