"""The default training size follows the images; what a size does to them is said."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import ablate.launch.dry_run
from ablate.cli.app import app
from ablate.config.trial import SMALL_IMAGE
from ablate.data import Images, native_size
from ablate.data.sources.scan import scan
from ablate.data.sources.sides import default_size, median_side, stored_side
from ablate.planning.images import about_shape, about_size
from ablate.planning.request import sized_as_before
from ablate.planning.settings import validate
from ablate.sweep.plan import save_plan
from tests.support.wishes import wish


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
    assert median_side(scan(tmp_path / "set")) == 28
    assert native_size(data) == 28
    config = validate(wish(data=data))
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
        (28, {"image_size": 64}, None, "images of 28 px are enlarged to 64 px; --size 28 avoids that"),
        (1, {}, None, "images of 1 px are enlarged to 8 px"),
        (96, {"image_size": 96}, None, "images of 96 px are enlarged to 110 px; --size 84 avoids that"),
        (96, {"image_size": 84}, None, None),
        (300, {"image_size": 64}, None, "images of 300 px are stored at 64 px"),
        (300, {"image_size": 64}, 128, None),
    ],
)
def test_what_a_size_does_to_the_images_is_said(tmp_path, side, values, short, words):
    data = images(tmp_path / "set", [side] * 3, extent=1)
    said = about_size(wish(data=data, set=values, short_side=short))
    assert said is None if words is None else words in said


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([(16, 16)] * 5, None),
        ([(16, 17)] * 5, None),
        ([(16, 32)] * 5, "centre square, 50 % of an image"),
        ([(32, 16)] * 3 + [(16, 16)] * 2, "centre square, 50 % of an image"),
        ([(16, 48)] * 5, "at most 33 % of an image"),  # stored without what is beyond 3 : 1
    ],
)
def test_what_evaluation_does_not_see_of_images_that_are_not_square_is_said(shapes, words):
    ragged = Images((torch.zeros(0, dtype=torch.uint8),), torch.tensor(shapes), torch.zeros(len(shapes), 2), 3)
    said = about_shape(ragged)
    assert said is None if words is None else words in said


def test_images_of_one_size_are_judged_by_their_pixels():
    assert about_shape(Images(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))) is None
    assert "64 %" in about_shape(Images(torch.zeros(2, 3, 64, 41, dtype=torch.uint8)))


@pytest.mark.parametrize(
    "words",
    [
        ("preview", "crop", "--draws", "1", "--images", "1"),
        ("grid", "--ops", "crop,color", "--batch-size", "8", "--device", "cpu", "--dry-run"),
    ],
)
def test_plan_and_preview_say_it_of_wide_images(tmp_path, monkeypatch, words):
    monkeypatch.setattr(ablate.launch.dry_run, "show_cost", lambda *args: None)
    data = images(tmp_path / "wide", [8] * 12)
    out = ["--out", str(tmp_path / ("views.png" if words[0] == "preview" else "sweep"))]
    ended = CliRunner().invoke(app, [*words, "--data", data, *out, "--cache", str(tmp_path / "cache")])
    assert "evaluation sees only their centre square, 50 % of an image" in " ".join(ended.output.split())


def test_official_sets_are_enlarged_with_a_word_too():
    said = about_size(wish(data="cifar10:/x", set={"image_size": 64}))
    assert said == "images of 32 px are enlarged to 64 px"


def test_the_same_command_again_keeps_the_size_of_its_sweep(tmp_path, experiment):
    old = experiment.model_copy(update={"shared": experiment.shared.model_copy(update={"image_size": 224})})
    save_plan(tmp_path / "out", old)
    asked = wish(data=images(tmp_path / "set", [28] * 3))
    assert sized_as_before(asked, tmp_path / "out").set == {"image_size": 224}
    assert sized_as_before(asked, tmp_path / "new").set == {}
    named = wish(data=asked.data, set={"image_size": 28})
    assert sized_as_before(named, tmp_path / "out") == named


def test_the_preset_for_laptops_takes_no_larger_size_by_itself(tmp_path):
    data = images(tmp_path / "set", [56] * 3)

    def size(**values):
        return validate(wish(data=data, branches="two", set=values, preset="laptop@2")).image_size

    assert size() == 32
    assert size(image_size=56) == 56
