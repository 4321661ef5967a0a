"""Gain, offset and gamma in one pass, in place, with a power that the compiler turns into vector code."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ablate.ops.cpu.kernel import kernel, run
from ablate.ops.cpu.pixel import HALF, MANTISSA, ONE, ZERO, Array, clip, logarithm

TINY = np.finfo(np.float32).tiny
LEAST, BIAS = np.float32(-126), np.int32(127)  # 2^-126 is TINY
LOG2_E = np.float32(1.44269504)
# Coefficients of Cephes (Moshier 1992, exp2f.c): 2^f.
E5, E4, E3 = np.float32(1.535336188319500e-4), np.float32(1.339887440266574e-3), np.float32(9.618437357674640e-3)
E2, E1, E0 = np.float32(5.550332471162809e-2), np.float32(2.402264791363012e-1), np.float32(6.931472028550421e-1)


def intensity(images: Tensor, mask: Tensor, gain: Tensor, offset: Tensor, gamma: Tensor) -> None:
    """Compute ``clip(gain * x^gamma + offset)`` of float32 images on the CPU.

    Args:
        images: ``[n, c, h, w]`` in [0, 1].
        mask: bool ``[n]``: the images that are changed.
        gain: ``[n, c]``.
        offset: ``[n, c]``.
        gamma: ``[n, c]``.
    """
    run(_intensity, len(images), images.flatten(2), mask, gain.float(), offset.float(), gamma.float())


@kernel
def _intensity(begin: int, end: int, images: Array, mask: Array, gain: Array, offset: Array, gamma: Array) -> None:
    for i in range(begin, end):
        if not mask[i]:
            continue
        for c in range(images.shape[1]):
            factor, addend, power = gain[i, c], offset[i, c], gamma[i, c]
            plane = images[i, c]
            for p in range(plane.size):
                plane[p] = clip(factor * _power(plane[p], power) + addend)


@kernel
def _power(x: Any, power: Any) -> Any:
    """Return ``x^power`` to 1e-6 for x in [0, 1], denormal ones aside; 0 stays 0 and NaN stays NaN."""
    exponent, rest = logarithm(TINY if x < TINY else x)
    y = power * (exponent + rest * LOG2_E)
    y = LEAST if y < LEAST else y
    whole = np.floor(y + HALF)
    f = y - whole
    fraction = (((((E5 * f + E4) * f + E3) * f + E2) * f + E1) * f + E0) * f + ONE
    scale = np.int32((np.int32(whole) + BIAS) << MANTISSA).view(np.float32)
    result = ZERO if x <= ZERO else fraction * scale
    return x if np.isnan(x) else result
