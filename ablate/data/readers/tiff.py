"""TIFF, BigTIFF and OME-TIFF files: ordinary ones through Pillow, all others through tifffile. Needs no torch."""

from __future__ import annotations

import io
import math
from typing import Any

from ablate.data.readers import pillow
from ablate.data.readers.native import Array, Native, check_area, depth_of, is_foreign, package, upright
from ablate.data.readers.tags import WHITE_IS_ZERO, facts, tags
from ablate.errors import UnsupportedImage

NAME = "TIFF files of this kind"
NONE = 1  # the compression of uncompressed files
PLACES = {"C": 1, "S": 1, "Y": 2, "X": 3}
"""The places of axes in the result. Others, which are pages, come first; Q, of no name, may stand repeatedly."""


def read(content: bytes, short: int, channels: int | None) -> Native:
    """Return the pages of a file, without smaller versions of the image.

    Args:
        content: the bytes of the file.
        short: the short side that is needed, in pixels.
        channels: the number of channels that the user declares; as many samples as this are no transparency.

    Raises:
        UnsupportedImage: the file's kind would be damaged, or its compression is unknown.
    """
    pages = tags(content)
    header = facts(pages) if pages else None
    declared = header is not None and header.transparent and header.samples == channels
    if header is None or (header.ordinary and not declared):
        return pillow.read(content, short, doubtful=True)
    pixels = _planes(content)
    if header.photometric == WHITE_IS_ZERO:
        pixels = pixels.dtype.type(2**header.bits - 1) - pixels
    pixels = upright(pixels, header.orientation)
    transparent = header.transparent and not declared and pixels.shape[1] == header.samples
    traits = ("profile",) if is_foreign(header.profile) else ()
    return Native(pixels, depth_of(pixels.dtype), transparent=transparent, doubtful=True, traits=traits)


def _planes(content: bytes) -> Array:
    """Return ``[pages, c, h, w]``: axes that the file calls channels or samples become one, all others pages."""
    tifffile = package("tifffile", NAME)
    with tifffile.TiffFile(io.BytesIO(content), _multifile=False) as file:
        whole = [series for series in file.series if not series.keyframe.is_reduced]
        if len(whole) != 1:
            raise UnsupportedImage(f"{len(whole)} images of different sizes or types: save each as a file of its own")
        (series,) = whole
        _check_compression(tifffile, series.keyframe)
        axes = series.axes
        if not {"Y", "X"} <= set(axes):
            raise UnsupportedImage(f"axes {axes}, which are not those of an image: save rows and columns")
        height, width = (series.shape[axes.index(axis)] for axis in "YX")
        check_area(height, width, series.size)
        array: Array = series.asarray()
    order = sorted(range(len(axes)), key=lambda number: PLACES.get(axes[number], 0))
    count = math.prod(length for axis, length in zip(axes, series.shape, strict=True) if axis in "CS")
    return array.transpose(order).reshape(-1, count, height, width)


def _check_compression(tifffile: Any, page: Any) -> None:
    """Refuse a compression that nothing installed reads."""
    if page.compression == NONE and page.predictor == NONE and page.bitspersample in {8, 16, 32, 64}:
        return
    package("imagecodecs", NAME)
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError as error:
        name = getattr(page.compression, "name", page.compression)
        raise UnsupportedImage(f"the compression {name} is unknown: save it with deflate or LZW compression") from error
