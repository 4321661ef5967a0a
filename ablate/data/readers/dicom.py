"""DICOM files: their pixels in the units that the file states, and its window. Names and dates are not read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ablate.config.reading import Range
from ablate.data.readers.native import CONVERT, Array, Native, check_area, depth_of, is_foreign, package
from ablate.errors import CorruptImage, UnsupportedImage, UsageError

MAGIC, OFFSET = b"DICM", 128
GREY = {"MONOCHROME1", "MONOCHROME2"}
SLOPE, INTERCEPT = (("PixelValueTransformationSequence", keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
BYTE = 8


def read(content: bytes) -> Native:
    """Return the frames of a file as pages.

    Bits above those that the file calls stored are cleared. Grey is rescaled by slope and intercept, and inverted where
    0 is white. Grey and RGB of at most 8 stored bits that no unit is stated for become uint8, with the stored scale
    spread over 0..255. YBR and palettes become RGB. The window of grey is the first one that the file states.

    Raises:
        CorruptImage: the file is truncated, or holds no pixels.
        UnsupportedImage: the colours are of another kind.
        UsageError: the compression needs another package.
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
        pixels = pixels.reshape(frames, 1, *pixels.shape[-2:])
        return _grey(pydicom, pixels, data, inverted=kind == "MONOCHROME1")
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
        UsageError: the compression needs another package.
    """
    try:
        pixels: Array = pydicom.pixels.pixel_array(data)
    except (NotImplementedError, RuntimeError) as error:
        if "decod" in str(error) or "missing dependencies" in str(error):
            syntax = data.file_meta.TransferSyntaxUID.name
            raise UsageError(f"compressed as {syntax}: save it uncompressed, or install pylibjpeg") from error
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


def _grey(pydicom: Any, pixels: Array, data: Any, inverted: bool) -> Native:
    """Return grey ``[frames, 1, h, w]`` in the units of the file, black lowest."""
    frames = range(len(pixels))
    windows = [_window(data, frame) for frame in frames]
    if "ModalityLUTSequence" in data:
        pixels = pydicom.pixels.apply_modality_lut(pixels, data)
        top = 2 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
        pixels = top - pixels if inverted else pixels
        return _native(pixels, depth_of(pixels.dtype), windows, np.full(len(pixels), top) if inverted else None)
    depth = depth_of(pixels.dtype)
    top = {"u": 2 ** int(data.get("BitsStored") or 0) - 1, "i": -1}.get(pixels.dtype.kind, 0)
    pixels = top - pixels if inverted else pixels
    slopes = np.array([float(_stated(data, frame, *SLOPE) or 1) for frame in frames])
    intercepts = np.array([float(_stated(data, frame, *INTERCEPT) or 0) for frame in frames])
    mirrors = top * slopes + 2 * intercepts
    slope, intercept = (each[:, None, None, None] for each in (slopes, intercepts))
    if (slopes == 1).all() and (intercepts == 0).all():
        pixels = _spread(pixels, data)
        depth = depth_of(pixels.dtype)
    elif (slopes == 1).all() and (intercepts % 1 == 0).all() and depth != "float32":
        pixels, depth = pixels.astype(np.int32) + intercept.astype(np.int32), "uint16"
    else:
        pixels, depth = pixels.astype(np.float64) * slope + intercept, "float32"
    return _native(pixels, depth, windows, mirrors if inverted else None)


def _native(pixels: Array, depth: str, windows: list[Range | None], mirrors: Array | None) -> Native:
    """Return grey with the windows of its frames; inverted, a value v has become ``mirror`` - v."""
    if None in windows:
        return Native(pixels, depth)
    found = [window for window in windows if window]
    if mirrors is not None:
        found = [(float(top - high), float(top - low)) for top, (low, high) in zip(mirrors, found, strict=True)]
    return Native(pixels, depth, windows=tuple(dict.fromkeys(found)))


def _window(data: Any, frame: int) -> Range | None:
    """Return the values that become black and white by the first window stated for a frame (PS3.3, C.11.2.1.2).

    None is returned without a window, and where it is no straight line between the two.
    """
    center, width = (
        _stated(data, frame, "FrameVOILUTSequence", keyword) for keyword in ("WindowCenter", "WindowWidth")
    )
    if center is None or width is None:
        return None
    middle, wide = (float(np.atleast_1d(np.asarray(value, dtype=float))[0]) for value in (center, width))
    shape = str(_stated(data, frame, "FrameVOILUTSequence", "VOILUTFunction") or "LINEAR")
    low, high = middle - wide / 2, middle + wide / 2 - (shape == "LINEAR")
    return (low, high) if low < high and shape != "SIGMOID" else None


def _stated(data: Any, frame: int, sequence: str, keyword: str) -> Any:
    """Return an element of the file, of the groups that its frames share, or of the frame's own group; None without.

    Enhanced files keep what older ones have at the top in ``sequence`` of these groups.
    """
    each, shared = data.get("PerFrameFunctionalGroupsSequence"), data.get("SharedFunctionalGroupsSequence")
    for group in (each[frame : frame + 1] if each else []), (shared[:1] if shared else []):
        for item in group:
            for values in item.get(sequence) or []:
                if keyword in values:
                    return values[keyword].value
    return data.get(keyword)
