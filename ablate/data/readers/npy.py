"""NumPy files: ``[h, w]``, ``[h, w, c]`` or ``[c, h, w]``. Python objects in them are never unpickled."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from ablate.data.readers.native import Array, Native, check_area, depth_of
from ablate.errors import CorruptImage, UnsupportedImage
from ablate.pixels import MOST_CHANNELS

MAGIC = b"\x93NUMPY"


def read(content: bytes) -> Native:
    """Return the image of a file.

    The channel axis of three is the shortest one, which must be the first or the last and at most 32 long.

    Raises:
        CorruptImage: the file is truncated.
        UnsupportedImage: the shape or the type is not that of an image.
    """
    shape, dtype, start = header(io.BytesIO(content))
    if dtype.hasobject:
        raise UnsupportedImage("Python objects, which are never unpickled: save an array of numbers")
    values = int(np.prod(shape))
    if values * dtype.itemsize != len(content) - start:
        raise CorruptImage("its size is not that of its array")
    axis = channel_axis(shape)
    array: Array = np.load(io.BytesIO(content), allow_pickle=False)
    array = array[None] if axis is None else np.moveaxis(array, axis, 0)
    check_area(array.shape[1], array.shape[2], values)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    return Native(array[None], depth_of(array.dtype))


def header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    """Return the shape and type that a file states, and the place where its values begin.

    Raises:
        ValueError: the header is damaged.
    """
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    return shape, dtype, file.tell()


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return the axis of the channels; None for ``[h, w]``.

    Raises:
        UnsupportedImage: the shape is not that of an image, or may be either order.
    """
    told = "x".join(map(str, shape)) or "no axis"
    if len(shape) not in {2, 3} or not all(shape):
        raise UnsupportedImage(f"an array of {told}: save [h, w], [h, w, c] or [c, h, w], one file per image")
    if len(shape) == 2:
        return None
    first, middle, last = shape
    if first == last or min(first, last) > min(middle, MOST_CHANNELS):
        raise UnsupportedImage(
            f"an array of {told}, whose channels may be the first or the last axis: save [h, w, c] or [c, h, w] with "
            f"at most {MOST_CHANNELS} channels, fewer than rows and columns"
        )
    return 0 if first < last else 2
