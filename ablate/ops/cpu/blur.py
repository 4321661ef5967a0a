"""Gaussian blur with one sigma per image, in place: rows first, then columns."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from ablate.ops.cpu.kernel import kernel, run
from ablate.ops.cpu.pixel import Array, clip

SIGMAS = 6  # weights beyond are below 2e-8 of the largest, less than float32 resolves


def blur(images: Tensor, mask: Tensor, sigma: Tensor, taps: tuple[int, int]) -> None:
    """Blur each float32 image ``[c, h, w]`` with its own sigma.

    Args:
        images: float32 ``[n, c, h, w]``.
        mask: bool ``[n]``: the images that are blurred.
        sigma: ``[n]``, in pixels.
        taps: the odd kernel sizes, vertical and horizontal.
    """
    run(_blur, len(images), images, mask, sigma.float(), taps[0] // 2, taps[1] // 2)


@kernel
def _blur(begin: int, end: int, images: Array, mask: Array, sigma: Array, reach_y: int, reach_x: int) -> None:
    _, channels, height, width = images.shape
    half_y, half_x = np.empty(reach_y + 1, np.float32), np.empty(reach_x + 1, np.float32)
    line, between = np.empty(width + 2 * reach_x, np.float32), np.empty((height, width), np.float32)
    for i in range(begin, end):
        if not mask[i]:
            continue
        near_x, near_y = _weights(sigma[i], half_x), _weights(sigma[i], half_y)
        for c in range(channels):
            for y in range(height):
                _reflect(images[i, c, y], near_x, line)
                _across(line, half_x, near_x, between[y])
            for y in range(height):
                _down(between, half_y, near_y, y, images[i, c, y])


@kernel
def _weights(sigma: float, half: Array) -> int:
    """Write the Gaussian's weights at 0, 1, 2 ... pixels; return their number minus one, at most ``SIGMAS`` sigmas."""
    reach = min(len(half) - 1, math.ceil(SIGMAS * sigma))
    total = 0.0
    for t in range(reach + 1):
        half[t] = math.exp(-0.5 * (t / sigma) ** 2)
        total += half[t] if t == 0 else 2 * half[t]
    for t in range(reach + 1):
        half[t] /= total
    return reach


@kernel
def _reflect(row: Array, reach: int, line: Array) -> None:
    """Write ``row`` into ``line``, with ``reach`` pixels mirrored at either end, the outermost not repeated."""
    width = len(row)
    for x in range(width):
        line[reach + x] = row[x]
    for x in range(reach):
        line[reach - 1 - x] = row[x + 1]
        line[reach + width + x] = row[width - 2 - x]


@kernel
def _across(line: Array, half: Array, reach: int, out: Array) -> None:
    for x in range(len(out)):
        out[x] = half[0] * line[reach + x]
    for t in range(1, reach + 1):
        weight = half[t]
        left, right = line[reach - t :], line[reach + t :]
        for x in range(len(out)):
            out[x] += weight * (left[x] + right[x])


@kernel
def _down(image: Array, half: Array, reach: int, y: int, out: Array) -> None:
    last = len(image) - 1
    for x in range(len(out)):
        out[x] = half[0] * image[y, x]
    for t in range(1, reach + 1):
        weight = half[t]
        above, below = image[abs(y - t)], image[last - abs(last - y - t)]
        for x in range(len(out)):
            out[x] += weight * (above[x] + below[x])
    for x in range(len(out)):
        out[x] = clip(out[x])
