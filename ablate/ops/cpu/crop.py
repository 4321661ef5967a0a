"""Box crops with resizing, and images shrunk into boxes: rows, then columns, with one row in the first-level cache."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablate.ops.cpu.kernel import check_boxes, kernel, run
from ablate.ops.cpu.pixel import ONE, Array, clip, copy
from ablate.ops.op import Params
from ablate.pixels import full_scale


def crop(images: Tensor, params: Params, out: tuple[int, int]) -> Tensor:
    """Compute :func:`ablate.ops.resample.resized_crop` of uint8, uint16 or float32 images on the CPU."""
    n, channels = images.shape[:2]
    result = torch.empty(n, channels, *out)
    flip = params["flip"] if "flip" in params else torch.zeros(n, dtype=torch.bool)
    boxes = torch.stack([params[name].float() for name in ("top", "left", "height", "width")], 1)
    check_boxes(boxes, images)
    run(_crop, n, images, boxes, flip, np.float32(1 / full_scale(images.dtype)), result)
    return result


def shrink(images: Tensor, mask: Tensor, params: Params, fill: float) -> None:
    """Do to the float32 images of ``mask`` what :func:`ablate.ops.resample.shrink` returns."""
    boxes = torch.stack([params[name].long() for name in ("top", "left", "height", "width")], 1)
    check_boxes(boxes, images)
    run(_shrink, len(images), images, mask, boxes, np.float32(fill))


@kernel
def _shrink(begin: int, end: int, images: Array, mask: Array, boxes: Array, fill: float) -> None:
    _, channels, height, width = images.shape
    whole, stays = np.zeros((1, 4), np.float32), np.zeros(1, np.bool_)
    whole[0, 2], whole[0, 3] = height, width
    for i in range(begin, end):
        if not mask[i]:
            continue
        top, left, high, wide = boxes[i]
        small = np.empty((1, channels, high, wide), np.float32)
        _crop(0, 1, images[i : i + 1], whole, stays, ONE, small)
        background = images[i].reshape(images[i].size)
        for p in range(background.size):
            background[p] = fill
        for c in range(channels):
            for y in range(high):
                copy(small[0, c, y], images[i, c, top + y, left : left + wide])


@kernel
def _crop(begin: int, end: int, images: Array, boxes: Array, flip: Array, unit: Any, out: Array) -> None:
    _, channels, height, width = images.shape
    high, wide = out.shape[2], out.shape[3]
    most_y, most_x = 2 * height // high + 3, 2 * width // wide + 3  # taps, at most
    first_y, first_x = np.empty(high, np.int32), np.empty(wide, np.int32)
    weights_y, weights_x = np.empty((most_y, high), np.float32), np.empty((most_x, wide), np.float32)
    line = np.empty(width + most_x, np.float32)
    for i in range(begin, end):
        left, broad = boxes[i, 1], boxes[i, 3]
        taps_y = _taps(boxes[i, 0], boxes[i, 2], False, first_y, weights_y)
        taps_x = _taps(left, broad, flip[i], first_x, weights_x)
        for x in range(line.size):
            line[x] = 0  # right of the box it is read, with weight zero
        begin_x, end_x = int(left), math.ceil(left + broad)
        part = line[begin_x:end_x]
        for c in range(channels):
            for y in range(high):
                for t in range(taps_y):
                    weight = weights_y[t, y] * unit
                    if t == 0:
                        row = images[i, c, first_y[y], begin_x:end_x]
                        for x in range(part.size):
                            part[x] = weight * np.float32(row[x])
                    elif weight != 0:
                        row = images[i, c, first_y[y] + t, begin_x:end_x]
                        for x in range(part.size):
                            part[x] += weight * np.float32(row[x])
                _gather(line, first_x, weights_x, taps_x, out[i, c, y])


@kernel
def _taps(start: float, length: float, mirrored: bool, first: Array, weights: Array) -> int:
    """Write the first input pixel of every output pixel, and its weights for that and the next ones.

    The filter is the triangle of torch's antialiased bilinear interpolation, see ``ablate.ops.resample``.

    Returns:
        the largest number of taps.
    """
    n = len(first)
    scale = length / n
    support = max(scale, 1.0)
    weights[:] = 0
    most = 0
    for i in range(n):
        o = n - 1 - i if mirrored else i
        centre = start + (i + 0.5) * scale
        low = max(math.ceil(centre - support - 0.5), math.ceil(start - 0.5))
        high = min(math.floor(centre + support - 0.5), math.ceil(start + length - 0.5) - 1)
        total = 0.0
        for j in range(low, high + 1):
            weight = max(1 - abs(j + 0.5 - centre) / support, 0.0)
            weights[j - low, o] = weight
            total += weight
        for t in range(high + 1 - low):
            weights[t, o] /= total
        first[o] = low
        most = max(most, high + 1 - low)
    return most


@kernel
def _gather(line: Array, first: Array, weights: Array, taps: int, out: Array) -> None:
    """Write ``out[x] = sum over t of weights[t, x] * line[first[x] + t]``; most images need two taps.

    Clipping has a loop of its own: in the others it would be a branch, since they are not turned into vector code.
    """
    one, two, following = weights[0], weights[1], line[1:]
    for x in range(out.size):
        j = np.uint64(first[x])  # numba asks of a signed index whether it is negative
        out[x] = one[x] * line[j] + two[x] * following[j]
    for t in range(2, taps):
        weight, shifted = weights[t], line[t:]
        for x in range(out.size):
            out[x] += weight[x] * shifted[np.uint64(first[x])]
    for x in range(out.size):
        out[x] = clip(out[x])
