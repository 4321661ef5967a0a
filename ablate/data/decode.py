"""Decode the bytes of image files of all common kinds to uint8 RGB with a given short side; no torch is needed."""

from __future__ import annotations

import io
import warnings
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ablate.data import kinds
from ablate.data.kinds import Kind
from ablate.errors import CorruptImage, ImageError, UnsupportedImage

MAX_ASPECT = 3  # longer images lose their ends, so that one panorama does not pad a whole batch
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
OUTSIDE = 1000  # one in so many pixels of a 16-bit image may lie below its span, and one above
Levels = tuple[int, int]


class Decoded(NamedTuple):
    """An image in the form in which it is stored, with its properties.

    ``pixels`` is uint8 ``[3, h, w]``, or None for 16-bit grey whose ``levels`` were not given. ``span`` is set for
    16-bit grey only: all pixels but one in a thousand at either end lie between its two values. ``traits`` may contain
    transparent, profile, cmyk and several.
    """

    pixels: np.ndarray[Any, Any] | None
    span: Levels | None = None
    traits: tuple[str, ...] = ()


def decode(content: bytes, short: int, levels: Levels | None = None) -> Decoded:
    """Decode the image in ``content`` to min(h, w) = ``short``, keeping the aspect ratio (up to 3).

    EXIF orientation is applied, and transparent images are laid over white. Grey, palettes and CMYK become RGB by
    Pillow's formulas; colour profiles are not applied; 16-bit grey is mapped from ``levels`` to 0..255. Resizing is
    bilinear with antialiasing. docs/images.md lists every kind.

    Args:
        content: the bytes of the file.
        short: the short side to store, in pixels.
        levels: the values of 16-bit grey that become 0 and 255.

    Raises:
        CorruptImage: the content is truncated or not an image.
        UnsupportedImage: the image is of a kind that would be damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of metadata and large images
            return _decode(content, short, levels)
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise CorruptImage("not an image" if content else "an empty file") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UnsupportedImage(f"more than {most} million pixels: scale it down, or cut it into tiles") from error
    except Exception as error:  # damaged files make Pillow's plugins raise exceptions of all kinds
        raise CorruptImage(str(error) or type(error).__name__) from error


def _decode(content: bytes, short: int, levels: Levels | None) -> Decoded:
    kind = kinds.of_header(content)
    with Image.open(io.BytesIO(content)) as opened:
        kind = kinds.of_opened(content, opened, kind)
        # JPEG: decode at a fraction of the size, never below twice ours
        opened.draft("RGB", (2 * short, 2 * short))
        traits = _traits(opened)
        upright = ImageOps.exif_transpose(opened)
    if kind.deep:
        values = np.asarray(upright)
        span = span_of(values)
        if levels is None:
            return Decoded(None, span, traits)
        return Decoded(_stored(_scaled(values, levels), short), span, traits)
    if upright.has_transparency_data:
        upright, seen = _over_white(upright, kind)
        traits += ("transparent",) * seen
    return Decoded(_stored(_to_rgb(upright), short), None, traits)


def span_of(values: np.ndarray[Any, Any]) -> Levels:
    """Return the lowest and highest value after leaving out the outermost thousandth of the pixels at either end."""
    beyond = values.size // OUTSIDE
    ordered = np.partition(values, (beyond, values.size - 1 - beyond), axis=None)
    return int(ordered[beyond]), int(ordered[-1 - beyond])


def _traits(image: Image.Image) -> tuple[str, ...]:
    profile: bytes = image.info.get("icc_profile") or b""
    found = {
        "profile": bool(profile) and not any("sRGB".encode(code) in profile for code in ("ascii", "utf-16-be")),
        "cmyk": image.mode == "CMYK",
        "several": image.format == "MPO",
    }
    return tuple(name for name, holds in found.items() if holds)


def _scaled(values: np.ndarray[Any, Any], levels: Levels) -> Image.Image:
    low, high = levels
    grey = (values.astype(np.float64) - low) * (255 / max(1, high - low))
    return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")


def _over_white(image: Image.Image, kind: Kind) -> tuple[Image.Image, bool]:
    """Return the image laid over white, and True if any part of it is transparent."""
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    alpha = layer.getchannel("A")
    lowest, highest = alpha.getextrema()
    if highest == 0:
        raise UnsupportedImage("every pixel is transparent: remove the transparency if you want the colours under it")
    if kind.hard_alpha and any(alpha.histogram()[1:-1]):
        raise UnsupportedImage(
            "a further channel that is called transparency and may be near infrared: "
            f"{kinds.KEEP}; if it is transparency, save the image as PNG"
        )
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer), lowest != 255


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode[0] in "IF":
        raise UnsupportedImage(f"pixels of the kind {image.mode}: {kinds.EIGHT}")
    return image.convert("RGB")


def _stored(image: Image.Image, short: int) -> np.ndarray[Any, Any]:
    return np.asarray(_resize(_limit(image), short)).transpose(2, 0, 1)


def _limit(image: Image.Image) -> Image.Image:
    width, height = image.size
    wide, high = min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)
    left, top = (width - wide) // 2, (height - high) // 2
    return image if (wide, high) == image.size else image.crop((left, top, left + wide, top + high))


def _resize(image: Image.Image, short: int) -> Image.Image:
    scale = short / min(image.size)
    size = (max(short, round(image.width * scale)), max(short, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)
