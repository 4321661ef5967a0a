"""What a folder's files say together: 16-bit grey, files that are left out, names; and what is told of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import ablate.data.decoding.shards
import ablate.data.decoding.workers
from ablate.config.reading import Reading
from ablate.data import prepare
from ablate.data.sources.listing import named
from ablate.errors import UsageError
from ablate.planning.request import default_out

Y, X = np.mgrid[0:20, 0:20]


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def without_duplicates(monkeypatch):
    """Images are alike in all classes here, which ``test_duplicates.py`` is about."""
    monkeypatch.setattr("ablate.data.preparation.about_duplicates", lambda images: [])


def get(root, cache, **kwargs):
    return prepare(f"folder:{root}", cache=cache, image_size=16, short_side=20, **kwargs)


def deep(root, count=10, low=100, step=9, classes="ab"):
    """16-bit grey images: the darkest pixel has ``low``, and image 3 of the first class is by far the brightest."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(count):
            values = (low + i + step * (X + Y) + 2000 * ((name, i) == (classes[0], 3)) * (X == 0)).astype(np.uint16)
            tifffile.imwrite(root / name / f"{i}.tif", values)


def shallow(root, count=10, classes="ab", top=255):
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            grey = (X + Y + i) * top // 50
            Image.fromarray(grey.astype(np.uint8)).save(root / name / f"{i}.png")


def stored(split):
    channels = split.images.channels
    return np.concatenate([shard.numpy().reshape(-1, channels, 20, 20) for shard in split.images.pixels])


@pytest.fixture
def here(monkeypatch):
    """Decode in this process, and count."""
    calls, real = [], ablate.data.decoding.shards.decode
    monkeypatch.setattr(ablate.data.decoding.workers, "SMALL", 10**6)
    monkeypatch.setattr(
        ablate.data.decoding.shards, "decode", lambda *args: (calls.append(args[3].ranges), real(*args))[1]
    )
    return calls


def split_by_hand(root, make=deep):
    make(root / "train")
    make(root / "test", count=4, low=50)


def test_sixteen_bits_are_scaled_by_what_the_training_images_hold(tmp_path, cache):
    split_by_hand(tmp_path / "set")
    data = get(tmp_path / "set", cache)
    low, high = 104.0, 2202.0  # of 8000 pixels, the ninth from either end
    assert data.ranges == ((low, high),)
    assert data.notes[0].startswith(
        "1 channel of up to 16 bits: 104..2202 of this data set become black and white (all but one pixel in"
    )
    train, test = stored(data.train), stored(data.test)
    assert train.dtype == np.uint16
    assert (train.min(), train.max()) == (0, 65535)
    assert test.min() == 0  # below the training images' range: cut off
    expected = np.rint((100 + 5 + 9 * (X + Y) - low) * (65535 / (high - low)))
    assert (train[5] == expected).all()


def test_the_range_is_part_of_the_fingerprint_and_found_again_in_a_copy(tmp_path, cache, here):
    split_by_hand(tmp_path / "set")
    first = get(tmp_path / "set", cache)
    assert set(here) == {None, first.ranges}  # two passes
    here.clear()
    (tmp_path / "set").rename(tmp_path / "moved")
    again = get(tmp_path / "moved", cache)
    assert (again.fingerprint, again.ranges, again.notes) == (first.fingerprint, first.ranges, first.notes)
    assert not here
    brighter = np.full((20, 20), 5000, np.uint16)
    tifffile.imwrite(tmp_path / "moved" / "train" / "a" / "0.tif", brighter)
    changed = get(tmp_path / "moved", cache)
    assert changed.ranges == ((105, 5000),)
    assert changed.fingerprint != first.fingerprint


def test_a_declared_range_needs_one_pass_and_makes_another_set(tmp_path, cache, here):
    deep(tmp_path / "set")
    found = get(tmp_path / "set", cache)
    here.clear()
    data = get(tmp_path / "set", cache, reading=Reading(range=(0, 4095)))
    assert here == [((0, 4095),)] * 20
    assert data.ranges == ((0, 4095),)
    assert data.fingerprint != found.fingerprint
    assert len(np.unique(stored(data.train))) == len(np.unique(np.rint(stored(data.train) * (4095 / 65535))))
    assert data.notes[0].startswith("1 channel of up to 16 bits: 0..4095 of this data set become black and white (as")
    assert get(tmp_path / "set", cache).fingerprint == found.fingerprint


