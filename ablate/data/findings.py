"""The findings of decoding about a folder as a whole: levels of 16-bit grey, files left out, notes for the user.

A record is the JSON that :mod:`ablate.data.shards` writes for a shard.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from ablate.config.at_hand import as_option
from ablate.data.decode import Levels
from ablate.data.shards import Task
from ablate.errors import UsageError, printable

SHOWN = 5  # files, or reasons, that a message names
NARROW = 16  # an image that uses less than 1/16 of a range will look flat
Shard = tuple[Task, dict[str, Any]]  # a task and its record
TRAITS = {
    "transparent": "transparent images are laid over white",
    "cmyk": "CMYK images are converted to RGB by the simple formula",
    "profile": "colour profiles other than sRGB are not applied",
    "several": "only the first picture of a JPEG file with several pictures is used",
}


def levels_of(train: Sequence[Shard], test: Sequence[Shard]) -> Levels | None:
    """Return the values of 16-bit grey that become 0 and 255; None if the images have 8 bits.

    The spans of all training images lie between these values.

    Raises:
        UsageError: some images have 8 bits and others 16.
    """
    deep: list[str] = []
    shallow: list[str] = []
    for task, record in (*train, *test):
        for number, image in enumerate(record["images"]):
            if not isinstance(image, str):
                (deep if str(number) in record["spans"] else shallow).append(task.relpaths[number])
    if not deep:
        return None
    if shallow:
        raise UsageError(
            f"folder: {len(deep)} images are 16-bit grey ({printable(deep[0])}) and {len(shallow)} have 8 bits "
            f"({printable(shallow[0])}), which have no common range: convert all to 8 bits, or all to 16-bit grey"
        )
    spans = list(_spans(train)) or list(_spans(test))
    return min(low for low, _ in spans), max(high for _, high in spans)


def notes(train: Sequence[Shard], test: Sequence[Shard], levels: Levels | None) -> list[str]:
    """Return a sentence for each kind of processing beyond resizing, and for ranges that look wrong.

    Args:
        train: the shards of the training images.
        test: the shards of the test images.
        levels: the values of 16-bit grey that become 0 and 255; None if the images have 8 bits.
    """
    told = [_levels_told(levels, train)] if levels else _darkness(train)
    total = sum(not isinstance(image, str) for _, record in (*train, *test) for image in record["images"])
    for trait, what in TRAITS.items():
        found = [
            (task.relpaths[first], n) for task, r in (*train, *test) for n, first in [r["traits"].get(trait, (0, 0))]
        ]
        count = sum(n for _, n in found)
        if count:
            first = next(relpath for relpath, n in found if n)
            told.append(printable(f"{what}: {count} of {total}, such as {first}"))
    return told


def left_out(shards: Sequence[Shard]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the corrupt files and the refused files.

    Returns:
        The paths of corrupt files with their reasons in parentheses, and the path and reason of each refused file.
    """
    corrupt, refused = [], []
    for task, record in shards:
        unfit = set(record["refused"])
        for number, image in enumerate(record["images"]):
            if isinstance(image, str):
                relpath = printable(task.relpaths[number])
                if number in unfit:
                    refused.append((relpath, image))
                else:
                    corrupt.append(printable(f"{relpath} ({image})"))
    return corrupt, refused


def describe(corrupt: Sequence[str], refused: Sequence[tuple[str, str]]) -> str:
    """Name and count the files that are left out: corrupt ones one by one, refused ones by their reasons."""
    parts = []
    if corrupt:
        names = ", ".join(corrupt[:SHOWN]) + (", ..." if len(corrupt) > SHOWN else "")
        parts.append(f"{len(corrupt)} corrupt image file{'s' * (len(corrupt) > 1)}: {names}")
    kinds: dict[str, list[str]] = {}
    for relpath, reason in refused:
        kinds.setdefault(reason, []).append(relpath)
    if refused:
        shown = [
            f"{relpaths[0]}{f' and {len(relpaths) - 1} more' if len(relpaths) > 1 else ''} ({reason})"
            for reason, relpaths in list(kinds.items())[:SHOWN]
        ]
        more = ["..."] * (len(kinds) > SHOWN)
        files = f"{len(refused)} image file{'s' * (len(refused) > 1)}"
        parts.append(f"{files} that would be damaged: {', '.join(shown + more)}")
    return "; ".join(parts)


def refusal(corrupt: Sequence[str], refused: Sequence[tuple[str, str]]) -> str:
    """Return the message that refuses a folder with such files."""
    return f"{describe(corrupt, refused)}; {as_option('skip_corrupt', True)} leaves them out"


def _levels_told(levels: Levels, train: Sequence[Shard]) -> str:
    low, high = levels
    told = (
        f"16-bit grey: {low}..{high} of this data set become 0..255 (the range of all training images, without one "
        "pixel in a thousand at either end)"
    )
    widths = [upper - lower for lower, upper in _spans(train)]
    if not widths or NARROW * statistics.median(widths) >= high - low:
        return told
    return (
        f"{told}; warning: half of the images use less than 1/{NARROW} of that range and will look flat, because a few "
        "images reach much further: leave those out"
    )


def _darkness(train: Sequence[Shard]) -> list[str]:
    """Return a warning if all images of 8 bits lie within the same few levels."""
    extremes = [record["extremes"] for _, record in train]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
    if high - low >= 256 // NARROW:
        return []
    return [
        f"warning: all training images lie within {low}..{high} of 0..255 and will look flat: were they reduced from "
        "more bits? Scale all of them to 0..255 by the same factor"
    ]


def _spans(shards: Sequence[Shard]) -> Iterator[Levels]:
    for _, record in shards:
        yield from ((low, high) for low, high in record["spans"].values())
