"""NumPy files: ``[h, w]``, ``[h, w, c]`` or ``[c, h, w]``. Python objects in them are never unpickled."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from ablate.data.readers.native import Array, Native, check_area, depth_of
from ablate.errors import CorruptImage, UnsupportedImage
from ablate.pixels import MOST_CHANNELS

MAGIC = b"\x93NUMPY"


def read(content: bytes, channels: int | None) -> Native:
    """Return the image of a file, with as many channels as declared, if :func:`channel_axis` finds so many.

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
    axis = channel_axis(shape, channels)
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


def channel_axis(shape: tuple[int, ...], channels: int | None) -> int | None:
    """Return the axis of the channels; None for ``[h, w]``.

    It is the first or the last axis: the one that is ``channels`` long, else the one that is shorter than both others
    and at most 32 long.

    Args:
        shape: the shape of an array.
        channels: the declared number of channels, if any.

    Raises:
        UnsupportedImage: the shape is not that of an image, or does not tell the axis of the channels.
    """
    sides = "x".join(map(str, shape)) or "no axis"
    if len(shape) not in {2, 3} or not all(shape):
        raise UnsupportedImage(f"an array of {sides}: save [h, w], [h, w, c] or [c, h, w], one file per image")
    if len(shape) == 2:
        return None
    ends = shape[0], shape[2]
    if ends.count(channels) == 1:
        return 2 * ends.index(channels)
    shortest = min(shape)
    if shape.count(shortest) > 1 or shape[1] == shortest or shortest > MOST_CHANNELS:
        known = [f"{{channels={end}}}" for end in ends if end <= MOST_CHANNELS and ends.count(end) == 1]
        settled = f"{' or '.join(known)} tells; or " if known else ""
        raise UnsupportedImage(
            f"an array of {sides}, whose channels may be the first or the last axis: {settled}save [h, w, c] or "
            f"[c, h, w] with at most {MOST_CHANNELS} channels, fewer than rows and columns"
        )
    return 2 * ends.index(shortest)
