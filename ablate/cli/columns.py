"""The columns of a contact sheet: images below each other, with their draws in lines that fit under each."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.textpath import TextPath
from torch import Tensor

from ablate.ops.pair import Streams, TransformPair, Words

TINY = 5  # points: the size of the words under an image
TINY_LINE = 0.085  # inches per line of these words
LINES = 4  # lines under an image, shared by its ops


@dataclass(frozen=True)
class Column:
    """Images below each other, float ``[n, c, h, w]``, the heading above them, and the lines under each."""

    heading: str
    images: Tensor
    lines: tuple[tuple[str, ...], ...] = ()


def views_of(
    pair: TransformPair, images: Tensor, sizes: Tensor | None, streams: Streams, tile: float, *, alone: bool = False
) -> tuple[Column, Column]:
    """Return both views of every image, with their draws in words; if ``alone``, view 1 also names the base crop."""
    stored = [(images.shape[2], images.shape[3])] * len(images) if sizes is None else _pairs(sizes)
    params = pair.sample(len(images), stored[0] if sizes is None else sizes, streams)
    first, second = (pair.in_words(params, view, stored, images.shape[1]) for view in (0, 1))
    if alone and pair.branches == "one":
        first = [base + words for base, words in zip(second, first, strict=True)]
    one, two = pair.apply(images, params, sizes)
    return (
        Column("view 1", one, tuple(_lines(words, tile) for words in first)),
        Column("view 2", two, tuple(_lines(words, tile) for words in second)),
    )


def draws_of(
    pair: TransformPair, images: Tensor, sizes: Tensor | None, draws: int, seed: int, tile: float
) -> list[list[Column]]:
    """Return ``draws`` columns of view 1, or one column if every draw is the same; for ``A|B`` also those of view 2."""
    many = images.repeat_interleave(draws, 0)
    many_sizes = None if sizes is None else sizes.repeat_interleave(draws, 0)
    both = views_of(pair, many, many_sizes, Streams(seed, 0, "cpu"), tile, alone=True)
    if pair.composition.second is None:
        return [_drawn(both[0], draws, "")]
    return [_drawn(view, draws, f"{view.heading}: ") for view in both]


def _drawn(view: Column, draws: int, prefix: str) -> list[Column]:
    """Return a view of images that each stand ``draws`` times below each other as columns of one draw each."""
    drawn = view.images.unflatten(0, (len(view.images) // draws, draws))
    random = not torch.equal(drawn, drawn[:, :1].expand_as(drawn))
    named = prefix + ("draws" if random else "every draw" if draws > 1 else "draw")
    return [
        Column("" if number else named, drawn[:, number], view.lines[number::draws])
        for number in range(draws if random else 1)
    ]


def _pairs(sizes: Tensor) -> list[tuple[int, int]]:
    return [(high, wide) for high, wide in sizes.tolist()]


def _lines(words: Words, tile: float) -> tuple[str, ...]:
    """Return the draws in lines no wider than an image.

    One op has up to four lines, each of two ops up to two, each of more ops one; text that does not fit ends in dots.
    """
    named = [said if len(words) == 1 else f"{name}: {said}" for name, said in words]
    most = max(1, LINES // max(1, len(words)))
    return tuple(line for said in named for line in _filled(said, tile - 0.06, most))


def _filled(said: str, room: float, most: int) -> list[str]:
    """Return phrases in at most ``most`` lines, broken after a comma; text beyond the last line is left out."""
    lines: list[str] = []
    rest = said.split(", ")
    while rest and len(lines) < most - 1:
        count = 1
        while count < len(rest) and _width(", ".join(rest[: count + 1]) + ",") <= room:
            count += 1
        lines.append(_cut(", ".join(rest[:count]) + "," * (count < len(rest)), room))
        rest = rest[count:]
    return [*lines, _cut(", ".join(rest), room)] if rest else lines


def _cut(line: str, room: float) -> str:
    """Return ``line``, or as much of it as fits beside three dots, in whole phrases if there is more than one."""
    if _width(line) <= room:
        return line
    phrases = line.split(", ")
    while len(phrases) > 1:
        phrases.pop()
        if _width(short := ", ".join(phrases) + " ...") <= room:
            return short
    short = phrases[0]
    while short and _width(short + "...") > room:
        short = short[:-1]
    return short + "..."


@functools.lru_cache(maxsize=4096)
def _width(line: str) -> float:
    """Return the width in inches of a line under an image."""
    return float(TextPath((0, 0), line, size=TINY, usetex=False).get_extents().width) / 72 if line.strip() else 0.0


def height_of(columns: Sequence[Column], tile: float) -> float:
    """Return the height in inches of the images of ``columns``, side by side, with the lines under them."""
    most = max((len(lines) for column in columns for lines in column.lines), default=0)
    return len(columns[0].images) * (tile + TINY_LINE * most + 0.07)
