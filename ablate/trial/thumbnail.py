"""Example pairs of a trial's composition, as a small picture in the sweep's directory, readable without torch."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ablate.config.trial import TrialConfig
from ablate.data import DataSet, Resident
from ablate.files import write_atomically
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import derive_seed
from ablate.sweep.layout import SweepDir
from ablate.trial.colours import visible

logger = logging.getLogger("ablate")

PAIRS = 6
LARGEST = 72  # pixels per side; smaller views are kept as they are
GAP = 2  # pixels between the images
QUALITY = 85


def write_preview(directory: Path, config: TrialConfig, data: DataSet, device: torch.device) -> None:
    """Write ``DIR/previews/<key>.webp``, six pairs with view 1 above view 2, unless it is there.

    Every cell shows the same training images and, one-branch, the same base crops. The draws are the preview's own, so
    no result depends on them. If a picture cannot be made, a line is logged, for it must not cost a trial.
    """
    path = SweepDir(directory).preview(config.key)
    if config.objective == "untrained" or path.exists():
        return
    try:
        write_atomically(path, _webp(mosaic(*map(visible, pairs(config, data, device)))))
    except Exception:
        logger.warning("no preview of %s was written", config.key, exc_info=True)


def pairs(config: TrialConfig, data: DataSet, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return both views of the preview's images: float ``[6, c, side, side]`` in [0, 1], on the CPU, side up to 72."""
    chosen = torch.Generator().manual_seed(derive_seed(0, "preview"))
    index = torch.randperm(len(data.pretrain.labels), generator=chosen)[:PAIRS]
    images, sizes = Resident(data.pretrain.images, torch.device("cpu")).batch(index)
    pair = replace(TransformPair.from_config(config), compile=False)  # not worth it for six images
    streams = Streams(derive_seed(0, "preview"), 0, device)
    views = pair(images.to(device), streams, None if sizes is None else sizes.to(device))
    first, second = (_no_larger(view.float().cpu()) for view in views)
    return first, second


def _no_larger(images: Tensor) -> Tensor:
    return (
        interpolate(images, (LARGEST, LARGEST), mode="bilinear", antialias=True)
        if images.shape[-1] > LARGEST
        else images
    )


def mosaic(*rows: Tensor) -> Tensor:
    """Return a picture of rows of equally many images, on white, as uint8 ``[H, W, 3]``.

    Args:
        rows: float ``[n, 3, h, w]`` in [0, 1] each.
    """
    tiles = pad(torch.stack(rows), (0, GAP, 0, GAP), value=1.0)
    r, n, c, h, w = tiles.shape
    whole = tiles.permute(0, 3, 1, 4, 2).reshape(r * h, n * w, c)[: r * h - GAP, : n * w - GAP]
    return whole.mul(255).round().clamp(0, 255).byte()


def _webp(picture: Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, "webp", quality=QUALITY, method=4)
    return buffer.getvalue()
