"""The random resized crop with horizontal flip."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ablate.ops.op import Op, Params, param
from ablate.ops.registry import register
from ablate.ops.resample import resized_crop

ATTEMPTS = 10  # as torchvision: boxes that do not fit are drawn again this often


@register("crop")
class Crop(Op):
    """Random resized crop, then a horizontal flip (paper, app. A).

    Boxes as torchvision's ``RandomResizedCrop.get_params``: area uniform, aspect ratio log-uniform, up to ten attempts,
    then the centre; all ten are drawn at once. Pixels by :func:`ablate.ops.resample.resized_crop`. It has no
    ``strength``: ``area`` is the knob.
    """

    version = 2
    area: tuple[float, float] = param((0.08, 1.0), "area of the crop", low=1e-4, high=1.0, unit="of the image")
    ratio: tuple[float, float] = param((3 / 4, 4 / 3), "width / height of the crop", low=0.01, high=100.0)
    flip_p: float = param(0.5, "probability of a horizontal flip", low=0.0, high=1.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """``top, left, height, width`` (float ``[n]``, whole pixels) and ``flip`` (bool ``[n]``)."""
        return self.sample_boxes(n, size, generator, device)

    def sample_boxes(
        self,
        n: int,
        sizes: tuple[int, int] | Tensor,
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ) -> Params:
        """Boxes and flips for ``n`` images of one size (h, w), or of their own sizes, int ``[n, 2]``."""
        device = generator.device if device is None else torch.device(device)
        uniform = torch.rand(2 * ATTEMPTS + 3, n, generator=generator, device=device)
        if isinstance(sizes, Tensor):
            high, wide = sizes[:, 0].float(), sizes[:, 1].float()
        else:
            high = torch.full((n,), float(sizes[0]), device=device)
            wide = torch.full((n,), float(sizes[1]), device=device)
        low, span = math.log(self.ratio[0]), math.log(self.ratio[1]) - math.log(self.ratio[0])
        area = (self.area[0] + (self.area[1] - self.area[0]) * uniform[:ATTEMPTS]) * high * wide
        ratio = (low + span * uniform[ATTEMPTS : 2 * ATTEMPTS]).exp()
        width, height = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (width > 0) & (width <= wide) & (height > 0) & (height <= high)
        first = fits.to(torch.uint8).argmax(0, keepdim=True)  # the first attempt that fits; 0 if none does
        none_fits = ~fits.any(0)
        width, height = width.gather(0, first)[0], height.gather(0, first)[0]
        width = torch.where(none_fits, torch.minimum(wide, (high * self.ratio[1]).round().clamp_min(1)), width)
        height = torch.where(none_fits, torch.minimum(high, (wide / self.ratio[0]).round().clamp_min(1)), height)
        top = torch.where(none_fits, (high - height) / 2, uniform[-3] * (high - height + 1)).floor()
        left = torch.where(none_fits, (wide - width) / 2, uniform[-2] * (wide - width + 1)).floor()
        return {"top": top, "left": left, "height": height, "width": width, "flip": uniform[-1] < self.flip_p}

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """The crops, at the images' own size."""
        return resized_crop(images, params, (images.shape[-2], images.shape[-1]))
