"""Sets made of others: one to pre-train on, another to evaluate on, a fraction of the labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ablate.data import Resident, prepare, read_entry
from ablate.data.gather import gather
from ablate.errors import UsageError
from tests.data.images import fill

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """40 images without classes."""
    root = tmp_path_factory.mktemp("sets") / "photos"
    fill(root, 40, first=5000)
    return root


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """Three classes: 40 images, 30 in groups of five, 6."""
    root = tmp_path_factory.mktemp("sets") / "animals"
    fill(root / "cat", 40, first=1000)
    for slide in range(6):
        fill(root / "dog" / f"{slide}", 5, first=2000 + 10 * slide)
    fill(root / "emu", 6, first=3000)
    return root


@pytest.fixture
def get(cache, photos, animals):
    def prepare_one(name, eval_name=None, **kwargs):
        paths = {"photos": f"folder:{photos}", "animals": f"folder:{animals}", None: None}
        spec, other = (paths.get(n, n) for n in (name, eval_name))
        return prepare(spec, eval_data=other, cache=cache, **{"image_size": 16, **kwargs})

    return prepare_one


def same(a, b):
    assert (a.name, a.fingerprint, a.classes) == (b.name, b.fingerprint, b.classes)
    assert torch.equal(a.val_mask, b.val_mask)
    for split in ("pretrain", "train", "test"):
        one, other = getattr(a, split), getattr(b, split)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.groups, other.groups)
        index = torch.arange(len(one.labels))
        assert torch.equal(Resident(one.images, CPU).batch(index)[0], Resident(other.images, CPU).batch(index)[0])


def test_pretraining_on_one_set_and_evaluating_on_another(get, cache):
    photos, animals, data = get("photos"), get("animals"), get("photos", "animals")
    assert data.name == "photos, evaluated on animals"
    assert data.classes == animals.classes
    assert torch.equal(data.train.labels, animals.train.labels)
    assert torch.equal(data.val_mask, animals.val_mask)
    assert torch.equal(data.test.labels, animals.test.labels)
    assert len(data.pretrain.labels) == 40  # the test split was ours to give: nothing is tested on it now
    assert (data.pretrain.labels == -1).all()
    assert len(data.pretrain.groups.unique()) == 40
    index = torch.arange(40)
    pixels, sizes = Resident(data.pretrain.images, CPU).batch(index)
    for part, start in ((photos.train, 0), (photos.test, 32)):
        count = len(part.labels)
        expected, expected_sizes = Resident(part.images, CPU).batch(torch.arange(count))
        assert torch.equal(sizes[start : start + count], expected_sizes)
        assert torch.equal(pixels[start : start + count, :, :16, : expected.shape[3]], expected)
    same(read_entry(cache, data.fingerprint), data)
    assert len({photos.fingerprint, animals.fingerprint, data.fingerprint}) == 3
    assert "40 images to pre-train on" in str(data)


def test_pixels_are_shared_not_copied(get):
    data = get("photos", "animals")
    assert isinstance(data.pretrain.images.pixels, tuple)
    assert len(data.pretrain.images.pixels) == 2  # the shards of train and test


def test_a_test_split_that_was_given_is_kept_out(get, tmp_path):
    fill(tmp_path / "given" / "train", 12)
    fill(tmp_path / "given" / "test", 5, first=50)
    data = get(f"folder:{tmp_path / 'given'}", "animals")
    assert len(data.pretrain.labels) == 12


def test_sets_of_other_sizes_and_kinds(get, cache):
    data = get("photos", "glyphs", image_size=32, short_side=48)
    assert data.pretrain.images.sizes.amin(1).unique().tolist() == [48]
    assert data.train.images.pixels.shape == (4096, 3, 32, 32)
    assert data.name == "photos, evaluated on glyphs"
    other = get("glyphs", "animals")
    assert len(other.pretrain.labels) == 4096
    assert len(other.classes) == 3


def arrays(root, channels, dtype="u1", first=0):
    """40 NumPy files of two classes whose values tell the image and the channel; returns the images."""
    images = np.arange(40, dtype=dtype)[:, None, None, None] + np.zeros((1, channels, 16, 20), dtype) + first
    images += (40 * np.arange(channels, dtype=dtype))[:, None, None]
    for i, image in enumerate(images):
        (root / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        np.save(root / "ab"[i % 2] / f"{i:02}.npy", image)
    return images


@pytest.mark.parametrize("channels", [2, 4, 5])
@pytest.mark.parametrize("limit", [None, 20])
def test_the_images_to_pretrain_on_keep_their_channels(get, tmp_path, channels, limit):
    known = {image.tobytes() for image in arrays(tmp_path / "pre", channels)}
    arrays(tmp_path / "own", channels, first=1)
    data = get(f"folder:{tmp_path / 'pre'}", f"folder:{tmp_path / 'own'}", limit=limit)
    batch = gather(data.pretrain.images, torch.arange(len(data.pretrain.labels)))
    assert batch.shape[1:] == (channels, 16, 20)
    found = {image.numpy().tobytes() for image in batch}
    assert len(found) == len(data.pretrain.labels)
    assert found <= known


@pytest.mark.parametrize(("channels", "dtype"), [(4, "u1"), (5, "u2"), (5, "f4")])
def test_sets_of_other_channels_or_types_are_refused(get, tmp_path, channels, dtype):
    arrays(tmp_path / "pre", 5)
    arrays(tmp_path / "own", channels, dtype)
    with pytest.raises(UsageError, match="an encoder needs images of one kind"):
        get(f"folder:{tmp_path / 'pre'}", f"folder:{tmp_path / 'own'}")


def test_the_same_set_twice_is_that_set(get):
    assert get("animals", "animals").fingerprint == get("animals").fingerprint


@pytest.mark.parametrize("fraction", [None, 1.0, 1])
def test_all_labels_are_the_set_itself(get, fraction):
    data = get("animals", labels=fraction)
    assert data.fingerprint == get("animals").fingerprint
    assert data.name == "animals"
    assert data.pretrain is data.train


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.9])
def test_a_fraction_of_the_labels(get, cache, fraction):
    whole, data = get("animals"), get("animals", labels=fraction)
    assert data.name == f"animals ({100 * fraction:g} % of labels)"
    same(read_entry(cache, data.fingerprint), data)
    kept = torch.zeros(len(whole.train.labels), dtype=torch.bool)
    kept[data.labelled] = True
    assert torch.equal(data.train.labels[kept], whole.train.labels[kept])
    assert (data.train.labels[~kept] == -1).all()
    assert torch.equal(data.val_mask, whole.val_mask & kept)
    assert len(data.pretrain.labels) == len(whole.train.labels)  # every image is still there to pre-train on
    assert data.class_counts == tuple(data.train.labels[kept].bincount().tolist())
    assert data.pretrain.images is data.train.images
    assert torch.equal(data.test.labels, whole.test.labels)
    assert not set(data.train.groups[kept].tolist()) & set(data.train.groups[~kept].tolist())  # whole groups
    for label in range(3):
        members = whole.train.labels == label
        for side in (data.val_mask, ~data.val_mask):
            assert (members & kept & side).any()
        step = 5 if label == 1 else 1
        assert abs((members & kept).sum() - fraction * members.sum()) <= 2 * step


def test_the_number_of_labels_is_exact_where_groups_allow_it(get):
    data = get("glyphs", labels=0.25, image_size=32)
    whole = get("glyphs", image_size=32)
    ratio = data.train.labels.clamp(min=-1)[data.labelled].bincount() / whole.train.labels.bincount()
    assert (ratio - 0.25).abs().max() < 0.02
    assert abs(data.val_mask.sum() / whole.val_mask.sum() - 0.25) < 0.05


def test_which_labels_stay_is_a_matter_of_the_fraction_alone(get, cache, tmp_path, animals):
    a = get("animals", labels=0.3)
    b = prepare(f"folder:{animals}", labels=0.3, image_size=16, cache=tmp_path)
    same(a, b)
    c = get("animals", labels=0.4)
    assert c.fingerprint != a.fingerprint
    d = get("photos", "animals", labels=0.3)
    assert torch.equal(d.train.labels, a.train.labels)
    assert d.fingerprint != a.fingerprint
    assert d.name == "photos, evaluated on animals (30 % of labels)"
    count = len(d.train.groups.unique())
    assert f"{len(d.train.labels)} training images in {count} groups ({len(d.labelled)} labelled, " in str(d)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"name": "animals", "labels": 0.0}, "above 0 and at most 1, not 0"),
        ({"name": "animals", "labels": 1.5}, "not 1.5"),
        ({"name": "animals", "labels": float("nan")}, "not nan"),
        ({"name": "photos", "labels": 0.5}, "has no classes"),
        ({"name": "animals", "limit": 0}, "at least 1, not 0"),
        ({"name": "animals", "eval_name": "photos"}, "evaluation needs labelled images"),
        ({"name": "animals", "eval_name": "cifar11:x"}, "did you mean 'cifar10'"),
        ({"name": "animals", "short_side": 15}, "smaller than the training size 16"),
        ({"name": "glyphs", "short_side": 48}, "short side is for folder:PATH"),
    ],
)
def test_errors(get, arguments, expected):
    with pytest.raises(UsageError) as caught:
        get(**arguments)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", [12, 30, 50])
def test_a_limit_keeps_whole_groups_of_every_class(get, cache, limit):
    whole, data = get("animals"), get("animals", limit=limit)
    count = len(data.train.labels)
    assert data.name == f"animals ({count} of {len(whole.train.labels)} training images)"
    assert abs(count - limit) <= 8  # the groups of one class have five images each
    same(read_entry(cache, data.fingerprint), data)
    assert data.pretrain is data.train
    assert torch.equal(data.test.labels, whole.test.labels)
    for side in (data.val_mask, ~data.val_mask):
        assert set(data.train.labels[side].tolist()) == {0, 1, 2}
    for group, images in zip(*data.train.groups.unique(return_counts=True), strict=True):
        assert images == (whole.train.groups == group).sum()
    kept = torch.isin(whole.train.groups, data.train.groups).nonzero()[:, 0]
    assert torch.equal(data.train.labels, whole.train.labels[kept])
    pixels, _ = Resident(data.train.images, CPU).batch(torch.arange(count))
    assert torch.equal(pixels, Resident(whole.train.images, CPU).batch(kept)[0])


def test_a_limit_is_part_of_the_identity_and_a_large_one_is_none(get):
    prints = {limit: get("animals", limit=limit).fingerprint for limit in (None, 12, 30, 10_000)}
    assert len(set(prints.values())) == 3
    assert prints[None] == prints[10_000]
    glyphs = get("glyphs", limit=100, image_size=32).train  # images of one size
    assert 90 <= len(glyphs.images) == len(glyphs.labels) == len(glyphs.groups) <= 100


def test_a_limit_holds_for_both_sets_and_before_a_fraction_of_labels(get):
    data = get("photos", "animals", limit=20, labels=0.5)
    assert len(data.pretrain.labels) == 20
    assert len(data.train.labels) < 30
    assert len(data.labelled) < len(data.train.labels)
    assert get("photos", "animals", limit=20, labels=0.5).fingerprint == data.fingerprint


def test_the_short_side_counts_by_its_number(get):
    assert get("animals", short_side=16).fingerprint == get("animals").fingerprint
    larger = get("animals", short_side=24)
    assert larger.fingerprint != get("animals").fingerprint
    assert larger.train.images.sizes.amin(1).unique().tolist() == [24]


def test_corrupt_files_of_both_sets_are_refused_or_named(get, tmp_path):
    fill(tmp_path / "set", 10)
    (tmp_path / "set" / "00003.bmp").write_bytes(b"x")
    with pytest.raises(UsageError, match="1 corrupt"):
        get(f"folder:{tmp_path / 'set'}", "animals")
    assert len(get(f"folder:{tmp_path / 'set'}", "animals", skip_corrupt=True).corrupt) == 1


def test_an_entry_whose_parts_are_gone_is_not_there(get, tmp_path, animals):
    data = prepare(f"folder:{animals}", labels=0.3, image_size=16, cache=tmp_path)
    part = prepare(f"folder:{animals}", image_size=16, cache=tmp_path).fingerprint
    (tmp_path / "sets" / part / "meta.json").unlink()
    with pytest.raises(FileNotFoundError, match=part):
        read_entry(tmp_path, data.fingerprint)


def test_labels_that_are_gone_are_gone_for_pre_training_too(get, cache):
    """An online probe would learn from them otherwise; the images stay."""
    few = read_entry(cache, get("animals", labels=0.3).fingerprint)
    assert few.pretrain is few.train
    assert len(few.pretrain.labels) == len(get("animals").train.labels)
    assert (few.pretrain.labels >= 0).sum() == len(few.labelled) < 0.5 * len(few.pretrain.labels)
