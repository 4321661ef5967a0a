"""The findings of decoding about a folder as a whole: files left out, and notes for the user. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ablate.config.at_hand import as_option
from ablate.config.reading import WINDOW, Range
from ablate.data.decoding.blend import COLOURS
from ablate.data.decoding.decode import Known
from ablate.data.decoding.learned import PixelType, Shard
from ablate.data.decoding.ranges import shown
from ablate.errors import printable

Asked = Range | Literal["window"] | None
SHOWN = 5  # files, or reasons, that a message names
NARROW = 16  # an image that uses less than 1/16 of a range will look flat
SETTING = re.compile(
    r"\{(channels|pages|range)=(\w+)\}"
)  # in a reason, which a process that knows no command has given
TRAITS = {
    "transparent": "transparent images are laid over {below}",
    "cmyk": "CMYK images are converted to RGB by the simple formula",
    "profile": "colour profiles other than sRGB are not applied",
    "several": "only the first picture of a JPEG file with several pictures is used",
    "animation": "only the first frame of an animation is used",
}


def notes(train: Sequence[Shard], test: Sequence[Shard], pixels: PixelType, facts: Known, asked: Asked) -> list[str]:
    """Return a sentence for each kind of processing beyond resizing, and for ranges that look wrong.

    Args:
        train: the shards of the training images.
        test: the shards of the test images.
        pixels: the type of the images.
        facts: what all images were decoded with.
        asked: the range that was asked for, None if it was found.
    """
    sentences = _darkness(train) if pixels.depth == "uint8" else [_range_told(pixels, facts.ranges or (), train, asked)]
    total = sum(not isinstance(image, str) for _, record in (*train, *test) for image in record["images"])
    colour = f"the colour {facts.background}"
    below = next((name for name, each in COLOURS.items() if each == facts.background), colour)
    for trait, what in TRAITS.items():
        traits = [
            (task.relpaths[first], n) for task, r in (*train, *test) for n, first in [r["traits"].get(trait, (0, 0))]
        ]
        count = sum(n for _, n in traits)
        if count:
            first = next(relpath for relpath, n in traits if n)
            sentences.append(printable(f"{what.format(below=below)}: {count} of {total}, such as {first}"))
    return sentences


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
                reason = SETTING.sub(lambda match: as_option(match[1], match[2]), image)
                relpath = printable(task.relpaths[number])
                if number in unfit:
                    refused.append((relpath, reason))
                else:
                    corrupt.append(printable(f"{relpath} ({reason})"))
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
        as_it_is = "as they are" if len(refused) > 1 else "as it is"
        parts.append(f"{files} that cannot be read {as_it_is}: {', '.join(shown + more)}")
    return "; ".join(parts)


def refusal(corrupt: Sequence[str], refused: Sequence[tuple[str, str]]) -> str:
    """Return the message that refuses a folder with such files."""
    them = "them" if len(corrupt) + len(refused) > 1 else "it"
    return f"{describe(corrupt, refused)}; {as_option('skip_corrupt', True)} leaves {them} out"


def _range_told(pixels: PixelType, ranges: Sequence[Range], train: Sequence[Shard], asked: Asked) -> str:
    """Return the sentence on the range of deep images, with a warning where it looks wrong."""
    found = "all but one pixel in a thousand of the training images at either end"
    source = "the window that the files state" if asked == WINDOW else "as declared" if asked else found
    text = f"{pixels}: {shown(ranges)} of this data set become black and white ({source})"
    if len(ranges) == 3 and len(set(ranges)) > 1 and not asked:  # most often red, green and blue
        text += f"; each channel by itself, so that colours change: {as_option('range', 'LOW,HIGH')} keeps them"
    spans = [np.asarray(span, dtype=float) for _, record in train for span in record["spans"] if span]
    if not spans:
        return text
    low, high = np.broadcast_to(np.asarray(ranges, dtype=float), spans[0].shape).T
    narrow = NARROW * np.median([span[:, 1] - span[:, 0] for span in spans], axis=0) < high - low
    cut = np.mean([(span[:, 1] < low) | (span[:, 0] > high) for span in spans], axis=0) > 1 / NARROW
    if not (narrow.any() or cut.any()):
        return text
    where = f" in channel {int((narrow | cut).argmax()) + 1}" if len(low) > 1 else ""
    if cut.any():
        return f"{text}; warning: more than 1/{NARROW} of the images lie outside{where}: is the range right?"
    why = "is the range right?" if asked else "because a few images reach much further: leave those out"
    few = f"half of the images use less than 1/{NARROW} of that range{where} and will look flat"
    return f"{text}; warning: {few}, {why}"


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
