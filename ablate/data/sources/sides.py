"""The size of encoded images, from the headers of some of them, and the default size for training on them."""

from __future__ import annotations

import contextlib
import io
import statistics
from collections.abc import Iterator
from typing import BinaryIO

from ablate.config.trial import SMALL_IMAGE
from ablate.data.decoding.contents import contents
from ablate.data.readers.choose import short_side
from ablate.data.sources.listing import Listing

SAMPLE = 500  # training images whose headers are read
LARGEST, SMALLEST, STEP = 224, 8, 4  # pixels of a default size
EVALUATED = 0.875  # the share of the stored short side that evaluation's centre crop keeps, above SMALL_IMAGE


def default_size(side: int) -> int:
    """Return the size in pixels at which images with the short side ``side`` are trained by default.

    It is the largest multiple of 4 for which no image is enlarged, at most 224 and at least 8. Up to 64 px that is the
    side itself; above, images are stored at 1/0.875 of the training size.
    """
    size = side if side <= SMALL_IMAGE else max(SMALL_IMAGE, int(side * EVALUATED))
    return max(SMALLEST, min(LARGEST, size - size % STEP))


def stored_side(size: int) -> int:
    """Return the short side, in pixels, at which encoded images are stored for training at ``size``."""
    return size if size <= SMALL_IMAGE else round(size / EVALUATED)


def median_side(listing: Listing, channels: int | None = None) -> int | None:
    """Return the median short side, in pixels, of up to 500 training images; None if none can be read.

    The images are taken at even distances from the listing's fixed order, so the answer is the same every time.
    ``channels`` are those declared, if any.
    """
    relpaths = [file.relpath for file in listing.train]
    sides = sorted(_sides(listing, relpaths[:: -(-len(relpaths) // SAMPLE)], channels))
    return statistics.median_low(sides) if sides else None


def _sides(listing: Listing, relpaths: list[str], channels: int | None) -> Iterator[int]:
    for file in _opened(listing, relpaths):
        try:
            with file:
                yield short_side(file, channels)
        except Exception:  # not an image; decoding will report it
            continue


def _opened(listing: Listing, relpaths: list[str]) -> Iterator[BinaryIO]:
    if listing.held != "files":
        yield from (io.BytesIO(content or b"") for _, content in contents(listing.held, listing.root, relpaths))
        return
    for relpath in relpaths:
        with contextlib.suppress(OSError):
            yield (listing.root / relpath).open("rb")
