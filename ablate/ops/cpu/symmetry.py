"""The symmetries of a square, each image with its own, in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.ops.cpu.kernel import kernel, run
from ablate.ops.cpu.pixel import Array


def mapped(images: Tensor, transposed: Tensor, mirrored: Tensor, upside_down: Tensor) -> Tensor:
    """Compute :func:`ablate.ops.symmetry.mapped` on the CPU."""
    out = torch.empty(images.shape, dtype=images.dtype)
    run(_mapped, len(images), images, transposed, mirrored, upside_down, out)
    return out


@kernel
def _mapped(
    begin: int, end: int, images: Array, transposed: Array, mirrored: Array, upside_down: Array, out: Array
) -> None:
    side = images.shape[2]
    for i in range(begin, end):
        for c in range(images.shape[1]):
            source, target = images[i, c], out[i, c]
            for y in range(side):
                row = target[side - 1 - y] if upside_down[i] else target[y]
                if transposed[i] and mirrored[i]:
                    for x in range(side):
                        row[x] = source[side - 1 - x, y]
                elif transposed[i]:
                    for x in range(side):
                        row[x] = source[x, y]
                elif mirrored[i]:
                    for x in range(side):
                        row[x] = source[y, side - 1 - x]
                else:
                    for x in range(side):
                        row[x] = source[y, x]
