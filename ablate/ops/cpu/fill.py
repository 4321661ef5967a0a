"""Boxes filled with one value, in place: the pixels outside are not touched."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ablate.ops.cpu.kernel import check_boxes, kernel, run
from ablate.ops.cpu.pixel import Array


def fill(images: Tensor, mask: Tensor, box: tuple[Tensor, Tensor, Tensor, Tensor], value: float) -> None:
    """Write ``value`` into a box of each image.

    Args:
        images: float32 ``[n, c, h, w]``.
        mask: bool ``[n]``: the images that are changed.
        box: top, left, height and width, ``[n]`` each, whole pixels inside the image.
        value: the value.

    Raises:
        UsageError: a box reaches beyond the images.
    """
    boxes = torch.stack(box, 1).long()
    check_boxes(boxes, images)
    run(_fill, len(images), images, mask, boxes, np.float32(value))


@kernel
def _fill(begin: int, end: int, images: Array, mask: Array, boxes: Array, value: float) -> None:
    for i in range(begin, end):
        if mask[i]:
            top, left, height, width = boxes[i]
            for c in range(images.shape[1]):
                for y in range(top, top + height):
                    row = images[i, c, y, left : left + width]
                    for x in range(row.size):
                        row[x] = value
