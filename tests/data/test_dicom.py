"""The bits of DICOM files: those that are stored count, and up to 8 of them are spread over 0..255."""

from __future__ import annotations

import numpy as np
import pytest

from ablate.data.decoding.decode import Known, decode
from ablate.errors import UnsupportedImage
from tests.support.dicoms import made_dicom

SIDE = 16


def values(stored, signed=False, channels=()):
    """Every stored value about equally often, both ends among them."""
    count = SIDE * SIDE * int(np.prod(channels, initial=1))
    spread = np.linspace(0, 2**stored - 1, count).round().astype(int) - signed * 2 ** (stored - 1)
    return spread.reshape(SIDE, SIDE, *channels)


def with_garbage(pixels, stored, allocated):
    """The same stored bits, with ones and zeros above them in turn."""
    above = ((1 << allocated) - (1 << stored)) * (np.arange(pixels.size).reshape(pixels.shape) % 2)
    unsigned = ((pixels & ((1 << stored) - 1)) | above).astype(f"u{allocated // 8}")
    return unsigned.view(f"i{allocated // 8}") if pixels.min() < 0 else unsigned


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("stored", "allocated"), [(1, 8), (4, 8), (7, 8), (8, 8), (4, 16), (8, 16), (10, 16), (12, 16), (16, 16)]
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_only_stored_bits_count(stored, allocated, signed, photometric):
    pixels, lowest = values(stored, signed), -signed * 2 ** (stored - 1)
    highest = lowest + 2**stored - 1
    content = made_dicom(with_garbage(pixels, stored, allocated), stored, photometric=photometric)
    found = decode(content, SIDE, facts=Known(((lowest, highest),)))
    assert found.depth == ("uint8" if stored <= 8 else "uint16")
    full = 255 if stored <= 8 else 65535
    seen = pixels if photometric == "MONOCHROME2" else lowest + highest - pixels
    assert np.abs(found.images[0] - (seen - lowest) * (full / (highest - lowest))).max() <= 0.51


def test_packed_bits_are_black_and_white():
    bits = (values(8) % 2).astype(np.uint8)
    (image,) = decode(made_dicom(bits, 1, allocated=1), SIDE).images
    assert (image == 255 * bits).all()


@pytest.mark.parametrize("stored", [4, 6, 8])
def test_colours_of_few_bits_are_spread(stored):
    pixels = values(stored, channels=(3,))
    content = made_dicom(with_garbage(pixels, stored, 8), stored, photometric="RGB")
    (image,) = decode(content, SIDE).images
    assert np.abs(image.transpose(1, 2, 0) - pixels * (255 / (2**stored - 1))).max() <= 0.51


def test_a_stated_unit_is_kept():
    """Slope and intercept make 8 stored bits a measurement, which the range of the set maps."""
    pixels = values(8).astype(np.uint8)
    for slope, depth in ((1, "uint16"), (2.5, "float32")):
        content = made_dicom(pixels, 8, RescaleSlope=slope, RescaleIntercept=-100)
        assert decode(content, SIDE, facts=Known(((-100, 155),))).depth == depth


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stored": 8, "HighBit": 9}, "pixels of 8 bits that end at bit 9, not 7: convert"),
        ({"stored": 6, "photometric": "YBR_FULL"}, "YBR_FULL in 6 bits: convert"),
    ],
)
def test_bits_at_unknown_places_are_refused(options, said):
    channels = (3,) if "photometric" in options else ()
    pixels = values(6, channels=channels).astype(np.uint8 if channels else np.uint16)
    with pytest.raises(UnsupportedImage, match=said):
        decode(made_dicom(pixels, **options), SIDE)
