"""Gain, offset and gamma; see the package."""

import torch
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Intensity(PerImage):
    """``gain * x^gamma + offset``, clipped to [0, 1].

    The gain is uniform in 1 +- ``gain`` and at least 0, the offset in +- ``offset``, the logarithm of gamma in
    +- ``gamma``; they are drawn for each image, or ``per_channel``.
    """

    def __init__(self, gain: float, offset: float, gamma: float, per_channel: bool, p: float) -> None:
        super().__init__(p)
        self.ranges, self.per_channel = (gain, offset, gamma), per_channel

    def change(self, images: Tensor) -> Tensor:
        """Each image, or each of its channels, with its own three draws."""
        count = images.shape[1] if self.per_channel else 1
        gain, offset, gamma = (
            reach * (2 * torch.rand(len(images), count, 1, 1, dtype=images.dtype, device=images.device) - 1)
            for reach in self.ranges
        )
        return ((1 + gain).clamp(min=0) * images.pow(gamma.exp()) + offset).clamp(0, 1)
