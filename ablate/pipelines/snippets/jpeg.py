"""The loss of JPEG; see the package."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.pipelines.snippets.per_image import PerImage


class JpegLoss(PerImage):
    """What an RGB image is after JPEG with 4:2:0 and a quality between ``quality[0]`` and ``quality[1]``.

    With another number of channels, each is coded as a grey image.
    """

    LUMA = (
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    )
    CHROMA = (17, 18, 24, 47, 18, 21, 26, 66, 24, 26, 56, 99, 47, 66, 99, 99)  # the upper left; the others are 99

    def __init__(self, quality: tuple[int, int], p: float) -> None:
        super().__init__(p)
        self.low, self.high = quality

    def change(self, images: Tensor) -> Tensor:
        """Each image with its own quality."""
        height, width = images.shape[2:]
        quality = torch.randint(self.low, self.high + 1, (len(images), 1, 1), device=images.device).to(images.dtype)
        percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
        luma = images.new_tensor(self.LUMA).view(8, 8)
        chroma = torch.full_like(luma, 99)
        chroma[:4, :4] = images.new_tensor(self.CHROMA).view(4, 4)
        luma, chroma = (((table * percent + 50) / 100).floor().clamp(1, 255) for table in (luma, chroma))
        block = 16 if images.shape[1] == 3 else 8
        levels = F.pad((images * 255).round(), (0, -width % block, 0, -height % block), mode="replicate")
        if images.shape[1] != 3:
            return self.coded(levels, luma)[:, :, :height, :width] / 255
        red, green, blue = levels.unbind(1)
        y = 0.299 * red + 0.587 * green + 0.114 * blue
        colours = torch.stack([128 + (blue - y) / 1.772, 128 + (red - y) / 1.402], 1).round()
        column = torch.arange(colours.shape[3] // 2, device=images.device)
        halved = (F.avg_pool2d(colours, 2) + (1 + column % 2) / 4).floor()
        kept = self.coded(halved, chroma)[:, :, : (height + 1) // 2, : (width + 1) // 2]
        whole = F.interpolate(kept, scale_factor=2.0, mode="bilinear").round()[:, :, :height, :width]
        y = self.coded(y[:, None].round(), luma)[:, 0, :height, :width]
        cb, cr = (whole - 128).unbind(1)
        green = y - (0.114 * 1.772 / 0.587) * cb - (0.299 * 1.402 / 0.587) * cr
        rgb = torch.stack([y + 1.402 * cr, green, y + 1.772 * cb], 1)
        return rgb.round().clamp(0, 255) / 255

    def coded(self, planes: Tensor, step: Tensor) -> Tensor:
        """Levels [N, C, H, W] after the frequencies of their blocks are multiples of ``step``, [N, 8, 8]."""
        n, c, height, width = planes.shape
        k = torch.arange(8, dtype=planes.dtype, device=planes.device)
        dct = torch.where(k[:, None] == 0, 8**-0.5, ((2 * k + 1) * k[:, None] * (math.pi / 16)).cos() / 2)
        blocks = (planes - 128).view(n, c, height // 8, 8, width // 8, 8).transpose(3, 4)
        step = step[:, None, None, None]
        ratio = dct @ blocks @ dct.mT / step
        kept = (ratio.abs() + 0.5).floor().copysign(ratio) * step
        return ((dct.mT @ kept @ dct).transpose(3, 4).reshape(planes.shape) + 128).round().clamp(0, 255)
