"""Sharpening by a factor that is drawn; see the package."""

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Sharpen(PerImage):
    """Blends with a 3 x 3 smoothing by a factor uniform in 1 +- ``amount`` and at least 0; above 1 it sharpens."""

    def __init__(self, amount: float, p: float) -> None:
        super().__init__(p)
        self.amount = amount

    def change(self, images: Tensor) -> Tensor:
        """Each image with its own factor; the outermost pixels stay."""
        if min(images.shape[-2:]) < 3:
            return images
        spread = 2 * torch.rand(len(images), 1, 1, 1, device=images.device) - 1
        factor = (1 + self.amount * spread).clamp(min=0)
        rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
        total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
        smooth = images.clone()
        smooth[:, :, 1:-1, 1:-1] = (total + 4 * images[:, :, 1:-1, 1:-1]) / 13
        return torch.lerp(smooth, images, factor).clamp(0, 1)
