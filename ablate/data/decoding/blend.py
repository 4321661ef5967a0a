"""Transparent images over a background, and the background that suits a set. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from ablate.config.at_hand import as_option
from ablate.config.reading import WHITE, Colour
from ablate.errors import UnsupportedImage, UsageError

Array = np.ndarray[Any, Any]
COLOURS: dict[str, Colour] = {"white": WHITE, "black": (0, 0, 0)}


def check(alpha: Array, *, doubtful: bool, channels: int) -> None:
    """Refuse a channel that is no transparency, or that hides the whole image.

    Args:
        alpha: uint8 ``[h, w]``, 0 where nothing is to be seen.
        doubtful: it may be near infrared; then each pixel must be fully transparent or fully opaque.
        channels: the channels of the file, this one included.

    Raises:
        UnsupportedImage: it is so.
    """
    if not alpha.any():
        raise UnsupportedImage("every pixel is transparent: remove the transparency if you want the colours under it")
    if doubtful and ((alpha > 0) & (alpha < 255)).any():
        raise UnsupportedImage(
            f"a further channel that is called transparency and may be near infrared: {{channels={channels}}} reads it "
            f"as a channel, {{channels={channels - 1}}} as transparency"
        )


def over(layer: Array, background: Colour) -> Array:
    """Return grey or RGB with transparency, uint8 ``[2 or 4, h, w]``, over ``background`` as ``[3, h, w]``."""
    image = _rgba(layer)
    below = Image.new("RGBA", image.size, (*background, 255))
    return np.asarray(Image.alpha_composite(below, image).convert("RGB")).transpose(2, 0, 1)


def edge(layer: Array) -> tuple[int, int, int, int]:
    """Return the sums of red, green and blue over the opaque pixels beside transparent ones, and their number."""
    pixels = np.asarray(_rgba(layer))
    seen_through = np.pad(pixels[..., 3] < 255, 1)
    beside = (
        seen_through[:-2, 1:-1] | seen_through[2:, 1:-1] | seen_through[1:-1, :-2] | seen_through[1:-1, 2:]
    ) & ~seen_through[1:-1, 1:-1]
    red, green, blue = pixels[beside][:, :3].sum(0, dtype=np.int64).tolist()
    return red, green, blue, int(beside.sum())


def mean_colour(edges: Iterable[tuple[int, int, int, int]]) -> Colour:
    """Return the mean colour of the pixels that :func:`edge` has summed up.

    Raises:
        UsageError: there are none.
    """
    red, green, blue, count = (sum(column) for column in zip(*edges, strict=True))
    if not count:
        asked = as_option("background", "mean")
        raise UsageError(f"{asked}: no image has opaque pixels beside transparent ones; allowed: white, black")
    return round(red / count), round(green / count), round(blue / count)


def _rgba(layer: Array) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(layer.transpose(1, 2, 0))).convert("RGBA")
