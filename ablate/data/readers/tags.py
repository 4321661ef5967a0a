"""The tags of a TIFF file: which kinds Pillow reads whole, which tifffile reads, and which are refused. Needs no torch.

Pillow opens more kinds, but drops channels, pages and bits without a word. Tags are therefore read first.
"""

from __future__ import annotations

import io
import re
from typing import Any, BinaryIO, NamedTuple

from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2

from ablate.data.readers.native import CONVERT, EIGHT
from ablate.errors import UnsupportedImage

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION, CHANNELS = 254, 256, 257, 258, 259, 262, 270, 277
ORIENTATION, EXTRA, SAMPLE_FORMAT, PROFILE = 274, 338, 339, 34675
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}  # channels of grey, RGB, a palette, CMYK and YCbCr
WHITE_IS_ZERO, PALETTE, CMYK, YCBCR, JPEG_IN_TIFF = 0, 3, 5, 6, 7
READ_BY_PILLOW = set(COMPRESSION_INFO) - {50001}  # it knows WebP, but is built without
FOREIGN = {4: "a mask", 8: "CIELAB colours", 9: "ICCLAB colours", 10: "ITULAB colours", 32803: "a sensor's raw colours"}
Tags = dict[int, Any]


class Facts(NamedTuple):
    """What the tags say: the samples per pixel, whether the last is called transparency, and the colours.

    ``ordinary`` means that Pillow reads the file whole. ``orientation`` is EXIF's, ``profile`` the ICC profile.
    """

    samples: int
    transparent: bool
    photometric: int
    bits: int
    orientation: int
    ordinary: bool
    profile: bytes


def facts(pages: list[Tags]) -> Facts:
    """Return what the tags of all pages of a file say.

    Raises:
        UnsupportedImage: the first page is a thumbnail, or its colours or numbers are of a kind that is not read.
    """
    first = pages[0]
    if _number(first, SUBFILE, 0) & 1:
        raise UnsupportedImage("its first page is a thumbnail: save the image itself as a file of its own")
    samples, photometric = _number(first, CHANNELS, 1), _number(first, PHOTOMETRIC, 0)
    bits, formats = set(_numbers(first, BITS, 1)), set(_numbers(first, SAMPLE_FORMAT, 1))
    if formats & {5, 6}:
        raise UnsupportedImage(f"complex {max(bits)}-bit pixels: {EIGHT}")
    if photometric not in COLOURS:
        raise UnsupportedImage(f"{FOREIGN.get(photometric, f'colours of the kind {photometric}')}: {CONVERT}")
    if photometric == YCBCR and _number(first, COMPRESSION, 1) != JPEG_IN_TIFF:
        raise UnsupportedImage(f"YCbCr colours outside JPEG: {CONVERT}")
    stack = sum(not is_smaller(page) for page in pages) > 1 or _is_imagej_stack(first)
    extra = samples - COLOURS[photometric]
    transparent = extra == 1 and _numbers(first, EXTRA, 0) in {(1,), (2,)}
    plain = len(bits) == 1 and bits <= {1, 2, 4, 8} and (extra == 0 or (transparent and bits == {8}))
    grey = bits == {16} and samples == 1 and photometric == 1
    known = _number(first, COMPRESSION, 1) in READ_BY_PILLOW
    ordinary = (plain or grey) and not stack and known and formats <= {1, 4}  # 4: undefined
    if not ordinary:
        _check_for_tifffile(photometric, bits, formats)
    profile = bytes(first.get(PROFILE, b""))
    return Facts(samples, transparent, photometric, max(bits), _number(first, ORIENTATION, 1), ordinary, profile)


def _check_for_tifffile(photometric: int, bits: set[int], formats: set[int]) -> None:
    """Refuse what tifffile would hand over as it is stored rather than as it looks."""
    if photometric in {PALETTE, CMYK}:
        name = "a palette" if photometric == PALETTE else "CMYK"
        raise UnsupportedImage(f"{name} in {max(bits)} bits, with further channels or pages: {CONVERT}")
    if len(bits) > 1 or max(bits) < 8:
        raise UnsupportedImage(f"{' and '.join(map(str, sorted(bits)))}-bit pixels: {EIGHT}")
    if photometric == WHITE_IS_ZERO and not formats <= {1, 4}:
        raise UnsupportedImage("signed or fractional grey whose 0 is white: invert it, so that 0 is black")


def tags(content: bytes) -> list[Tags]:
    """Return the tags of every page of a TIFF file."""
    return _pages(io.BytesIO(content))


def short_side(file: BinaryIO) -> int:
    """Return the short side of the first page of a TIFF file, in pixels."""
    first = _pages(file)[0]
    return min(_number(first, WIDTH, 0), _number(first, HEIGHT, 0))


def _pages(file: BinaryIO) -> list[Tags]:
    start = file.read(16)
    directory = ImageFileDirectory_v2(start if 43 in start[2:4] else start[:8])  # 43: more than 4 GB
    pages: dict[int, Tags] = {}
    while directory.next and directory.next not in pages:
        offset = directory.next
        file.seek(offset)
        directory.load(file)
        pages[offset] = dict(directory)
    return list(pages.values())


def is_smaller(page: Tags) -> bool:
    """Return True if a page is a smaller version of another one."""
    return bool(_number(page, SUBFILE, 0) & 1)


def _is_imagej_stack(page: Tags) -> bool:
    """Return True if there are further images behind the only page of an ImageJ file, as its description states."""
    text = str(page.get(DESCRIPTION, ""))
    count = re.search(r"^images=(\d+)", text, re.MULTILINE) if text.startswith("ImageJ=") else None
    return count is not None and int(count[1]) > 1


def _numbers(page: Tags, tag: int, default: int) -> tuple[int, ...]:
    value = page.get(tag, default)
    return tuple(value) if isinstance(value, tuple) else (value,)


def _number(page: Tags, tag: int, default: int) -> int:
    return _numbers(page, tag, default)[0]
