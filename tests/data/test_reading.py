"""What the user declares where a file leaves it open: channels, pages, background; packages that are missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.config.reading import Reading
from ablate.data import native_size, prepare
from ablate.data.decoding.blend import edge, mean_colour
from ablate.data.decoding.decode import Known, decode
from ablate.data.decoding.ranges import SAMPLE, sample
from ablate.data.gather import gather
from ablate.data.readers import npy
from ablate.data.sources.sides import default_size
from ablate.errors import UnsupportedImage, UsageError
from tests.support.cli import ablate, one_sentence
from tests.support.dicoms import dicom
from tests.support.kinds import (
    BANDS,
    DEEP,
    GREY,
    HEIGHT,
    RGB,
    alpha,
    bands,
    frames,
    pil,
    png,
    premultiplied,
    rgba,
    rows,
    three,
    tiff,
)
from tests.support.kinds import (
    npy as array_file,
)

FULL = Known(((0, 65535),))


def images(content, **declared):
    return decode(content, HEIGHT, Reading(**declared), FULL).images


@pytest.mark.parametrize(
    "content", [pil(Image.fromarray(GREY)), pil(Image.fromarray(three(GREY))), tiff(GREY), array_file(GREY)]
)
def test_grey_is_stored_once_on_request(content):
    (once,), (thrice,) = images(content, channels=1), images(content)
    assert (once == GREY).all()
    assert once.shape == (1, *GREY.shape)
    assert (thrice == GREY).all()
    assert len(thrice) == 3


@pytest.mark.parametrize(
    ("content", "channels", "said"),
    [
        (pil(Image.fromarray(RGB)), 1, "3 channels, where {channels=1} is asked for"),
        (tiff(DEEP), 3, "1 channel, where {channels=3} is asked for"),
        (bands(BANDS[:4]), 5, "4 channels, where {channels=5} is asked for"),
    ],
)
def test_files_of_other_channels_are_refused(content, channels, said):
    with pytest.raises(UnsupportedImage) as caught:
        images(content, channels=channels)
    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["unassalpha", "assocalpha"])
def test_a_fourth_channel_is_near_infrared_or_transparency_as_declared(name):
    stored = premultiplied(True) if name == "assocalpha" else rgba(True)
    content = tiff(stored, "rgb", extrasamples=[name])
    with pytest.raises(UnsupportedImage, match="may be near infrared"):
        images(content)
    (four,) = images(content, channels=4)
    assert (four == stored.transpose(2, 0, 1)).all()
    (three_,) = images(content, channels=3)
    part = alpha(True) / 255
    assert np.abs(three_ - (RGB.transpose(2, 0, 1) * part + 255 * (1 - part))).max() <= 13


def test_deep_transparency_is_a_channel_as_declared():
    stored = np.dstack([three(DEEP), 60 * DEEP])
    (four,) = images(tiff(stored, "rgb", extrasamples=["unassalpha"]), channels=4)
    assert (four == stored.transpose(2, 0, 1)).all()
    (four,) = images(png(rows(stored), 16, 6), channels=4)
    assert (four == stored.transpose(2, 0, 1)).all()


STACKS = {
    "TIFF": (tiff(BANDS[:5]), BANDS[:5, None]),
    "ImageJ": (tiff(BANDS[:5], imagej=True, metadata={"axes": "ZYX"}), BANDS[:5, None]),
    "OME": (
        tiff(BANDS[:6].reshape(2, 3, *DEEP.shape), ome=True, metadata={"axes": "ZCYX"}),
        BANDS[:6].reshape(2, 3, *DEEP.shape),
    ),
    "several axes without a name": (tiff(BANDS[:6].reshape(2, 3, *DEEP.shape)), BANDS[:6, None]),
    "RGB": (tiff(np.stack([three(DEEP)] * 4), "rgb"), np.stack([np.stack([DEEP] * 3)] * 4)),
}


@pytest.mark.parametrize(("content", "pages"), STACKS.values(), ids=STACKS)
def test_pages_are_channels_or_images_as_declared(content, pages):
    (one,) = images(content, pages="channels")
    assert (one == pages.reshape(-1, *DEEP.shape)).all()
    several = images(content, pages="images")
    assert len(several) == len(pages)
    assert all((page == expected).all() for page, expected in zip(several, pages, strict=True))


def test_a_file_of_one_page_is_read_alike_with_and_without_pages():
    for content in (tiff(DEEP), pil(Image.fromarray(RGB)), frames("GIF"), frames("MPO")):
        (plain,) = images(content)
        for pages in ("channels", "images"):
            (declared,) = images(content, pages=pages)
            assert (plain == declared).all()


def test_the_frames_of_a_dicom_file_are_pages():
    colour = dicom("SC_rgb_rle_2frame.dcm")
    with pytest.raises(UnsupportedImage, match="2 pages"):
        decode(colour, 100)
    first, second = decode(colour, 100, Reading(pages="images")).images
    assert first.shape == second.shape == (3, 100, 100)
    (one,) = decode(colour, 100, Reading(pages="channels")).images
    assert (one == np.concatenate([first, second])).all()


@pytest.mark.parametrize(
    ("name", "channels", "depth"),
    [
        ("examples_palette.dcm", 3, None),
        ("examples_ybr_color.dcm", 3, "uint8"),
        ("examples_rgb_color.dcm", 3, "uint8"),
        ("SC_rgb_jpeg_dcmtk.dcm", 3, "uint8"),
        ("rtdose_1frame.dcm", 1, "float32"),
    ],
)
def test_other_dicom_files(name, channels, depth):
    found = decode(dicom(name), 10, Reading(pages="images"), FULL)
    assert found.channels == channels
    assert depth in {None, found.depth}


def fill(root, make, count=10, suffix="tif"):
    for name in "ab":
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i}.{suffix}").write_bytes(make(10 * (name == "b") + i))
    return f"folder:{root}"


def test_the_pages_of_a_file_stay_on_one_side_of_every_split(tmp_path, cache):
    data_of = fill(tmp_path / "set", lambda i: tiff(np.stack([DEEP + i + 50 * page for page in range(4)])))
    data = prepare(data_of, cache=cache, image_size=16, reading=Reading(pages="images"))
    assert (len(data.train.labels), len(data.test.labels)) == (64, 16)
    assert data.train.groups.bincount().tolist() == [4] * 16
    assert data.train.labels.tolist() == [0] * 32 + [1] * 32
    assert not set(data.train.groups[data.val_mask].tolist()) & set(data.train.groups[~data.val_mask].tolist())
    with pytest.raises(UsageError, match=r"4 pages: --pages images reads each .* --pages channels all as channels"):
        prepare(data_of, cache=cache, image_size=16)
    stacked = prepare(data_of, cache=cache, image_size=16, reading=Reading(pages="channels"))
    assert stacked.identity.channels == 4
    assert stacked.fingerprint != data.fingerprint


def cut_out(number):
    """A red square, darker at its border, with transparency around."""
    layer = np.zeros((20, 20, 4), np.uint8)
    layer[5:15, 5:15] = (100 + number, 50, 0, 255)
    layer[6:14, 6:14, :3] = (255, 0, 0)
    return pil(Image.fromarray(layer))


def test_the_background_is_white_black_or_the_mean_beside_it(tmp_path, cache):
    data_of = fill(tmp_path / "set", cut_out, suffix="png")
    corners = {}
    for background in ("white", "black", "mean"):
        data = prepare(data_of, cache=cache, image_size=20, reading=Reading(background=background))
        (pixels,) = data.train.images.pixels
        corners[background] = tuple(pixels[: 3 * 400].view(3, 20, 20)[:, 0, 0].tolist())
        assert corners[background] == data.background
        assert f"laid over {'the colour' if background == 'mean' else background}" in data.notes[0]
    assert corners["white"] == (255, 255, 255)
    assert corners["black"] == (0, 0, 0)
    red, *others = corners["mean"]
    assert 100 < red < 120
    assert others == [50, 0]


def test_the_default_background_leaves_the_fingerprint(tmp_path, cache):
    data_of = fill(tmp_path / "set", cut_out, suffix="png")
    prints = [
        prepare(data_of, cache=cache, image_size=20, reading=reading).fingerprint
        for reading in (None, Reading(), Reading(background="white"), Reading(background="black"), Reading(channels=3))
    ]
    assert prints[0] == prints[1] == prints[2]
    assert len(set(prints)) == 3


def test_no_pixels_beside_transparent_ones_give_no_mean(tmp_path, cache):
    data_of = fill(
        tmp_path / "set", lambda i: pil(Image.fromarray(np.full((20, 20, 4), 100 + i, np.uint8))), suffix="png"
    )
    with pytest.raises(UsageError, match=r"--background mean: no image has opaque pixels .* allowed: white, black"):
        prepare(data_of, cache=cache, image_size=20, reading=Reading(background="mean"))


def test_the_edge_is_what_is_opaque_beside_what_is_not():
    layer = np.full((4, 3, 3), 255, np.uint8)
    layer[:3] = np.arange(9).reshape(3, 3)
    layer[3, 1, 1] = 254
    assert edge(layer) == (1 + 3 + 5 + 7,) * 3 + (4,)
    layer[3, 1, 1] = 255
    assert edge(layer) == (0, 0, 0, 0)  # the frame of the image is no edge
    assert mean_colour([(16, 16, 16, 4), (0, 6, 9, 2)]) == (round(16 / 6), round(22 / 6), round(25 / 6))


@pytest.mark.parametrize(
    ("content", "package"),
    [(bands(BANDS), "tifffile"), (dicom(), "pydicom"), (png(rows(three(DEEP)), 16, 2), "imagecodecs")],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, content, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"need the package {package}: pip install 'ablate\[science\]'"):
        images(content)
    assert decode(tiff(DEEP), HEIGHT, facts=FULL).depth == "uint16"  # ordinary files need none of them


def test_a_sample_is_spread_over_the_image_and_always_the_same():
    page = np.arange(600 * 400).reshape(1, 600, 400)
    chosen = sample(page, 1000)
    assert (chosen == sample(page, 1000)).all()
    assert len(np.unique(chosen)) == 1000
    assert np.abs(np.histogram(chosen % 400, 10)[0] - 100).max() <= 20  # every column is met alike
    assert np.abs(np.histogram(chosen // 400, 10)[0] - 100).max() <= 20
    assert (sample(page, SAMPLE) == page.reshape(1, -1)).all()


SMALL = [(11, 11, 30), (30, 11, 11), (3, 3, 40), (40, 3, 3), (1, 1, 8), (5, 5, 5), (12, 30, 12)]  # two shortest axes


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((20, 30), None), ((20, 30, 3), 2), ((3, 20, 30), 0), ((32, 40, 50), 0), ((40, 50, 32), 2), ((2, 9, 3), 0)],
)
def test_the_shortest_axis_holds_the_channels(shape, axis):
    assert npy.channel_axis(shape, None) == axis


@pytest.mark.parametrize(
    "shape", [(3, 20, 3), (20, 3, 20), (40, 40, 40), (33, 40, 50), (20, 3, 30), (3,), (), (0, 5), *SMALL]
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(UnsupportedImage, match="an array of"):
        npy.channel_axis(shape, None)


@pytest.mark.parametrize(
    ("shape", "channels", "axis"),
    [
        ((11, 11, 30), 30, 2),
        ((11, 11, 30), 11, 0),
        ((30, 11, 11), 30, 0),
        ((5, 11, 30), 30, 2),  # the shortest axis is a row of the image
        ((1, 1, 8), 8, 2),
        ((20, 30, 3), 1, 2),  # three equal channels are stored once
        ((20, 30), 30, None),
    ],
)
def test_a_declared_number_of_channels_settles_their_axis(shape, channels, axis):
    assert npy.channel_axis(shape, channels) == axis


def test_patches_with_more_channels_than_rows_are_read_as_declared(tmp_path, cache):
    patches = np.random.default_rng(0).integers(0, 255, (20, 11, 11, 30), dtype=np.uint8)
    for i, patch in enumerate(patches):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        np.save(tmp_path / "ab"[i % 2] / f"{i}.npy", patch)
    with pytest.raises(UsageError, match="--channels 11 or --channels 30 tells; or save"):
        prepare(f"folder:{tmp_path}", cache=cache)
    assert native_size(f"folder:{tmp_path}", channels=30) == default_size(11)
    data = prepare(f"folder:{tmp_path}", cache=cache, image_size=11, reading=Reading(channels=30))
    found = gather(data.pretrain.images, torch.arange(len(data.pretrain.labels)))
    assert {image.numpy().tobytes() for image in found} <= {
        np.ascontiguousarray(patch.transpose(2, 0, 1)).tobytes() for patch in patches
    }


def test_deep_images_are_resized_without_leaving_their_range():
    values = np.where(np.indices((64, 96)).sum(0) % 7 < 3, 4095, 0).astype(np.uint16)
    (pixels,) = decode(tiff(values), 16, facts=Known(((0, 4095),))).images
    assert pixels.shape == (1, 16, 24)
    expected = Image.fromarray(values.astype(np.float32)).resize((24, 16), Image.Resampling.BILINEAR)
    assert np.abs(pixels[0] - np.asarray(expected) * (65535 / 4095)).max() <= 0.51
    (clipped,) = decode(tiff(values.astype("f4")), 16, facts=Known(((1000, 2000),))).images
    assert (clipped.min() >= 0, clipped.max() <= 1, clipped.dtype) == (True, True, np.float32)


def test_all_values_of_twelve_bits_are_kept():
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for content in (tiff(values), pil(Image.fromarray(values)), array_file(values)):
        (pixels,) = decode(content, 64, Reading(range=(0, 4095))).images
        assert len(np.unique(pixels)) == 4096
        assert (pixels.min(), pixels.max()) == (0, 65535)


def test_from_the_command_line(tmp_path):
    data_of = fill(tmp_path / "set", lambda i: tiff(np.stack([BANDS[n] + i for n in range(5)])))
    common = ["preview", "--data", data_of, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "views.png")]
    told = one_sentence(ablate(*common, "blur", "--range", "9,0"))
    assert "range must be LOW,HIGH with LOW below HIGH, both finite, not '9,0'" in told
    told = one_sentence(ablate("preview", "blur", "--data", "glyphs", "--pages", "images", "--out", "x.png"))
    assert "--pages images: only folder:PATH" in told
    done = ablate(*common, "blur", "--pages", "channels", "--range", "-10,5000")
    assert done.returncode == 0, done.stderr
    assert "5 channels of up to 16 bits: -10..5000 of this data set become black and white (as declared)" in done.stderr
