"""CIFAR and STL-10 in files of the real formats, written here."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch
import torchvision

from ablate.data import prepare
from ablate.errors import UsageError

RNG = np.random.default_rng(0)
PIXELS = {
    "train": RNG.integers(0, 256, (50, 3, 32, 32), dtype=np.uint8),
    "test": RNG.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8),
}
LABELS = {"train": np.arange(50) % 10, "test": np.arange(20) % 10}
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def cifar10_python(tmp_path, monkeypatch):
    """The official layout; the MD5 sums of these files stand in for the official ones."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def dump(name, content):
        (folder / name).write_bytes(pickle.dumps(content))

    for i in range(5):
        part = slice(10 * i, 10 * i + 10)
        data = PIXELS["train"][part].reshape(10, 3072)
        dump(f"data_batch_{i + 1}", {"data": data, "labels": LABELS["train"][part].tolist()})
    dump("test_batch", {"data": PIXELS["test"].reshape(20, 3072), "labels": LABELS["test"].tolist()})
    dump("batches.meta", {"label_names": NAMES})
    cls = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cls, "train_list", [[f"data_batch_{i}", md5(folder / f"data_batch_{i}")] for i in range(1, 6)])
    monkeypatch.setattr(cls, "test_list", [["test_batch", md5(folder / "test_batch")]])
    monkeypatch.setattr(
        cls, "meta", {"filename": "batches.meta", "key": "label_names", "md5": md5(folder / "batches.meta")}
    )
    return tmp_path


@pytest.fixture
def cifar10_binary(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()

    def dump(name, pixels, labels):
        rows = np.concatenate([labels[:, None].astype(np.uint8), pixels.reshape(len(labels), -1)], 1)
        (folder / name).write_bytes(rows.tobytes())

    for i in range(5):
        part = slice(10 * i, 10 * i + 10)
        dump(f"data_batch_{i + 1}.bin", PIXELS["train"][part], LABELS["train"][part])
    dump("test_batch.bin", PIXELS["test"], LABELS["test"])
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return tmp_path


def check(data, pixels=PIXELS, labels=LABELS):
    assert torch.equal(data.train.images.pixels, torch.from_numpy(pixels["train"]))
    assert torch.equal(data.test.images.pixels, torch.from_numpy(pixels["test"]))
    assert data.train.labels.tolist() == labels["train"].tolist()
    assert data.test.labels.tolist() == labels["test"].tolist()
    assert data.val_mask.sum() == 10  # one of each class of five


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-py"])
def test_cifar10_python_files(cifar10_python, cache, inner):
    data = prepare(f"cifar10:{cifar10_python / inner}", cache=cache, image_size=32)
    check(data)
    assert data.classes == tuple(NAMES)


def test_cifar10_binary_files_are_the_same_data(cifar10_python, cifar10_binary, cache, tmp_path):
    binary = prepare(f"cifar10:{cifar10_binary / 'cifar-10-batches-bin'}", cache=cache, image_size=32)
    check(binary)
    assert binary.classes == tuple(NAMES)
    python = prepare(f"cifar10:{cifar10_python / 'cifar-10-batches-py'}", cache=cache, image_size=32)
    assert python.fingerprint == binary.fingerprint


def test_a_changed_pickle_is_never_unpickled(cifar10_python, cache, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    (cifar10_python / "cifar-10-batches-py" / "data_batch_3").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UsageError, match="complete official cifar10 files: a file's MD5 sum is not the official one"):
        prepare(f"cifar10:{cifar10_python}", cache=cache, image_size=32)
    assert not (tmp_path / "owned").exists()


def test_cifar100_binary_takes_the_fine_labels(tmp_path, cache):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    fine = {"train": np.arange(50) % 25 + 50, "test": np.arange(20) + 50}
    for split in ("train", "test"):
        rows = [
            np.concatenate([[3, label], image.ravel()]) for label, image in zip(fine[split], PIXELS[split], strict=True)
        ]
        (folder / f"{split}.bin").write_bytes(np.array(rows, dtype=np.uint8).tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(f"thing_{i}" for i in range(100)))
    data = prepare(f"cifar100:{tmp_path}", cache=cache, image_size=32)
    assert data.train.labels.tolist() == fine["train"].tolist()
    assert torch.equal(data.train.images.pixels, torch.from_numpy(PIXELS["train"]))
    assert len(data.classes) == 100


def test_stl10_pretrains_on_the_unlabelled_split(tmp_path, cache, monkeypatch):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    pixels = {"train": 30, "test": 20, "unlabeled": 40}
    images = {split: RNG.integers(0, 256, (n, 3, 96, 96), dtype=np.uint8) for split, n in pixels.items()}
    for split, content in images.items():
        (folder / f"{split}_X.bin").write_bytes(content.transpose(0, 1, 3, 2).tobytes())  # column by column
        if split != "unlabeled":
            (folder / f"{split}_y.bin").write_bytes((np.arange(len(content)) % 10 + 1).astype(np.uint8).tobytes())
    (folder / "class_names.txt").write_text("\n".join(NAMES))
    cls = torchvision.datasets.STL10
    sums = {name: [[f"{name}_X.bin", md5(folder / f"{name}_X.bin")]] for name in images}
    for name in ("train", "test"):
        sums[name] += [[f"{name}_y.bin", md5(folder / f"{name}_y.bin")]]
    monkeypatch.setattr(cls, "train_list", [*sums["train"], *sums["unlabeled"]])
    monkeypatch.setattr(cls, "test_list", sums["test"])
    data = prepare(f"stl10:{tmp_path}", cache=cache, image_size=96)
    assert torch.equal(data.pretrain.images.pixels, torch.from_numpy(images["unlabeled"]))
    assert (data.pretrain.labels == -1).all()
    assert torch.equal(data.train.images.pixels, torch.from_numpy(images["train"]))
    assert data.train.labels.tolist() == [i % 10 for i in range(30)]
    assert len(data.test.labels) == 20


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("cifar10:{}/nowhere", "no directory"),
        ("cifar10:{}", "cifar-10-batches-py or cifar-10-batches-bin"),
        ("stl10:{}", "stl10_binary"),
        ("cifar10", "needs a path"),
        ("cifar11:{}", "did you mean 'cifar10'"),
    ],
)
def test_errors(spec, expected, tmp_path, cache):
    with pytest.raises(UsageError) as caught:
        prepare(spec.format(tmp_path), cache=cache, image_size=32)
    assert expected in str(caught.value)


def test_an_incomplete_folder_says_what_it_lacks(cifar10_binary, cache):
    (cifar10_binary / "cifar-10-batches-bin" / "data_batch_4.bin").unlink()
    with pytest.raises(UsageError, match=r"lacks data_batch_4\.bin"):
        prepare(f"cifar10:{cifar10_binary}", cache=cache, image_size=32)


def test_a_truncated_binary_file_is_refused(cifar10_binary, cache):
    path = cifar10_binary / "cifar-10-batches-bin" / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UsageError, match="not a multiple of 3073 bytes"):
        prepare(f"cifar10:{cifar10_binary}", cache=cache, image_size=32)
