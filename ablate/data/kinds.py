"""The kinds of image files that can be read correctly as 8-bit RGB or 16-bit grey; all others are refused by name.

Pillow opens more kinds, but drops channels, pages and bits silently. The header of a file is therefore read first; for
TIFF, these are the tags of every page. No torch is needed.
"""

from __future__ import annotations

import io
import re
from typing import Any, NamedTuple

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ablate.errors import UnsupportedImage

FORMATS = {"JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF"}  # by content, not by the file's name
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEIC = {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}
SUBFILE, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION, CHANNELS = 254, 258, 259, 262, 270, 277  # TIFF tags
EXTRA, SAMPLE_FORMAT = 338, 339
COLOURS = {
    0: 1,
    1: 1,
    2: 3,
    3: 1,
    5: 4,
    6: 3,
}  # channels of a photometric interpretation: grey, RGB, palette, CMYK, ...
YCBCR, JPEG_IN_TIFF = 6, 7
FOREIGN = {4: "a mask", 8: "CIELAB colours", 9: "ICCLAB colours", 10: "ITULAB colours", 32803: "a sensor's raw colours"}
EIGHT = "save it with 8 bits per channel, the range of all files mapped alike"
KEEP = "keep one channel as grey, or three as red, green and blue"
CONVERT = "convert it to RGB and save it as PNG"


class Kind(NamedTuple):
    """The kind of an image: ``deep`` means 16-bit grey.

    With ``hard_alpha``, a fourth channel counts as transparency only if each pixel is fully transparent or fully
    opaque.
    """

    deep: bool = False
    hard_alpha: bool = False


def of_header(content: bytes) -> Kind:
    """Return the kind that the header states, before Pillow opens the file; 8 bit by default.

    Raises:
        UnsupportedImage: the kind would be damaged; see :class:`UnsupportedImage`.
    """
    if content[:4] in TIFF:
        pages = _pages(content)
        return _tiff(pages) if pages else Kind()
    if content[4:8] == b"ftyp" and content[8:12] in HEIC:
        raise UnsupportedImage("the format is HEIC, which ablate does not read: convert it to JPEG or PNG")
    return Kind()


def of_opened(content: bytes, image: Image.Image, kind: Kind) -> Kind:
    """Return the kind of an image that is opened but not yet loaded.

    Args:
        content: the bytes of the file.
        image: the opened image.
        kind: the kind that the header states.

    Raises:
        UnsupportedImage: the kind would be damaged; see :class:`UnsupportedImage`.
    """
    if image.format not in FORMATS:
        raise UnsupportedImage(f"the format is {image.format}, which ablate does not read: {CONVERT}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in {"MPO", "TIFF"}:
        raise UnsupportedImage(f"an animation of {frames} frames: save the frame that you want as an image of its own")
    return _png(content[24], content[25], "transparency" in image.info) if image.format == "PNG" else kind


def _png(bits: int, colours: int, one_transparent: bool) -> Kind:
    """Return the kind for a PNG header's bit depth and colour type.

    ``one_transparent`` is True if a grey value or colour is declared transparent.
    """
    if bits == 16 and (colours or one_transparent):
        found = {0: "grey with a transparent value", 2: "RGB", 4: "grey with transparency", 6: "RGB with transparency"}
        raise UnsupportedImage(f"{found[colours]}, of 16 bits per channel: {EIGHT}")
    if bits in {2, 4} and colours == 0 and one_transparent:
        raise UnsupportedImage(f"{bits}-bit grey with a transparent value: {CONVERT}")
    return Kind(deep=bits == 16)


def _tiff(pages: list[dict[int, Any]]) -> Kind:
    first, *further = pages
    count = max(1 + sum(not _number(page, SUBFILE, 0) & 1 for page in further), _stacked(first))  # 1: a smaller version
    if count > 1:
        raise UnsupportedImage(f"{count} pages: save each page that you want as an image of its own")
    if _number(first, SUBFILE, 0) & 1:
        raise UnsupportedImage("its first page is a thumbnail: save the image itself as a file of its own")
    channels, photometric = _number(first, CHANNELS, 1), _number(first, PHOTOMETRIC, 0)
    bits, formats = set(_numbers(first, BITS, 1)), set(_numbers(first, SAMPLE_FORMAT, 1))
    most = max(bits)
    if 3 in formats:
        raise UnsupportedImage(
            f"{most}-bit floating-point pixels, which have no agreed range: {EIGHT}, or as 16-bit grey"
        )
    if formats - {1, 4}:  # 4: undefined
        told = "signed" if formats == {2} else "complex"
        raise UnsupportedImage(
            f"{told} {most}-bit pixels, whose zero is not black: {EIGHT}, or as unsigned 16-bit grey"
        )
    if photometric not in COLOURS:
        raise UnsupportedImage(f"{FOREIGN.get(photometric, f'colours of the kind {photometric}')}: {CONVERT}")
    kind = _channels(channels - COLOURS[photometric], _numbers(first, EXTRA, 0), channels, bits)
    if photometric == YCBCR and _number(first, COMPRESSION, 1) != JPEG_IN_TIFF:
        raise UnsupportedImage(f"YCbCr colours outside JPEG: {CONVERT}")
    if bits == {16}:
        if channels > 1 or photometric > 1:
            raise UnsupportedImage(
                f"{channels} channels of 16 bits: {EIGHT}" if channels > 1 else f"a 16-bit palette: {CONVERT}"
            )
        if photometric == 0:
            raise UnsupportedImage("16-bit grey whose 0 is white: invert it, so that 0 is black")
        return Kind(deep=True)
    if len(bits) > 1 or bits - {1, 2, 4, 8}:
        raise UnsupportedImage(f"{most}-bit pixels: {EIGHT}, or as 16-bit grey")
    return kind


def _channels(extra: int, meanings: tuple[int, ...], channels: int, bits: set[int]) -> Kind:
    """Return the kind for ``extra`` channels beside the colours, with the given ``meanings``.

    A channel counts as transparency only if the file calls it so.
    """
    if extra == 0:
        return Kind()
    if extra != 1 or meanings not in {(1,), (2,)} or bits != {8}:
        raise UnsupportedImage(f"{channels} channels, which the file does not call grey or RGB: {KEEP}")
    return Kind(hard_alpha=True)  # near infrared is often called transparency


def _pages(content: bytes) -> list[dict[int, Any]]:
    """Return the tags of every page of a TIFF file."""
    file = io.BytesIO(content)
    directory = ImageFileDirectory_v2(content[:16] if 43 in content[2:4] else content[:8])  # 43: more than 4 GB
    found: dict[int, dict[int, Any]] = {}
    while directory.next and directory.next not in found:
        offset = directory.next
        file.seek(offset)
        directory.load(file)
        found[offset] = dict(directory)
    return list(found.values())


def _stacked(page: dict[int, Any]) -> int:
    """Return the number of images behind the only page of an ImageJ file, as its description states it."""
    text = str(page.get(DESCRIPTION, ""))
    told = re.search(r"^images=(\d+)", text, re.MULTILINE) if text.startswith("ImageJ=") else None
    return int(told[1]) if told else 1


def _numbers(page: dict[int, Any], tag: int, default: int) -> tuple[int, ...]:
    value = page.get(tag, default)
    return tuple(value) if isinstance(value, tuple) else (value,)


def _number(page: dict[int, Any], tag: int, default: int) -> int:
    return _numbers(page, tag, default)[0]
