"""Arithmetic on one float32 pixel, compiled into the kernels.

numba keeps compiled kernels by their own module's date: after a change here, delete `__pycache__`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ablate.ops.cpu.kernel import kernel

Array = Any  # a NumPy array, whose dtype and shape numba takes from the call
RED, GREEN, BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)  # torchvision's luma
ZERO, ONE, FOUR, SIX, SIXTH = np.float32(0), np.float32(1), np.float32(4), np.float32(6), np.float32(1 / 6)


@kernel
def clip(x: Any) -> Any:
    """Clip ``x`` to [0, 1]; NaN stays."""
    x = ZERO if x < ZERO else x
    return ONE if x > ONE else x


@kernel
def luma(red: Any, green: Any, blue: Any) -> Any:
    """Return the gray value."""
    return RED * red + GREEN * green + BLUE * blue


@kernel
def wheel(k: Any) -> Any:
    """Return ``clip(min(k, 4 - k))`` for ``k`` modulo 6: a channel's distance from the largest, see ``shift_hue``."""
    k = k - SIX * np.floor(k * SIXTH)
    down = FOUR - k
    return clip(down if down < k else k)
