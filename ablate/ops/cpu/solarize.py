"""Values inverted from a threshold on, in place, with the bits of torch."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ablate.ops.cpu.kernel import exact, run
from ablate.ops.cpu.pixel import ONE, Array


def solarize(images: Tensor, mask: Tensor, threshold: float) -> None:
    """Write ``1 - x`` where ``x >= threshold``, and where x is NaN, into float32 images.

    Args:
        images: ``[n, c, h, w]``.
        mask: bool ``[n]``: the images that are changed.
        threshold: the smallest value that is inverted.
    """
    run(_solarize, len(images), images.flatten(1), mask, np.float32(threshold))


@exact
def _solarize(begin: int, end: int, images: Array, mask: Array, threshold: float) -> None:
    for i in range(begin, end):
        if mask[i]:
            values = images[i]
            for p in range(values.size):
                x = values[p]
                values[p] = x if x < threshold else ONE - x
