from __future__ import annotations

import multiprocessing
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import ablate.data.decoding.contents
import ablate.data.decoding.shards
from ablate.data import Resident, prepare
from ablate.data.decoding.decode import decode
from ablate.errors import CorruptImage, UsageError

RNG = np.random.default_rng(0)


def picture(width=24, height=16, seed=0):
    """A smooth colour gradient, so that resizing and JPEG change little."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x / width, y / height, np.full_like(x, (seed * 37 % 100) / 100, dtype=float)], 2)
    return Image.fromarray((255 * image).round().astype(np.uint8))


def fill(folder, count=10, **kwargs):
    folder.mkdir(parents=True)
    for i in range(count):
        picture(seed=i, **kwargs).save(folder / f"{i}.png")


@pytest.fixture
def images(tmp_path):
    for split, count in (("train", 10), ("test", 4)):
        for name in ("cat", "dog"):
            fill(tmp_path / "set" / split / name, count)
    return tmp_path / "set"


def get(root, cache, size=16, **kwargs):
    return prepare(f"folder:{root}", cache=cache, image_size=size, **kwargs)


def as_float(array):
    return np.asarray(array, dtype=float)


def test_every_common_kind_of_file_becomes_rgb(tmp_path):
    base = picture()
    rgb = np.asarray(base).transpose(2, 0, 1)

    def same(path, expected=rgb, tolerance=0):
        (decoded,) = decode(path.read_bytes(), 16).images
        assert decoded.dtype == np.uint8
        assert np.abs(decoded.astype(int) - expected.astype(int)).max() <= tolerance, path.name

    for suffix, tolerance in (("png", 0), ("bmp", 0), ("tiff", 0), ("jpg", 12), ("JPEG", 12), ("webp", 25)):
        base.save(tmp_path / f"a.{suffix}")
        same(tmp_path / f"a.{suffix}", tolerance=tolerance)
    grey = base.convert("L")
    grey.save(tmp_path / "grey.png")
    same(tmp_path / "grey.png", np.asarray(grey)[None].repeat(3, 0))
    palette = base.quantize(64)
    palette.save(tmp_path / "palette.png")
    same(tmp_path / "palette.png", np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    base.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    same(tmp_path / "cmyk.jpg", tolerance=25)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white(tmp_path, mode):
    layer = Image.new("RGBA", (16, 16), (200, 0, 0, 255))
    layer.paste((0, 0, 0, 0), (0, 0, 8, 16))
    layer = layer.convert(mode) if mode != "P" else layer.quantize(4)
    layer.save(tmp_path / "t.png")
    decoded = decode((tmp_path / "t.png").read_bytes(), 16).images[0]
    assert (decoded[:, :, :8] == 255).all()
    assert (decoded[:, :, 9:].min(0) < 255).all()


def test_exif_orientation_is_applied(tmp_path):
    base = picture()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise for viewing
    base.save(tmp_path / "turned.png", exif=exif)
    expected = np.asarray(base.transpose(Image.Transpose.ROTATE_270)).transpose(2, 0, 1)
    assert np.array_equal(decode((tmp_path / "turned.png").read_bytes(), 16).images[0], expected)


def test_the_short_side_is_stored_and_the_aspect_kept(tmp_path):
    picture(300, 200).save(tmp_path / "wide.png")
    assert decode((tmp_path / "wide.png").read_bytes(), 20).images[0].shape == (3, 20, 30)
    picture(10, 40).save(tmp_path / "tall.png")  # aspect 4 is cut to 3; small images are enlarged
    assert decode((tmp_path / "tall.png").read_bytes(), 20).images[0].shape == (3, 60, 20)
    expected = as_float(picture(300, 200).resize((30, 20), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(decode((tmp_path / "wide.png").read_bytes(), 20).images[0] - expected).max() == 0


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_corrupt_files_have_a_reason(tmp_path, content):
    path = tmp_path / "x.jpg"
    if content is None:
        picture(200, 200).save(path)
        content = path.read_bytes()[:1200]
    path.write_bytes(content)
    with pytest.raises(CorruptImage, match=r"\w"):
        decode(path.read_bytes(), 16)


def test_a_prepared_folder(images, cache):
    data = get(images, cache)
    assert data.name == "set"
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0] * 10 + [1] * 10
    assert data.test.labels.tolist() == [0] * 4 + [1] * 4
    assert data.val_mask.sum() == 2
    batch, sizes = Resident(data.train.images, torch.device("cpu")).batch(torch.tensor([3, 11]))
    assert sizes.tolist() == [[16, 24]] * 2
    for row, seed in enumerate((3, 1)):
        assert np.array_equal(batch[row].numpy(), np.asarray(picture(seed=seed)).transpose(2, 0, 1))


def test_a_batch_of_several_sizes_is_padded(tmp_path, cache):
    for name in "ab":
        fill(tmp_path / "set" / name, 3, width=24)
        (tmp_path / "set" / name / "tall.png").unlink(missing_ok=True)
        picture(16, 40).save(tmp_path / "set" / name / "tall.png")
        picture(16, 16).save(tmp_path / "set" / name / "square.png")
    data = get(tmp_path / "set", cache)
    images = data.train.images
    batch, sizes = Resident(images, torch.device("cpu")).batch(torch.arange(len(images)))
    assert batch.shape[2:] == tuple(sizes.amax(0).tolist())
    for image, (h, w) in zip(batch, sizes.tolist(), strict=True):
        assert image[:, h:].sum() == image[:, :, w:].sum() == 0
        assert image[:, :h, :w].float().mean() > 20


def test_a_folder_without_split_is_split_by_seed(tmp_path, cache):
    for name in ("a", "b", "c"):
        fill(tmp_path / "set" / name, 20)
    data = get(tmp_path / "set", cache)
    assert (len(data.train.labels), len(data.test.labels)) == (48, 12)
    assert data.test.labels.bincount().tolist() == [4, 4, 4]
    shutil.copytree(tmp_path / "set", tmp_path / "moved")
    moved = get(tmp_path / "moved", cache)
    assert moved.fingerprint == data.fingerprint  # content, not place
    assert all(map(torch.equal, moved.test.images.pixels, data.test.images.pixels))


def test_inner_folders_are_groups(tmp_path, cache):
    for name in ("a", "b"):
        for slide in range(6):
            fill(tmp_path / "set" / name / f"slide{slide}", 5)
    data = get(tmp_path / "set", cache)
    train, val = set(data.train.groups[~data.val_mask].tolist()), set(data.train.groups[data.val_mask].tolist())
    assert val
    assert not train & val
    assert len(data.test.labels) % 5 == 0  # whole slides


def test_val_may_stand_for_test_and_hidden_files_do_not_count(images, cache):
    (images / "test").rename(images / "val")
    (images / "train" / "cat" / ".hidden.png").write_bytes(b"x")
    (images / "train" / ".trash").mkdir()
    (images / "train" / "cat" / "notes.txt").write_text("x")
    assert len(get(images, cache).train.labels) == 20


def test_symbolic_links_are_followed(images, cache):
    (images / "train" / "dog").rename(images.parent / "elsewhere")
    (images / "train" / "dog").symlink_to(images.parent / "elsewhere")
    assert get(images, cache).train.labels.bincount().tolist() == [10, 10]


def test_decoding_and_hashing_happen_once(images, tmp_path, monkeypatch):
    counts = {"decode": 0, "hash": 0}
    decode_, sha256 = ablate.data.decoding.shards.decode, ablate.data.decoding.contents.hashlib.sha256

    def counted_decode(*args):
        counts["decode"] += 1
        return decode_(*args)

    def counted_hash(*args):
        counts["hash"] += 1
        return sha256(*args)

    monkeypatch.setattr(ablate.data.decoding.shards, "decode", counted_decode)
    fake = type("hashlib", (), {"sha256": staticmethod(counted_hash)})
    monkeypatch.setattr(ablate.data.decoding.contents, "hashlib", fake)
    cache = tmp_path / "cache"
    first = get(images, cache)
    assert counts == {"decode": 28, "hash": 28}
    get(images, cache)
    assert counts == {"decode": 28, "hash": 28}  # the manifest is as it was
    (images / "train" / "cat" / "0.png").touch()
    assert get(images, cache).fingerprint == first.fingerprint
    assert counts == {"decode": 28, "hash": 56}  # hashed again, found equal, not decoded again
    picture(seed=50).save(images / "train" / "cat" / "0.png")
    assert get(images, cache).fingerprint != first.fingerprint
    assert counts == {"decode": 56, "hash": 84}


def test_another_size_is_another_entry(images, cache):
    small, large = get(images, cache, 16), get(images, cache, 96)
    assert small.fingerprint != large.fingerprint
    assert large.train.images.sizes.amin(1).unique().tolist() == [110]  # 96 / 0.875: room for the centre crop


def test_a_damaged_cache_is_rebuilt(images, tmp_path):
    cache = tmp_path / "cache"
    data = get(images, cache)
    pixels = cache / "sets" / data.fingerprint / "train.00000.pixels"
    expected = pixels.read_bytes()
    pixels.write_bytes(expected[:100])
    assert get(images, cache).fingerprint == data.fingerprint
    assert pixels.read_bytes() == expected
    (cache / "sets" / data.fingerprint / "meta.json").write_text("{")
    get(images, cache)
    assert pixels.read_bytes() == expected


def _prepare_in_process(root, cache, ready, queue):
    import ablate.data.decoding.shards as module

    decoded, real = [], module.decode
    module.decode = lambda *args: (decoded.append(1), real(*args))[1]
    ready.wait()
    get(root, cache)
    queue.put(len(decoded))


@pytest.mark.slow
def test_two_processes_build_it_once(images, tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, queue = context.Event(), context.Queue()
    args = (images, tmp_path / "cache", ready, queue)
    processes = [context.Process(target=_prepare_in_process, args=args) for _ in range(2)]
    for process in processes:
        process.start()
    ready.set()
    counts = sorted(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert counts == [0, 28]


def test_corrupt_files_are_named_counted_and_skipped_on_request(images, cache):
    for number in (3, 5):
        (images / "train" / "dog" / f"{number}.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(UsageError, match=r"2 corrupt image files: train/dog/3\.png .*--skip-corrupt"):
        get(images, cache)
    data = get(images, cache, skip_corrupt=True)
    assert len(data.train.labels) == 18
    assert [name.split()[0] for name in data.corrupt] == ["train/dog/3.png", "train/dog/5.png"]
    with pytest.raises(UsageError, match="2 corrupt"):
        get(images, cache)  # still refused without the flag, though the entry is there now


def test_many_corrupt_files_are_not_all_listed(images, cache):
    for number in range(8):
        (images / "train" / "dog" / f"{number}.png").write_bytes(b"x")
    with pytest.raises(UsageError) as caught:
        get(images, cache)
    assert str(caught.value).count(".png") == 5
    assert "8 corrupt" in str(caught.value)


@pytest.mark.parametrize(
    ("prepare_case", "expected"),
    [
        (shutil.rmtree, "no directory"),
        (lambda root: [shutil.rmtree(root / s / c) for s in ("train", "test") for c in ("cat", "dog")], "no images"),
        (lambda root: shutil.rmtree(root / "train" / "dog"), "has the class 'dog'"),
        (lambda root: [shutil.rmtree(root / "test" / c) for c in ("cat", "dog")], "test set"),
        (lambda root: shutil.rmtree(root / "test"), "neither test/ nor val/"),
        (lambda root: fill(root / "test" / "bird"), "'bird'"),
        (lambda root: [p.unlink() for p in (root / "train").rglob("*.png") if p.stem != "1"], "too few training"),
    ],
    ids=["missing", "empty", "class of the test set only", "empty test", "no test", "unknown class", "too few"],
)
def test_unfit_folders(images, cache, prepare_case, expected):
    prepare_case(images)
    with pytest.raises(UsageError) as caught:
        get(images, cache)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_sentence_and_leaves_no_litter(images, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ablate.data.entry.np.save", full)
    with pytest.raises(UsageError, match=r"No space left on device.*--cache"):
        get(images, tmp_path / "cache")
    assert not [p for part in ("sets", "staging") for p in (tmp_path / "cache" / part).iterdir() if p.is_dir()]


def test_progress_is_told(images, tmp_path):
    seen = []
    get(images, tmp_path / "cache", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (28, 28)


def test_folders_that_links_lead_to_again_are_entered_once(tmp_path, cache):
    for name in "ab":
        fill(tmp_path / "set" / name, 10)
        (tmp_path / "set" / name / "again").symlink_to(".")
        (tmp_path / "set" / name / "and_again").symlink_to(".")
    data = get(tmp_path / "set", cache)
    assert len(data.train.labels) + len(data.test.labels) == 20


def test_groups_are_folders_of_the_class_folder_at_any_depth(tmp_path, cache):
    for name in "ab":
        for slide in range(6):
            for part in range(3):
                fill(tmp_path / "set" / name / f"slide{slide}" / f"part{part}", 2)
    data = get(tmp_path / "set", cache)
    assert len(data.test.labels) % 6 == 0  # whole slides
    assert len(data.train.groups.unique()) + len(data.test.groups.unique()) == 12


def test_a_class_in_one_inner_folder_is_named(tmp_path, cache):
    fill(tmp_path / "set" / "a")
    fill(tmp_path / "set" / "b" / "imgs")
    with pytest.raises(UsageError, match=r"the class 'b' .* one inner folder"):
        get(tmp_path / "set", cache)


@pytest.mark.parametrize("held", [("one",), ("one", "two")])
def test_several_data_sets_are_not_taken_for_classes(tmp_path, cache, held):
    for name in held:
        for split in ("train", "test"):
            for label in "ab":
                fill(tmp_path / "sets" / name / split / label)
    with pytest.raises(UsageError) as caught:
        get(tmp_path / "sets", cache)
    assert f"the folder{'s one, two have' if len(held) > 1 else ' one has'} train/ and test/" in str(caught.value)
    assert f"such as folder:{tmp_path}/sets/one" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert get(tmp_path / "sets" / "one", cache).classes == ("a", "b")


def test_folders_that_hold_nothing_but_folders_may_be_data_sets_and_this_is_told(tmp_path, cache):
    for name in ("cells", "leaves"):
        for inner in ("a", "b", "c"):
            fill(tmp_path / "sets" / name / inner)

    def read(root):
        return [note for note in get(root, cache).notes if "was read with" in note]

    (told,) = read(tmp_path / "sets")
    assert "its folders for classes (cells, leaves), and the folders in them for groups" in told
    assert "(in cells: a, b, c)" in told
    assert f"give one data set, such as folder:{tmp_path}/sets/cells" in told
    assert read(tmp_path / "sets" / "cells") == []  # classes of images
    picture().save(tmp_path / "sets" / "leaves" / "loose.png")  # a class with images of its own is no data set
    assert read(tmp_path / "sets") == []


def test_a_dangling_link_is_a_corrupt_file_and_not_the_caches_fault(images, cache):
    (images / "train" / "cat" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(UsageError, match=r"1 corrupt image file: train/cat/gone.png"):
        get(images, cache)
    assert len(get(images, cache, skip_corrupt=True).corrupt) == 1


def test_names_that_are_not_utf8(images, cache):
    os.rename(images / "train" / "cat" / "0.png", os.fsencode(images / "train" / "cat") + b"/\xff.png")  # noqa: PTH104
    assert len(get(images, cache).train.labels) == 20
    with open(os.fsencode(images / "train" / "cat") + b"/\xfe.png", "wb") as file:  # noqa: PTH123
        file.write(b"not an image")
    with pytest.raises(UsageError, match="1 corrupt image file") as caught:
        get(images, cache)
    str(caught.value).encode()


def test_the_sizes_of_the_classes_are_counted_and_told(tmp_path, cache):
    for name, count in (("ant", 2), ("bee", 12), ("cat", 6)):
        fill(tmp_path / "set" / "train" / name, count)
        fill(tmp_path / "set" / "test" / name, 4)
    data = get(tmp_path / "set", cache)
    assert data.class_counts == (2, 12, 6)
    assert "3 classes of 2 to 12 images (60 % in the largest), 20 training images" in str(data)


def test_classes_of_equal_size_are_told_in_one_number(images, cache):
    data = get(images, cache)
    assert data.class_counts == (10, 10)
    assert "2 classes of 10 images, 20 training images" in str(data)
