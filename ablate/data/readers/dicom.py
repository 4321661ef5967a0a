"""DICOM files: their pixels in the units that the file states. Windows, names and other metadata are not read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ablate.data.readers.native import CONVERT, Array, Native, check_area, depth_of, is_foreign, package
from ablate.errors import CorruptImage, UnsupportedImage

MAGIC, OFFSET = b"DICM", 128
GREY = {"MONOCHROME1", "MONOCHROME2"}
BYTE = 8


def read(content: bytes) -> Native:
    """Return the frames of a file as pages.

    Bits above those that the file calls stored are cleared. Grey is rescaled by slope and intercept, and inverted where
    0 is white. Grey and RGB of at most 8 stored bits that no unit is stated for become uint8, with the stored scale
    spread over 0..255. YBR and palettes become RGB.

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
    kind = str(data.PhotometricInterpretation)
    pixels = _stored(pydicom, data, kind)
    if kind == "PALETTE COLOR":
        pixels = pydicom.pixels.apply_color_lut(pixels, data)[..., :3]
    elif kind in GREY:
        pixels, depth = _grey(pydicom, pixels, data, inverted=kind == "MONOCHROME1")
        return Native(pixels.reshape(frames, 1, *pixels.shape[-2:]), depth)
    elif kind == "RGB":
        pixels = _spread(pixels, data)
    elif not kind.startswith("YBR"):
        raise UnsupportedImage(f"colours of the kind {kind}: {CONVERT}")
    pixels = pixels.reshape(frames, *pixels.shape[-3:]).transpose(0, 3, 1, 2)
    traits = ("profile",) if is_foreign(bytes(data.get("ICCProfile") or b"")) else ()
    return Native(pixels, depth_of(pixels.dtype), traits=traits)


def _stored(pydicom: Any, data: Any, kind: str) -> Array:
    """Return the pixels without the bits above the stored ones, where older files keep overlays: pydicom clears them.

    Raises:
        UnsupportedImage: the stored bits are not the lowest ones, or are too few for YBR.
    """
    try:
        pixels: Array = pydicom.pixels.pixel_array(data)
    except (NotImplementedError, RuntimeError) as error:
        if "decod" in str(error) or "missing dependencies" in str(error):
            syntax = data.file_meta.TransferSyntaxUID.name
            raise UnsupportedImage(f"compressed as {syntax}: save it uncompressed, or install pylibjpeg") from error
        raise
    if pixels.dtype.kind == "f":
        return pixels
    stored, high = int(data.BitsStored), int(data.HighBit)
    if high != stored - 1:
        raise UnsupportedImage(f"pixels of {stored} bits that end at bit {high}, not {stored - 1}: {CONVERT}")
    if kind.startswith("YBR") and stored != int(data.BitsAllocated):  # pydicom makes RGB as if all bits were stored
        raise UnsupportedImage(f"colours of the kind {kind} in {stored} bits: {CONVERT}")
    return pixels


def _spread(pixels: Array, data: Any) -> Array:
    """Return pixels of at most 8 stored bits as uint8, the lowest possible value as 0 and the highest as 255."""
    if pixels.dtype.kind == "f" or int(data.BitsStored) > BYTE:
        return pixels
    levels = 2 ** int(data.BitsStored)
    lowest = levels // 2 if pixels.dtype.kind == "i" else 0
    spread: Array = np.rint((pixels.astype(np.float64) + lowest) * (255 / (levels - 1))).astype(np.uint8)
    return spread


def _grey(pydicom: Any, pixels: Array, data: Any, inverted: bool) -> tuple[Array, str]:
    """Return grey in the units of the file, black lowest, and the type that stores it."""
    depth = depth_of(pixels.dtype)
    if inverted:
        pixels = {"u": 2 ** int(data.get("BitsStored") or 0) - 1, "i": -1}.get(pixels.dtype.kind, 0) - pixels
    if "ModalityLUTSequence" in data:
        pixels = pydicom.pixels.apply_modality_lut(pixels, data)
        return pixels, depth_of(pixels.dtype)
    slope, intercept = float(data.get("RescaleSlope") or 1), float(data.get("RescaleIntercept") or 0)
    if slope == 1 and intercept == 0:
        pixels = _spread(pixels, data)
        return pixels, depth_of(pixels.dtype)
    if slope == 1 and intercept.is_integer() and depth != "float32":
        return pixels.astype(np.int32) + int(intercept), "uint16"
    return pixels.astype(np.float64) * slope + intercept, "float32"
