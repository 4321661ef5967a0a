"""Sobel gradients, in place, with the bits of torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ablate.ops.cpu.kernel import exact, run
from ablate.ops.cpu.pixel import HALF, ONE, Array, clip, copy, luma, root

TWO, EIGHTH = np.float32(2), np.float32(1 / 8)


def sobel(images: Tensor, mask: Tensor, signed: bool) -> None:
    """Do to float32 images what :meth:`ablate.ops.filters.Sobel.transform` returns.

    Args:
        images: ``[n, c, h, w]``.
        mask: bool ``[n]``: the images that are changed.
        signed: True for the relief on mid-grey, False for the magnitude.
    """
    run(_sobel, len(images), images, mask, signed)


@exact
def _sobel(begin: int, end: int, images: Array, mask: Array, signed: bool) -> None:
    _, channels, height, width = images.shape
    padded = np.empty((height + 2, width + 2), np.float32)
    for i in range(begin, end):
        if not mask[i]:
            continue
        image = images[i]
        if signed and channels == 3:
            for y in range(height):
                for x in range(width):
                    padded[1 + y, 1 + x] = luma(image[0, y, x], image[1, y, x], image[2, y, x])
            _pad(padded)
            for c in range(channels):
                _relief(padded, image[c])
            continue
        for c in range(channels):
            for y in range(height):
                copy(image[c, y], padded[1 + y, 1:-1])
            _pad(padded)
            if signed:
                _relief(padded, image[c])
            else:
                _magnitude(padded, image[c])


@exact
def _pad(padded: Array) -> None:
    """Repeat the outermost pixels of the image inside."""
    for line in padded[1:-1]:
        line[0], line[-1] = line[1], line[-2]
    copy(padded[1], padded[0])
    copy(padded[-2], padded[-1])


@exact
def _magnitude(padded: Array, out: Array) -> None:
    for y in range(out.shape[0]):
        above, here, below, row = padded[y], padded[y + 1], padded[y + 2], out[y]
        for x in range(row.size):
            gx = _smooth(above[x + 2], here[x + 2], below[x + 2]) - _smooth(above[x], here[x], below[x])
            gy = _smooth(below[x], below[x + 1], below[x + 2]) - _smooth(above[x], above[x + 1], above[x + 2])
            length = root(gx * gx + gy * gy)
            row[x] = ONE if length > ONE else length


@exact
def _relief(padded: Array, out: Array) -> None:
    for y in range(out.shape[0]):
        above, here, below, row = padded[y], padded[y + 1], padded[y + 2], out[y]
        for x in range(row.size):
            gx = _smooth(above[x + 2], here[x + 2], below[x + 2]) - _smooth(above[x], here[x], below[x])
            gy = _smooth(below[x], below[x + 1], below[x + 2]) - _smooth(above[x], above[x + 1], above[x + 2])
            row[x] = clip(HALF + (gx + gy) * EIGHTH)


@exact
def _smooth(a: Any, b: Any, c: Any) -> Any:
    return a + TWO * b + c
