"""Pictures of real transform pairs: every cell of a grid, or a contact sheet by which to judge strengths."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ablate.cli.columns import TINY, Column, draws_of, height_of, views_of
from ablate.config.experiment import Experiment
from ablate.config.sweep import NamedOp
from ablate.config.trial import TrialConfig
from ablate.data import DataSet, Resident
from ablate.errors import UsageError, unknown
from ablate.files import check_file, write_atomically
from ablate.ops import center_crop
from ablate.ops.composition import Composition
from ablate.ops.pair import Streams, TransformPair
from ablate.planning.images import SQUARE
from ablate.planning.outline import outline_of
from ablate.planning.settings import shared_config
from ablate.report.figures.labels import short_names, spelled_out
from ablate.rng import derive_seed
from ablate.sweep.plan import cell_label
from ablate.trial.colours import in_words, parse_channels, visible
from ablate.trial.thumbnail import GAP, mosaic

FORMATS = ("png", "webp", "svg", "pdf")
DPI = 150
LARGEST = 2**16 - 1  # the largest side of a picture, in pixels
UPSCALED = 64  # pixels: images with sides up to this are shown larger, pixel by pixel
SMALL, LARGE = 1.0, 1.3  # inches per image: up to that size, and above it
LONG = 16  # characters of a cell's title; a longer one takes two lines
LINE = 0.13  # inches of a line of text
BETWEEN = (0.3, 0.42)  # inches between the cells of a grid, across and down; they hold the headings


def check_target(path: Path) -> None:
    """Raise UsageError unless a picture can be written to ``path``."""
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise unknown("picture format", path.suffix or path.name, [f".{name}" for name in FORMATS])
    check_file(path)


def draw_grid(
    wish: Experiment, ops: tuple[NamedOp, ...], data: DataSet, count: int, seed: int, show: str | None = None
) -> Figure:
    """Draw a grid: in every row the originals of ``count`` training images, and the views of every cell.

    All cells show the same images and, one-branch, the same base crops, as the cells of one seed are paired in a sweep.
    View 2 of a one-branch pair is the base crop, which is drawn beside the original.

    Args:
        wish: the description.
        ops: the ops of the grid.
        data: the images.
        count: how many images are shown.
        seed: the seed of the images and of the draws.
        show: the channels to show as red, green and blue, such as ``4,3,2``.

    Raises:
        UsageError: the picture would be too large, or there are no such channels.
    """
    config = shared_config(wish, data.identity)
    chosen = parse_channels(show, config.data.channels) if show else ()
    images, sizes = _some(data, count, seed)
    original = Column(_called(data), _original(images, sizes, config))
    k, tile = len(ops), _tile(config)
    names = short_names([op.label for op in ops])
    one = config.branches == "one"
    beside, each = (2, 1) if one else (1, 2)  # images across, left of a row's cells and in each cell
    rows: list[tuple[list[Column], list[list[Column]]]] = []  # the columns beside a row, and those of its cells
    for i, row in enumerate(ops):
        pairs = []
        for j, column in enumerate(ops):
            specs = (row.op,) if i == j else (row.op, column.op)
            pair = _pair(config, Composition.from_specs(specs))
            pairs.append(views_of(pair, images, sizes, Streams(seed, 0, "cpu"), tile))
        rows.append(([original, pairs[0][1]] if one else [original], [list(views[:each]) for views in pairs]))
    heights = [height_of([*left, *(column for cell in cells for column in cell)], tile) for left, cells in rows]
    width = beside * tile + k * each * tile + (k + 1) * BETWEEN[0]
    heading = textwrap.wrap(_heading(config, chosen), int(width * 17))
    below = spelled_out([op.label for op in ops], int(width * 20))
    top = LINE * (len(heading) + 1)
    figure = _figure(width, top + sum(heights) + k * BETWEEN[1] + LINE * len(below))
    _head(figure, heading)
    for i, (left, cells) in enumerate(rows):
        top += BETWEEN[1]
        _show(figure, 0.5 * BETWEEN[0], top, tile, heights[i], left, chosen)
        for j, cell in enumerate(cells):
            axes = _show(
                figure, (j + 1.5) * BETWEEN[0] + (beside + j * each) * tile, top, tile, heights[i], cell, chosen
            )
            label = cell_label(names[i], names[j])
            if len(label) > LONG:
                label = label.replace("+", "\n+", 1)
            axes.set_title(label, fontsize=6, pad=11, parse_math=False)
        top += heights[i]
    figure.text(0.5, 0.01, "\n".join(below), ha="center", va="bottom", fontsize=6, parse_math=False)
    return figure


def draw_sheet(
    wish: Experiment,
    compositions: Sequence[Composition],
    data: DataSet,
    count: int,
    draws: int,
    seed: int,
    show: str | None = None,
) -> Figure:
    """Draw a contact sheet: per composition ``count`` training images, the original and ``draws`` draws of view 1.

    All compositions show the same images, with draws from the same seeds, below their ops with all parameters. Draws
    that are always the same are shown once. The draws of view 2 stand below if it has ops of its own (``A|B``).

    Args:
        wish: the description.
        compositions: the compositions.
        data: the images.
        count: how many images are shown.
        draws: how many draws of view 1 are shown for each image.
        seed: the seed of the images and of the draws.
        show: the channels to show as red, green and blue, such as ``4,3,2``.

    Raises:
        UsageError: the picture would be too large, or there are no such channels.
    """
    config = shared_config(wish, data.identity)
    chosen = parse_channels(show, config.data.channels) if show else ()
    images, sizes = _some(data, count, seed)
    tile, margin = _tile(config), 0.5 * BETWEEN[0]
    original = Column(_called(data), _original(images, sizes, config))
    width = (1 + draws) * tile + 2 * margin
    labels = [_spelled(composition, int(width * 17)) for composition in compositions]
    drawn = [draws_of(_pair(config, c), images, sizes, draws, seed, tile) for c in compositions]
    shown = [[[original, *columns] for columns in views] for views in drawn]
    heights = [[height_of(columns, tile) for columns in views] for views in shown]
    between = LINE * sum(len(views) - 1 for views in shown)
    heading = textwrap.wrap(_heading(config, chosen), int(width * 17))
    top = LINE * (len(heading) + 1)
    figure = _figure(
        width, top + sum(map(sum, heights)) + LINE * sum(len(label) + 2 for label in labels) + between + margin
    )
    _head(figure, heading)
    for label, of_views, views in zip(labels, heights, shown, strict=True):
        top += LINE * (len(label) + 1)
        for number, (height, columns) in enumerate(zip(of_views, views, strict=True)):
            top += LINE
            axes = _show(figure, margin, top, tile, height, columns, chosen)
            axes.set_title("" if number else "\n".join(label), fontsize=7, pad=11, loc="left", parse_math=False)
            top += height
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` to ``path``, atomically, in the format of its suffix."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.removeprefix(".").lower())
    write_atomically(path, buffer.getvalue())


def _some(data: DataSet, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """Return ``count`` training images that ``seed`` picks, as a batch."""
    picked = torch.Generator().manual_seed(derive_seed(seed, "preview"))
    order = torch.randperm(len(data.pretrain.labels), generator=picked)
    return Resident(data.pretrain.images, torch.device("cpu")).batch(order[:count])


def _original(images: Tensor, sizes: Tensor | None, config: TrialConfig) -> Tensor:
    return center_crop(images, (config.image_size, config.image_size), 1.0, sizes)


def _heading(config: TrialConfig, chosen: Sequence[int]) -> str:
    """Return a line on the images, on how their channels are shown, and on the training that would use them."""
    return "; ".join(filter(None, (config.data.name, in_words(config.data.channels, chosen), outline_of([config]))))


def _called(data: DataSet) -> str:
    """Return the heading of the originals; if images are not square, their centre square is shown."""
    return "original" if data.pretrain.images.square >= SQUARE else "centre square"


def _pair(config: TrialConfig, composition: Composition) -> TransformPair:
    views = {"composition": composition.specs(), "second": composition.second_specs()}
    return TransformPair.from_config(config.replace(**views))


def _spelled(composition: Composition, columns: int) -> list[str]:
    """Return the composition, and every op with all its parameters, in lines of at most ``columns`` characters."""
    lines = textwrap.wrap(str(composition), columns)
    own = composition.second_specs()
    for view, specs in ((1, composition.specs()), *([] if own is None else [(2, own)])):
        start = "  " if own is None else f"  view {view}: "
        for spec in specs:
            lines += textwrap.wrap(str(spec), columns, initial_indent=start, subsequent_indent="    ")
    return lines


def _tile(config: TrialConfig) -> float:
    return SMALL if config.image_size <= UPSCALED else LARGE


def _figure(width: float, height: float) -> Figure:
    if DPI * max(width, height) > LARGEST:
        raise UsageError(
            f"the picture would have {DPI * width:.0f} x {DPI * height:.0f} pixels, but a side may have at most "
            f"{LARGEST}: draw fewer ops, compositions or --images"
        )
    return Figure(figsize=(width, height), dpi=DPI)


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return axes at a place in inches from the figure's top left corner."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes(
        (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    )


def _head(figure: Figure, lines: Sequence[str]) -> None:
    """Write the images' source, and the training that would use them, at the figure's upper left."""
    width, height = figure.get_size_inches()
    xy = 0.5 * BETWEEN[0] / width, 1 - 0.5 * LINE / height
    figure.text(*xy, "\n".join(lines), ha="left", va="top", fontsize=7, parse_math=False)


def _show(
    figure: Figure,
    left: float,
    top: float,
    tile: float,
    height: float,
    columns: Sequence[Column],
    chosen: Sequence[int],
) -> Axes:
    """Draw columns side by side from a place in inches, a hairline round each image; return the first row's axes."""
    count, size = columns[0].images.shape[0], columns[0].images.shape[-1]
    rows = []
    for row in range(count):
        picture = mosaic(visible(torch.stack([column.images[row] for column in columns]), chosen))
        high, wide = picture.shape[:2]  # with the gaps between images, so that a row is lower than a tile
        width = len(columns) * tile
        axes = _axes(figure, left, top + row * height / count, width, width * high / wide)
        axes.imshow(picture.numpy(), interpolation="nearest" if size <= UPSCALED else "auto", aspect="auto")
        axes.set_axis_off()
        for number, column in enumerate(columns):
            corner = number * (size + GAP)
            frame = Rectangle((corner - 0.5, -0.5), size, size, fill=False, edgecolor="#999999", lw=0.3, clip_on=False)
            axes.add_patch(frame)
            for words, at, aligned, points in (
                (column.heading * (row == 0), -0.5, "bottom", 6),
                ("\n".join(column.lines[row]) if column.lines else "", size - 0.5, "top", TINY),
            ):
                axes.annotate(
                    words,
                    (corner + size / 2 - 0.5, at),
                    (0, 1 if aligned == "bottom" else -1.5),
                    textcoords="offset points",
                    ha="center",
                    va=aligned,
                    fontsize=points,
                    parse_math=False,
                )
        rows.append(axes)
    return rows[0]
