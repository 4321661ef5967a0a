"""Classes with few images are named when a sweep is planned, beside duplicates and an uneven distribution."""

from __future__ import annotations

import shutil

import pytest

from ablate.config.sweep import ClassCounts
from ablate.data.class_sizes import about_small_classes
from tests.data.images import fill
from tests.support.cli import ablate


def test_the_smallest_classes_are_named_with_both_numbers():
    counts = ClassCounts(train=(90, 20, 60, 15, 10), validation=(40, 5, 10, 3, 2), test=(10, 30, 9, 0, 40))
    (sentence,) = about_small_classes(["a", "b", "c", "d", "e"], counts)
    assert sentence == (
        "4 of 5 classes have fewer than 10 validation or test images (d: 3 and 0, e: 2 and 40, b: 5 and 30, and "
        "1 more): one image is worth more than 10 points of their recall"
    )
    assert about_small_classes(["a"], ClassCounts(train=(20,), validation=(10,), test=(10,))) == []


@pytest.mark.usefixtures("unmeasured")
def test_a_dry_run_names_imbalance_duplicates_and_small_classes_once(tmp_path):
    root = tmp_path / "set"
    for number, (place, count) in enumerate({"train/cat": 70, "train/dog": 12, "test/cat": 12, "test/dog": 3}.items()):
        fill(root / place, count, first=100 * number)
    shutil.copy(root / "train/dog/00003.bmp", root / "train/cat/copy.bmp")  # both are training images
    place = ["--data", f"folder:{root}", "--cache", tmp_path / "cache", "--out", tmp_path / "out"]
    done = ablate("grid", "--ops", "crop,color", *place, "--set", "image_size=16", "--device", "cpu", "--dry-run")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    for said in (
        "; compositions are ranked by balanced accuracy: the largest class has 86 % of the images",
        "warning: 2 images have equal ones in another class, such as train/cat/copy.bmp (cat) and ",
        "2 of 2 classes have fewer than 10 validation or test images (dog: 1 and 3, cat: 7 and 12): one image",
    ):
        assert text.count(said) == 1, text
