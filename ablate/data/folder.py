"""The user's own images: ``folder:PATH``, decoded in parallel into shards; each file is read once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablate.data.dataset import split_by_group
from ablate.data.digest import digest_of, listing_of, stat_of
from ablate.data.entry import Progress, Writer
from ablate.data.findings import Shard, left_out, levels_of, notes, refusal
from ablate.data.scan import SPLIT_SEED, TEST, File, groups_of, scan
from ablate.data.shards import Task, digest
from ablate.data.workers import finish_all
from ablate.errors import UsageError

VERSION = "1"  # version of scanning, decoding and splitting; raise it when the same files give other pixels or splits
RECORDS = "2"  # version of the records of shards
VALIDATION = 0.1
CHUNK = 4096  # files that are given to the hashing threads at once
SHARD_BYTES = 1 << 28
SHARD_FILES = (64, 1024)
GENERIC = {"data", "dataset", "images", "imgs", "pictures", "train"}
SHARDS = 64  # least number of shards, to occupy as many cores; fewer if a shard would have too few files


class Folder:
    """The source of ``folder:PATH``; see :func:`ablate.data.scan.scan` for how images may lie there.

    Args:
        path: the directory of the images.
        short: the short side at which the images are stored, in pixels.
        skip_corrupt: leave out files that are unreadable or would be damaged, instead of refusing the set.

    Raises:
        UsageError: there is no such directory, it has no images, or the test set is empty.
    """

    def __init__(self, path: Path, short: int, *, skip_corrupt: bool) -> None:
        if not path.is_dir():
            there = f"{path} is a file, not a directory" if path.exists() else f"there is no directory {path}"
            raise UsageError(f"folder: {there}")
        self.root, self.short, self.skip_corrupt = path, short, skip_corrupt
        self.identity = f"folder {path.absolute()} {short}"
        self.preparation = f"folder {VERSION} {short} {TEST} {VALIDATION} {SPLIT_SEED}"
        self.listing = scan(path)
        self.notes = self.listing.left_out
        self.files = [*self.listing.train, *self.listing.test]
        self.relpaths = [file.relpath for file in self.files]

    @cached_property
    def _stats(self) -> list[tuple[str, str]]:
        return [stat_of(self.root / relpath) for relpath in self.relpaths]

    def signature(self) -> str:
        """Return a digest of names and sizes, equal for folders of equal content."""
        return digest_of(self.preparation, listing_of(self.relpaths, (size for size, _ in self._stats)))

    def manifest(self) -> str:
        """Return a digest of names, sizes and times; while it is the same, no content has changed."""
        return _manifest(self.relpaths, self._stats)

    def fingerprint(self, like: Mapping[str, Any]) -> str:
        """Return a digest of every file's path and content and of the preparation and split; this reads every file.

        The levels of 16-bit grey are taken from ``like``, since equal files have equal levels.
        """
        return self._fingerprint(self._digests(), like.get("levels"))

    def _digests(self) -> Iterator[str]:
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self.relpaths), CHUNK):
                chunk = self.relpaths[start : start + CHUNK]
                yield from pool.map(lambda relpath: digest(self.root / relpath)[0], chunk)

    def _fingerprint(self, digests: Iterable[str], levels: Sequence[int] | None) -> str:
        scaled = [f"16-bit grey {levels[0]} {levels[1]}"] if levels else []
        return digest_of(self.preparation, listing_of(self.relpaths, digests), *scaled)

    def write(self, writer: Writer, progress: Progress) -> str:
        """Decode every file that is not decoded in ``writer``'s directory yet, and return the fingerprint.

        Raises:
            UsageError: there are corrupt or refused files that are not to be skipped (the message names and counts
                them), some images have 8 bits and others 16, or too few images are left.
        """
        split, end = len(self.listing.train), len(self.files)
        first = self._tasks(writer, "train", 0, split)
        tasks = [*first, *self._tasks(writer, "test", split, end)]
        shards = _finished(tasks, progress)
        corrupt, refused = left_out(shards)
        if (corrupt or refused) and not self.skip_corrupt:
            raise UsageError(refusal(corrupt, refused))
        levels = levels_of(shards[: len(first)], shards[len(first) :])
        if levels:  # known only now: images of 16 bits are decoded a second time
            shards = _finished([replace(task, levels=levels) for task in tasks], progress)
        train, test = shards[: len(first)], shards[len(first) :]
        val_mask = self._split(writer, "train", self.listing.train, train)
        self._split(writer, "test", self.listing.test, test)
        if not val_mask.any():
            raise UsageError(
                f"folder: {self.root} has too few training images to keep some for validation: "
                "a class needs at least two images, or two inner folders of images"
            )
        found = {"corrupt": corrupt, "refused": refused, "levels": levels, "notes": notes(train, test, levels)}
        name, listing = named(self.root), self.listing
        writer.describe(name, listing.classes, val_mask, carved=listing.carved, found=found)
        return self._fingerprint((name for _, record in shards for name in record["digests"]), levels)

    def _tasks(self, writer: Writer, split: str, first: int, end: int) -> list[Task]:
        """Return the shards of files ``first`` to ``end``; their size depends on the folder, not on the machine."""
        least, most = SHARD_FILES
        most = min(most, max(1, SHARD_BYTES // (4 * self.short**2)))  # three channels, 4:3
        size = min(most, max(least, math.ceil(len(self.files) / SHARDS)))
        root, tasks = str(self.root.absolute()), []
        for number, start in enumerate(range(first, end, size)):
            part = slice(start, min(start + size, end))
            key = digest_of(root, self.preparation, RECORDS, _manifest(self.relpaths[part], self._stats[part]))
            tasks.append(Task(key, root, self.relpaths[part], self.short, str(writer.shard(split, number))))
        return tasks

    def _split(self, writer: Writer, split: str, files: list[File], shards: list[Shard]) -> Tensor:
        """Describe a split to ``writer``, and return the mask of its images that would be for validation."""
        images = [image for _, record in shards for image in record["images"]]
        kept = [file for file, image in zip(files, images, strict=True) if not isinstance(image, str)]
        if not kept:
            name = "training" if split == "train" else "test"
            raise UsageError(f"folder: no readable {name} image is left in {self.root}")
        labels, groups = torch.tensor([file.label for file in kept]), groups_of(kept)
        sizes = [[image for image in record["images"] if not isinstance(image, str)] for _, record in shards]
        writer.ragged(split, sizes, labels if self.listing.classes else torch.full_like(labels, -1), groups)
        return split_by_group(labels, groups, VALIDATION, SPLIT_SEED)


def named(path: Path) -> str:
    """Return the name of a folder's images.

    It is the folder's own name, or that of the nearest folder above it if its own is generic, like ``data``.
    """
    path = path.absolute()
    names = (part.name for part in (path, *path.parents) if part.name and part.name.lower() not in GENERIC)
    return next(names, path.name)


def _finished(tasks: Sequence[Task], progress: Progress) -> list[Shard]:
    finish_all(tasks, progress)
    return [(task, json.loads(task.record.read_bytes())) for task in tasks]


def _manifest(relpaths: list[str], stats: list[tuple[str, str]]) -> str:
    return digest_of(listing_of(relpaths, *zip(*stats, strict=True)))
