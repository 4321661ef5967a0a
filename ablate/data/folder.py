"""One's own images: ``folder:PATH`` with one folder per class, split by hand or by seed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ablate.config import SMALL_IMAGE
from ablate.data.cache import Progress, Writer, digest_of, manifest_of
from ablate.data.dataset import split_by_group
from ablate.data.decode import EXTENSIONS, Corrupt, decode
from ablate.errors import UsageError, printable

VERSION = "1"  # of scanning, decoding and splitting; raise it when the same files give other pixels or splits
TEST, VALIDATION, SPLIT_SEED = 0.2, 0.1, 0
CHUNK = 512  # files decoded at once
SHOWN = 5


@dataclass(frozen=True)
class File:
    """One image file: its class, and its group: the folder of its class folder that it lies in, at any depth, if any.

    The same folder name under two classes is two groups.
    """

    path: Path
    label: int
    group: str


class Folder:
    """The source of ``folder:PATH``: ``PATH/train/CLASS/*`` with ``PATH/test/CLASS/*`` (or val/), or ``PATH/CLASS/*``.

    Args:
        path: where the images are.
        image_size: training size in pixels; the short side is stored at that, or above 64 px at 1/0.875 of it,
            so that evaluation's centre crop has its pixels.
        skip_corrupt: leave unreadable files out instead of refusing the set.

    Raises:
        UsageError: no such directory, no images, one class only, an empty test set.
    """

    def __init__(self, path: Path, image_size: int, *, skip_corrupt: bool) -> None:
        if not path.is_dir():
            raise UsageError(f"folder: there is no directory {path}")
        self.root, self.skip_corrupt = path, skip_corrupt
        self.short = image_size if image_size <= SMALL_IMAGE else round(image_size / 0.875)
        self.identity = f"folder {path.absolute()} {self.short}"
        try:
            self.classes, self.train, self.test = _scan(path)
        except OSError as error:
            _refuse(error)

    def manifest(self) -> str:
        """Names, sizes and times of all files."""
        return manifest_of(self.root, [file.path for file in (*self.train, *self.test)])

    def fingerprint(self) -> str:
        """Of every file's place and content, and of how they are prepared and split."""
        files = [*self.train, *self.test]
        with ThreadPoolExecutor() as pool:
            digests = list(pool.map(lambda file: _digest(file.path), files))
        places = [str(file.path.relative_to(self.root)) for file in files]
        listing = "\n".join(f"{place}\0{digest}" for place, digest in zip(places, digests, strict=True))
        return digest_of(f"folder {VERSION} {self.short} {TEST} {VALIDATION} {SPLIT_SEED}", listing)

    def write(self, writer: Writer, progress: Progress) -> None:
        """Decode every file once; UsageError naming and counting the corrupt ones unless they are to be skipped."""
        total, corrupt = len(self.train) + len(self.test), []
        kept: dict[str, list[File]] = {}
        sizes: dict[str, list[tuple[int, int]]] = {}
        done = 0
        for split, files in (("train", self.train), ("test", self.test)):
            kept[split], sizes[split] = [], []
            with writer.pixels_path(split).open("wb") as out:
                for file, image in self._decoded(files):
                    done += 1
                    progress(done, total)
                    if isinstance(image, Corrupt):
                        corrupt.append(printable(f"{file.path.relative_to(self.root)} ({image})"))
                        continue
                    out.write(np.ascontiguousarray(image).tobytes())
                    kept[split].append(file)
                    sizes[split].append((image.shape[1], image.shape[2]))
        if corrupt and not self.skip_corrupt:
            raise UsageError(refusal(corrupt))
        self._describe(writer, kept, sizes, corrupt)

    def _decoded(self, files: list[File]) -> Iterator[tuple[File, np.ndarray | Corrupt]]:
        def attempt(file: File) -> np.ndarray | Corrupt:
            try:
                return decode(file.path, self.short)
            except Corrupt as error:
                return error

        with ThreadPoolExecutor() as pool:
            for start in range(0, len(files), CHUNK):
                chunk = files[start : start + CHUNK]
                yield from zip(chunk, pool.map(attempt, chunk), strict=True)

    def _describe(
        self, writer: Writer, kept: dict[str, list[File]], sizes: dict[str, list[tuple[int, int]]], corrupt: list[str]
    ) -> None:
        labels = {split: torch.tensor([file.label for file in files]) for split, files in kept.items()}
        groups = {split: _groups(files) for split, files in kept.items()}
        for split, name in (("train", "training"), ("test", "test")):
            if not kept[split]:
                raise UsageError(f"folder: no readable {name} image is left in {self.root}")
            writer.ragged(split, sizes[split], labels[split], groups[split])
        val_mask = split_by_group(labels["train"], groups["train"], VALIDATION, SPLIT_SEED)
        if not val_mask.any():
            raise UsageError(
                f"folder: {self.root} has too few training images to keep some for validation: "
                "a class needs at least two images, or two inner folders of images"
            )
        writer.describe(self.root.absolute().name, self.classes, val_mask, corrupt=corrupt)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:  # a dangling link, for instance; decoding will name it
        return f"unreadable: {error.strerror}"


def refusal(corrupt: list[str] | tuple[str, ...]) -> str:
    """The sentence that names and counts corrupt files."""
    names = ", ".join(corrupt[:SHOWN]) + (", ..." if len(corrupt) > SHOWN else "")
    return f"{len(corrupt)} corrupt image file{'s' * (len(corrupt) > 1)}: {names}; --skip-corrupt goes on without"


def _scan(root: Path) -> tuple[list[str], list[File], list[File]]:
    """Class names, training files and test files, in a fixed order."""
    train_root = root / "train"
    if not train_root.is_dir():
        classes = _class_names(root)
        files = _files(root, classes)
        _check(root, classes, files)
        is_test = split_by_group(torch.tensor([f.label for f in files]), _groups(files), TEST, SPLIT_SEED).tolist()
        test = [file for file, chosen in zip(files, is_test, strict=True) if chosen]
        train = [file for file, chosen in zip(files, is_test, strict=True) if not chosen]
        whole = [name for i, name in enumerate(classes) if not any(file.label == i for file in test)]
        if whole:
            raise UsageError(
                f"folder: the class {whole[0]!r} of {root} cannot be split into training and test images: it has one "
                "image, or one inner folder, whose images are kept together; add images, or make train/ and test/"
            )
        return classes, train, test
    test_root = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if test_root is None:
        raise UsageError(
            f"folder: {root} has train/ but neither test/ nor val/; add one, or put the class folders side by side"
        )
    classes = _class_names(train_root)
    train = _files(train_root, classes)
    _check(train_root, classes, train)
    strangers = [name for name in _class_names(test_root) if name not in classes]
    if strangers:
        raise UsageError(f"folder: {test_root} has the class {strangers[0]!r}, which {train_root} has not")
    test = _files(test_root, classes)
    if not test:
        raise UsageError(
            f"folder: the test set {test_root} is empty: no image of the classes {', '.join(classes[:SHOWN])}"
        )
    return classes, train, test


def _check(root: Path, classes: list[str], files: list[File]) -> None:
    if not files:
        raise UsageError(
            f"folder: {root} holds no images in class folders (looked for CLASS/*{', *'.join(EXTENSIONS)})"
        )
    present = sorted({file.label for file in files})
    if len(present) == 1:
        raise UsageError(
            f"folder: {root} has images of one class only ({classes[present[0]]!r}); at least two are needed"
        )


def _class_names(root: Path) -> list[str]:
    """The folders of ``root`` that hold an image; hidden ones do not count."""
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [folder.name for folder in folders if next(_images(folder), None) is not None]


def _files(root: Path, classes: list[str]) -> list[File]:
    found: list[File] = []
    for label, name in enumerate(classes):
        paths = sorted(_images(root / name)) if (root / name).is_dir() else []
        found += [File(path, label, str(Path(*path.relative_to(root).parts[:2]))) for path in paths]
    return found


def _images(folder: Path) -> Iterator[Path]:
    """Every image file below ``folder``; a folder that links lead to again is entered once."""
    seen: set[tuple[int, int]] = set()
    for directory, inner, names in os.walk(folder, followlinks=True, onerror=_refuse):
        stat = Path(directory).stat()
        if (stat.st_dev, stat.st_ino) in seen:
            inner.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and name.lower().endswith(EXTENSIONS):
                yield Path(directory) / name


def _refuse(error: OSError) -> None:
    raise UsageError(f"folder: cannot read {error.filename} ({error.strerror})") from error


def _groups(files: list[File]) -> Tensor:
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(file.group, len(numbers)) for file in files], dtype=torch.long)
