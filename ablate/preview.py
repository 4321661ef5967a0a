"""Pictures of real transform pairs: of every cell of a grid, or a contact sheet by which strengths can be judged."""

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

from ablate.composition import Composition, Streams, TransformPair
from ablate.config import NamedOp, TrialConfig
from ablate.data import DataSet, Resident
from ablate.errors import UsageError, unknown
from ablate.ops import center_crop
from ablate.outline import outline_of
from ablate.previews import GAP, mosaic
from ablate.report.heatmap import short_names, spelled_out
from ablate.results import write_atomically
from ablate.rng import derive_seed
from ablate.settings import Request, shared_config
from ablate.sweep.plan import cell_label
from ablate.sweep.run import check_file

FORMATS = ("png", "webp", "svg", "pdf")
DPI = 150
LARGEST = 2**16 - 1  # pixels a side that a picture can have
UPSCALED = 64  # pixels: images of up to as many a side are shown larger, pixel by pixel
SMALL, LARGE = 0.62, 1.1  # inches per image, up to that size and beyond
LONG = 16  # characters of a cell's title: beyond, it takes two lines
LINE = 0.13  # inches of a line of text
BETWEEN = (0.3, 0.42)  # inches between the cells of a grid, across and down; the headings stand in it


def check_target(path: Path) -> None:
    """Raise UsageError unless a picture can be written to ``path``."""
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise unknown("picture format", path.suffix or path.name, [f".{name}" for name in FORMATS])
    check_file(path)


def draw_grid(request: Request, ops: tuple[NamedOp, ...], data: DataSet, count: int, seed: int) -> Figure:
    """The original of ``count`` training images once per row of a grid, and the views of every cell.

    All cells show the same images and, one-branch, the same base crops: as in a sweep, cells of one seed are paired.
    View 2 of a one-branch pair is the base crop, which stands beside the original.

    Raises:
        UsageError: the picture would be too large.
    """
    config = shared_config(request, data.identity)
    images, sizes = _some(data, count, seed)
    count = len(images)  # of a smaller set, all
    original = _original(images, sizes, config)
    k, tile = len(ops), _tile(config)
    names = short_names([op.label for op in ops])
    one = config.branches == "one"
    beside, each = (2, 1) if one else (1, 2)  # images across, left of a row's cells and in each cell
    width = beside * tile + k * each * tile + (k + 1) * BETWEEN[0]
    heading = textwrap.wrap(f"{config.data.name}; {outline_of([config])}", int(width * 17))
    below = spelled_out([op.label for op in ops], int(width * 20))
    head = LINE * (len(heading) + 1)
    height = head + k * (count * tile + BETWEEN[1]) + LINE * len(below)
    figure = _figure(width, height)
    _head(figure, heading)
    for i, row in enumerate(ops):
        top = head + (i + 0.9) * BETWEEN[1] + i * count * tile
        for j, column in enumerate(ops):
            specs = (row.op,) if i == j else (row.op, column.op)
            first, second = _pair(config, Composition.from_specs(specs))(images, Streams(seed, 0, "cpu"), sizes)
            if j == 0:
                columns = _columns(original, second) if one else _columns(original)
                axes = _axes(figure, 0.5 * BETWEEN[0], top, beside * tile, count * tile)
                _show(axes, columns, config.image_size, count, ("original", "view 2")[:beside])
            left = (j + 1.5) * BETWEEN[0] + (beside + j * each) * tile
            axes = _axes(figure, left, top, each * tile, count * tile)
            columns = _columns(first) if one else _columns(first, second)
            _show(axes, columns, config.image_size, count, ("view 1", "view 2")[:each])
            label = cell_label(names[i], names[j])
            if len(label) > LONG:
                label = label.replace("+", "\n+", 1)
            axes.set_title(label, fontsize=6, pad=9, parse_math=False)
    figure.text(0.5, 0.01, "\n".join(below), ha="center", va="bottom", fontsize=6, parse_math=False)
    return figure


