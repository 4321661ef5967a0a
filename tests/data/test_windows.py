"""The window that DICOM files state, as the range of a set; the units of files whose frames have their own."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi_lut

from ablate.config.reading import Reading
from ablate.data import prepare
from ablate.data.decoding.decode import Known, decode
from ablate.errors import UnsupportedImage, UsageError
from tests.support.dicoms import made_dicom

SIDE = 16
WINDOW = Reading(range="window")
VALUES = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 16
UNIT = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def slice_of(**elements):
    return made_dicom(VALUES, 12, **(UNIT | elements))


def enhanced(frames, shared=None):
    """A file of several frames, whose groups hold ``(slope, intercept, center, width)``, each or in common."""
    data = pydicom.dcmread(io.BytesIO(made_dicom(VALUES, 12)))
    data.NumberOfFrames, data.PixelData = len(frames), VALUES.tobytes() * len(frames)
    data.PerFrameFunctionalGroupsSequence = [group(*frame) if frame else Dataset() for frame in frames]
    data.SharedFunctionalGroupsSequence = [group(*shared) if shared else Dataset()]
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def group(slope, intercept, center, width):
    item, unit, window = Dataset(), Dataset(), Dataset()
    unit.RescaleSlope, unit.RescaleIntercept, unit.RescaleType = slope, intercept, "US"
    window.WindowCenter, window.WindowWidth = center, width
    item.PixelValueTransformationSequence, item.FrameVOILUTSequence = [unit], [window]
    return item


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", [None, "LINEAR", "LINEAR_EXACT"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (1, 0), (2.5, -7.5)])
def test_a_window_becomes_what_pydicom_shows(photometric, shape, slope, intercept):
    stated = {"WindowCenter": 40, "WindowWidth": 400, "RescaleSlope": slope, "RescaleIntercept": intercept}
    content = slice_of(**stated, **({"VOILUTFunction": shape} if shape else {}))
    data = pydicom.dcmread(io.BytesIO(content))
    data.PhotometricInterpretation = photometric
    shown = apply_voi_lut(data.pixel_array.astype(float) * slope + intercept, data)
    shown = (shown - intercept) / (4095 * slope)  # pydicom shows black and white as the ends of the stored bits
    shown = 1 - shown if photometric == "MONOCHROME1" else shown
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    (window,) = decode(file.getvalue(), SIDE, WINDOW).windows
    (image,) = decode(file.getvalue(), SIDE, WINDOW, Known((window,))).images
    full = 65535 if slope == 1 else 1
    assert 0 < np.mean((shown > 0) & (shown < 1)) < 0.5  # most values lie outside the window
    np.testing.assert_allclose(image[0] / full, shown, atol=1e-5)


def test_the_first_of_several_windows_counts():
    content = slice_of(WindowCenter=[40, 600], WindowWidth=[400, 2000])
    assert decode(content, SIDE, WINDOW).windows == ((-160, 239),)
    assert decode(content, SIDE).windows == ()  # nobody asked for it


@pytest.mark.parametrize(
    "elements",
    [{}, {"WindowCenter": 40, "WindowWidth": 1}, {"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"}],
)
def test_a_file_without_a_linear_window_is_refused(elements):
    content = made_dicom(VALUES, 12, **UNIT)
    data = pydicom.dcmread(io.BytesIO(content))
    for name in ("WindowCenter", "WindowWidth"):
        if name in data:
            del data[name]
    for name, value in elements.items():
        setattr(data, name, value)
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    with pytest.raises(UnsupportedImage, match=r"no linear window, which \{range=window\} asks for"):
        decode(file.getvalue(), SIDE, WINDOW)
    decode(file.getvalue(), SIDE)


def test_frames_have_their_own_units_and_windows():
    frames = [(2.0, 5.0, 100, 50), (0.5, -3.0, 100, 50), (0.5, -3.0, 60, 20)]
    content = enhanced(frames)
    low, high = -10.0, 10000.0
    found = decode(content, SIDE, Reading(pages="images"), Known(((low, high),)))
    for image, (slope, intercept, *_) in zip(found.images, frames, strict=True):
        np.testing.assert_allclose(image[0], (VALUES * slope + intercept - low) / (high - low), atol=1e-6)
    both = decode(content, SIDE, Reading(pages="images", range="window"))
    assert both.windows == ((75, 124), (50, 69))


def test_frames_share_a_unit():
    content = enhanced([None, None], shared=(1, -1024, 40, 400))
    found = decode(content, SIDE, Reading(pages="images", range="window"), Known(((-1024, 3071),)))
    assert found.windows == ((-160, 239),)
    assert found.depth == "uint16"
    np.testing.assert_allclose(found.images[1][0], VALUES * (65535 / 4095), atol=0.51)


def test_an_inverted_table_of_values_is_inverted_after_it():
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], (np.arange(4096) ** 2 // 256).astype(int).tolist()
    table.ModalityLUTType = "US"
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    content = made_dicom(VALUES, 12, photometric="MONOCHROME1", ModalityLUTSequence=[table])
    (image,) = decode(content, SIDE, facts=Known(((0, 65535),))).images
    assert (image[0] == 65535 - VALUES.astype(int) ** 2 // 256).all()


def folder(root, windows):
    for number, (center, width) in enumerate(windows):
        place = root / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = VALUES + number
        (place / f"{number}.dcm").write_bytes(made_dicom(pixels, 12, **UNIT, WindowCenter=center, WindowWidth=width))


def get(root, cache, **kwargs):
    return prepare(f"folder:{root}", cache=cache, image_size=16, short_side=SIDE, **kwargs)


def test_one_window_becomes_the_range_of_a_set(tmp_path):
    folder(tmp_path / "set", [(40, 400)] * 20)
    data = get(tmp_path / "set", tmp_path / "cache", reading=WINDOW)
    assert data.ranges == ((-160, 239),)
    assert data.notes[0].startswith(
        "1 channel of up to 16 bits: -160..239 of this data set become black and white (the window that the files"
    )
    found = get(tmp_path / "set", tmp_path / "cache")
    assert found.ranges != data.ranges
    assert found.fingerprint != data.fingerprint


def test_different_windows_are_refused_by_name(tmp_path):
    folder(tmp_path / "set", [(40, 400)] * 19 + [(60, 100)])
    with pytest.raises(UsageError) as caught:
        get(tmp_path / "set", tmp_path / "cache", reading=WINDOW)
    said = str(caught.value)
    assert "the files state 2 different windows, such as -160..239 (" in said
    assert (
        "10..109 (b/19.dcm): declare one range for all of them, --range LOW,HIGH, or leave --range window out" in said
    )


def test_a_window_is_for_deep_dicom_files(tmp_path):
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray((VALUES // 16 + i).astype(np.uint8)).save(tmp_path / "set" / name / f"{i}.png")
    with pytest.raises(UsageError, match="a range is for images of more than 8 bits, and these have 8: leave it out"):
        get(tmp_path / "set", tmp_path / "cache", reading=WINDOW)
    for path in (tmp_path / "set").rglob("*.png"):
        np.save(path.with_suffix(".npy"), VALUES)
        path.unlink()
    with pytest.raises(
        UsageError, match="no linear window, which --range window asks for: only DICOM files can state one"
    ):
        get(tmp_path / "set", tmp_path / "cache", reading=WINDOW)
