"""Edges; see the package."""

import torch.nn.functional as F
from torch import Tensor

from ablate.report.snippets.per_image import PerImage


class Sobel(PerImage):
    """Gradient magnitude of each channel by the 3 x 3 Sobel kernels, not normalised, clipped to [0, 1]."""

    def change(self, images: Tensor) -> Tensor:
        """sqrt(gx^2 + gy^2), edges replicated."""
        x = F.pad(images, (1, 1, 1, 1), mode="replicate")
        rows = x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]
        columns = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
        gx = rows[..., 2:] - rows[..., :-2]
        gy = columns[:, :, 2:] - columns[:, :, :-2]
        return (gx.square() + gy.square()).sqrt().clamp(max=1)
