"""One's own images: ``folder:PATH``, decoded in parallel into shards, each file read once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablate.data.dataset import split_by_group
from ablate.data.digest import digest_of, listing_of, stat_of
from ablate.data.entry import Progress, Writer
from ablate.data.scan import SHOWN, SPLIT_SEED, TEST, File, groups_of, scan
from ablate.data.shards import Task, digest
from ablate.data.workers import finish_all
from ablate.errors import UsageError, printable

VERSION = "1"  # of scanning, decoding and splitting; raise it when the same files give other pixels or splits
VALIDATION = 0.1
CHUNK = 4096  # files whose hashes are asked for at once
SHARD_BYTES = 1 << 28
SHARD_FILES = (64, 1024)
SHARDS = 64  # at least, where that leaves a shard its smallest number of files: work for as many cores


class Folder:
    """The source of ``folder:PATH``; :func:`ablate.data.scan.scan` says how images may lie there.

    Args:
        path: where the images are.
        short: what the images' short side is stored at, in pixels.
        skip_corrupt: leave unreadable files out instead of refusing the set.

    Raises:
        UsageError: no such directory, no images, an empty test set.
    """

    def __init__(self, path: Path, short: int, *, skip_corrupt: bool) -> None:
        if not path.is_dir():
            raise UsageError(f"folder: there is no directory {path}")
        self.root, self.short, self.skip_corrupt = path, short, skip_corrupt
        self.identity = f"folder {path.absolute()} {short}"
        self.preparation = f"folder {VERSION} {short} {TEST} {VALIDATION} {SPLIT_SEED}"
        self.listing = scan(path)
        self.files = [*self.listing.train, *self.listing.test]
        self.places = [file.place for file in self.files]

    @cached_property
    def _stats(self) -> list[tuple[str, str]]:
        return [stat_of(self.root / place) for place in self.places]

    def signature(self) -> str:
        """Of names and sizes: folders of equal content have the same."""
        return digest_of(self.preparation, listing_of(self.places, (size for size, _ in self._stats)))

    def manifest(self) -> str:
        """Of names, sizes and times: unless that changes, no content did."""
        return _manifest(self.places, self._stats)

    def fingerprint(self) -> str:
        """Of every file's place and content, and of how they are prepared and split; reads everything."""
        return self._fingerprint(self._digests())

    def _digests(self) -> Iterator[str]:
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self.places), CHUNK):
                chunk = self.places[start : start + CHUNK]
                yield from pool.map(lambda place: digest(self.root / place)[0], chunk)

    def _fingerprint(self, digests: Iterable[str]) -> str:
        return digest_of(self.preparation, listing_of(self.places, digests))

    def write(self, writer: Writer, progress: Progress) -> str:
        """Decode every file that is not decoded in ``writer``'s directory yet; returns the fingerprint.

        Raises:
            UsageError: corrupt files that are not to be skipped, named and counted; too few images are left.
        """
        split, end = len(self.listing.train), len(self.files)
        train, test = self._tasks(writer, "train", 0, split), self._tasks(writer, "test", split, end)
        finish_all([*train, *test], progress)
        records = [json.loads(task.record.read_bytes()) for task in (*train, *test)]
        images = [image for record in records for image in record["images"]]
        corrupt = [
            printable(f"{place} ({image})")
            for place, image in zip(self.places, images, strict=True)
            if isinstance(image, str)
        ]
        if corrupt and not self.skip_corrupt:
            raise UsageError(refusal(corrupt))
        kept = [None if isinstance(image, str) else file for file, image in zip(self.files, images, strict=True)]
        val_mask = self._split(writer, "train", kept[:split], records[: len(train)])
        self._split(writer, "test", kept[split:], records[len(train) :])
        if not val_mask.any():
            raise UsageError(
                f"folder: {self.root} has too few training images to keep some for validation: "
                "a class needs at least two images, or two inner folders of images"
            )
        name, listing = self.root.absolute().name, self.listing
        writer.describe(name, listing.classes, val_mask, corrupt=corrupt, carved=listing.carved)
        return self._fingerprint(name for record in records for name in record["digests"])

    def _tasks(self, writer: Writer, split: str, first: int, end: int) -> list[Task]:
        """The shards of files ``first`` to ``end``. How many one takes depends on the folder, not on the machine."""
        least, most = SHARD_FILES
        most = min(most, max(1, SHARD_BYTES // (4 * self.short**2)))  # three channels, 4:3
        size = min(most, max(least, math.ceil(len(self.files) / SHARDS)))
        root, tasks = str(self.root.absolute()), []
        for number, start in enumerate(range(first, end, size)):
            part = slice(start, min(start + size, end))
            key = digest_of(root, self.preparation, _manifest(self.places[part], self._stats[part]))
            tasks.append(Task(key, root, self.places[part], self.short, str(writer.shard(split, number))))
        return tasks

    def _split(self, writer: Writer, split: str, kept: list[File | None], records: list[dict[str, Any]]) -> Tensor:
        """Describe a split to ``writer``; returns which of its images would be for validation."""
        files = [file for file in kept if file is not None]
        if not files:
            name = "training" if split == "train" else "test"
            raise UsageError(f"folder: no readable {name} image is left in {self.root}")
        labels, groups = torch.tensor([file.label for file in files]), groups_of(files)
        sizes = [[image for image in record["images"] if not isinstance(image, str)] for record in records]
        writer.ragged(split, sizes, labels if self.listing.classes else torch.full_like(labels, -1), groups)
        return split_by_group(labels, groups, VALIDATION, SPLIT_SEED)


def _manifest(places: list[str], stats: list[tuple[str, str]]) -> str:
    return digest_of(listing_of(places, *zip(*stats, strict=True)))


def refusal(corrupt: Sequence[str]) -> str:
    """The sentence that names and counts corrupt files."""
    names = ", ".join(corrupt[:SHOWN]) + (", ..." if len(corrupt) > SHOWN else "")
    return f"{len(corrupt)} corrupt image file{'s' * (len(corrupt) > 1)}: {names}; --skip-corrupt goes on without"
