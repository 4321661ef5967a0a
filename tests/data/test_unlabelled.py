"""Folders of images without classes, in every layout."""

from __future__ import annotations

import pytest

from ablate.data import prepare, read_entry
from ablate.errors import UsageError
from ablate.evaluation.protocols import check_protocols
from tests.data.images import fill


def get(root, cache, **kwargs):
    return prepare(f"folder:{root}", cache=cache, image_size=16, **kwargs)


def check(data, train, test):
    assert data.classes == ()
    assert data.identity.classes == 0
    assert (data.train.labels == -1).all()
    assert (data.test.labels == -1).all()
    assert (len(data.train.labels), len(data.test.labels)) == (train, test)
    assert len(data.train.images) == train
    assert data.pretrain is data.train
    assert 0 < data.val_mask.sum() < train
    assert len(data.labelled) == 0
    assert data.class_counts == ()
    assert f": no classes: {train} training images" in str(data)


@pytest.mark.parametrize("folders", [[""], ["photos"]], ids=["images", "one folder"])
def test_images_split_by_seed(tmp_path, cache, folders):
    for number, folder in enumerate(folders):
        fill(tmp_path / "set" / folder, 40, first=number * 100)
    data = get(tmp_path / "set", cache)
    check(data, 32, 8)
    assert data.carved
    assert data.val_mask.sum() == 3
    read = read_entry(cache, data.fingerprint)
    assert read.classes == ()
    assert read.carved


def test_inner_folders_of_the_one_folder_are_groups(tmp_path, cache):
    for number in range(10):
        fill(tmp_path / "set" / "slides" / f"{number}" / "deep", 4, first=number * 100)
    data = get(tmp_path / "set", cache)
    check(data, 32, 8)
    assert data.train.groups.bincount().tolist() == [4] * 8
    assert data.val_mask.sum() == 4


@pytest.mark.parametrize("folder", ["", "photos"], ids=["images", "one folder"])
@pytest.mark.parametrize("test", ["test", "val"])
def test_images_split_by_hand(tmp_path, cache, folder, test):
    fill(tmp_path / "set" / "train" / folder, 20)
    fill(tmp_path / "set" / test / folder, 6, first=100)
    data = get(tmp_path / "set", cache)
    check(data, 20, 6)
    assert not data.carved


def test_images_beside_several_class_folders_are_no_class_of_their_own(tmp_path, cache):
    for name in "ab":
        fill(tmp_path / "set" / name, 10)
    fill(tmp_path / "set", 1)
    data = get(tmp_path / "set", cache)
    assert data.classes == ("a", "b")
    assert len(data.train.labels) + len(data.test.labels) == 20


def test_one_class_folder_is_called_one_class(tmp_path, cache):
    fill(tmp_path / "set" / "leaf", 10)
    data = get(tmp_path / "set", cache)
    assert data.classes == ()
    assert "there is only one class, the folder 'leaf': there is nothing to classify" in data.notes[0]
    with pytest.raises(UsageError, match="'linear' needs labels, and set has only one class; allowed: rotation"):
        check_protocols(["linear"], data)


@pytest.mark.parametrize("inside", ["", "train"])
def test_images_beside_the_only_folder_are_refused(tmp_path, cache, inside):
    fill(tmp_path / "set" / inside, 4)
    fill(tmp_path / "set" / inside / "more", 4)
    fill(tmp_path / "set" / "test", 4)
    if not inside:
        (tmp_path / "set" / "test").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="images beside its only folder 'more'"):
        get(tmp_path / "set", cache)


def test_a_test_set_with_classes_that_training_has_not_is_refused(tmp_path, cache):
    fill(tmp_path / "set" / "train", 10)
    fill(tmp_path / "set" / "test" / "cat", 4)
    with pytest.raises(UsageError, match="the class 'cat'"):
        get(tmp_path / "set", cache)


@pytest.mark.parametrize("folders", [[""], ["a/b"]], ids=["one image", "one inner folder"])
def test_what_cannot_be_split_is_refused(tmp_path, cache, folders):
    for folder in folders:
        fill(tmp_path / "set" / folder, 1)
    with pytest.raises(UsageError, match=r"the images of .* cannot be split"):
        get(tmp_path / "set", cache)


def test_an_empty_folder_is_refused(tmp_path, cache):
    (tmp_path / "set").mkdir()
    with pytest.raises(UsageError, match="holds no images"):
        get(tmp_path / "set", cache)
    fill(tmp_path / "set" / "train", 3)
    (tmp_path / "set" / "test").mkdir()
    with pytest.raises(UsageError, match=r"test set .* is empty: no image$"):
        get(tmp_path / "set", cache)


def test_a_class_of_a_folder_with_a_relative_path(tmp_path, cache, monkeypatch):
    for name in "ab":
        fill(tmp_path / "set" / name, 10)
    expected = get(tmp_path / "set", cache)
    monkeypatch.chdir(tmp_path / "set")
    data = get(".", tmp_path / "cache")
    assert data.fingerprint == expected.fingerprint
    assert data.name == "set"
