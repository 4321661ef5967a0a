"""Channels that are left out; see the package."""

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class ChannelDrop(PerImage):
    """Between ``count[0]`` and ``count[1]`` channels filled with ``fill``, any of them; one channel always stays."""

    def __init__(self, count: tuple[int, int], fill: float, p: float) -> None:
        super().__init__(p)
        self.low, self.high, self.fill = *count, fill

    def change(self, images: Tensor) -> Tensor:
        """Each image without channels of its own."""
        n, channels = images.shape[:2]
        count = torch.randint(self.low, self.high + 1, (n, 1), device=images.device).clamp(max=channels - 1)
        rank = torch.rand(n, channels, device=images.device).argsort(1).argsort(1)
        return images.masked_fill((rank < count)[:, :, None, None], self.fill)
