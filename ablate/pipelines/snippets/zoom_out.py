"""The inverse of a crop; see the package."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class ZoomOut(PerImage):
    """Shrinks the image to an area uniform in ``area`` and puts it anywhere on a background of the value ``fill``."""

    def __init__(self, area: tuple[float, float], fill: float, p: float) -> None:
        super().__init__(p)
        self.low, self.high, self.fill = *area, fill

    def change(self, images: Tensor) -> Tensor:
        """Each image at its own size and place."""
        changed = torch.full_like(images, self.fill)
        for image, frame in zip(images, changed, strict=True):
            factor = (self.low + (self.high - self.low) * float(torch.rand(()))) ** 0.5
            height, width = (max(round(factor * side), 1) for side in image.shape[1:])
            top = int(torch.randint(image.shape[1] - height + 1, ()))
            left = int(torch.randint(image.shape[2] - width + 1, ()))
            small = F.interpolate(image[None], (height, width), mode="bilinear", antialias=True)[0]
            frame[:, top : top + height, left : left + width] = small
        return changed
