"""The source of encoded images, such as the files of a folder: decoded in parallel into shards, each read once."""

from __future__ import annotations

import functools
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

from ablate.data.contents import content_of, contents, file_of
from ablate.data.dataset import split_by_group
from ablate.data.digest import digest_of, listing_of, stat_of
from ablate.data.entry import Progress, Writer
from ablate.data.findings import Shard, left_out, levels_of, notes, refusal
from ablate.data.listing import SPLIT_SEED, TEST, File, Listing, groups_of
from ablate.data.shards import Task
from ablate.data.workers import finish_all
from ablate.errors import UsageError

VERSION = "1"  # version of scanning, decoding and splitting; raise it when the same files give other pixels or splits
RECORDS = "2"  # version of the records of shards
VALIDATION = 0.1
CHUNK = 4096  # files that are given to the hashing threads at once
SHARD_BYTES = 1 << 28
SHARD_FILES = (64, 1024)
SHARDS = 64  # least number of shards, to occupy as many cores; fewer if a shard would have too few files


class Encoded:
    """The source of ``folder:PATH`` and of every other kind whose images are encoded files.

    Args:
        kind: the kind of the data set: ``folder``, for instance.
        path: the path that the user gave.
        listing: the images there.
        short: the short side at which the images are stored, in pixels.
        skip_corrupt: leave out files that are unreadable or would be damaged, instead of refusing the set.
    """

    def __init__(self, kind: str, path: Path, listing: Listing, short: int, *, skip_corrupt: bool) -> None:
        self.kind, self.path, self.listing, self.short, self.skip_corrupt = kind, path, listing, short, skip_corrupt
        self.root = listing.root
        self.identity = " ".join([kind, str(path.absolute()), str(short), *self._annotations])
        self.preparation = f"{kind} {VERSION} {short} {TEST} {VALIDATION} {SPLIT_SEED}"
        self.notes = listing.left_out
        self.files = [*listing.train, *listing.test]
        self.relpaths = [file.relpath for file in self.files]

    @property
    def _annotations(self) -> list[str]:
        return [self.listing.annotations] if self.listing.annotations else []

    @cached_property
    def _stats(self) -> list[tuple[str, str]]:
        stat = functools.cache(stat_of)  # a container holds many images
        return [stat(self.root / file_of(self.listing.held, relpath)) for relpath in self.relpaths]

    def signature(self) -> str:
        """Return a digest of names and sizes, equal for folders of equal content."""
        sizes = (size for size, _ in self._stats)
        return digest_of(self.preparation, listing_of(self.relpaths, sizes), *self._annotations)

    def manifest(self) -> str:
        """Return a digest of names, sizes and times; while it is the same, no content has changed."""
        return _manifest(self.relpaths, self._stats, *self._annotations)

    def fingerprint(self, like: Mapping[str, Any]) -> str:
        """Return a digest of every file's path and content and of the preparation and split; this reads every file.

        The levels of 16-bit grey are taken from ``like``, since equal files have equal levels.
        """
        return self._fingerprint(self._digests(), like.get("levels"))

    def _digests(self) -> Iterator[str]:
        if self.listing.held != "files":
            yield from (name for name, _ in contents(self.listing.held, self.root, self.relpaths))
            return
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self.relpaths), CHUNK):
                chunk = self.relpaths[start : start + CHUNK]
                yield from pool.map(lambda relpath: content_of(self.root / relpath)[0], chunk)

    def _fingerprint(self, digests: Iterable[str], levels: Sequence[int] | None) -> str:
        scaled = [f"16-bit grey {levels[0]} {levels[1]}"] if levels else []
        return digest_of(self.preparation, listing_of(self.relpaths, digests), *self._annotations, *scaled)

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
                f"{self.kind}: {self.path} has too few training images to keep some for validation: "
                "a class needs at least two images, from two inner folders or groups if it has any"
            )
        found = {"corrupt": corrupt, "refused": refused, "levels": levels, "notes": notes(train, test, levels)}
        listing = self.listing
        writer.describe(listing.name, listing.classes, val_mask, carved=listing.carved, found=found)
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
            target = str(writer.shard(split, number))
            tasks.append(Task(key, root, self.relpaths[part], self.short, target, self.listing.held))
        return tasks

    def _split(self, writer: Writer, split: str, files: list[File], shards: list[Shard]) -> Tensor:
        """Describe a split to ``writer``, and return the mask of its images that would be for validation."""
        images = [image for _, record in shards for image in record["images"]]
        kept = [file for file, image in zip(files, images, strict=True) if not isinstance(image, str)]
        if not kept:
            name = "training" if split == "train" else "test"
            raise UsageError(f"{self.kind}: no readable {name} image is left in {self.path}")
        labels, groups = torch.tensor([file.label for file in kept]), groups_of(kept)
        sizes = [[image for image in record["images"] if not isinstance(image, str)] for _, record in shards]
        writer.ragged(split, sizes, labels if self.listing.classes else torch.full_like(labels, -1), groups)
        if any(file.val for file in kept):
            return torch.tensor([file.val for file in kept])
        return split_by_group(labels, groups, VALIDATION, SPLIT_SEED)


def _finished(tasks: Sequence[Task], progress: Progress) -> list[Shard]:
    finish_all(tasks, progress)
    return [(task, json.loads(task.record.read_bytes())) for task in tasks]


def _manifest(relpaths: list[str], stats: list[tuple[str, str]], *annotations: str) -> str:
    return digest_of(listing_of(relpaths, *zip(*stats, strict=True)), *annotations)
