"""Frozen representations of un-augmented images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ablate.config import SMALL_IMAGE
from ablate.ops import center_crop

BATCH = 256
CENTRE = 0.875  # of the short side, evaluated above SMALL_IMAGE (as in the paper)


@torch.no_grad()
def extract(
    encoder: nn.Module,
    batch: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    index: Tensor,
    image_size: int,
    *,
    autocast: torch.autocast,
    memory_format: torch.memory_format,
) -> Tensor:
    """``h`` of the images that ``index`` names, float32 ``[len(index), dim]``, on the encoder's device, no gradient.

    Args:
        encoder: put into evaluation mode for this, and back as it was.
        batch: index -> uint8 ``[n, 3, h, w]`` and, if padded, sizes ``[n, 2]`` (``Resident.batch``).
        index: int64 ``[N]``.
        image_size: pixels. Up to 64 the whole (centre square of the) image is taken, above its centre 0.875.
        autocast: the trial's precision.
        memory_format: the trial's layout.
    """
    was_training = encoder.training
    encoder.eval()
    fraction = 1.0 if image_size <= SMALL_IMAGE else CENTRE
    parts = []
    for chunk in index.split(BATCH):
        images, sizes = batch(chunk)
        views = center_crop(images, (image_size, image_size), fraction, sizes)
        with autocast:
            parts.append(encoder(views.contiguous(memory_format=memory_format)).float())
    encoder.train(was_training)
    return torch.cat(parts)


def collapsed(h: Tensor, tolerance: float = 1e-4) -> bool:
    """True when all rows of ``h [N, d]`` are equal, up to ``tolerance`` of their root mean square."""
    spread = (h - h.mean(0)).square().mean().sqrt()
    return bool(spread <= tolerance * h.square().mean().sqrt())
