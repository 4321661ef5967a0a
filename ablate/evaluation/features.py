"""The images that are evaluated, un-augmented, and a test whether their representations still differ."""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.config.trial import SMALL_IMAGE
from ablate.data import Split
from ablate.ops import center_crop
from ablate.rng import stream

CENTRE = 0.875  # the share of the short side that is evaluated above SMALL_IMAGE (as in the paper)


def unaugmented(images: Tensor, sizes: Tensor | None, image_size: int) -> Tensor:
    """Return the views that are evaluated, float32 ``[n, c, image_size, image_size]`` in [0, 1].

    Args:
        images: uint8, uint16 or float32 ``[n, c, h, w]``.
        sizes: int64 ``[n, 2]``, each image's real height and width if they are padded, else None.
        image_size: the side of the views in pixels. Up to 64, the view is the whole centre square of the image; above,
            it is the central 0.875 of that square.
    """
    return center_crop(images, (image_size, image_size), 1.0 if image_size <= SMALL_IMAGE else CENTRE, sizes)


def drawn(split: Split, purpose: str, most: int) -> Tensor:
    """Draw ``most`` images of ``split``, or take all, and return their int64 index in ascending order.

    The draw is the same for every trial on these images.

    Args:
        split: the images to draw from.
        purpose: the name of the draw; another purpose gives another draw.
        most: the largest number of images to draw.
    """
    shuffled = torch.randperm(len(split.labels), generator=stream(0, f"evaluation/{purpose}"))
    return shuffled[:most].sort().values


def collapsed(h: Tensor, tolerance: float = 1e-4) -> bool:
    """Return True if all rows of ``h [N, d]`` are equal, up to ``tolerance`` of their root mean square."""
    spread = (h - h.mean(0)).square().mean().sqrt()
    return bool(spread <= tolerance * h.square().mean().sqrt())
