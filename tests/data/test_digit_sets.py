"""MNIST, Fashion-MNIST and SVHN in files of the real formats, written here."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch
import torchvision
from scipy.io import savemat

from ablate.config.reading import Reading
from ablate.data import native_size, prepare
from ablate.errors import UsageError

RNG = np.random.default_rng(0)
COUNTS = {"train": 40, "t10k": 20}
GREY = {name: RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8) for name, count in COUNTS.items()}
COLOUR = {name: RNG.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8) for name, count in COUNTS.items()}
LABELS = {name: (np.arange(count) % 10).astype(np.uint8) for name, count in COUNTS.items()}


def idx(values):
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write(folder, dash="-", ending=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name in COUNTS:
        for kind, values in ((f"images{dash}idx3", GREY[name]), (f"labels{dash}idx1", LABELS[name])):
            content = idx(values)
            path = folder / f"{name}-{kind}-ubyte{ending}"
            path.write_bytes(gzip.compress(content) if ending else content)
    return folder


def check(data, pixels):
    for split, name in ((data.train, "train"), (data.test, "t10k")):
        assert torch.equal(split.images.pixels, torch.from_numpy(pixels[name]))
        assert split.labels.tolist() == LABELS[name].tolist()
    assert data.val_mask.sum() == 10


@pytest.mark.parametrize("kind", ["mnist", "fashion-mnist"])
def test_every_spelling_gives_the_same_images(tmp_path, cache, kind):
    inner = "MNIST" if kind == "mnist" else "FashionMNIST"
    folders = [
        write(tmp_path / "a"),
        write(tmp_path / "b", ".", ".gz"),
        write(tmp_path / "c" / inner / "raw", "-", ".gz").parents[1],
    ]
    found = [prepare(f"{kind}:{folder}", cache=cache) for folder in folders]
    for data in found:
        check(data, {name: values[:, None].repeat(3, 1) for name, values in GREY.items()})
    assert len({data.fingerprint for data in found}) == 1
    assert found[0].classes == tuple(
        map(str, range(10)) if kind == "mnist" else torchvision.datasets.FashionMNIST.classes
    )
    assert native_size(f"{kind}:{tmp_path}") == 28


def test_grey_images_can_be_stored_once(tmp_path, cache):
    whole, once = (
        prepare(f"mnist:{write(tmp_path)}", cache=cache, reading=Reading(channels=channels)) for channels in (None, 1)
    )
    check(once, {name: values[:, None] for name, values in GREY.items()})
    assert (whole.identity.channels, once.identity.channels) == (3, 1)
    assert whole.fingerprint != once.fingerprint
    with pytest.raises(UsageError, match="can be read so"):
        prepare(f"svhn:{matlab(tmp_path)}", cache=cache, reading=Reading(channels=1))


def test_the_same_files_under_another_name_are_another_set(tmp_path, cache):
    write(tmp_path)
    a, b = (prepare(f"{kind}:{tmp_path}", cache=cache) for kind in ("mnist", "fashion-mnist"))
    assert a.fingerprint != b.fingerprint


def matlab(folder, **change):
    for name, file in (("train", "train_32x32.mat"), ("t10k", "test_32x32.mat")):
        labels = np.where(LABELS[name] == 0, 10, LABELS[name])[:, None]
        savemat(folder / file, {"X": COLOUR[name].transpose(2, 3, 1, 0), "y": labels} | change)
    return folder


def test_svhn(tmp_path, cache):
    data = prepare(f"svhn:{matlab(tmp_path)}", cache=cache)
    check(data, COLOUR)
    assert data.classes == tuple(map(str, range(10)))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "train-images-idx3-ubyte",
            idx(GREY["train"])[:-1],
            "31359 bytes of values, and its header says [40, 28, 28]",
        ),
        ("train-images-idx3-ubyte", idx(GREY["t10k"]), "holds 20 images, and train-labels-idx1-ubyte not as many"),
        ("train-labels-idx1-ubyte", idx(GREY["train"]), "no idx file of bytes in 1 dimensions"),
        ("train-labels-idx1-ubyte", b"", "no idx file"),
        ("train-labels-idx1-ubyte", idx(np.full(40, 10, dtype=np.uint8)), "labels of 0 to 9"),
        ("t10k-labels-idx1-ubyte", None, "lacks t10k-labels-idx1-ubyte"),
        ("t10k-labels-idx1-ubyte.gz", b"no gzip", "cannot be read"),
    ],
)
def test_damaged_idx_files_are_one_sentence(tmp_path, cache, name, content, words):
    write(tmp_path)
    (tmp_path / name.removesuffix(".gz")).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refused(f"mnist:{tmp_path}", cache, words)


def test_damaged_matlab_files_are_one_sentence(tmp_path, cache):
    matlab(tmp_path, y=np.ones(3))
    refused(f"svhn:{tmp_path}", cache, "as many labels y")
    (tmp_path / "test_32x32.mat").write_bytes(b"no")
    (tmp_path / "train_32x32.mat").write_bytes(b"no")
    refused(f"svhn:{tmp_path}", cache, "train_32x32.mat cannot be read")
    (tmp_path / "test_32x32.mat").unlink()
    refused(f"svhn:{tmp_path}", cache, "lacks test_32x32.mat")


def refused(spec, cache, words):
    with pytest.raises(UsageError) as caught:
        prepare(spec, cache=cache)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