def test_a_declared_range_that_the_images_do_not_fill_is_warned_of(tmp_path, cache):
    deep(tmp_path / "set")
    (wide,) = get(tmp_path / "set", cache, reading=Reading(range=(0, 65535))).notes
    assert "warning: half of the images use less than 1/16 of that range" in wide
    (outside,) = get(tmp_path / "set", cache, reading=Reading(range=(5000, 6000))).notes
    assert "warning: more than 1/16 of the images lie outside: is the range right?" in outside


FLAT = np.full((20, 20), 7)


@pytest.mark.parametrize(
    ("pixels", "who"),
    [(FLAT[None], "the training images have"), (np.stack([X + Y, FLAT]), "channel 2 of the training images has")],
)
def test_images_of_one_value_have_no_range(tmp_path, cache, pixels, who):
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(10):
            np.save(tmp_path / "set" / name / f"{i}.npy", pixels.astype(np.uint16))
    with pytest.raises(UsageError, match=rf"^{who} the value 7 .* --range 0,4095"):
        get(tmp_path / "set", cache)
    assert get(tmp_path / "set", cache, reading=Reading(range=(0, 40))).identity.channels == len(pixels)


def test_every_channel_has_its_own_range(tmp_path, cache):
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(10):
            np.save(tmp_path / "set" / name / f"{i}.npy", np.stack([X, 100 * Y, (X + Y) / 3, -X, X + i]).astype("f4"))
    data = get(tmp_path / "set", cache)
    assert data.ranges == ((0, 19), (0, 1900), (0, np.float32(38 / 3)), (-19, 0), (0, 28))
    assert stored(data.train).dtype == np.float32
    assert data.identity.channels == 5
    assert data.notes[0].startswith(
        "5 channels of fractions or more than 16 bits: 0..19, 0..1900, 0..12.67, -19..0, ... (channel by channel) of"
    )
    np.testing.assert_allclose(stored(data.train)[0][1], Y / 19, atol=1e-6)


@pytest.mark.parametrize(
    ("scales", "told"), [((1, 2, 3), True), ((1, 1, 3), True), ((1, 1, 1), False), ((1, 1, 2, 3), False)]
)
def test_three_channels_of_different_ranges_are_said_to_change_their_colours(tmp_path, cache, scales, told):
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(10):
            np.save(tmp_path / "set" / name / f"{i}.npy", np.stack([X * scale for scale in scales]).astype("f4"))
    assert ("colours change" in get(tmp_path / "set", cache).notes[0]) == told


def test_a_range_is_not_for_eight_bits(tmp_path, cache):
    shallow(tmp_path / "set")
    with pytest.raises(UsageError, match="a range is for images of more than 8 bits, and these have 8: leave it out"):
        get(tmp_path / "set", cache, reading=Reading(range=(0, 4095)))


def test_the_range_does_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    deep(tmp_path / "set", count=45)
    alone = get(tmp_path / "set", tmp_path / "alone")
    monkeypatch.setattr(ablate.data.decoding.workers, "SMALL", 0)
    monkeypatch.setattr(ablate.data.decoding.workers, "cores", lambda: 2)
    together = get(tmp_path / "set", tmp_path / "together")
    assert (alone.fingerprint, alone.ranges) == (together.fingerprint, together.ranges)
    assert (stored(alone.train) == stored(together.train)).all()


def test_interrupted_in_the_second_pass_it_goes_on(tmp_path, here):
    deep(tmp_path / "set", count=45)
    whole = get(tmp_path / "set", tmp_path / "whole")
    passes = []

    def stop(done, total):
        passes.append(done)
        if passes.count(passes[0]) == 2:  # the first shard of the second pass
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(tmp_path / "set", tmp_path / "cache", progress=stop)
    here.clear()
    data = get(tmp_path / "set", tmp_path / "cache")
    assert len(here) == 90 - passes[0]  # no first pass, and one shard less of the second
    assert data.fingerprint == whole.fingerprint
    assert (stored(data.train) == stored(whole.train)).all()


