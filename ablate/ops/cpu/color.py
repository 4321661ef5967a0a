"""Jitter and grayscale, in place, each image with its own steps in its own order."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ablate.ops.cpu.kernel import kernel, run
from ablate.ops.cpu.pixel import FOUR, ONE, SIX, ZERO, Array, clip, luma, wheel

TWO, THREE, FIVE = np.float32(2), np.float32(3), np.float32(5)
TINY = np.finfo(np.float32).tiny  # the inverse of a smaller float is infinite, and infinity times 0 is NaN


def distort(images: Tensor, factors: Tensor, order: Tensor, active: Tensor, gray: Tensor) -> None:
    """Do to float32 images on the CPU what :func:`ablate.ops.color_math.distort` returns."""
    run(_distort, len(images), images.flatten(2), factors.float(), order, active, gray)


@kernel
def _distort(begin: int, end: int, images: Array, factors: Array, order: Array, active: Array, gray: Array) -> None:
    for i in range(begin, end):
        red, green, blue = images[i, 0], images[i, 1], images[i, 2]
        if active[i]:
            for slot in range(4):
                step = order[i, slot]
                factor = factors[i, step]
                if step == 0:
                    _brightness(red, green, blue, factor)
                elif step == 1:
                    _contrast(red, green, blue, factor)
                elif step == 2:
                    _saturation(red, green, blue, factor)
                else:
                    _hue(red, green, blue, factor)
        if gray[i]:
            _gray(red, green, blue)


@kernel
def _brightness(red: Array, green: Array, blue: Array, factor: float) -> None:
    for p in range(red.size):
        red[p], green[p], blue[p] = clip(factor * red[p]), clip(factor * green[p]), clip(factor * blue[p])


@kernel
def _contrast(red: Array, green: Array, blue: Array, factor: float) -> None:
    total = ZERO
    for p in range(red.size):
        total += luma(red[p], green[p], blue[p])
    rest = (ONE - factor) * (total / np.float32(red.size))
    for p in range(red.size):
        red[p] = clip(factor * red[p] + rest)
        green[p] = clip(factor * green[p] + rest)
        blue[p] = clip(factor * blue[p] + rest)


@kernel
def _saturation(red: Array, green: Array, blue: Array, factor: float) -> None:
    for p in range(red.size):
        rest = (ONE - factor) * luma(red[p], green[p], blue[p])
        red[p] = clip(factor * red[p] + rest)
        green[p] = clip(factor * green[p] + rest)
        blue[p] = clip(factor * blue[p] + rest)


@kernel
def _hue(red: Array, green: Array, blue: Array, turn: float) -> None:
    """Turn the hue, as :func:`ablate.ops.color_math.shift_hue` does."""
    shift = SIX * turn
    for p in range(red.size):
        r, g, b = red[p], green[p], blue[p]
        high = g if g > r else r
        high = b if b > high else high
        low = g if g < r else r
        low = b if b < low else low
        chroma = high - low
        inverse = ONE / (chroma if chroma >= TINY else ONE)
        hue = FOUR + (r - g) * inverse
        hue = TWO + (b - r) * inverse if high == g else hue
        hue = (g - b) * inverse if high == r else hue
        hue += shift
        red[p] = high - chroma * wheel(hue + FIVE)
        green[p] = high - chroma * wheel(hue + THREE)
        blue[p] = high - chroma * wheel(hue + ONE)


@kernel
def _gray(red: Array, green: Array, blue: Array) -> None:
    for p in range(red.size):
        gray = luma(red[p], green[p], blue[p])
        red[p], green[p], blue[p] = gray, gray, gray
