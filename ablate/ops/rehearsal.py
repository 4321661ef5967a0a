"""Trying an op once, on images of the size that it will meet: it fails when a sweep is planned, or not at all."""

from __future__ import annotations

import torch

from ablate.errors import UsageError, first_line
from ablate.ops.grammar import to_string
from ablate.ops.op import Op

IMAGES = 2


def rehearse(op: Op, size: int) -> None:
    """Apply ``op`` to two random images, float ``[2, 3, size, size]``, with every draw acting.

    Raises:
        UsageError: the op refuses or fails, or returns anything but finite images of that shape and dtype in [0, 1].
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(IMAGES, 3, size, size, generator=generator)
    name = to_string(op)
    try:
        params = op.sample(IMAGES, (size, size), generator)
        result = op.apply(images, {**params, "mask": torch.ones(IMAGES, dtype=torch.bool)})
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"op {name} fails on {size} x {size} images: {type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(result, torch.Tensor) or result.shape != images.shape or result.dtype != images.dtype:
        got = f"{list(result.shape)} {result.dtype}" if isinstance(result, torch.Tensor) else type(result).__name__
        raise UsageError(f"op {name} must return {list(images.shape)} {images.dtype}, as it was given, not {got}")
    if not bool(((result >= 0) & (result <= 1)).all()):
        raise UsageError(f"op {name} must return values in [0, 1]; clamp them")
