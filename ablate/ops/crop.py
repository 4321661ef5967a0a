"""Ops that change the section: crop, a random resized crop with horizontal flip, and zoom_out, its inverse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ablate.config.trial import COVERED
from ablate.errors import UsageError
from ablate.ops import boxes
from ablate.ops.op import Op, Params, short
from ablate.ops.parameters import param
from ablate.ops.registry import register
from ablate.ops.resample import resized_crop, shrink


@register("crop")
class Crop(Op):
    """Crop a random box and resize it to the image's size, then flip it horizontally at random (paper, app. A).

    Boxes (:mod:`ablate.ops.boxes`) and pixels (:func:`ablate.ops.resample.resized_crop`) are those of torchvision. With
    ``sampling="tf"`` and ``resize="bicubic"`` they are those of the official code. The op has no ``strength``; set
    ``area`` instead.
    """

    capturable = True
    version = 2
    area: tuple[float, float] = param(
        (0.08, 1.0), "draws the area of the crop", low=1e-4, high=1.0, unit="of the image"
    )
    ratio: tuple[float, float] = param((3 / 4, 4 / 3), "draws width / height of the crop", low=0.01, high=100.0)
    flip_p: float = param(0.5, "probability of a horizontal flip", low=0.0, high=1.0)
    sampling: str = param(
        "torchvision",
        "how to draw boxes: with uniform area, or with uniform height as in the official code (tf; smaller boxes)",
        choices=("torchvision", "tf"),
        later=True,
    )
    resize: str = param(
        "bilinear",
        "interpolation: bilinear with antialiasing, or the official code's bicubic without it",
        choices=("bilinear", "bicubic"),
        later=True,
    )

    def __post_init__(self) -> None:
        """Refuse an area that TensorFlow's sampling can never draw."""
        super().__post_init__()
        if self.sampling == "tf" and self.area[1] < COVERED:
            raise UsageError(
                f"crop(sampling='tf') draws boxes that cover at least {COVERED:g} of the image, so area must reach "
                f"that far, not {self.area!r}"
            )

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``top, left, height, width`` (float ``[n]``, whole pixels) and ``flip`` (bool ``[n]``)."""
        return self.sample_boxes(n, size, generator, device)

    def sample_boxes(
        self,
        n: int,
        sizes: tuple[int, int] | Tensor,
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ) -> Params:
        """Draw boxes and flips for ``n`` images.

        Args:
            n: the number of images.
            sizes: their common size (h, w), or the size of each, int ``[n, 2]``.
            generator: the source of the draws.
            device: the device of the draws; default: the generator's.
        """
        device = generator.device if device is None else torch.device(device)
        attempts, draw = (
            (boxes.TENSORFLOW_ATTEMPTS, boxes.tensorflow_boxes)
            if self.sampling == "tf"
            else (boxes.TORCHVISION_ATTEMPTS, boxes.torchvision_boxes)
        )
        uniform = torch.rand(2 * attempts + 3, n, generator=generator, device=device)
        if isinstance(sizes, Tensor):
            high, wide = sizes[:, 0].float(), sizes[:, 1].float()
        else:
            high = torch.full((n,), float(sizes[0]), device=device)
            wide = torch.full((n,), float(sizes[1]), device=device)
        top, left, height, width = draw(uniform[:-1], high, wide, self.area, self.ratio)
        return {"top": top, "left": left, "height": height, "width": width, "flip": uniform[-1] < self.flip_p}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say the crop's share of the image and its width / height: ``area 0.31, ratio 1.1, flipped``."""
        area = drawn["height"] * drawn["width"] / (size[0] * size[1])
        said = f"area {short(area)}, ratio {short(drawn['width'] / drawn['height'])}"
        return f"{said}, flipped" if drawn["flip"] else said

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return the crops, at the images' own size."""
        return resized_crop(images, params, (images.shape[-2], images.shape[-1]), self.resize)


@register("zoom_out")
class ZoomOut(Op):
    """Shrink the image and put it at a random place on a uniform background: the inverse of crop (the range is ours).

    Pixels are those of torchvision's ``resize(antialias=True)`` and ``pad``. The op has no ``strength``; set ``area``
    instead.
    """

    capturable = True

    p: float = param(0.5, "probability that an image is shrunk", low=0.0, high=1.0)
    area: tuple[float, float] = param(
        (0.25, 1.0), "draws the area of the shrunken image uniformly", low=0.01, high=1.0, unit="of the image"
    )
    fill: float = param(0.0, "value of the background", low=0.0, high=1.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``top, left, height, width`` of the shrunken image (float ``[n]``, whole pixels)."""
        uniform = torch.rand(3, n, generator=generator, device=device)
        factor = (self.area[0] + (self.area[1] - self.area[0]) * uniform[0]).sqrt()
        height, width = ((factor * side).round().clamp_min(1) for side in size)
        top, left = uniform[1] * (size[0] - height + 1), uniform[2] * (size[1] - width + 1)
        return {"top": top.floor(), "left": left.floor(), "height": height, "width": width}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say the shrunken image's share of the area: ``area 0.31``."""
        return f"area {short(drawn['height'] * drawn['width'] / (size[0] * size[1]))}"

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Shrink one image after the other."""
        from ablate.ops.cpu.crop import shrink

        shrink(images, mask, params, self.fill)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Return the shrunken images on their background."""
        return shrink(images, params, self.fill)
