"""Jitter of stains; see the package."""

import math

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class StainJitter(PerImage):
    """Haematoxylin, eosin and DAB of an RGB image, each times 1 +- ``scale`` and plus 0 +- ``shift``.

    Amounts of stain are those of scikit-image's ``rgb2hed``, negative ones included.
    """

    def __init__(self, scale: float, shift: float, p: float) -> None:
        super().__init__(p)
        self.scale, self.shift = scale, shift

    def change(self, images: Tensor) -> Tensor:
        """Each image with draws of its own, three of either kind."""
        rgb_of_stains = images.new_tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
        scale, shift = (
            reach * (2 * torch.rand(len(images), 1, 1, 3, dtype=images.dtype, device=images.device) - 1)
            for reach in (self.scale, self.shift)
        )
        densities = images.clamp(min=1e-6).log().permute(0, 2, 3, 1) / math.log(1e-6)
        stains = (densities @ torch.linalg.inv(rgb_of_stains)) * (1 + scale) + shift
        changed: Tensor = stains @ rgb_of_stains * math.log(1e-6)
        return changed.exp().permute(0, 3, 1, 2).clamp(0, 1)
