"""Gain, offset and gamma in one pass, with a power that the compiler turns into vector code."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablate.ops.cpu.kernel import kernel, run
from ablate.ops.cpu.pixel import ONE, ZERO, Array, clip

TINY = np.finfo(np.float32).tiny
HALF, LEAST = np.float32(0.5), np.float32(-126)  # 2^-126 is TINY
ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
MANTISSA, BIAS = np.int32(23), np.int32(127)
# Coefficients of Cephes (Moshier 1992, logf.c and exp2f.c): ln(1 + m) = m - m^2 / 2 + m^3 * P(m), and 2^f.
L8, L7, L6 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
L5, L4, L3 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
L2, L1, L0 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)
LOG2_E = np.float32(1.44269504)
E5, E4, E3 = np.float32(1.535336188319500e-4), np.float32(1.339887440266574e-3), np.float32(9.618437357674640e-3)
E2, E1, E0 = np.float32(5.550332471162809e-2), np.float32(2.402264791363012e-1), np.float32(6.931472028550421e-1)


def intensity(images: Tensor, gain: Tensor, offset: Tensor, gamma: Tensor) -> Tensor:
    """Return ``clip(gain * x^gamma + offset)`` of float32 images on the CPU.

    Args:
        images: ``[n, c, h, w]`` in [0, 1].
        gain: ``[n, c]``.
        offset: ``[n, c]``.
        gamma: ``[n, c]``.
    """
    out = torch.empty(images.shape)
    run(_intensity, len(images), images.flatten(2), gain.float(), offset.float(), gamma.float(), out.flatten(2))
    return out


@kernel
def _intensity(begin: int, end: int, images: Array, gain: Array, offset: Array, gamma: Array, out: Array) -> None:
    for i in range(begin, end):
        for c in range(images.shape[1]):
            factor, addend, power = gain[i, c], offset[i, c], gamma[i, c]
            source, target = images[i, c], out[i, c]
            for p in range(source.size):
                target[p] = clip(factor * _power(source[p], power) + addend)


@kernel
def _power(x: Any, power: Any) -> Any:
    """Return ``x^power`` to 1e-6 for x in [0, 1], denormal ones aside; 0 stays 0 and NaN stays NaN."""
    bits = np.float32(TINY if x < TINY else x).view(np.int32)
    exponent = (bits - ROOT_HALF) >> MANTISSA
    m = np.int32(bits - (exponent << MANTISSA)).view(np.float32) - ONE
    tail = ((((((((L8 * m + L7) * m + L6) * m + L5) * m + L4) * m + L3) * m + L2) * m + L1) * m + L0) * m * m * m
    log2 = np.float32(exponent) + (m - HALF * m * m + tail) * LOG2_E
    y = power * log2
    y = LEAST if y < LEAST else y
    whole = np.floor(y + HALF)
    f = y - whole
    fraction = (((((E5 * f + E4) * f + E3) * f + E2) * f + E1) * f + E0) * f + ONE
    scale = np.int32((np.int32(whole) + BIAS) << MANTISSA).view(np.float32)
    result = ZERO if x <= ZERO else fraction * scale
    return x if np.isnan(x) else result
