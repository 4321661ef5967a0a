"""Gaussian noise from one seed per image, in place: the numbers of ``ablate.ops.counter.normal``, pair by pair."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ablate.ops.counter import BITS
from ablate.ops.cpu.kernel import kernel, run
from ablate.ops.cpu.pixel import FOUR, HALF, ONE, Array, clip, logarithm, root

GOLDEN, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
ONE_64, ONE_32, TWO_32 = np.uint64(1), np.int32(1), np.int32(2)
S30, S27, S31 = np.uint64(30), np.uint64(27), np.uint64(31)
FIRST, SECOND, KEPT = np.uint64(64 - BITS), np.uint64(64 - 2 * BITS), np.uint64((1 << BITS) - 1)
UNIT = np.float32(1 / (1 << BITS))
LN_2, MINUS_TWO = np.float32(0.693147181), np.float32(-2)
QUARTER = np.float32(np.pi / 2)
# Coefficients of Cephes (Moshier 1992, sinf.c), for angles up to 45 degrees.
S3, S2, S1 = np.float32(-1.9515295891e-4), np.float32(8.3321608736e-3), np.float32(-1.6666654611e-1)
C3, C2, C1 = np.float32(2.443315711809948e-5), np.float32(-1.388731625493765e-3), np.float32(4.166664568298827e-2)


def noise(images: Tensor, mask: Tensor, sigma: Tensor, seed: Tensor) -> None:
    """Write ``clip(x + sigma * normal)`` into float32 images.

    Args:
        images: ``[n, c, h, w]``.
        mask: bool ``[n]``: the images that are changed.
        sigma: ``[n]``.
        seed: int64 ``[n]``.
    """
    run(_noise, len(images), images.flatten(1), mask, sigma.float(), seed)


@kernel
def _noise(begin: int, end: int, images: Array, mask: Array, sigma: Array, seed: Array) -> None:
    pairs = (images.shape[1] + 1) // 2
    across, up = np.empty(pairs, np.float32), np.empty(pairs, np.float32)
    for i in range(begin, end):
        if not mask[i]:
            continue
        start, scale = np.uint64(seed[i]), sigma[i]
        for j in range(pairs):  # small functions, which are inlined: a loop with a call is not turned into vector code
            bits = _splitmix64(start + GOLDEN * (np.uint64(j) + ONE_64))
            radius, turns = _radius(_uniform(bits >> FIRST)), FOUR * _uniform((bits >> SECOND) & KEPT)
            across[j], up[j] = _turned(radius, turns)
        _add(images[i, :pairs], scale, across)
        _add(images[i, pairs:], scale, up)


@kernel
def _add(values: Array, scale: float, drawn: Array) -> None:
    for j in range(values.size):
        values[j] = clip(values[j] + scale * drawn[j])


@kernel
def _splitmix64(z: Any) -> Any:
    z = (z ^ (z >> S30)) * MIX_1
    z = (z ^ (z >> S27)) * MIX_2
    return z ^ (z >> S31)


@kernel
def _uniform(bits: Any) -> Any:
    return (np.float32(np.int32(bits)) + HALF) * UNIT


@kernel
def _radius(x: Any) -> Any:
    exponent, rest = logarithm(x)
    return root(MINUS_TWO * (exponent * LN_2 + rest))


@kernel
def _turned(radius: Any, turns: Any) -> Any:
    """Return the cosine and the sine of so many quarter turns, 0 to 4, both times ``radius``."""
    quarters = np.floor(turns + HALF)
    angle = (turns - quarters) * QUARTER
    square = angle * angle
    sin = ((S3 * square + S2) * square + S1) * square * angle + angle
    cos = ((C3 * square + C2) * square + C1) * square * square - HALF * square + ONE
    quarter = np.int32(quarters)
    odd = quarter & ONE_32
    across, up = (sin if odd else cos), (cos if odd else sin)
    return (-radius if (quarter + ONE_32) & TWO_32 else radius) * across, (-radius if quarter & TWO_32 else radius) * up
