"""The affine map for torchvision, whose own moves by whole pixels; see the package."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Affine(PerImage):
    """Horizontal shear, scale and rotation about the centre, then a shift; bilinear, black outside.

    Each is uniform: rotation and shear in +- ``degrees`` and ``shear`` (degrees), shifts in +- ``translate`` (of the
    side), the scale in 1 +- ``scale``.
    """

    def __init__(self, degrees: float, translate: float, scale: float, shear: float, p: float) -> None:
        super().__init__(p)
        self.ranges = (math.radians(degrees), 2 * translate, 2 * translate, scale, math.radians(shear))

    def change(self, images: Tensor) -> Tensor:
        """Every output pixel reads where the inverse map points."""
        angle, dx, dy, scale, shear = (
            (2 * torch.rand(len(images), dtype=images.dtype, device=images.device) - 1) * reach for reach in self.ranges
        )
        cos, sin, tan, zero = angle.cos(), angle.sin(), shear.tan(), torch.zeros_like(angle)
        turn = torch.stack([cos, sin, -sin, cos], 1).view(-1, 2, 2)
        unshear = torch.stack([zero + 1, tan, zero, zero + 1], 1).view(-1, 2, 2)
        inverse = unshear @ turn / (1 + scale)[:, None, None]
        shift = -inverse @ torch.stack([dx, dy], 1)[:, :, None]
        grid = F.affine_grid(torch.cat([inverse, shift], 2), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)
