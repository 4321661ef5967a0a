"""Decode the bytes of an image file into the form in which a data set stores its images; no torch is needed."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from ablate.config.reading import WINDOW, Colour, Range, Reading
from ablate.data.decoding import blend
from ablate.data.decoding.blend import COLOURS
from ablate.data.decoding.ranges import SAMPLE, sample
from ablate.data.decoding.stored import stored
from ablate.data.readers import choose
from ablate.data.readers.native import Native
from ablate.errors import CorruptImage, ImageError, UnsupportedImage, UsageError
from ablate.pixels import FULL_SCALE, MOST_CHANNELS

Array = np.ndarray[Any, Any]


class Known(NamedTuple):
    """What is known of a set before a file is decoded; None where all training images must be read first.

    ``ranges`` are the values that become 0 and full scale in images of more than 8 bits, per channel or one pair for
    all. ``background`` is the colour below transparent images.
    """

    ranges: tuple[Range, ...] | None = None
    background: Colour | None = COLOURS["white"]


class Decoded(NamedTuple):
    """The images of a file in the form in which they are stored, with their properties.

    ``images`` are ``[c, h, w]`` of the type ``depth``; None if they depend on what is not yet ``Known``. ``sample``
    holds some pixels as the file has them, ``[c, n]``, None for 8 bits. ``edge`` is what
    :func:`ablate.data.decoding.blend.edge` returns, over all transparent pages. ``traits`` may contain transparent,
    profile, cmyk, several and animation. ``windows`` are those of
    :class:`~ablate.data.readers.native.Native`, if they are to decide.
    """

    images: list[Array] | None
    depth: str
    channels: int
    sample: Array | None = None
    edge: tuple[int, ...] = (0, 0, 0, 0)
    traits: tuple[str, ...] = ()
    windows: tuple[Range, ...] = ()

    @property
    def depends(self) -> bool:
        """True if the images depend on what is ``Known``."""
        return self.depth != "uint8" or "transparent" in self.traits


def known(reading: Reading) -> Known:
    """Return what ``reading`` declares."""
    ranges = None if reading.range is None or reading.range == WINDOW else (reading.range,)
    return Known(ranges, COLOURS.get(reading.background))


def decode(
    content: bytes, short: int, reading: Reading | None = None, facts: Known | None = None, quota: int = SAMPLE
) -> Decoded:
    """Decode the images in ``content`` to min(h, w) = ``short``, keeping the aspect ratio (up to 3).

    Files of 8 bits become uint8, grey ones in three equal channels; palettes and CMYK become RGB by Pillow's formulas,
    and colour profiles are not applied. Deeper files keep their channels; their range is mapped to full scale.
    docs/images.md lists every kind.

    Args:
        content: the bytes of the file.
        short: the short side to store, in pixels.
        reading: how the file is to be read; by default as it says itself.
        facts: what is known of the set; by default what ``reading`` declares.
        quota: the largest number of pixels per channel in the sample.

    Raises:
        CorruptImage: the content is truncated or not an image.
        UnsupportedImage: the image is of a kind that would be damaged; settings in the reason stand as {name=value}.
        UsageError: it needs a package that is not installed.
    """
    reading = reading or Reading()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of metadata and large images
            native = choose.read(content, short, reading)
            return _decoded(native, short, reading, facts or known(reading), quota)
    except (ImageError, UsageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise CorruptImage("not an image" if content else "an empty file") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UnsupportedImage(f"more than {most} million pixels: scale it down, or cut it into tiles") from error
    except Exception as error:  # damaged files make the libraries raise exceptions of all kinds
        raise CorruptImage(str(error) or type(error).__name__) from error


def _decoded(native: Native, short: int, reading: Reading, facts: Known, quota: int) -> Decoded:
    pages, edges, traits = [], [(0, 0, 0, 0)], native.traits
    for page in _pages(native, reading):
        opaque = page
        if native.transparent and len(page) != reading.channels:
            opaque, hidden = _without_transparency(page, native, reading, facts.background)
            if hidden:
                traits = (*native.traits, "transparent")
                edges += [blend.edge(page)] if reading.background == "mean" else []
        pages.append(_in_channels(opaque, native.depth, reading.channels))
    depth, channels = native.depth, len(pages[0])
    windows = native.windows if reading.range == WINDOW and depth != "uint8" else ()
    if not windows and reading.range == WINDOW and depth != "uint8":
        raise UnsupportedImage("no linear window, which {range=window} asks for: only DICOM files can state one")
    seen = (
        None if depth == "uint8" else np.concatenate([sample(page, max(1, quota // len(pages))) for page in pages], 1)
    )
    edge = tuple(map(sum, zip(*edges, strict=True)))
    waits = facts.background is None and "transparent" in traits
    if waits or (depth != "uint8" and facts.ranges is None):
        return Decoded(None, depth, channels, seen, edge, traits, windows)
    images = [stored(page, depth, short, facts.ranges or ()) for page in pages]
    return Decoded(images, depth, channels, seen, edge, traits, windows)


def _pages(native: Native, reading: Reading) -> list[Array]:
    """Return the pages, each an image ``[c, h, w]`` of finite numbers.

    Raises:
        UnsupportedImage: there are several and ``reading`` does not say how they are meant, or numbers are missing.
    """
    pixels = native.pixels
    count = len(pixels)
    if count > 1 and reading.pages is None:
        raise UnsupportedImage(
            f"{count} pages: {{pages=images}} reads each as an image of its own, {{pages=channels}} all as channels "
            "of one image"
        )
    if count > 1 and reading.pages == "channels":
        if native.transparent:
            raise UnsupportedImage(
                f"{count} pages with transparency: remove it, or save each page as a file of its own"
            )
        pixels = pixels.reshape(1, -1, *pixels.shape[2:])
    if pixels.dtype.kind == "f" and (missing := int((~np.isfinite(pixels)).sum())):
        raise UnsupportedImage(f"pixels that are NaN or infinite, {missing} of {pixels.size}: replace them by numbers")
    return list(pixels)


def _without_transparency(
    page: Array, native: Native, reading: Reading, background: Colour | None
) -> tuple[Array, bool]:
    """Return the colours of a page over the background, and True if any part of it is transparent."""
    colours, alpha = page[:-1], page[-1]
    if (alpha == FULL_SCALE[native.depth]).all():
        return colours, False
    if native.depth != "uint8":
        raise UnsupportedImage(
            f"transparency in more than 8 bits: {{channels={len(page)}}} reads it as a channel; or remove it"
        )
    blend.check(alpha, doubtful=native.doubtful and reading.channels is None, channels=len(page))
    return blend.over(page, background or COLOURS["white"]), True


def _in_channels(page: Array, depth: str, asked: int | None) -> Array:
    """Return a page with the channels asked for: 8-bit grey has three equal ones unless one is asked for.

    Raises:
        UnsupportedImage: the page has another number of channels, or too many.
    """
    if depth == "uint8" and len(page) == 1 and asked != 1:
        page = np.broadcast_to(page, (3, *page.shape[1:]))
    if asked == 1 and len(page) == 3 and (page[0] == page[1]).all() and (page[0] == page[2]).all():
        page = page[:1]
    if asked not in {None, len(page)}:
        raise UnsupportedImage(f"{len(page)} channel{'s' * (len(page) > 1)}, where {{channels={asked}}} is asked for")
    if len(page) > MOST_CHANNELS:
        raise UnsupportedImage(f"{len(page)} channels: keep at most {MOST_CHANNELS}")
    return page
