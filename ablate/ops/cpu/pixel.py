"""Arithmetic on one float32 pixel, compiled into the kernels.

numba keeps compiled kernels by their own module's date: after a change here, delete `__pycache__`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ablate.ops.cpu.kernel import exact, kernel

Array = Any  # a NumPy array, whose dtype and shape numba takes from the call
RED, GREEN, BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)  # torchvision's luma
ZERO, ONE, FOUR, SIX, SIXTH = np.float32(0), np.float32(1), np.float32(4), np.float32(6), np.float32(1 / 6)
HALF = np.float32(0.5)
ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
MANTISSA = np.int32(23)
# Coefficients of Cephes (Moshier 1992, logf.c): ln(1 + m) = m - m^2 / 2 + m^3 * P(m).
L8, L7, L6 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
L5, L4, L3 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
L2, L1, L0 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)


@kernel
def clip(x: Any) -> Any:
    """Clip ``x`` to [0, 1]; NaN stays."""
    x = ZERO if x < ZERO else x
    return ONE if x > ONE else x


@kernel
def copy(source: Array, target: Array) -> None:
    """Copy a row. An assignment of arrays does the same, and takes seconds to compile."""
    for x in range(source.size):
        target[x] = source[x]


@exact
def luma(red: Any, green: Any, blue: Any) -> Any:
    """Return the gray value, with the bits of :func:`ablate.ops.color_math.grayscale`."""
    return RED * red + GREEN * green + BLUE * blue


@kernel
def wheel(k: Any) -> Any:
    """Return ``clip(min(k, 4 - k))`` for ``k`` modulo 6: a channel's distance from the largest, see ``shift_hue``."""
    k = k - SIX * np.floor(k * SIXTH)
    down = FOUR - k
    return clip(down if down < k else k)


@kernel
def logarithm(x: Any) -> Any:
    """Return e and r with ``ln x = e * ln 2 + r``, for normal x > 0."""
    bits = np.float32(x).view(np.int32)
    exponent = (bits - ROOT_HALF) >> MANTISSA
    m = np.int32(bits - (exponent << MANTISSA)).view(np.float32) - ONE
    tail = ((((((((L8 * m + L7) * m + L6) * m + L5) * m + L4) * m + L3) * m + L2) * m + L1) * m + L0) * m * m * m
    return np.float32(exponent), m - HALF * m * m + tail


def _root(typing: Any, x: Any) -> Any:
    """Return the square root; numba's own is a call of the C library, which keeps a loop from being vector code."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.sqrt", [ir.FloatType()]), arguments)

    return types.float32(types.float32), generate


root: Any = intrinsic(_root)
