"""What the files of a set say together: one type of pixels, the range of deep ones, the background. Needs no torch.

A record is the JSON of :class:`ablate.data.decoding.shards.Record`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ablate.config.at_hand import as_option
from ablate.config.reading import WINDOW, Range, Reading
from ablate.data.decoding.blend import mean_colour
from ablate.data.decoding.decode import Known, known
from ablate.data.decoding.ranges import ranges_of, shown
from ablate.data.decoding.shards import Task
from ablate.errors import UsageError, printable

Shard = tuple[Task, dict[str, Any]]  # a task and its record
BITS = {"uint8": "8 bits", "uint16": "up to 16 bits", "float32": "fractions or more than 16 bits"}


class PixelType(NamedTuple):
    """The type in which the images of a set are stored, and their number of channels."""

    depth: str
    channels: int

    def __str__(self) -> str:
        """Return ``13 channels of up to 16 bits``."""
        return f"{self.channels} channel{'s' * (self.channels > 1)} of {BITS[self.depth]}"


def pixel_type(shards: Sequence[Shard]) -> PixelType | None:
    """Return the type of all images; None if none could be read.

    Raises:
        UsageError: there are several.
    """
    by_type: dict[PixelType, list[str]] = {}
    for task, record in shards:
        for relpath, pixels in zip(task.relpaths, record["types"], strict=True):
            if pixels:
                by_type.setdefault(PixelType(*pixels), []).append(relpath)
    if len(by_type) > 1:
        (first, some), (second, others), *_ = by_type.items()
        raise UsageError(
            f"{len(some)} images have {first} ({printable(some[0])}) and {len(others)} have {second} "
            f"({printable(others[0])}): all images of a set must have the same"
        )
    return next(iter(by_type), None)


def learned(reading: Reading, pixels: PixelType | None, train: Sequence[Shard], test: Sequence[Shard]) -> Known:
    """Return what is known of a set once all its files have been looked at.

    Args:
        reading: how the files are read; what it declares stays.
        pixels: the type of the images.
        train: the shards of the training images, which decide.
        test: those of the test images, which decide if no training image could be read.

    Raises:
        UsageError: a range is declared for images of 8 bits, a channel has no range, files state different windows, or
            there is no background.
    """
    facts = known(reading)
    if pixels is None:
        return facts
    if pixels.depth != "uint8" and facts.ranges is None:
        found = (_window(train, test),) if reading.range == WINDOW else ranges_of(_samples(train) or _samples(test))
        facts = facts._replace(ranges=found)
    if pixels.depth == "uint8" and reading.range:
        raise UsageError("a range is for images of more than 8 bits, and these have 8: leave it out")
    if facts.background is None and any("transparent" in record["traits"] for _, record in (*train, *test)):
        edges = [record["edge"] for _, record in train]
        facts = facts._replace(background=mean_colour(edges if any(map(any, edges)) else [r["edge"] for _, r in test]))
    return facts


def _window(*splits: Sequence[Shard]) -> Range:
    """Return the window that all files state.

    Raises:
        UsageError: two files state different ones.
    """
    first: dict[Range, str] = {}
    for task, record in (shard for split in splits for shard in split):
        for (low, high), number in record["windows"]:
            first.setdefault((low, high), task.relpaths[number])
    if len(first) > 1:
        one, other, *_ = (f"{shown([window])} ({printable(relpath)})" for window, relpath in first.items())
        raise UsageError(
            f"the files state {len(first)} different windows, such as {one} and {other}: declare one range for all of "
            f"them, {as_option('range', 'LOW,HIGH')}, or leave {as_option('range', WINDOW)} out"
        )
    return next(iter(first))


def _samples(shards: Sequence[Shard]) -> list[np.ndarray[Any, Any]]:
    return [np.load(task.sample, allow_pickle=False) for task, record in shards if record["sample"]]
