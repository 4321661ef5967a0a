"""What follows kornia's classes that may leave [0, 1]; see the package."""

from torch import Tensor, nn


class Clip(nn.Module):
    """Values below 0 become 0, those above 1 become 1."""

    def forward(self, images: Tensor) -> Tensor:
        """The same shape."""
        return images.clamp(0, 1)
