"""The pixels of an image file as the file holds them, before anything is mapped, blended or resized. Needs no torch."""

from __future__ import annotations

import importlib
import logging
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ablate.config.reading import Range
from ablate.errors import UnsupportedImage, UsageError

Array = np.ndarray[Any, Any]
EXTRA = "pip install 'ablate[science]'"
EIGHT = "save it with 8 bits per channel, or as unsigned 16-bit integers"
CONVERT = "convert it to RGB and save it as PNG"


class Native(NamedTuple):
    """The images of one file, as the file holds them; opaque pictures of 8 bits may be reduced already.

    ``pixels`` are ``[pages, c, h, w]`` of any real type, upright. ``depth`` is the type in which the set stores such
    images: uint8 for files of 8 bits, uint16 for integers of up to 16 bits, else float32. With ``transparent``, the
    last channel is transparency, 0 where nothing is to be seen; with ``doubtful``, the file calls it so but may mean
    near infrared. ``traits`` may contain profile, cmyk, several and animation. ``windows`` are the pairs of values that
    the file itself calls black and white; pages may have different ones.
    """

    pixels: Array
    depth: str
    transparent: bool = False
    doubtful: bool = False
    traits: tuple[str, ...] = ()
    windows: tuple[Range, ...] = ()


def depth_of(dtype: np.dtype[Any]) -> str:
    """Return the type in which pixels of ``dtype`` are stored.

    Raises:
        UnsupportedImage: they are no real numbers.
    """
    if dtype == np.uint8:
        return "uint8"
    if dtype.kind in "iu":
        return "uint16" if dtype.itemsize <= 2 else "float32"
    if dtype.kind != "f":
        raise UnsupportedImage(f"pixels of the type {dtype}, which are no real numbers: {EIGHT}")
    return "float32"


def upright(pixels: Array, orientation: int) -> Array:
    """Return ``[..., h, w]`` turned upright from an EXIF orientation, 1 to 8; other numbers count as 1."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(-1, -2)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[..., ::-1, :]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[..., ::-1]
    return pixels


def is_foreign(profile: bytes) -> bool:
    """Return True for an ICC profile other than sRGB's; none is applied, so that colours differ from a viewer's."""
    return bool(profile) and not any("sRGB".encode(code) in profile for code in ("ascii", "utf-16-be"))


def check_area(height: int, width: int, values: int) -> None:
    """Refuse an image of more than 178 million pixels, or a file of more than eight times as many values.

    Raises:
        UnsupportedImage: the image is too large.
    """
    most = 2 * (Image.MAX_IMAGE_PIXELS or 2**62)
    if height * width > most or values > 8 * most:
        raise UnsupportedImage(f"more than {most // 10**6} million pixels: scale it down, or cut it into tiles")


def package(name: str, what: str) -> Any:
    """Return an optional package.

    Args:
        name: the package's name.
        what: the kind of file that needs it, for the message.

    Raises:
        UsageError: it is not installed. That is no property of the file, so it is never left out or remembered for it.
    """
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{what} need the package {name}: {EXTRA}") from error
    logging.getLogger(name).setLevel(logging.CRITICAL)  # they print what is wrong with metadata that nobody reads
    return module