def test_the_range_of_a_damaged_entry_are_found_again(tmp_path, cache):
    deep(tmp_path / "set", count=45)
    data = get(tmp_path / "set", cache)
    expected = stored(data.train).copy()
    (cache / "sets" / data.fingerprint / "train.00000.pixels").write_bytes(b"x")
    again = get(tmp_path / "set", cache)
    assert again.fingerprint == data.fingerprint
    assert (stored(again.train) == expected).all()


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (np.zeros((20, 20), np.uint8), "3 channels of 8 bits"),
        (np.zeros((20, 20, 3), np.uint16), "3 channels of up to 16 bits"),
        (np.zeros((20, 20), np.float32), "1 channel of fractions or more than 16 bits"),
    ],
)
def test_kinds_are_not_mixed(tmp_path, cache, pixels, told):
    deep(tmp_path / "set")
    np.save(tmp_path / "set" / "b" / "x.npy", pixels)
    with pytest.raises(UsageError) as caught:
        get(tmp_path / "set", cache)
    sentence = str(caught.value)
    assert "20 images have 1 channel of up to 16 bits (" in sentence
    assert f"1 have {told} (b/x.npy): all images of a set must have the same" in sentence


def test_an_encoder_takes_sets_of_one_kind(tmp_path, cache):
    deep(tmp_path / "one")
    shallow(tmp_path / "two")
    with pytest.raises(
        UsageError, match="one has 1 channel of up to 16 bits and two has 3 channels of 8 bits: an encoder needs"
    ):
        get(tmp_path / "one", cache, eval_data=f"folder:{tmp_path / 'two'}")


def test_a_range_that_few_images_reach_are_warned_of(tmp_path, cache):
    deep(tmp_path / "set", step=1)
    (note,) = get(tmp_path / "set", cache).notes
    assert "warning: half of the images use less than 1/16" in note


def test_eight_bits_that_were_twelve_are_warned_of(tmp_path, cache):
    shallow(tmp_path / "dark", top=15)
    (note,) = get(tmp_path / "dark", cache).notes
    assert note.startswith("warning: all training images lie within 0..14 of 0..255")
    shallow(tmp_path / "light")
    assert get(tmp_path / "light", cache).notes == ()


def test_each_of_two_sets_has_its_own_range_and_notes(tmp_path, cache):
    deep(tmp_path / "one")
    deep(tmp_path / "two", low=300, step=30)
    both = get(tmp_path / "one", cache, eval_data=f"folder:{tmp_path / 'two'}")
    assert both.ranges == get(tmp_path / "one", cache).ranges
    assert [note.split(":")[0] for note in both.notes] == ["one", "two"]
    assert "bits: 305.." in both.notes[1]


def test_what_was_done_to_images_is_said_each_time(tmp_path, cache):
    shallow(tmp_path / "set")
    transparent = np.zeros((20, 20, 4), np.uint8)
    transparent[5:, 5:, 3] = 255
    Image.fromarray(transparent).save(tmp_path / "set" / "b" / "x.png")
    for _ in range(2):
        assert get(tmp_path / "set", cache).notes == (
            "transparent images are laid over white: 1 of 21, such as b/x.png",
        )


def test_refused_files_are_told_by_reason_and_left_out_on_request(tmp_path, cache):
    shallow(tmp_path / "set")
    for i in range(4):
        tifffile.imwrite(
            tmp_path / "set" / "b" / f"stack{i}.tif", np.zeros((3, 20, 20), np.uint8), photometric="minisblack"
        )
    (tmp_path / "set" / "a" / "x.png").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            get(tmp_path / "set", cache)
        assert str(caught.value) == (
            "1 corrupt image file: a/x.png (an empty file); 4 image files that cannot be read as they are: "
            "b/stack0.tif and 3 more (3 pages: --pages images reads each as an image of its own, "
            "--pages channels all as channels of one image); --skip-corrupt leaves them out"
        )
    data = get(tmp_path / "set", cache, skip_corrupt=True)
    assert len(data.train.labels) + len(data.test.labels) == 20
    assert sorted(place for place, _ in data.refused) == [f"b/stack{i}.tif" for i in range(4)]


