"""Thumbnails of single images for the page: many in one picture, from the cache of decoded images. Needs no torch."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ablate.data.place import cache_dir
from ablate.data.single import Side, StoredImages, stored_images
from ablate.pixels import full_scale
from ablate.trial.colours import mixture

LARGEST = 48  # pixels per side; smaller images are kept as they are
QUALITIES = (85, 70, 55, 40, 25, 10)  # of WebP, tried in turn


@dataclass(frozen=True)
class Sheet:
    """Thumbnails side by side in one picture, ``columns`` of them in each of ``rows`` rows; ``uri`` is its address."""

    uri: str
    columns: int
    rows: int


def images_in_cache(fingerprint: str) -> StoredImages | None:
    """Return the images with that fingerprint from the default cache, if they are still there."""
    return stored_images(cache_dir(None), fingerprint)


def sheet(images: StoredImages, wanted: Sequence[tuple[Side, int]], columns: int, most: int) -> Sheet:
    """Return thumbnails of the centre squares of images, as evaluation sees them, in one picture.

    Args:
        images: the images.
        wanted: the split and the number of each image.
        columns: how many thumbnails stand in one row.
        most: the largest number of bytes of the picture, which is compressed as far as that takes, if possible.

    Raises:
        OSError, ValueError: the images are gone or damaged.
    """
    tiles = [_square(images.image(side, index)) for side, index in wanted]
    side = min(LARGEST, max(tile.width for tile in tiles))
    rows = -(-len(tiles) // columns)
    picture = Image.new("RGB", (columns * side, rows * side), "white")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        picture.paste(tile.resize((side, side), Image.Resampling.BOX), (column * side, row * side))
    for quality in QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "webp", quality=quality, method=4)
        if buffer.tell() <= most:
            break
    return Sheet(f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", columns, rows)


def _square(image: NDArray[np.generic]) -> Image.Image:
    """Return the centre square of a stored image ``[c, h, w]`` in colours that a screen shows."""
    channels, height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[:, top : top + side, left : left + side].astype(np.float32) / full_scale(image.dtype)
    colours = np.einsum("chw,ck->hwk", square, np.asarray(mixture(channels), np.float32))
    return Image.fromarray((255 * colours.clip(0, 1)).round().astype(np.uint8))
