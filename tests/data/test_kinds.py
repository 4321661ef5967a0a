"""Every kind of image file that people have is decoded rightly or refused; docs/images.md has a row for each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from ablate.data.decoding.decode import Known, decode
from ablate.errors import CorruptImage, UnsupportedImage
from ablate.pixels import FULL_SCALE
from tests.support.dicoms import made_dicom
from tests.support.kinds import (
    DEEP_KINDS,
    GREY,
    HEIGHT,
    PICTURE,
    REFUSED,
    RGB,
    RIGHT,
    UNKNOWN_TO_PILLOW,
    WIDTH,
    deep_with_profile,
    foreign_profile,
    frames,
    pil,
    rgba,
    with_profile,
)

FULL = Known(((0, 65535),))


CORRUPT = {
    "truncated": [
        pil(PICTURE.resize((240, 160)), kind, **options)[:-2000]
        for kind, options in (
            ("JPEG", {"quality": 100}),
            ("PNG", {}),
            ("BMP", {}),
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("WEBP", {"lossless": True, "method": 0}),
        )
    ],
    "empty, or no image": [
        b"",
        b"not an image",
        b"<html><body>404</body></html>",
        b"II*\0",
        b"MM\0*\0\0\0\x08",
        b"\x89PNG",
    ],
}


def each(table):
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), id=f"{name} {number}")
        for name, cases in table.items()
        for number, case in enumerate(cases)
    ]


@pytest.mark.parametrize(("content", "expected", "tolerance"), each({**RIGHT, "unknown to Pillow": UNKNOWN_TO_PILLOW}))
def test_what_is_read_is_right(content, expected, tolerance):
    pixels = decode(content, HEIGHT).images[0]
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, HEIGHT, WIDTH)
    assert np.abs(pixels.transpose(1, 2, 0) - np.asarray(expected, dtype=float)).max() <= tolerance


@pytest.mark.parametrize(("content", "said"), each(REFUSED))
def test_what_would_be_damaged_is_refused(content, said):
    with pytest.raises(UnsupportedImage, match=said) as caught:
        decode(content, HEIGHT, facts=FULL)
    assert ": " in str(caught.value)  # what was found: what to do
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", each(CORRUPT))
def test_what_is_damaged_is_corrupt(content):
    with pytest.raises(CorruptImage, match=r"\w"):
        decode(content, HEIGHT)


@pytest.mark.parametrize(
    "content", [case[0] for table in (RIGHT, DEEP_KINDS, REFUSED) for cases in table.values() for case in cases]
)
def test_a_part_of_a_file_is_an_image_or_has_one_sentence(content):
    for end in np.random.default_rng(0).integers(0, len(content), 8):
        try:
            decode(content[:end], HEIGHT)
        except (CorruptImage, UnsupportedImage) as error:
            assert re.search(r"\w", str(error))


def test_an_image_of_one_pixel_is_enlarged():
    pixels = decode(pil(Image.new("RGB", (1, 1), (10, 200, 30))), HEIGHT).images[0]
    assert (pixels == np.array([10, 200, 30])[:, None, None]).all()
    assert pixels.shape == (3, HEIGHT, HEIGHT)


def test_what_is_said_of_an_image():
    for content, traits in (
        (pil(PICTURE), ()),
        (pil(PICTURE, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()), ()),
        (with_profile(), ("profile",)),
        (with_profile("TIFF"), ("profile",)),
        (deep_with_profile("PNG"), ("profile",)),
        (deep_with_profile("TIFF"), ("profile",)),
        (made_dicom(RGB, 8, photometric="RGB", ICCProfile=foreign_profile()), ("profile",)),
        (made_dicom(RGB, 8, photometric="RGB"), ()),
        (pil(Image.fromarray(rgba())), ("transparent",)),
        (pil(Image.fromarray(np.dstack([RGB, 0 * GREY + 255]))), ()),
        (pil(PICTURE.convert("CMYK"), "JPEG"), ("cmyk",)),
        (frames("MPO"), ("several",)),
        (frames("GIF"), ("animation",)),
    ):
        assert decode(content, HEIGHT).traits == traits


@pytest.mark.parametrize(("content", "values"), each(DEEP_KINDS))
def test_every_value_of_deep_files_is_kept(content, values):
    """Values of up to 16 bits are kept exactly, so that different ones stay different."""
    values = values if values.ndim == 3 else values[None]
    short = min(values.shape[1:])
    values = values.astype(float) if values.dtype == np.float16 else values
    low, high = float(values.min()), float(values.max())
    found = decode(content, short, facts=Known(((low, high),)))
    (pixels,) = found.images
    assert pixels.dtype == found.depth == kind_of(values.dtype, found.depth)
    assert (found.channels, pixels.shape) == (len(values), values.shape)
    full = FULL_SCALE[found.depth]
    scaled = values if found.depth == "uint8" else (values - low) / (high - low) * full
    assert np.abs(pixels - scaled).max() <= (1e-6 if found.depth == "float32" else 0.51)
    if found.depth == "uint16":
        assert len(np.unique(pixels)) == len(np.unique(values))


def kind_of(dtype, found):
    """The type in which values are stored; DICOM's are computed as floats here."""
    if dtype == np.float64:
        return found
    return {"u1": "uint8", "i1": "uint16", "u2": "uint16", "i2": "uint16"}.get(dtype.str[1:], "float32")


def test_the_documentation_has_a_row_for_every_kind():
    text = (Path(__file__).parents[2] / "docs" / "images.md").read_text()
    documented = re.findall(r"^\| ([^|]+?) \| (?:as it is|converted|refused|corrupt)", text, re.MULTILINE)
    assert documented == [*RIGHT, *DEEP_KINDS, *REFUSED, *CORRUPT]
