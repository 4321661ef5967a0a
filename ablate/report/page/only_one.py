"""The images that only one of two compositions gets right, as tiles from the data cache or as numbers."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ablate.config.measure import in_full
from ablate.console import counted
from ablate.errors import UsageError
from ablate.report.data.results import Results
from ablate.report.page.thumbnails import images_in_cache, sheet
from ablate.report.section import Section
from ablate.report.stats.image_by_image import ImagesCompared, Seeds, compared
from ablate.report.stats.order import order
from ablate.report.stats.words import mentioned, points

MOST = 12  # images of each kind
IN_A_ROW, TILE, STEP, LINE = 6, 72, 104, 12  # tiles; and pixels: the side of a tile, their distance, a line of text
LARGEST = 60_000  # bytes of a picture of all tiles
BELOW = 3 * LINE + 8  # pixels for the text below a tile
LETTERS = 14  # of a class's name
HEADINGS = ("seed", "both right", "only the first", "only the second", "neither", "McNemar p", "same class", "kappa")
ABOUT = (
    "Test images, by linear evaluation. Only the first gets an image right if it is right with more than half of the "
    "seeds, and the second with fewer. McNemar's exact test asks, for one seed, whether both are equally often "
    "the only one that is right; it takes images as independent and says nothing of other seeds."
)


def section(sweep: Results) -> list[Section]:
    """Return the section on the best composition against the runner-up and the worst; none without image results."""
    ranked = [cell.label for cell in order(sweep.grid).cells]
    if len(ranked) < 2 or not sweep.grid.is_linear or sweep.task:
        return []
    try:
        pairs = [compared(sweep, ranked[0], second) for second in dict.fromkeys((ranked[1], ranked[-1]))]
    except UsageError:  # a file is missing or damaged: the page does without
        return []
    parts = tuple(_part(sweep, pair) for pair in pairs)
    return [Section("Images that only one of the two gets right", (ABOUT,), parts=parts)]


def _part(sweep: Results, pair: ImagesCompared) -> Section:
    only, figure = _only(sweep, pair)
    rows = tuple(
        (
            str(one.seed),
            *map(str, (one.counts.both, one.counts.first, one.counts.second, one.counts.neither)),
            "< 0.001" if one.counts.p < 0.001 else f"{one.counts.p:.3f}",
            f"{100 * one.agreement:.0f} %",
            f"{one.kappa:.2f}",
        )
        for one in pair.seeds
    )
    difference = pair.images_alone if len(pair.seeds) == 1 or pair.both.is_constant else pair.both
    text = (f"Difference: {points(difference, f'test, {in_full(pair.measure)}')}.", _agreement(pair), only)
    return Section(
        f"{mentioned(pair.first, start=True)} against {mentioned(pair.second)}", text, HEADINGS, rows, figure
    )


def _only(sweep: Results, pair: ImagesCompared) -> tuple[str, str]:
    """Return the sentences on the images that only one gets right, and their picture, empty if there is none."""
    shown = pair.only_first[:MOST], pair.only_second[:MOST]
    if not len(shown[0]) + len(shown[1]):
        return "No image is right with most seeds of one and wrong with most of the other.", ""
    first, second = mentioned(pair.first), mentioned(pair.second)
    only = (
        f"Only {first} gets {counted(len(pair.only_first), 'image')} right, only {second} "
        f"{len(pair.only_second)}; those with the largest difference of margins come first."
    )
    try:
        figure = _tiles(sweep, pair, shown)
    except (OSError, ValueError):
        figure = ""
    where = "Below each image: its number, its class, and the wrong one that the other gives it most often."
    if not figure:  # the cache was removed, or is elsewhere
        named = zip((pair.first, pair.second), shown, strict=True)
        numbers = [f"only {label}: {', '.join(map(str, of)) or 'none'}" for label, of in named]
        where = (
            "The images are not in the cache (set ABLATE_CACHE to the --cache of the training); their numbers are: "
            f"{'; '.join(numbers)}."
        )
    return f"{only} {where}", figure


def _agreement(pair: ImagesCompared) -> str:
    """Return the sentence on agreement, beside what two seeds of one composition agree on."""
    same = np.mean([one.agreement for one in pair.seeds])
    within = zip((pair.first, pair.second), pair.within, strict=True)
    alone = [
        f"two seeds of {mentioned(label)} do for {100 * share:.0f} %" for label, share in within if share is not None
    ]
    beside = f"; {', '.join(alone)}" if alone else ""
    return f"With the same seed, both give {100 * same:.0f} % of the images the same class{beside}."


def _tiles(sweep: Results, pair: ImagesCompared, shown: Sequence[npt.NDArray[np.int64]]) -> str:
    """Return the images of both kinds as SVG, each kind under a heading; empty if the cache does not have them.

    Raises:
        OSError, ValueError: the images are gone or damaged.
    """
    stored = images_in_cache(sweep.experiment.shared.data.fingerprint)
    numbers: list[int] = [int(i) for of in shown for i in of]
    if stored is None:
        return ""
    pictures = sheet(stored, [("test", number) for number in numbers], IN_A_ROW, LARGEST)
    all_tiles = f'<image id="tiles" width="{pictures.columns}" height="{pictures.rows}" href="{pictures.uri}"/>'
    parts, top, before = [f"<defs>{all_tiles}</defs>"], 0, 0
    for label, of, other in zip((pair.first, pair.second), shown, reversed(pair.results), strict=True):
        parts.append(_text(0, top + 14, f"only {label}" if len(of) else f"only {label}: none", 13))
        top += 22
        for place, number in enumerate(of.tolist()):
            true, given = _classes(other, number)
            lines = str(number), stored.classes[true], f"not {stored.classes[given]}"
            row, column = divmod(place, IN_A_ROW)
            parts += _tile(column * STEP, top + row * (TILE + BELOW), divmod(before + place, IN_A_ROW), lines)
        top, before = top + -(-len(of) // IN_A_ROW) * (TILE + BELOW) + 6, before + len(of)
    size = f'viewBox="0 0 {IN_A_ROW * STEP} {top}" width="{IN_A_ROW * STEP}" height="{top}"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{background}{"".join(parts)}</svg>'


def _classes(seeds: Seeds, number: int) -> tuple[int, int]:
    """Return the class of an image, and the wrong one that most of the seeds give it; there is one."""
    true = int(next(iter(seeds.values())).label[number])
    given = np.array([int(of.predicted[number]) for of in seeds.values()])
    return true, int(np.bincount(given[given != true]).argmax())


def _tile(left: int, top: int, place: tuple[int, int], lines: Sequence[str]) -> list[str]:
    """Return a tile of the sheet, at row and column ``place`` there, with lines of text below it."""
    window = f'x="{left}" y="{top}" width="{TILE}" height="{TILE}" viewBox="{place[1]} {place[0]} 1 1"'
    short = [line if len(line) <= LETTERS else f"{line[: LETTERS - 1]}…" for line in lines]
    texts = [_text(left, top + TILE + n * LINE, line) for n, line in enumerate(short, start=1)]
    return [f'<svg {window}><use href="#tiles"/></svg>', *texts]


def _text(left: int, baseline: int, text: str, size: int = 10) -> str:
    return f'<text x="{left}" y="{baseline}" font-family="sans-serif" font-size="{size}">{html.escape(text)}</text>'
