"""Equalised histograms for torchvision, whose own takes pixels between two levels as the nearest; see the package."""

import torch
import torchvision.transforms.v2.functional as TF
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Equalize(PerImage):
    """Each channel's histogram of 256 levels made even; a pixel between two levels counts as the lower one."""

    def change(self, images: Tensor) -> Tensor:
        """A channel with nothing to equalise stays as it is."""
        levels = (images * 255).to(torch.uint8)
        equalized = TF.equalize(levels)
        stays = (equalized == levels).all(-1).all(-1)[..., None, None]
        return torch.where(stays, images, equalized.to(images.dtype) / 255)
