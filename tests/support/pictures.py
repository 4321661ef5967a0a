"""Random generators and images for ops."""

from __future__ import annotations

import torch

CUDA_BUILD = torch.version.cuda is not None or torch.version.hip is not None


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n, channels, size, seed=1):
    """Smooth noise in [0, 1] that uses the whole range: neighbouring pixels are alike, as in images."""
    coarse = torch.rand(n, channels, 7, 7, generator=generator(seed))
    fine = torch.rand(n, channels, *size, generator=generator(seed + 1))
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    return (0.8 * smooth + 0.2 * fine).clamp(0, 1)
