"""The default training size follows the images; what a size does to them is said."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from ablate.config.trial import SMALL_IMAGE
from ablate.data import native_size
from ablate.data.sides import default_size, median_side, stored_side
from ablate.planning.images import about_size
from ablate.planning.request import sized_as_before
from ablate.planning.settings import Request, validate
from ablate.sweep.plan import save_experiment


def images(root, sides, extent=2.0):
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for i, side in enumerate(sides):
            pixels = np.zeros((side, int(side * extent), 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{i}.png")
    return f"folder:{root}"


@pytest.mark.parametrize(
    ("side", "size"), [(28, 28), (30, 28), (32, 32), (64, 64), (72, 64), (96, 84), (256, 224), (1000, 224), (5, 8)]
)
def test_the_default_follows_the_short_side(side, size):
    assert default_size(side) == size


def test_no_default_enlarges_what_is_at_least_8_px():
    for side in range(8, 600):
        assert stored_side(default_size(side)) <= side
        assert default_size(side) >= min(side, SMALL_IMAGE, 224) - 3


def test_a_folder_is_trained_at_the_median_short_side_of_its_images(tmp_path):
    data = images(tmp_path / "set", [20, 28, 28, 28, 200])
    assert median_side(tmp_path / "set") == 28
    assert native_size(data) == 28
    config = validate(Request(data=data, branches="one", device="cpu"))
    assert (config.image_size, config.encoder.name) == (28, "resnet18")


def test_unreadable_files_are_left_to_decoding(tmp_path):
    data = images(tmp_path / "set", [40, 40, 40])
    for path in (tmp_path / "set").glob("*/1.png"):
        path.write_bytes(b"not an image")
    os.utime(tmp_path / "set")
    assert native_size(data) == 40
    assert native_size("folder:/nowhere") == 224  # whoever decodes it says that it is not there


@pytest.mark.parametrize(
    ("side", "values", "short", "words"),
    [
        (28, {}, None, None),
        (28, {"image_size": 64}, None, "images of 28 px are enlarged to 64 px; --size 28 would not"),
        (96, {"image_size": 96}, None, "images of 96 px are enlarged to 110 px; --size 84 would not"),
        (96, {"image_size": 84}, None, None),
        (300, {"image_size": 64}, None, "images of 300 px are stored at 64 px"),
        (300, {"image_size": 64}, 128, None),
    ],
)
def test_what_a_size_does_to_the_images_is_said(tmp_path, side, values, short, words):
    data = images(tmp_path / "set", [side] * 3, extent=1)
    said = about_size(Request(data=data, branches="one", values=values, device="cpu", short_side=short))
    assert said is None if words is None else words in said


def test_official_sets_are_enlarged_with_a_word_too():
    said = about_size(Request(data="cifar10:/x", branches="one", values={"image_size": 64}, device="cpu"))
    assert said == "images of 32 px are enlarged to 64 px"


def test_the_same_command_again_keeps_the_size_of_its_sweep(tmp_path, experiment):
    old = experiment.model_copy(update={"shared": experiment.shared.model_copy(update={"image_size": 224})})
    save_experiment(tmp_path / "out", old)
    asked = Request(data=images(tmp_path / "set", [28] * 3), branches="one", device="cpu")
    assert sized_as_before(asked, tmp_path / "out").values == {"image_size": 224}
    assert sized_as_before(asked, tmp_path / "new").values == {}
    named = Request(data=asked.data, branches="one", values={"image_size": 28}, device="cpu")
    assert sized_as_before(named, tmp_path / "out") == named


def test_the_preset_for_laptops_takes_no_larger_size_by_itself(tmp_path):
    data = images(tmp_path / "set", [56] * 3)

    def size(**values):
        return validate(Request(data=data, branches="two", values=values, device="cpu", preset="laptop")).image_size

    assert size() == 32
    assert size(image_size=56) == 56
