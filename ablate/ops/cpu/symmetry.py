"""Flips and the symmetries of a square, each image with its own, in place."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ablate.ops.cpu.kernel import kernel, run
from ablate.ops.cpu.pixel import Array


def mapped(images: Tensor, mask: Tensor, transposed: Tensor, mirrored: Tensor, upside_down: Tensor) -> None:
    """Do to the images of ``mask`` what :func:`ablate.ops.symmetry.mapped` returns; only square ones are transposed."""
    run(_mapped, len(images), images, mask, transposed, mirrored, upside_down)


@kernel
def _mapped(
    begin: int, end: int, images: Array, mask: Array, transposed: Array, mirrored: Array, upside_down: Array
) -> None:
    line = np.empty(images.shape[3], np.float32)
    for i in range(begin, end):
        if not mask[i]:
            continue
        for c in range(images.shape[1]):
            plane = images[i, c]
            if transposed[i]:
                _transpose(plane)
            if mirrored[i]:
                _mirror(plane, line)
            if upside_down[i]:
                _overturn(plane)


@kernel
def _transpose(plane: Array) -> None:
    for y in range(len(plane)):
        for x in range(y):
            plane[y, x], plane[x, y] = plane[x, y], plane[y, x]


@kernel
def _mirror(plane: Array, line: Array) -> None:
    width, one = np.uint64(plane.shape[1]), np.uint64(1)  # numba asks of a signed index whether it is negative
    for y in range(len(plane)):
        row = plane[y]
        for x in range(width):
            line[x] = row[x]
        for x in range(width):
            row[x] = line[width - one - np.uint64(x)]


@kernel
def _overturn(plane: Array) -> None:
    for y in range(len(plane) // 2):
        above, below = plane[y], plane[len(plane) - 1 - y]
        for x in range(above.size):
            above[x], below[x] = below[x], above[x]
