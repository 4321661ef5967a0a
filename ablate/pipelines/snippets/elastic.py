"""Smooth random displacements; see the package."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Elastic(PerImage):
    """Pixels move by Gaussian noise that is smoothed over ``sigma`` and scaled to a root mean square of ``alpha``.

    Both are fractions of the side; bilinear, black outside.
    """

    def __init__(self, alpha: float, sigma: float, p: float) -> None:
        super().__init__(p)
        self.alpha, self.sigma = alpha, sigma

    def change(self, images: Tensor) -> Tensor:
        """Every output pixel reads where its displacement points; [-1, 1] is the whole side."""
        n, _, height, width = images.shape
        noise = torch.randn(2 * n, 1, height, width, dtype=images.dtype, device=images.device)
        smooth = self.smooth(self.smooth(noise).mT).mT.reshape(n, 2, height, width)
        moves = smooth * smooth.square().mean((1, 2, 3), keepdim=True).rsqrt() * 2 * self.alpha
        still = torch.eye(2, 3, dtype=images.dtype, device=images.device).expand(n, 2, 3)
        grid = F.affine_grid(still, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid + moves.permute(0, 2, 3, 1), align_corners=False)

    def smooth(self, noise: Tensor) -> Tensor:
        """Along each row of [N, 1, H, W], reflected at the ends."""
        sigma, width = self.sigma * noise.shape[-1], noise.shape[-1]
        reach = min(math.ceil(3 * sigma), width - 1)
        taps = torch.arange(-reach, reach + 1, dtype=noise.dtype, device=noise.device)
        weights = torch.exp(-0.5 * (taps / sigma).square())
        padded = F.pad(noise, (reach, reach, 0, 0), mode="reflect")
        return F.conv2d(padded, (weights / weights.sum()).view(1, 1, 1, -1))
