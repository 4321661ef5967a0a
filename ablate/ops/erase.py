"""Ops that erase a part of the image: cutout, erase."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ablate.ops.op import Op, Params, short
from ablate.ops.parameters import param
from ablate.ops.registry import register


@register("cutout")
class Cutout(Op):
    """Erase one square at a random place inside the image (DeVries & Taylor 2017; paper, figure 4g).

    Every place inside the image is equally likely. The paper gives no values. In its figure the side of the square is
    0.49 of the image's, and its colour is grey, 0.584 in every channel: ``cutout(fill=0.584)``. The mask is computed
    here because kornia's ``RandomErasing`` waits for the device.
    """

    capturable = True

    size: float = param(0.5, "side of the square", low=0.0, high=1.0, unit="of the shorter side")
    strength: float = param(1.0, "scales the side, up to that of the whole image", low=0.0, high=10.0)
    fill: float = param(
        0.0, "value inside the square: 0 for black, 0.584 for the grey of figure 4g", low=0.0, high=1.0, later=True
    )

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``top``, ``left`` and ``side`` of the square, float ``[n]``, whole pixels."""
        side = min(round(min(size) * self.size * self.strength), *size)
        uniform = torch.rand(2, n, generator=generator, device=device)
        return {
            "top": (uniform[0] * (size[0] - side + 1)).floor(),
            "left": (uniform[1] * (size[1] - side + 1)).floor(),
            "side": torch.full((n,), float(side), device=device),
        }

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Write ``fill`` into the pixels of the square alone."""
        from ablate.ops.cpu.fill import fill

        fill(images, mask, (params["top"], params["left"], params["side"], params["side"]), self.fill)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Write ``fill`` into each image's square."""
        side = params["side"]
        return images.masked_fill(in_box(images, params["top"], params["left"], side, side), self.fill)


@register("erase")
class Erase(Op):
    """Erase one box of random area and shape (Zhong et al. 2017), or one stripe (SpecAugment, Park et al. 2019).

    The defaults of boxes are those of torchvision's ``RandomErasing``, which draws again where a box does not fit; here
    the ratio is moved to the nearest that fits. Stripes are for spectrograms: rows are frequencies, columns times.
    """

    capturable = True

    p: float = param(0.5, "probability that a part of the image is erased", low=0.0, high=1.0)
    area: tuple[float, float] = param(
        (0.02, 0.33), "draws the erased area uniformly", low=1e-4, high=1.0, unit="of the image"
    )
    ratio: tuple[float, float] = param(
        (0.3, 3.3), "draws width / height of a box, on a logarithmic scale", low=0.01, high=100.0
    )
    shape: str = param("box", "a box, whole rows, or whole columns", choices=("box", "rows", "columns"))
    fill: float = param(0.0, "value of the erased part", low=0.0, high=1.0)
    strength: float = param(1.0, "scales the area, up to that of the whole image", low=0.0, high=10.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``top``, ``left``, ``height`` and ``width`` of the erased part in whole pixels, float ``[n]``."""
        high, wide = size
        uniform = torch.rand(4, n, generator=generator, device=device)
        area = (self.area[0] + (self.area[1] - self.area[0]) * uniform[0]) * self.strength
        pixels = area.clamp_max(1) * high * wide
        if self.shape == "box":
            low, span = math.log(self.ratio[0]), math.log(self.ratio[1] / self.ratio[0])
            ratio = torch.minimum((low + span * uniform[1]).exp().clamp_min(pixels / high**2), wide**2 / pixels)
            height, width = (pixels / ratio).sqrt(), (pixels * ratio).sqrt()
        elif self.shape == "rows":
            height, width = pixels / wide, torch.full_like(pixels, wide)
        else:
            height, width = torch.full_like(pixels, high), pixels / high
        height, width = height.round().clamp(1, high), width.round().clamp(1, wide)
        top, left = uniform[2] * (high - height + 1), uniform[3] * (wide - width + 1)
        return {"top": top.floor(), "left": left.floor(), "height": height, "width": width}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say the erased share of the image, and a box's width / height: ``area 0.2, ratio 1.4``."""
        area = f"area {short(drawn['height'] * drawn['width'] / (size[0] * size[1]))}"
        return f"{area}, ratio {short(drawn['width'] / drawn['height'])}" if self.shape == "box" else area

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Write ``fill`` into the pixels of the box or stripe alone."""
        from ablate.ops.cpu.fill import fill

        fill(images, mask, (params["top"], params["left"], params["height"], params["width"]), self.fill)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Write ``fill`` into each image's box or stripe."""
        box = (params[name] for name in ("top", "left", "height", "width"))
        return images.masked_fill(in_box(images, *box), self.fill)


def in_box(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Return bool ``[n, 1, h, w]``: True inside each image's box.

    Args:
        images: ``[n, c, h, w]``.
        top: float ``[n]``, whole pixels, as are the others.
        left: the first column inside.
        height: the number of rows inside.
        width: the number of columns inside.
    """
    y = torch.arange(images.shape[2], device=images.device) - top[:, None]
    x = torch.arange(images.shape[3], device=images.device) - left[:, None]
    rows, columns = (y >= 0) & (y < height[:, None]), (x >= 0) & (x < width[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]
