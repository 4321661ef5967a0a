"""DICOM files: their pixels in the units that the file states. Windows, names and other metadata are not read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ablate.data.readers.native import CONVERT, Array, Native, check_area, depth_of, package
from ablate.errors import CorruptImage, UnsupportedImage

MAGIC, OFFSET = b"DICM", 128
GREY = {"MONOCHROME1", "MONOCHROME2"}


def read(content: bytes) -> Native:
    """Return the frames of a file as pages.

    Grey is rescaled by slope and intercept, and inverted where 0 is white. YBR and palettes become RGB.

    Raises:
        CorruptImage: the file is truncated, or holds no pixels.
        UnsupportedImage: the compression needs another package, or the colours are of another kind.
    """
    pydicom = package("pydicom", "DICOM files")
    data = pydicom.dcmread(io.BytesIO(content))
    if not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & {element.keyword for element in data}:
        raise CorruptImage("a DICOM file without pixels")
    frames, samples = int(data.get("NumberOfFrames") or 1), int(data.SamplesPerPixel)
    check_area(int(data.Rows), int(data.Columns), frames * samples * int(data.Rows) * int(data.Columns))
    try:
        pixels = pydicom.pixels.pixel_array(data)
    except (NotImplementedError, RuntimeError) as error:
        if "decod" in str(error) or "missing dependencies" in str(error):
            syntax = data.file_meta.TransferSyntaxUID.name
            raise UnsupportedImage(f"compressed as {syntax}: save it uncompressed, or install pylibjpeg") from error
        raise
    kind = str(data.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        pixels, samples = pydicom.pixels.apply_color_lut(pixels, data)[..., :3], 3
    elif kind in GREY:
        pixels, depth = _grey(pydicom, pixels, data, inverted=kind == "MONOCHROME1")
        return Native(pixels.reshape(frames, 1, *pixels.shape[-2:]), depth)
    elif not kind.startswith(("RGB", "YBR")):
        raise UnsupportedImage(f"colours of the kind {kind}: {CONVERT}")
    pixels = pixels.reshape(frames, *pixels.shape[-3:]).transpose(0, 3, 1, 2)
    return Native(pixels, depth_of(pixels.dtype))


def _grey(pydicom: Any, pixels: Array, data: Any, inverted: bool) -> tuple[Array, str]:
    """Return grey in the units of the file, black lowest, and the type that stores it."""
    depth = depth_of(pixels.dtype)
    if inverted:
        highest = 2 ** int(data.BitsStored) - 1
        pixels = {"u": highest, "i": -1}.get(pixels.dtype.kind, 0) - pixels
    if "ModalityLUTSequence" in data:
        pixels = pydicom.pixels.apply_modality_lut(pixels, data)
        return pixels, depth_of(pixels.dtype)
    slope, intercept = float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
    if slope == 1 and intercept == 0:
        return pixels, depth
    if slope == 1 and intercept.is_integer() and depth != "float32":
        return pixels.astype(np.int32) + int(intercept), "uint16"
    return pixels.astype(np.float64) * slope + intercept, "float32"
