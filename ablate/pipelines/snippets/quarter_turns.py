"""Rotation by quarter turns for kornia; see the package."""

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class QuarterTurns(PerImage):
    """By 90, 180 or 270 degrees with equal chance, square images only; no pixel is interpolated."""

    def change(self, images: Tensor) -> Tensor:
        """Each image by its own number of turns."""
        turns = torch.randint(1, 4, (len(images),)).tolist()
        return torch.stack([image.rot90(turn, (1, 2)) for image, turn in zip(images, turns, strict=True)])
