"""Local contrast: histograms of tiles, equalised up to a limit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.ops.op import Op, Params
from ablate.ops.parameters import param
from ablate.ops.registry import register

LEVELS = 256
SIDE = 16  # pixels, so that a tile has as many as there are levels


@register("clahe")
class Clahe(Op):
    """Equalise the contrast of each tile of each channel, up to a limit, over 256 levels (CLAHE; Zuiderveld 1994).

    Pixels are those of kornia's ``equalize_clahe``, which takes one limit for the whole batch. Counts above the limit
    are spread over all levels, and every pixel is mapped by the four nearest tiles, bilinearly. Smaller
    images get fewer tiles, of 16 pixels a side or more.
    """

    capturable = True

    p: float = param(0.5, "probability that an image is changed", low=0.0, high=1.0)
    limit: tuple[float, float] = param(
        (1.0, 4.0), "draws the largest count of a level uniformly", low=1.0, high=256.0, unit="of the mean count"
    )
    tiles: int = param(8, "most tiles along either side", low=1, high=64)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``limit``, float ``[n]``."""
        uniform = torch.rand(n, generator=generator, device=device)
        return {"limit": self.limit[0] + (self.limit[1] - self.limit[0]) * uniform}

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Map each pixel by the tables of the tiles around it."""
        height, width = images.shape[2:]
        grid = min(self.tiles, max(height // SIDE, 1)), min(self.tiles, max(width // SIDE, 1))
        tables = _tables(images, params["limit"], grid)
        levels = (images * (LEVELS - 1)).long()
        up, down, low = _between(height, grid[0], images)
        left, right, across = _between(width, grid[1], images)

        def mapped(rows: Tensor, columns: Tensor) -> Tensor:
            place = ((rows[:, None] * grid[1] + columns) * LEVELS + levels).flatten(2)
            return tables.gather(2, place).view_as(images)

        above = torch.lerp(mapped(up, left), mapped(up, right), across)
        below = torch.lerp(mapped(down, left), mapped(down, right), across)
        return torch.lerp(above, below, low[:, None]).clamp_(0, 1)


def _tables(images: Tensor, limit: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the new value of every level in every tile, ``[n, c, tiles * 256]``, tiles row by row.

    Args:
        images: ``[n, c, h, w]`` in [0, 1]; mirrored below and to the right to a multiple of the tiles.
        limit: float ``[n]``, of the mean count.
        grid: tiles down and across.
    """
    n, c, height, width = images.shape
    high, wide = -(-height // grid[0]), -(-width // grid[1])
    padded = F.pad(images, (0, wide * grid[1] - width, 0, high * grid[0] - height), mode="reflect")
    tiles = padded.view(n, c, grid[0], high, grid[1], wide).transpose(3, 4).reshape(n, -1, high * wide)
    levels, pixels = (tiles * (LEVELS - 1)).long(), high * wide
    counts = images.new_zeros(n, tiles.shape[1], LEVELS).scatter_add_(2, levels, torch.ones_like(tiles))
    most = (limit.double() * pixels / LEVELS).floor().clamp_min(1).to(counts.dtype)
    counts = torch.minimum(counts, most[:, None, None])
    excess = pixels - counts.sum(2, keepdim=True)
    rest = excess.remainder(LEVELS)
    step = (LEVELS / rest.clamp_min(1)).floor()  # OpenCV gives the rest to every so many levels, from level 0
    level = torch.arange(LEVELS, device=images.device)
    extra = (level.remainder(step) == 0) & ((level / step).floor() < rest)
    sums = (counts + (excess - rest) / LEVELS + extra).cumsum(2)
    return ((sums * ((LEVELS - 1) / pixels)).clamp(0, LEVELS - 1).round() / (LEVELS - 1)).view(n, c, -1)


def _between(size: int, tiles: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for each of ``size`` pixels, the tiles before and after it, and how far it is from the first."""
    length = -(-size // tiles)
    place = torch.arange(size, device=like.device, dtype=like.dtype)
    place = ((place - (length - 1) / 2) / length).clamp(0, tiles - 1)
    before = place.floor()
    return before.long(), (before + 1).clamp_max(tiles - 1).long(), place - before
