"""The symmetries of a square; see the package."""

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class SquareSymmetry(PerImage):
    """One of the three turns and four reflections that move a square, with equal chance; square images only."""

    def change(self, images: Tensor) -> Tensor:
        """Each image by its own symmetry: 0 to 3 quarter turns, those above 3 after a reflection."""
        drawn = torch.randint(1, 8, (len(images),)).tolist()
        pairs = zip(images, drawn, strict=True)
        return torch.stack([(image.flip(2) if k > 3 else image).rot90(k % 4, (1, 2)) for image, k in pairs])