def draw_sheet(
    request: Request, compositions: Sequence[Composition], data: DataSet, count: int, draws: int, seed: int
) -> Figure:
    """A contact sheet: for every composition ``count`` training images, the original and ``draws`` draws of view 1.

    Every composition shows the same images, with draws from the same seeds, under its ops with all their parameters.
    What always draws the same is shown once.

    Raises:
        UsageError: the picture would be too large.
    """
    config = shared_config(request, data.identity)
    images, sizes = _some(data, count, seed)
    count = len(images)  # of a smaller set, all
    original = _original(images, sizes, config)
    many = images.repeat_interleave(draws, 0)
    many_sizes = None if sizes is None else sizes.repeat_interleave(draws, 0)
    tile, margin = _tile(config), 0.5 * BETWEEN[0]
    width = (1 + draws) * tile + 2 * margin
    labels = [_spelled(composition, int(width * 17)) for composition in compositions]
    heights = [LINE * (len(label) + 2) + count * tile for label in labels]
    heading = textwrap.wrap(f"{config.data.name}; {outline_of([config])}", int(width * 17))
    top = LINE * (len(heading) + 1)
    figure = _figure(width, top + sum(heights) + margin)
    _head(figure, heading)
    for composition, label, height in zip(compositions, labels, heights, strict=True):
        views = _pair(config, composition)(many, Streams(seed, 0, "cpu"), many_sizes)[0].unflatten(0, (count, draws))
        random = not torch.equal(views, views[:, :1].expand_as(views))
        shown = views.unbind(1) if random else views[:, :1].unbind(1)
        axes = _axes(figure, margin, top + height - count * tile, (1 + len(shown)) * tile, count * tile)
        named = "draws" if random else "every draw" if draws > 1 else "draw"
        _show(axes, _columns(original, *shown), config.image_size, count, ("original", named))
        axes.set_title("\n".join(label), fontsize=7, pad=9, loc="left", parse_math=False)
        top += height
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` to ``path``, atomically, in the format of its suffix."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.removeprefix(".").lower())
    write_atomically(path, buffer.getvalue())


def _some(data: DataSet, count: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """``count`` training images that ``seed`` picks, as a batch."""
    picked = torch.Generator().manual_seed(derive_seed(seed, "preview"))
    order = torch.randperm(len(data.pretrain.labels), generator=picked)
    return Resident(data.pretrain.images, torch.device("cpu")).batch(order[:count])


def _original(images: Tensor, sizes: Tensor | None, config: TrialConfig) -> Tensor:
    return center_crop(images, (config.image_size, config.image_size), 1.0, sizes)


def _pair(config: TrialConfig, composition: Composition) -> TransformPair:
    return TransformPair.from_config(config.model_copy(update={"composition": composition.specs()}))


def _spelled(composition: Composition, columns: int) -> list[str]:
    """The composition, and every op with all its parameters, in lines of at most ``columns`` characters."""
    lines = textwrap.wrap(str(composition), columns)
    for spec in composition.specs():
        lines += textwrap.wrap(str(spec), columns, initial_indent="  ", subsequent_indent="    ")
    return lines


def _tile(config: TrialConfig) -> float:
    return SMALL if config.image_size <= UPSCALED else LARGE


def _figure(width: float, height: float) -> Figure:
    if DPI * max(width, height) > LARGEST:
        raise UsageError(
            f"the picture would have {DPI * width:.0f} x {DPI * height:.0f} pixels, and {LARGEST} a side are the most: "
            "draw fewer ops, compositions or --images"
        )
    return Figure(figsize=(width, height), dpi=DPI)


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place in inches from the figure's top left corner."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes(
        (left / whole_width, 1 - (top + height) / whole_height, width / whole_width, height / whole_height)
    )


def _columns(*columns: Tensor) -> Tensor:
    """Columns of images, float ``[n, 3, h, w]`` each, as one picture."""
    return mosaic(*(torch.stack(row) for row in zip(*columns, strict=True)))


def _head(figure: Figure, lines: Sequence[str]) -> None:
    """What the images are of, and what would be trained on them, at the figure's upper left."""
    width, height = figure.get_size_inches()
    place = 0.5 * BETWEEN[0] / width, 1 - 0.5 * LINE / height
    figure.text(*place, "\n".join(lines), ha="left", va="top", fontsize=7, parse_math=False)


def _show(axes: Axes, picture: Tensor, size: int, rows: int, headings: Sequence[str]) -> None:
    """A picture of ``rows`` of images, ``size`` pixels a side, with a hairline round each and headings above."""
    axes.imshow(picture.numpy(), interpolation="nearest" if size <= UPSCALED else "auto", aspect="auto")
    axes.set_yticks([])
    axes.xaxis.tick_top()
    axes.set_xticks([i * (size + GAP) + size / 2 for i in range(len(headings))], headings, fontsize=6)
    axes.tick_params(length=0, pad=1)
    for across in range((picture.shape[1] + GAP) // (size + GAP)):
        for down in range(rows):
            corner = across * (size + GAP) - 0.5, down * (size + GAP) - 0.5
            axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor="#999999", lw=0.3, clip_on=False))
    for spine in axes.spines.values():
        spine.set_visible(False)
