"""The random resized crop for kornia, whose own is not antialiased and has another fallback; see the package."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RandomResizedCrop(nn.Module):
    """A random box of each image [N, C, H, W], resized to ``size`` pixels square with antialiasing.

    Area (of the image) is uniform, ratio (width / height) log-uniform. A box that does not fit is drawn again, up to
    ten times; then it is the largest one with an allowed ratio, in the centre.
    """

    def __init__(self, size: int, area: tuple[float, float], ratio: tuple[float, float]) -> None:
        super().__init__()
        self.size, self.area, self.ratio = (size, size), area, ratio

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, size, size]."""
        return torch.cat([self.crop(image[None]) for image in images])

    def crop(self, image: Tensor) -> Tensor:
        """One image [1, C, H, W], cut and resized at once."""
        top, left, height, width = self.box(image.shape[-2], image.shape[-1])
        box = image[..., top : top + height, left : left + width]
        return F.interpolate(box, self.size, mode="bilinear", antialias=True)

    def box(self, high: int, wide: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of a box in an image of this size."""
        narrowest, widest = self.ratio
        for _ in range(10):
            area = high * wide * uniform(*self.area)
            ratio = math.exp(uniform(math.log(narrowest), math.log(widest)))
            height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < height <= high and 0 < width <= wide:
                top, left = torch.randint(high - height + 1, ()), torch.randint(wide - width + 1, ())
                return int(top), int(left), height, width
        height = min(high, max(1, round(wide / narrowest)))
        width = min(wide, max(1, round(high * widest)))
        return (high - height) // 2, (wide - width) // 2, height, width


def uniform(low: float, high: float) -> float:
    """A number between ``low`` and ``high``."""
    return low + (high - low) * float(torch.rand(()))
