"""An erased box or stripe; see the package."""

import math

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Erase(PerImage):
    """A box, or whole rows or columns, filled with ``fill``, anywhere in the image.

    The area is uniform in ``area`` (of the image) and at most the whole image; a box's width / height is log-uniform in
    ``ratio`` as far as it fits.
    """

    def __init__(
        self, area: tuple[float, float], ratio: tuple[float, float], shape: str, fill: float, p: float
    ) -> None:
        super().__init__(p)
        self.area, self.ratio, self.shape, self.fill = area, ratio, shape, fill

    def change(self, images: Tensor) -> Tensor:
        """Each image without a part of its own."""
        changed = images.clone()
        for image in changed:
            high, wide = image.shape[1:]
            height, width = self.size(high, wide)
            top = int(torch.randint(high - height + 1, ()))
            left = int(torch.randint(wide - width + 1, ()))
            image[:, top : top + height, left : left + width] = self.fill
        return changed

    def size(self, high: int, wide: int) -> tuple[int, int]:
        """Height and width of the erased part, drawn for an image of ``high`` x ``wide`` pixels."""
        area, ratio = torch.rand(2).tolist()
        pixels = min(self.area[0] + (self.area[1] - self.area[0]) * area, 1) * high * wide
        ratio = self.ratio[0] * math.exp(math.log(self.ratio[1] / self.ratio[0]) * ratio)
        ratio = min(max(ratio, pixels / high**2), wide**2 / pixels)
        shapes = {
            "box": ((pixels / ratio) ** 0.5, (pixels * ratio) ** 0.5),
            "rows": (pixels / wide, wide),
            "columns": (high, pixels / high),
        }
        height, width = shapes[self.shape]
        return min(max(round(height), 1), high), min(max(round(width), 1), wide)
