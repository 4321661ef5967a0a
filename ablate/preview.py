"""A picture of real transform pairs: for every cell the original, view 1 and view 2."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec
from torch import Tensor

from ablate.composition import Streams, TransformPair
from ablate.config import NamedOp
from ablate.data import DataSet, Resident
from ablate.errors import UsageError, unknown
from ablate.ops import center_crop
from ablate.report.heatmap import short_names, spelled_out
from ablate.results import write_atomically
from ablate.rng import derive_seed
from ablate.settings import Request, shared_config
from ablate.sweep.plan import cell_label
from ablate.sweep.run import check_writable

FORMATS = ("png", "svg", "pdf")
HEADINGS = ("original", "view 1", "view 2")
TILE = 0.62  # inches per image
LINE = 0.13  # inches of a line of text below
GAP = (0.3, 0.42)  # inches between cells, across and down; the headings stand in it


def check_target(path: Path) -> None:
    """Raise UsageError unless a picture can be written to ``path``."""
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise unknown("picture format", path.suffix or path.name, [f".{name}" for name in FORMATS])
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--out {path}: there is no directory {path.absolute().parent}")
    check_writable(path.absolute().parent)


def draw(request: Request, ops: tuple[NamedOp, ...], data: DataSet, count: int, seed: int) -> Figure:
    """``count`` training images per cell, with the draws that a trial of ``seed`` would make of this batch.

    All cells show the same images and, one-branch, the same base crops: as in a sweep, cells of one seed are paired.
    """
    config = shared_config(request, data.identity)
    order = torch.randperm(
        len(data.pretrain.labels), generator=torch.Generator().manual_seed(derive_seed(seed, "preview"))
    )
    images, sizes = Resident(data.pretrain.images, torch.device("cpu")).batch(order[:count])
    original = center_crop(images, (config.image_size, config.image_size), 1.0, sizes)
    k = len(ops)
    names = short_names([op.label for op in ops])
    width = k * (3 * TILE + GAP[0])
    below = spelled_out([op.label for op in ops], int(width * 20))
    height = k * (count * TILE + GAP[1]) + LINE * len(below)
    figure = Figure(figsize=(width, height), dpi=150)
    outer = figure.add_gridspec(
        k,
        k,
        left=0.5 * GAP[0] / width,
        right=1 - 0.5 * GAP[0] / width,
        bottom=(0.1 * GAP[1] + LINE * len(below)) / height,
        top=1 - 0.9 * GAP[1] / height,
        wspace=GAP[0] / (3 * TILE),
        hspace=GAP[1] / (count * TILE),
    )
    for i, row in enumerate(ops):
        for j, column in enumerate(ops):
            specs = (row.op,) if i == j else (row.op, column.op)
            cell = config.model_copy(update={"composition": specs})
            views = TransformPair.from_config(cell)(images, Streams(seed, 0, "cpu"), sizes)
            inner = outer[i, j].subgridspec(count, 3, wspace=0.04, hspace=0.04)
            _draw_cell(figure, inner, (original, *views), cell_label(names[i], names[j]))
    figure.text(0.5, 0.01, "\n".join(below), ha="center", va="bottom", fontsize=6, parse_math=False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` to ``path``, atomically, in the format of its suffix."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.removeprefix(".").lower())
    write_atomically(path, buffer.getvalue())


def _draw_cell(figure: Figure, inner: GridSpecFromSubplotSpec, columns: tuple[Tensor, ...], label: str) -> None:
    for j, batch in enumerate(columns):
        for i, image in enumerate(batch):
            axes = figure.add_subplot(inner[i, j])
            axes.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), vmin=0, vmax=1, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if i == 0:
                axes.set_title(
                    f"{label}\n{HEADINGS[j]}" if j == 1 else HEADINGS[j], fontsize=6, pad=2, parse_math=False
                )
