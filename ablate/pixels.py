"""The types in which images are stored, and the value of each that stands for 1.0. Needs no torch."""

from __future__ import annotations

from typing import Any

MOST_CHANNELS = 32
"""The largest number of channels that an image may have."""

FULL_SCALE = {"uint8": 255, "uint16": 65535, "float32": 1}
"""The stored types, and the value that is white: ops see a stored value divided by it."""


def full_scale(dtype: Any) -> int:
    """Return the value that stands for 1.0 in a dtype of torch or NumPy; floats are in [0, 1] already.

    Raises:
        KeyError: images are not stored in this dtype.
    """
    name = str(dtype).removeprefix("torch.")
    return 1 if name in ("float64", "float16", "bfloat16") else FULL_SCALE[name]
