"""Edges; see the package."""

import torch.nn.functional as F
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Sobel(PerImage):
    """Edges by the 3 x 3 Sobel kernels, not normalised, clipped to [0, 1].

    The gradient magnitude of each channel, or, ``signed``, a relief of the luma on mid-grey in all channels.
    """

    def __init__(self, p: float, signed: bool = False) -> None:
        super().__init__(p)
        self.signed = signed

    def change(self, images: Tensor) -> Tensor:
        """sqrt(gx^2 + gy^2), or 0.5 + (gx + gy) / 8; edges replicated."""
        if self.signed:
            red, green, blue = images.unbind(1)
            images = (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None].repeat(1, 3, 1, 1)
        x = F.pad(images, (1, 1, 1, 1), mode="replicate")
        rows = x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]
        columns = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
        gx = rows[..., 2:] - rows[..., :-2]
        gy = columns[:, :, 2:] - columns[:, :, :-2]
        if self.signed:
            return (0.5 + (gx + gy) / 8).clamp(0, 1)
        return (gx.square() + gy.square()).sqrt().clamp(max=1)
