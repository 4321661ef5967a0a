"""An image in the form in which it is stored: its range mapped to full scale, its short side as asked. Needs no torch.

Full scale is 255 in uint8, 65535 in uint16 and 1 in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ablate.config.reading import Range
from ablate.pixels import FULL_SCALE

Array = np.ndarray[Any, Any]
MAX_ASPECT = 3  # longer images lose their ends, so that one panorama does not pad a whole batch


def stored(page: Array, depth: str, short: int, ranges: Sequence[Range]) -> Array:
    """Return an image of the type ``depth`` with min(h, w) = ``short``, keeping the aspect ratio (up to 3).

    Resizing is bilinear with antialiasing.

    Args:
        page: ``[c, h, w]`` of any real type.
        depth: uint8, uint16 or float32.
        short: the short side to store, in pixels.
        ranges: for each channel the values that become 0 and full scale, or one pair for all; without meaning for
            uint8.
    """
    page = limited(page)
    if depth == "uint8":
        return _resized_bytes(page, short)
    full = FULL_SCALE[depth]
    each = list(ranges) * (len(page) if len(ranges) == 1 else 1)
    planes = [_resized(_mapped(plane, low, high, full), short) for plane, (low, high) in zip(page, each, strict=True)]
    pixels = np.stack(planes).clip(0, full)  # resizing may round beyond it
    return np.rint(pixels).astype(np.uint16) if depth == "uint16" else pixels


def reduced(picture: Image.Image, short: int) -> Image.Image:
    """Return an 8-bit picture as :func:`stored` would make it, while Pillow still holds it: copies cost more."""
    width, height = picture.size
    wide, high = min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)
    left, top = (width - wide) // 2, (height - high) // 2
    whole = picture if (wide, high) == picture.size else picture.crop((left, top, left + wide, top + high))
    size = _size(wide, high, short)
    return whole if size == whole.size else whole.resize(size, Image.Resampling.BILINEAR)


def limited(page: Array) -> Array:
    """Return ``[c, h, w]`` without the ends beyond 3 : 1."""
    height, width = page.shape[1:]
    high, wide = min(height, MAX_ASPECT * width), min(width, MAX_ASPECT * height)
    top, left = (height - high) // 2, (width - wide) // 2
    return page[:, top : top + high, left : left + wide]


def _mapped(plane: Array, low: float, high: float, full: int) -> Array:
    values = (plane.astype(np.float64) - low) * (full / (high - low))
    return values.clip(0, full).astype(np.float32)


def _resized_bytes(page: Array, short: int) -> Array:
    if len(page) == 3:
        return _resized(np.ascontiguousarray(page.transpose(1, 2, 0)), short).transpose(2, 0, 1)
    return np.stack([_resized(plane, short) for plane in page])  # Pillow would premultiply four channels


def _resized(pixels: Array, short: int) -> Array:
    """Return uint8 ``[h, w, 3]``, or uint8 or float32 ``[h, w]``, with the short side ``short``."""
    height, width = pixels.shape[:2]
    size = _size(width, height, short)
    if size == (width, height):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _size(width: int, height: int, short: int) -> tuple[int, int]:
    """Return the width and height at which an image is stored."""
    scale = short / min(height, width)
    return max(short, round(width * scale)), max(short, round(height * scale))
