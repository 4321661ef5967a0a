"""Gaussian blur with one sigma per image, in place: rows first, then columns."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from ablate.ops.cpu.kernel import kernel, run
from ablate.ops.cpu.pixel import Array, clip, copy

CHUNK = 1024  # pixels
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
    high, wide = height + 2 * reach_y, width + 2 * reach_x
    half_y, half_x = np.empty(reach_y + 1, np.float32), np.empty(reach_x + 1, np.float32)
    padded, across = np.zeros((high, wide), np.float32), np.zeros((high, wide), np.float32)
    inner, edge = slice(reach_y, reach_y + height), reach_y + height
    begin_flat, end_flat = reach_y * wide, edge * wide
    for i in range(begin, end):
        if not mask[i]:
            continue
        near_x, near_y = _weights(sigma[i], half_x), _weights(sigma[i], half_y)
        for c in range(channels):
            _widen(images[i, c], near_x, reach_x, padded[inner])
            _convolve(padded, 1, half_x, near_x, begin_flat + near_x, end_flat - near_x, across)
            for t in range(near_y):
                copy(across[reach_y + 1 + t], across[reach_y - 1 - t])
                copy(across[edge - 2 - t], across[edge + t])
            _convolve(across, wide, half_y, near_y, begin_flat, end_flat, padded)
            _cut(padded[inner], reach_x, images[i, c])


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
def _widen(image: Array, near: int, reach: int, out: Array) -> None:
    """Write the rows into the middle of longer ones, with ``near`` pixels mirrored at either end.

    Loops run over slices: numba would ask of an index with an offset whether it is negative.
    """
    width = image.shape[1]
    for y in range(len(image)):
        row, line, middle = image[y], out[y], out[y, reach : reach + width]
        copy(row, middle)
        for t in range(near):
            line[reach - 1 - t] = row[1 + t]
            line[reach + width + t] = row[width - 2 - t]


@kernel
def _convolve(source: Array, step: int, half: Array, reach: int, first: int, last: int, out: Array) -> None:
    """Write weighted sums of pixels ``step`` apart, as if all rows were one: long loops, in the first-level cache."""
    pixels, results = source.reshape(source.size), out.reshape(out.size)
    for begin in range(first, last, CHUNK):
        end = min(begin + CHUNK, last)
        here, result = pixels[begin:end], results[begin:end]
        for p in range(result.size):
            result[p] = half[0] * here[p]
        for t in range(1, reach + 1):
            weight, away = half[t], t * step
            before, after = pixels[begin - away : end - away], pixels[begin + away : end + away]
            for p in range(result.size):
                result[p] += weight * (before[p] + after[p])


@kernel
def _cut(padded: Array, reach: int, out: Array) -> None:
    for y in range(len(out)):
        row, middle = out[y], padded[y, reach : reach + out.shape[1]]
        for x in range(row.size):
            row[x] = clip(middle[x])
