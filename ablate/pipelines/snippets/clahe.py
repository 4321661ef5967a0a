"""Local contrast with a limit for each image; see the package."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class Clahe(PerImage):
    """Equalises up to ``tiles`` x ``tiles`` parts of each channel over 256 levels, like kornia's ``equalize_clahe``.

    The limit of a level's count is uniform in ``limit``, in units of the mean count.
    """

    def __init__(self, limit: tuple[float, float], tiles: int, p: float) -> None:
        super().__init__(p)
        self.low, self.high, self.tiles = *limit, tiles

    def change(self, images: Tensor) -> Tensor:
        """Each image with its own limit, every pixel by the four nearest tiles."""
        height, width = images.shape[2:]
        grid = min(self.tiles, max(height // 16, 1)), min(self.tiles, max(width // 16, 1))
        high, wide = -(-height // grid[0]), -(-width // grid[1])
        padded = F.pad(images, (0, wide * grid[1] - width, 0, high * grid[0] - height), mode="reflect")
        levels = (padded * 255).long()
        equalized = torch.empty_like(images)
        rows, down = self.between(height, high, grid[0])
        columns, across = self.between(width, wide, grid[1])
        for i, image in enumerate(levels):
            limit = max((self.low + (self.high - self.low) * float(torch.rand(()))) * high * wide // 256, 1)
            tiles = image.unfold(1, high, high).unfold(2, wide, wide).flatten(3)
            tables = self.tables(tiles, limit)
            channel = torch.arange(len(image))[:, None, None]
            corners = [[tables[channel, r[:, None], c, image[:, :height, :width]] for c in columns] for r in rows]
            above, below = (torch.lerp(left, right, across.to(left)) for left, right in corners)
            equalized[i] = torch.lerp(above, below, down.to(above)[:, None])
        return equalized

    def tables(self, tiles: Tensor, limit: float) -> Tensor:
        """The new value of every level in each of the tiles [..., pixels], [..., 256]."""
        pixels = tiles.shape[-1]
        counts = torch.zeros(*tiles.shape[:-1], 256, device=tiles.device)
        counts = counts.scatter_add_(-1, tiles, torch.ones_like(tiles, dtype=counts.dtype)).clamp(max=limit)
        excess = pixels - counts.sum(-1, keepdim=True)
        rest = excess % 256
        step, level = (256 / rest.clamp(min=1)).floor(), torch.arange(256, device=tiles.device)
        counts = counts + (excess - rest) / 256 + ((level % step == 0) & ((level / step).floor() < rest))
        return (counts.cumsum(-1) * (255 / pixels)).clamp(0, 255).round() / 255

    def between(self, size: int, length: int, tiles: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The tiles before and after each of ``size`` pixels, and how far the pixel is from the first."""
        place = ((torch.arange(size) - (length - 1) / 2) / length).clamp(0, tiles - 1)
        before = place.floor().long()
        return (before, (before + 1).clamp(max=tiles - 1)), place - before
