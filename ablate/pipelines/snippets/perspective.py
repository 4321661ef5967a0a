"""The change of perspective: torchvision's moves by whole pixels, kornia's has other corners; see the package."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Perspective(PerImage):
    """Each corner moves inwards, by up to ``distortion`` of half the side each way, uniformly; black outside."""

    def __init__(self, distortion: float, p: float) -> None:
        super().__init__(p)
        self.distortion = distortion

    def change(self, images: Tensor) -> Tensor:
        """Corners are at +-1: the map that takes the moved ones back says where an output pixel reads."""
        n, _, height, width = images.shape
        corners = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=torch.float64, device=images.device)
        moved = corners * (1 - self.distortion * torch.rand(n, 4, 2, dtype=torch.float64, device=images.device))
        one, none = torch.ones_like(moved[..., :1]), torch.zeros_like(moved)
        target = corners.expand(n, 4, 2)
        across = torch.cat([moved, one, none, 0 * one, -target[..., :1] * moved], 2)
        down = torch.cat([none, 0 * one, moved, one, -target[..., 1:] * moved], 2)
        system, wanted = torch.cat([across, down], 1), torch.cat([target[..., 0], target[..., 1]], 1)
        solved = torch.cat([torch.linalg.solve(system, wanted), one[:, 0]], 1).view(n, 3, 3)
        x = (torch.arange(width, device=images.device) * 2 + 1) / width - 1
        y = (torch.arange(height, device=images.device) * 2 + 1) / height - 1
        y, x = torch.meshgrid(y, x, indexing="ij")
        points = torch.stack([x, y, torch.ones_like(x)], -1).to(images.dtype)
        mapped = torch.einsum("nij,hwj->nhwi", solved.to(images.dtype), points)
        return F.grid_sample(images, mapped[..., :2] / mapped[..., 2:], align_corners=False)
