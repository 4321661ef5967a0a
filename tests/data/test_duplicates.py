"""Equal images in several splits or classes are counted and named, each time the set is used."""

from __future__ import annotations

import shutil

import torch
from PIL import Image

from ablate.data import prepare
from ablate.data.duplicates import Stored, about_duplicates, equal_images
from ablate.data.gather import gather
from tests.data.images import fill


def get(root, cache):
    return prepare(f"folder:{root}", cache=cache, image_size=16)


def make(root):
    for number, place in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        fill(root / place, 10, first=100 * number)
    return root


def warnings(data):
    return [note for note in data.notes if note.startswith("warning: ") and "equal ones" in note]


def test_different_images_and_copies_within_a_class_are_not_told(tmp_path, cache):
    root = make(tmp_path / "set")
    assert warnings(get(root, cache)) == []
    shutil.copy(root / "test/cat/00001.bmp", root / "test/cat/copy.bmp")
    assert warnings(get(root, cache)) == []


def test_a_copy_across_splits_is_told_each_time_also_as_another_file(tmp_path, cache):
    root = make(tmp_path / "set")
    Image.open(root / "train/dog/00004.bmp").save(root / "test/dog/other.png")
    for _ in range(2):  # decoded, then from the cache
        (warning,) = warnings(get(root, cache))
        assert "warning: 2 images have equal ones in another split" in warning
        assert "train/dog/00004.bmp (training) and test/dog/other.png (test)" in warning


def test_a_copy_across_classes_is_told(tmp_path, cache):
    root = make(tmp_path / "set")
    for name in ("a", "b"):
        shutil.copy(root / "train/dog/00003.bmp", root / f"train/cat/{name}.bmp")
    (told,) = [warning for warning in warnings(get(root, cache)) if "class" in warning]
    assert "warning: 3 images have equal ones in another class" in told
    assert "train/cat/a.bmp (cat) and train/dog/00003.bmp (dog)" in told


def test_validation_is_a_split_of_its_own():
    images = [
        ("x", Stored("training", 0, "", "a")),
        ("x", Stored("validation", 1, "", "b")),
        ("y", Stored("test", 0, "", "c")),
    ]
    (warning,) = about_duplicates(equal_images(images))
    assert "a (training) and b (validation)" in warning
    assert about_duplicates(equal_images(images[1:])) == []


def test_only_the_images_that_are_used_count(tmp_path, cache):
    """With ``limit``, copies of images that are left out are no leak; those that stay are counted alone."""
    root = make(tmp_path / "set")
    for number in range(10):
        shutil.copy(root / f"train/dog/{number:05}.bmp", root / f"test/dog/copy-{number}.bmp")
    (whole,) = warnings(get(root, cache))
    assert "warning: 20 images have equal ones" in whole
    data = prepare(f"folder:{root}", cache=cache, image_size=16, limit=10)
    used = [image.relpath for same in data.alike for image in same if image.split != "test"]
    dogs = int((data.train.labels == data.classes.index("dog")).sum())
    assert 0 < dogs < 10
    assert len(used) == dogs
    (few,) = warnings(data)
    assert f"warning: {2 * dogs} images have equal ones" in few
    for same in data.alike:  # their places are those among the images that are kept
        splits = [data.test if image.split == "test" else data.train for image in same]
        first, other = (gather(s.images, torch.tensor([i.at])) for s, i in zip(splits, same, strict=True))
        assert torch.equal(first, other)
