"""The loss of JPEG: quantised frequencies of 8 x 8 blocks."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.ops.op import Op, Params
from ablate.ops.parameters import param
from ablate.ops.registry import register

BLOCK = 8
# Steps at quality 50 (ITU-T T.81, annex K), row by row.
LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)


@register("jpeg")
class Jpeg(Op):
    """Lose what JPEG loses: quantise the frequencies of 8 x 8 blocks, on the images' device.

    Three channels are coded as luma and halved chroma (4:2:0), any other number as grey channels. Levels and steps are
    those of libjpeg (its quality scale); pixels differ from Pillow's by the rounding of its integer arithmetic, in mean
    by at most two levels of 255 and a third of the loss itself (``tests/ops/test_jpeg.py``).
    """

    capturable = True

    p: float = param(0.5, "probability that an image is compressed", low=0.0, high=1.0)
    quality: tuple[int, int] = param((30, 95), "draws the quality uniformly, as in libjpeg", low=1, high=100)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``quality``, int64 ``[n]``."""
        low, high = self.quality
        return {"quality": torch.randint(low, high + 1, (n,), generator=generator, device=device)}

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return the images as they would be after writing and reading them."""
        height, width = images.shape[2:]
        block = 2 * BLOCK if images.shape[1] == 3 else BLOCK
        levels = F.pad((images * 255).round(), (0, -width % block, 0, -height % block), mode="replicate")
        luma = steps(LUMA, params["quality"], levels)
        if images.shape[1] != 3:
            return coded(levels, luma)[:, :, :height, :width] / 255
        planes = to_ycbcr(levels)
        chroma = coded(halved(planes[:, 1:]), steps(CHROMA, params["quality"], levels))
        chroma = chroma[:, :, : (height + 1) // 2, : (width + 1) // 2]  # as in libjpeg, padding is not interpolated
        chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear").round()
        return to_rgb(coded(planes[:, :1], luma)[:, :, :height, :width], chroma[:, :, :height, :width]) / 255


def steps(table: tuple[int, ...], quality: Tensor, like: Tensor) -> Tensor:
    """Return the step of every frequency, ``[n, 8, 8]``, by libjpeg's scale of ``quality``.

    The table is made of filled scalars, since a constant would be copied to the device.
    """
    base = torch.stack([like.new_full((), step) for step in table]).view(BLOCK, BLOCK)
    quality = quality.to(like.dtype)[:, None, None]
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((base * percent + 50) / 100).floor().clamp(1, 255)


def halved(planes: Tensor) -> Tensor:
    """Return the means of 2 x 2 levels; as in libjpeg, halves are rounded down and up in turn, column by column."""
    column = torch.arange(planes.shape[3] // 2, dtype=planes.dtype, device=planes.device)
    return (F.avg_pool2d(planes, 2) + (1 + column % 2) / 4).floor()


def coded(planes: Tensor, step: Tensor) -> Tensor:
    """Return levels (0 to 255, ``[n, c, h, w]``, sides a multiple of 8) after coding with ``step``, ``[n, 8, 8]``."""
    n, c, height, width = planes.shape
    cosines = _cosines(planes)
    blocks = (planes - 128).view(n, c, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
    step = step[:, None, None, None]
    ratio = cosines @ blocks @ cosines.mT / step
    kept = (ratio.abs() + 0.5).floor().copysign(ratio) * step  # halves away from 0, as libjpeg rounds them
    back = (cosines.mT @ kept @ cosines).transpose(3, 4).reshape(planes.shape)
    return (back + 128).round().clamp(0, 255)


def _cosines(like: Tensor) -> Tensor:
    """Return the orthonormal DCT of 8 values as a matrix, a frequency per row."""
    place = torch.arange(BLOCK, dtype=like.dtype, device=like.device)
    waves = ((2 * place + 1) * place[:, None] * (math.pi / (2 * BLOCK))).cos() * (2 / BLOCK) ** 0.5
    return torch.where(place[:, None] == 0, BLOCK**-0.5, waves)


def to_ycbcr(levels: Tensor) -> Tensor:
    """Return luma and chroma of RGB ``[n, 3, h, w]``, all from 0 to 255 (JFIF, as in libjpeg)."""
    red, green, blue = levels.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402], 1).round()


def to_rgb(luma: Tensor, chroma: Tensor) -> Tensor:
    """Return RGB of luma ``[n, 1, h, w]`` and chroma ``[n, 2, h, w]``, rounded and clipped to 0 to 255."""
    blue, red = (chroma - 128).unbind(1)
    y = luma[:, 0]
    green = y - (0.114 * 1.772 / 0.587) * blue - (0.299 * 1.402 / 0.587) * red
    return torch.stack([y + 1.402 * red, green, y + 1.772 * blue], 1).round().clamp(0, 255)
