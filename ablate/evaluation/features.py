"""What evaluation looks at: which images, un-augmented, and whether their representations still differ."""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.config.trial import SMALL_IMAGE
from ablate.data import Split
from ablate.ops import center_crop
from ablate.rng import stream

CENTRE = 0.875  # of the short side, evaluated above SMALL_IMAGE (as in the paper)


def unaugmented(images: Tensor, sizes: Tensor | None, image_size: int) -> Tensor:
    """The views that are evaluated, float32 ``[n, 3, image_size, image_size]`` in [0, 1].

    Args:
        images: uint8 ``[n, 3, h, w]``.
        sizes: int64 ``[n, 2]``, each image's real height and width if they are padded, else None.
        image_size: pixels. Up to 64 the whole (centre square of the) image is taken, above its centre 0.875.
    """
    return center_crop(images, (image_size, image_size), 1.0 if image_size <= SMALL_IMAGE else CENTRE, sizes)


def drawn(split: Split, purpose: str, most: int) -> Tensor:
    """int64 index of ``most`` images of ``split``, or all, in order: one draw for every trial on these images."""
    shuffled = torch.randperm(len(split.labels), generator=stream(0, f"evaluation/{purpose}"))
    return shuffled[:most].sort().values


def collapsed(h: Tensor, tolerance: float = 1e-4) -> bool:
    """True when all rows of ``h [N, d]`` are equal, up to ``tolerance`` of their root mean square."""
    spread = (h - h.mean(0)).square().mean().sqrt()
    return bool(spread <= tolerance * h.square().mean().sqrt())
