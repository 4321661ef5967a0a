"""Base of the classes that draw per image; see the package."""

import torch
from torch import Tensor, nn


class PerImage(nn.Module):
    """Changes each image of a batch [N, C, H, W], or one image [C, H, W], with probability p."""

    def __init__(self, p: float = 1.0) -> None:
        super().__init__()
        self.p = p

    def forward(self, images: Tensor) -> Tensor:
        """The same shape; images that are not drawn pass as they are."""
        batch = images.clone() if images.ndim == 4 else images[None].clone()
        drawn = torch.rand(len(batch), device=batch.device) < self.p
        if drawn.any():
            batch[drawn] = self.change(batch[drawn])
        return batch.reshape(images.shape)

    def change(self, images: Tensor) -> Tensor:
        """Every one of these images [N, C, H, W] changed, with draws of its own."""
        raise NotImplementedError