def test_a_single_refused_file_is_told_in_the_singular(tmp_path, cache):
    shallow(tmp_path / "set")
    np.save(tmp_path / "set" / "a" / "x.npy", np.array([[np.nan, 1.0, 2.0]] * 3))
    with pytest.raises(UsageError) as caught:
        get(tmp_path / "set", cache)
    assert str(caught.value) == (
        "1 image file that cannot be read as it is: a/x.npy (pixels that are NaN or infinite, 3 of 9: replace them by "
        "numbers); --skip-corrupt leaves it out"
    )


def test_what_is_left_out_by_its_name_is_said(tmp_path, cache):
    root = tmp_path / "set"
    shallow(root)
    (root / "c").mkdir()  # a class that would vanish without a word
    for place in ("c/1.heic", "c/2.HEIC", "a/notes.txt", "a/README", "loose.png", "labels.csv"):
        (root / place).write_text("x")
    for litter in (".DS_Store", "._1.png", "Thumbs.db", "desktop.ini"):
        (root / "a" / litter).write_text("x")
    beside, others = get(root, cache).notes
    assert beside == f"left out: 1 image beside the class folders of {root}, such as loose.png"
    assert others.startswith(
        "left out: 4 files with other extensions (2 .heic, 1 .txt, 1 without one); images end in .jp"
    )


def test_folders_beside_train_and_test_are_said(tmp_path, cache):
    for name in ("train", "test", "val", "more"):
        shallow(tmp_path / "set" / name)
    (tmp_path / "set" / "scripts").mkdir()
    assert get(tmp_path / "set", cache).notes == ("left out: the folders more, val beside train and test",)


def test_images_without_class_folders_have_their_other_files_counted_once(tmp_path, cache):
    shallow(tmp_path / "set", classes=["."])
    (tmp_path / "set" / "notes").mkdir()
    (tmp_path / "set" / "notes" / "a.txt").write_text("x")
    assert "left out: 1 file with other extensions (1 .txt)" in get(tmp_path / "set", cache).notes[0]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{}", "unknown data set '{}'; did you mean folder:{}?"),
        ("{}/labels.csv", "unknown data set '{}/labels.csv'; did you mean table:{}/labels.csv?"),
        ("{}/a.parquet", "unknown data set '{0}/a.parquet'; did you mean table:{0}/a.parquet or parquet:{0}/a."),
        ("{}/none.csv", "unknown data set '{}/none.csv'; allowed: glyphs, "),
        ("folder:{}/file.png", "folder: {}/file.png is a file, not a directory"),
        ("folder:{}/none", "folder: there is no directory {}/none"),
        (
            "folder:{}/idx",
            "folder: {0}/idx holds idx files, as MNIST has: give mnist:{0}/idx or fashion-mnist:{0}/idx",
        ),
        ("folder:{}/heic", "folder: {}/heic holds no images (looked for"),
    ],
)
def test_what_is_no_folder_of_images_is_one_sentence(tmp_path, cache, spec, said):
    for name in ("file.png", "labels.csv", "a.parquet"):
        (tmp_path / name).write_text("x")
    for place in ("idx/train-images-idx3-ubyte.gz", "heic/1.heic", "heic/in/2.heic"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("x")
    with pytest.raises(UsageError) as caught:
        prepare(spec.format(tmp_path), cache=cache, image_size=16)
    assert str(caught.value).startswith(said.format(tmp_path, tmp_path))
    assert str(caught.value).endswith(", but 2 .heic") == ("heic" in spec)


def test_a_folder_called_data_is_named_after_the_next(tmp_path, cache):
    shallow(tmp_path / "cells" / "data" / "images")
    assert get(tmp_path / "cells" / "data" / "images", cache).name == "cells"
    assert named(Path("/data/images")) == "images"
    assert default_out("folder:/home/cells/data", ["crop"]) == Path("results/cells-crop")
    assert default_out("folder:/home/cells", ["crop"]) == Path("results/cells-crop")
