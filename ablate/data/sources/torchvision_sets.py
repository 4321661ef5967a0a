"""CIFAR-10, CIFAR-100 and STL-10 in their official files.

torchvision reads them. It unpickles CIFAR's Python files only after checking that their MD5 is the official one. The
binary version of CIFAR, which needs no pickle, is read here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.data.sources.official import OfficialFiles, Part
from ablate.errors import UsageError


@dataclass(frozen=True)
class Format:
    """One official layout on disk: its folder inside the root, its required files, and the functions that read it."""

    folder: str
    files: tuple[str, ...]
    read: Callable[[Path], dict[str, Part]]
    classes: Callable[[Path], list[str]]


def _opened(name: str, root: Path, **part: Any) -> Any:
    """Return a data set of torchvision, whose files it has checked; the import takes a second, so it happens here.

    Raises:
        RuntimeError: a file is not the official one.
    """
    import torchvision

    try:
        return getattr(torchvision.datasets, name)(root, download=False, **part)
    except RuntimeError as error:  # it advises a download
        raise RuntimeError("a file's MD5 sum is not the official one, so it may be incomplete or changed") from error


def _cifar_python(name: str) -> Callable[[Path], dict[str, Part]]:
    def read(root: Path) -> dict[str, Part]:
        parts = {}
        for split in ("train", "test"):
            loaded = _opened(name, root, train=split == "train")
            parts[split] = (loaded.data.transpose(0, 3, 1, 2), torch.tensor(loaded.targets))
        return parts

    return read


def _cifar_binary(
    folder: str, train: tuple[str, ...], test: str, label_bytes: int
) -> Callable[[Path], dict[str, Part]]:
    """Return a reader of CIFAR's binary files.

    A record is ``label_bytes`` labels (the last is the fine one) and 3072 bytes of pixels, channel by channel.
    """

    def read_file(path: Path) -> Part:
        raw = np.fromfile(path, dtype=np.uint8)
        record = label_bytes + 3072
        if len(raw) == 0 or len(raw) % record:
            raise RuntimeError(f"the size of {path} is not a multiple of {record} bytes, the size of one image")
        rows = raw.reshape(-1, record)
        pixels = rows[:, label_bytes:].reshape(-1, 3, 32, 32)
        return pixels, torch.from_numpy(rows[:, label_bytes - 1].astype(np.int64))

    def read(root: Path) -> dict[str, Part]:
        parts = [read_file(root / folder / name) for name in train]
        joined = np.concatenate([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        return {"train": joined, "test": read_file(root / folder / test)}

    return read


def _stl10(root: Path) -> dict[str, Part]:
    parts = {}
    for split in ("train", "test", "unlabeled"):
        loaded = _opened("STL10", root, split=split)
        parts[split] = (loaded.data, torch.from_numpy(np.asarray(loaded.labels)).long())
    return parts


def _names(file: str) -> Callable[[Path], list[str]]:
    return lambda folder: (folder / file).read_text().split()


def _cifar_meta(name: str) -> Callable[[Path], list[str]]:
    return lambda folder: list(_opened(name, folder.parent, train=False).classes)


BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
BINARY_BATCHES = tuple(f"{name}.bin" for name in BATCHES)
STL10_FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin", "class_names.txt")

FORMATS: dict[str, tuple[Format, ...]] = {
    "cifar10": (
        Format("cifar-10-batches-py", (*BATCHES, "test_batch"), _cifar_python("CIFAR10"), _cifar_meta("CIFAR10")),
        Format(
            "cifar-10-batches-bin",
            (*BINARY_BATCHES, "test_batch.bin", "batches.meta.txt"),
            _cifar_binary("cifar-10-batches-bin", BINARY_BATCHES, "test_batch.bin", label_bytes=1),
            _names("batches.meta.txt"),
        ),
    ),
    "cifar100": (
        Format("cifar-100-python", ("train", "test", "meta"), _cifar_python("CIFAR100"), _cifar_meta("CIFAR100")),
        Format(
            "cifar-100-binary",
            ("train.bin", "test.bin", "fine_label_names.txt"),
            _cifar_binary("cifar-100-binary", ("train.bin",), "test.bin", label_bytes=2),
            _names("fine_label_names.txt"),
        ),
    ),
    "stl10": (Format("stl10_binary", STL10_FILES, _stl10, _names("class_names.txt")),),
}


def find_official(kind: str, path: Path) -> OfficialFiles:
    """Return the official files of ``cifar10:PATH``, ``cifar100:PATH`` or ``stl10:PATH``.

    ``PATH`` contains the official folder, or is that folder.

    Raises:
        UsageError: there is no such path, or no complete official folder there.
    """
    if not path.is_dir():
        raise UsageError(f"{kind}: there is no directory {path}")
    incomplete = ""
    for form in FORMATS[kind]:
        folder = path if path.name == form.folder else path / form.folder
        if folder.is_dir():
            missing = [name for name in form.files if not (folder / name).is_file()]
            if not missing:
                return OfficialFiles(
                    folder, form.files, partial(form.read, folder.parent), partial(form.classes, folder)
                )
            incomplete = f"; {folder} lacks {', '.join(missing)}"
    expected = " or ".join(form.folder for form in FORMATS[kind])
    raise UsageError(f"{kind}: {path} holds no complete {expected}{incomplete}")
