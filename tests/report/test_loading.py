"""The function ``load`` of exported files reads every kind of image file as ablate does, or refuses it."""

from __future__ import annotations

import io
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from ablate import Composition
from ablate.config.reading import Reading
from ablate.data.decoding.decode import Known, decode
from ablate.data.decoding.stored import limited
from ablate.data.readers import npy
from ablate.data.readers.choose import short_side
from ablate.errors import CorruptImage, UnsupportedImage
from ablate.pipelines.code import Files, kornia_code, torchvision_code
from ablate.pixels import FULL_SCALE
from tests.support.kinds import DEEP, DEEP_KINDS, HEIGHT, REFUSED, RIGHT, UNKNOWN_TO_PILLOW, tiff

LIBRARIES = {"kornia": kornia_code, "torchvision": torchvision_code}


def loader(files, library="torchvision"):
    """The function ``load`` of an exported file, for images that were read so."""
    namespace = {"__name__": "pipeline"}
    exec(
        compile(LIBRARIES[library](Composition.parse("crop").specs(), 16, "two", None, files), "p.py", "exec"),
        namespace,
    )
    return SimpleNamespace(**namespace).load


RANGE = (0.0, 65535.0)
SETS = {channels: Reading(channels=channels, pages="channels") for channels in (None, 1, 2, 3, 4, 5, 13)}
KINDS = {**RIGHT, **DEEP_KINDS, **REFUSED, "unknown to Pillow": UNKNOWN_TO_PILLOW}
LOADERS = {
    (channels, ranges): loader(Files(channels, ranges))
    for channels, ranges in itertools.product((1, 2, 3, 4, 5, 13), (None, (RANGE,)))
}


def decoded(content, short, reading):
    """The image and its type as a sweep stores them, or None if it is refused."""
    try:
        found = decode(content, short, reading, Known((RANGE,)))
    except (UnsupportedImage, CorruptImage):
        return None, ""
    return found.images[0] / np.float32(FULL_SCALE[found.depth]), found.depth


def read(load, path):
    """The image ``[c, h, w]`` in [0, 1], or None if the loader refuses it in a sentence."""
    try:
        image = load(path)
    except (ValueError, OSError, Image.DecompressionBombError):  # OSError: Pillow cannot open it
        return None
    if isinstance(image, torch.Tensor):
        return image.numpy()
    return np.float32(np.asarray(image).reshape(*image.size[::-1], -1).transpose(2, 0, 1)) / 255


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of tags
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_as_by_ablate_or_refused(tmp_path, kind):
    path = tmp_path / "image"
    for content, *_ in KINDS[kind]:
        path.write_bytes(content)
        short = short_side(io.BytesIO(content), None) if kind in DEEP_KINDS else HEIGHT
        for asked, reading in SETS.items():
            expected, depth = decoded(content, short, reading)
            for (channels, ranges), load in LOADERS.items():
                if channels != (asked or (3 if expected is None else len(expected))):
                    continue
                image = read(load, path)
                if image is None:
                    continue
                if expected is None and channels == 3 and ranges and (image[0] == image).all():
                    continue  # the set of an earlier sweep, which stored deep grey three times
                assert expected is not None, (asked, ranges, "is refused by ablate")
                assert (depth == "uint8") == (ranges is None), (asked, "is of another depth")
                assert image.shape == expected.shape
                assert np.abs(image - expected).max() <= 1e-5


@pytest.mark.parametrize("library", LIBRARIES)
def test_files_are_read_as_by_ablate(library, tmp_path):
    load = loader(Files(), library)
    read = 0
    for name, cases in RIGHT.items():
        for content, *_ in cases:
            (tmp_path / "image").write_bytes(content)
            image = load(str(tmp_path / "image"))
            (expected,) = decode(content, HEIGHT).images
            assert image.mode == "RGB"
            assert (np.asarray(image) == expected.transpose(1, 2, 0)).all(), name
            read += 1
    assert read > 50
    Image.new("RGB", (100, 10)).save(tmp_path / "long.png")
    assert load(tmp_path / "long.png").size == (30, 10)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 13])
def test_the_channels_of_an_array_are_found_as_by_ablate(tmp_path, channels):
    path = tmp_path / "image"
    for shape in itertools.product((1, 2, 3, 5, 13, 40), repeat=3):
        np.save(path.with_suffix(".npy"), np.arange(np.prod(shape), dtype=np.uint16).reshape(shape))
        content = path.with_suffix(".npy").read_bytes()
        image = read(LOADERS[channels, (RANGE,)], path.with_suffix(".npy"))
        try:
            native = npy.read(content, channels)
        except UnsupportedImage:
            assert image is None, shape
            continue
        found = native.pixels[0]
        if len(found) != channels and not (channels == 3 and len(found) == 1):
            assert image is None, shape
            continue
        assert image is not None, shape
        expected = limited(np.broadcast_to(found, (channels, *found.shape[1:]))) / 65535
        assert np.abs(image - expected).max() < 1e-6


def test_which_deep_kinds_are_refused(tmp_path):
    """Those of docs/images.md; of the others only images that are not upright are."""
    path, refused = tmp_path / "image", []
    for kind, cases in DEEP_KINDS.items():
        for number, (content, values) in enumerate(cases):
            path.write_bytes(content)
            found = decode(content, min(values.shape[-2:]), facts=Known((RANGE,)))
            load = loader(Files(found.channels, None if found.depth == "uint8" else (RANGE,)))
            if read(load, path) is None:
                refused.append((kind, number))
    assert refused == [
        *(("16-bit grey, also of 10, 12 or 14 bits", number) for number in (9, 10)),
        ("16-bit grey whose 0 is white", 0),
        ("16-bit RGB", 1),
        *(("DICOM", number) for number in range(len(DEEP_KINDS["DICOM"]))),
    ]


def test_images_of_an_earlier_sweep_have_three_equal_channels(tmp_path):
    (tmp_path / "image").write_bytes(tiff(DEEP))
    image = loader(Files(3, ((0.0, 65535.0),)))(tmp_path / "image")
    assert image.shape == (3, *DEEP.shape)
    assert np.abs(image[2].numpy() - DEEP / 65535).max() < 1e-6


def test_grey_and_backgrounds_are_read_as_by_ablate(tmp_path):
    for content, *_ in [*RIGHT["8-bit grey"], *RIGHT["transparency"]]:
        (tmp_path / "image").write_bytes(content)
        (expected,) = decode(content, HEIGHT, Reading(background="black")).images
        image = loader(Files(background=(0, 0, 0)))(tmp_path / "image")
        assert (np.asarray(image).transpose(2, 0, 1) == expected).all()
    for content, *_ in RIGHT["8-bit grey"]:
        (tmp_path / "image").write_bytes(content)
        (expected,) = decode(content, HEIGHT, Reading(channels=1)).images
        assert (np.asarray(loader(Files(1))(tmp_path / "image"))[None] == expected).all()


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of tags
def test_files_of_which_a_part_would_be_dropped_are_not_read(tmp_path):
    readers = [loader(Files()), loader(Files(1, ((90.0, 1000.0),)))]
    for name, cases in REFUSED.items():
        for content, *_ in cases:
            (tmp_path / "image").write_bytes(content)
            for load in readers:
                try:
                    load(tmp_path / "image")
                except (ValueError, OSError, Image.DecompressionBombError):  # OSError: Pillow cannot open it
                    continue
                pytest.fail(f"{name} is read")
