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

from ablate.config.reading import WHITE, Range, Reading
from ablate.data.dataset import split_by_group
from ablate.data.decoding.contents import content_of, contents, file_of
from ablate.data.decoding.decode import known
from ablate.data.decoding.findings import left_out, notes, refusal
from ablate.data.decoding.learned import PixelType, Shard, learned, pixel_type
from ablate.data.decoding.ranges import SAMPLE
from ablate.data.decoding.shards import Task
from ablate.data.decoding.workers import finish_all
from ablate.data.digest import digest_of, listing_of, stat_of
from ablate.data.duplicates import TESTED, Stored, equal_images
from ablate.data.entry import Progress, Writer
from ablate.data.sources.listing import SPLIT_SEED, TEST, File, Listing, groups_of
from ablate.errors import UsageError

VERSION = "1"  # version of scanning, decoding and splitting; raise it when the same files give other pixels or splits
RECORDS = "5"  # version of the records of shards
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
        reading: how the files are read.
        skip_corrupt: leave out files that are unreadable or would be damaged, instead of refusing the set.
    """

    def __init__(
        self, kind: str, path: Path, listing: Listing, short: int, reading: Reading, *, skip_corrupt: bool
    ) -> None:
        self.kind, self.path, self.listing, self.short, self.skip_corrupt = kind, path, listing, short, skip_corrupt
        self.root, self.reading, self.name = listing.root, reading, listing.name
        self.identity = " ".join([kind, str(path.absolute()), str(short), *self._annotations]) + str(reading)
        self.preparation = f"{kind} {VERSION} {short} {TEST} {VALIDATION} {SPLIT_SEED}{reading}"
        self.notes = listing.notes
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

        The ranges of deep images are taken from ``like``, since equal files have equal ranges.
        """
        return self._fingerprint(self._digests(), like.get("ranges"))

    def _digests(self) -> Iterator[str]:
        if self.listing.held != "files":
            yield from (name for name, _ in contents(self.listing.held, self.root, self.relpaths))
            return
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self.relpaths), CHUNK):
                chunk = self.relpaths[start : start + CHUNK]
                yield from pool.map(lambda relpath: content_of(self.root / relpath)[0], chunk)

    def _fingerprint(self, digests: Iterable[str], ranges: Sequence[Range] | None) -> str:
        mapped = [f"range {low} {high}" for low, high in ranges or ()]
        return digest_of(self.preparation, listing_of(self.relpaths, digests), *self._annotations, *mapped)

    def write(self, writer: Writer, progress: Progress) -> str:
        """Decode every file that is not decoded in ``writer``'s directory yet, and return the fingerprint.

        Raises:
            UsageError: there are corrupt or refused files that are not to be skipped (the message names and counts
                them), images of several kinds, no range or several, or too few images are left.
        """
        split, end = len(self.listing.train), len(self.files)
        first = self._tasks(writer, "train", 0, split)
        tasks = [*first, *self._tasks(writer, "test", split, end)]
        shards = _finished(tasks, progress)
        corrupt, refused = left_out(shards)
        if (corrupt or refused) and not self.skip_corrupt:
            raise UsageError(refusal(corrupt, refused))
        pixels = pixel_type(shards) or PixelType("uint8", 3)
        facts = learned(self.reading, pixels, shards[: len(first)], shards[len(first) :])
        if facts != known(self.reading):  # known only now: images that depend on it are decoded a second time
            again = [replace(task, ranges=facts.ranges, background=facts.background) for task in tasks]
            shards = _finished(again, progress)
        train, test = shards[: len(first)], shards[len(first) :]
        trained, val_mask = self._split(writer, "train", self.listing.train, train, pixels)
        tested, _ = self._split(writer, "test", self.listing.test, test, pixels)
        if not val_mask.any():
            raise UsageError(
                f"{self.kind}: {self.path} has too few training images to keep some for validation: "
                "a class needs at least two images, from two inner folders or groups if it has any"
            )
        splits = ["validation" if is_val else "training" for is_val in val_mask.tolist()]
        stored = [*self._stored(trained, splits, train), *self._stored(tested, [TESTED] * len(tested), test)]
        sentences = notes(train, test, pixels, facts, asked=self.reading.range)
        findings = {"corrupt": corrupt, "refused": refused, "notes": sentences, "ranges": facts.ranges}
        findings |= {"background": facts.background or WHITE, "alike": equal_images(stored)}
        listing = self.listing
        findings |= {"tasks": [task._asdict() for task in listing.tasks]} if listing.tasks else {}
        writer.describe(listing.name, listing.classes, val_mask, carved=listing.carved, findings=findings)
        return self._fingerprint((name for _, record in shards for name in record["digests"]), facts.ranges)

    def _tasks(self, writer: Writer, split: str, first: int, end: int) -> list[Task]:
        """Return the shards of files ``first`` to ``end``; their size depends on the folder, not on the machine."""
        least, most = SHARD_FILES
        most = min(most, max(1, SHARD_BYTES // (4 * self.short**2)))  # three channels, 4:3
        size = min(most, max(least, math.ceil(len(self.files) / SHARDS)))
        reading, facts = self.reading.model_dump(exclude_defaults=True), known(self.reading)
        quota = max(1, SAMPLE // len(self.listing.train))
        root, tasks = str(self.root.absolute()), []
        for number, start in enumerate(range(first, end, size)):
            part = slice(start, min(start + size, end))
            key = digest_of(root, self.preparation, RECORDS, _manifest(self.relpaths[part], self._stats[part]))
            target = str(writer.shard(split, number))
            tasks.append(
                Task(key, root, self.relpaths[part], self.short, target, self.listing.held, reading, *facts, quota)
            )
        return tasks

    def _stored(self, files: list[File], splits: list[str], shards: list[Shard]) -> Iterator[tuple[str, Stored]]:
        """Yield the digest of the pixels of every image of a split, and the image."""
        prints = (pixels for _, record in shards for pixels in record["prints"])
        for at, (file, split, pixels) in enumerate(zip(files, splits, prints, strict=True)):
            label = self.listing.classes[file.label] if self.listing.classes else ""
            yield pixels, Stored(split, at, label, file.relpath)

    def _split(
        self, writer: Writer, split: str, files: list[File], shards: list[Shard], pixels: PixelType
    ) -> tuple[list[File], Tensor]:
        """Describe a split to ``writer``; return the files of its images, and the mask of those for validation."""
        images = [image for _, record in shards for image in record["images"]]
        kept = [
            file
            for file, pages in zip(files, images, strict=True)
            for _ in ([] if isinstance(pages, str) else pages)  # the pages of a file share its label and its group
        ]
        if not kept:
            name = "training" if split == "train" else "test"
            raise UsageError(f"{self.kind}: no readable {name} image is left in {self.path}")
        labels, groups = torch.tensor([file.label for file in kept]), groups_of(kept)
        sizes = [
            [size for pages in record["images"] if not isinstance(pages, str) for size in pages] for _, record in shards
        ]
        labels_told = labels if self.listing.classes else torch.full_like(labels, -1)
        writer.ragged(split, sizes, labels_told, groups, channels=pixels.channels, dtype=pixels.depth)
        if self.listing.tasks:
            writer.further(split, [file.values for file in kept])
        if any(file.val for file in kept):
            return kept, torch.tensor([file.val for file in kept])
        return kept, split_by_group(labels, groups, VALIDATION, SPLIT_SEED)


def _finished(tasks: Sequence[Task], progress: Progress) -> list[Shard]:
    finish_all(tasks, progress)
    return [(task, json.loads(task.record.read_bytes())) for task in tasks]


def _manifest(relpaths: list[str], stats: list[tuple[str, str]], *annotations: str) -> str:
    return digest_of(listing_of(relpaths, *zip(*stats, strict=True)), *annotations)
