"""Every kind of image file that people have is decoded rightly or refused; docs/images.md has a row for each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from ablate.data.decode import decode
from ablate.errors import CorruptImage, UnsupportedImage
from tests.support.kinds import (
    GREY,
    HEIGHT,
    PICTURE,
    REFUSED,
    RGB,
    RIGHT,
    WIDTH,
    frames,
    pil,
    rgba,
    tiff,
    with_profile,
)

LEVELS = (0, 65535)


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


@pytest.mark.parametrize(("content", "expected", "tolerance"), each(RIGHT))
def test_what_is_read_is_right(content, expected, tolerance):
    pixels = decode(content, HEIGHT, LEVELS).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, HEIGHT, WIDTH)
    assert np.abs(pixels.transpose(1, 2, 0) - np.asarray(expected, dtype=float)).max() <= tolerance


@pytest.mark.parametrize(("content", "said"), each(REFUSED))
def test_what_would_be_damaged_is_refused(content, said):
    with pytest.raises(UnsupportedImage, match=said) as caught:
        decode(content, HEIGHT, LEVELS)
    assert ": " in str(caught.value)  # what was found: what to do
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", each(CORRUPT))
def test_what_is_damaged_is_corrupt(content):
    with pytest.raises(CorruptImage, match=r"\w"):
        decode(content, HEIGHT, LEVELS)


@pytest.mark.parametrize(
    "content", [case[0] for table in (RIGHT, REFUSED) for cases in table.values() for case in cases]
)
def test_a_part_of_a_file_is_an_image_or_has_one_sentence(content):
    for end in np.random.default_rng(0).integers(0, len(content), 8):
        try:
            decode(content[:end], HEIGHT, LEVELS)
        except (CorruptImage, UnsupportedImage) as error:
            assert re.search(r"\w", str(error))


def test_an_image_of_one_pixel_is_enlarged():
    pixels = decode(pil(Image.new("RGB", (1, 1), (10, 200, 30))), HEIGHT).pixels
    assert (pixels == np.array([10, 200, 30])[:, None, None]).all()
    assert pixels.shape == (3, HEIGHT, HEIGHT)


def test_what_is_said_of_an_image():
    for content, traits in (
        (pil(PICTURE), ()),
        (pil(PICTURE, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()), ()),
        (with_profile(), ("profile",)),
        (pil(Image.fromarray(rgba())), ("transparent",)),
        (pil(Image.fromarray(np.dstack([RGB, 0 * GREY + 255]))), ()),
        (pil(PICTURE.convert("CMYK"), "JPEG"), ("cmyk",)),
        (frames("MPO"), ("several",)),
    ):
        assert decode(content, HEIGHT).traits == traits


def test_twelve_bits_keep_their_grey_levels():
    values = np.linspace(0, 4095, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    for content in (tiff(values), pil(Image.fromarray(values))):
        unknown = decode(content, HEIGHT)
        assert unknown.pixels is None
        assert unknown.span == (0, 4095)
        scaled = decode(content, HEIGHT, unknown.span).pixels
        assert len(np.unique(scaled)) == 256
        assert (scaled.min(), scaled.max()) == (0, 255)


def test_a_span_leaves_out_one_pixel_in_a_thousand_at_either_end():
    values = np.full((100, 100), 500, np.uint16)
    values.flat[:10], values.flat[10:20] = 65535, 0
    assert decode(tiff(values), HEIGHT).span == (500, 500)
    values.flat[20], values.flat[21] = 700, 300
    assert decode(tiff(values), HEIGHT).span == (300, 700)


def test_the_documentation_has_a_row_for_every_kind():
    text = (Path(__file__).parents[2] / "docs" / "images.md").read_text()
    documented = re.findall(r"^\| ([^|]+?) \| (?:as it is|converted|refused|corrupt)", text, re.MULTILINE)
    assert documented == [*RIGHT, *REFUSED, *CORRUPT]
