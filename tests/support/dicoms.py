"""DICOM files: some of pydicom's, and some made from pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom.data import get_testdata_file


def dicom(name="CT_small.dcm"):
    """A file of pydicom's."""
    return Path(get_testdata_file(name, download=False)).read_bytes()


def dicom_values(name="CT_small.dcm"):
    data = pydicom.dcmread(io.BytesIO(dicom(name)))
    return data.pixel_array * float(data.get("RescaleSlope", 1)) + float(data.get("RescaleIntercept", 0))


def made_dicom(pixels, stored, allocated=None, photometric="MONOCHROME2", **elements):
    """A file of integers ``[h, w]`` or ``[h, w, 3]`` with so many stored bits; allocated 1, they are packed."""
    data = pydicom.dcmread(io.BytesIO(dicom()))
    del data.RescaleSlope, data.RescaleIntercept
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = (3 if pixels.ndim == 3 else 1), photometric
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated, data.BitsStored, data.HighBit = allocated or 8 * pixels.dtype.itemsize, stored, stored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    body = np.packbits(pixels.ravel(), bitorder="little").tobytes() if allocated == 1 else pixels.tobytes()
    data.PixelData = body + b"\0" * (len(body) % 2)
    data["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(data, name, value)
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def inverted_dicom():
    data = pydicom.dcmread(io.BytesIO(dicom("MR_small.dcm")))
    data.PhotometricInterpretation = "MONOCHROME1"
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()
