"""From an image file's bytes, of any common kind, to uint8 RGB with a given short side. Needs no torch."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAX_ASPECT = 3  # longer images lose their ends, so that one panorama does not pad a whole batch
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


class Corrupt(ValueError):
    """A file that is not a readable image; the message is the reason."""


def decode(content: bytes, short: int) -> np.ndarray[Any, Any]:
    """The image in ``content`` as uint8 ``[3, h, w]`` with min(h, w) = ``short``, the aspect kept (up to 3).

    EXIF orientation is applied, transparency laid over white, 16-bit grey scaled to 8 bit, everything else converted
    to RGB by Pillow; resizing is bilinear with antialiasing.

    Raises:
        Corrupt: truncated, not an image, or of a kind that has no colours (floating-point TIFF).
    """
    try:
        with Image.open(io.BytesIO(content)) as opened:
            # JPEG: decode at a fraction of the size, never below twice ours
            opened.draft("RGB", (2 * short, 2 * short))
            image = _to_rgb(ImageOps.exif_transpose(opened))
    except (Corrupt, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Corrupt("not an image") from error
    except Exception as error:  # damaged files make Pillow's plugins raise all kinds
        raise Corrupt(str(error) or type(error).__name__) from error
    return np.asarray(_resize(_limit(image), short)).transpose(2, 0, 1)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        scaled = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Corrupt("floating-point pixels, which have no agreed range")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _limit(image: Image.Image) -> Image.Image:
    width, height = image.size
    wide, high = min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)
    left, top = (width - wide) // 2, (height - high) // 2
    return image if (wide, high) == image.size else image.crop((left, top, left + wide, top + high))


def _resize(image: Image.Image, short: int) -> Image.Image:
    scale = short / min(image.size)
    size = (max(short, round(image.width * scale)), max(short, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)
