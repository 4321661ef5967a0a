"""Choose the reader of a file by its first bytes, and tell the size of an image from its header. Needs no torch."""

from __future__ import annotations

import warnings
from typing import BinaryIO

from PIL import Image

from ablate.config.reading import Reading
from ablate.data.readers import dicom, npy, pillow, tags, tiff
from ablate.data.readers.native import Native, package

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".npy", ".dcm")


def read(content: bytes, short: int, reading: Reading) -> Native:
    """Return the images of a file.

    Args:
        content: the bytes of the file.
        short: the short side that is needed, in pixels.
        reading: how the file is to be read.

    Raises:
        CorruptImage: the content is damaged.
        UnsupportedImage: the kind of image would be damaged.
        UsageError: it needs a package that is not installed.
    """
    if content.startswith(npy.MAGIC):
        return npy.read(content, reading.channels)
    if content[dicom.OFFSET : dicom.OFFSET + 4] == dicom.MAGIC:  # before TIFF, with which a DICOM file may begin
        return dicom.read(content)
    if content[:4] in tags.MAGIC:
        return tiff.read(content, short, reading.channels)
    return pillow.read(content, short)


def short_side(file: BinaryIO, channels: int | None) -> int:
    """Return the short side of the image in an open file, in pixels, from its header; ``channels`` are those declared.

    Raises:
        Exception: of any kind; the header is damaged.
    """
    start = file.read(dicom.OFFSET + 4)
    file.seek(0)
    if start.startswith(npy.MAGIC):
        shape, _, _ = npy.header(file)
        axis = npy.channel_axis(shape, channels)
        return min(side for number, side in enumerate(shape) if number != axis)
    if start[dicom.OFFSET :] == dicom.MAGIC:
        data = package("pydicom", "DICOM files").dcmread(file, stop_before_pixels=True)
        return min(int(data.Rows), int(data.Columns))
    if start[:4] in tags.MAGIC:
        return tags.short_side(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of a very large image; decoding judges it
        with Image.open(file) as image:
            return min(image.size)
