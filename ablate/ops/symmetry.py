"""Ops that map an image onto itself, pixel to pixel: flip, vflip, rotate, d4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kornia
import torch
from torch import Tensor

from ablate.ops.op import Op, Params
from ablate.ops.parameters import param
from ablate.ops.registry import register

# what 1 to 7 mean as bits: 1 mirrored left to right, 2 upside down, 4 transposed before
SYMMETRIES = ("mirrored", "upside down", "180°", "transposed", "270°", "90°", "transposed, 180°")


@register("flip")
class Flip(Op):
    """Flip the image horizontally, with kornia's ``hflip`` (paper, app. A, after the crop)."""

    capturable = True

    p: float = param(0.5, "probability that an image is flipped", low=0.0, high=1.0)

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Mirror the images of ``mask``."""
        moved(images, mask, torch.zeros_like(mask), mask, torch.zeros_like(mask))

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Mirror the images left to right."""
        flipped: Tensor = kornia.geometry.hflip(images)
        return flipped


@register("vflip")
class Vflip(Op):
    """Flip the image vertically, with kornia's ``vflip``, for images without an upright direction."""

    capturable = True
    turns = True

    p: float = param(0.5, "probability that an image is flipped", low=0.0, high=1.0)

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Mirror the images of ``mask``."""
        moved(images, mask, torch.zeros_like(mask), torch.zeros_like(mask), mask)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Mirror the images top to bottom."""
        flipped: Tensor = kornia.geometry.vflip(images)
        return flipped


@register("rotate")
class Rotate(Op):
    """Rotate by 90, 180 or 270 degrees, each equally likely (paper, figure 4f). No pixel is interpolated."""

    capturable = True
    square_only = True
    turns = True

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``turns``: quarter turns counter-clockwise, int64 ``[n]`` in 1 to 3."""
        return {"turns": torch.randint(1, 4, (n,), generator=generator, device=device)}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say the counter-clockwise turn: ``270°``."""
        return f"{90 * drawn['turns']}°"

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Turn the images of ``mask``."""
        moved(images, mask, *_turn(params))

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Turn every image by its own number of quarter turns."""
        return mapped(images, *_turn(params))


@register("d4")
class D4(Op):
    """Apply one of the seven symmetries of a square that move it: three turns, four reflections, each equally likely.

    With ``p`` = 7/8, its default, all eight are, the identity included (albumentations' ``D4``). No pixel is
    interpolated.
    """

    capturable = True
    square_only = True
    turns = True

    p: float = param(0.875, "probability that an image is moved", low=0.0, high=1.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``symmetry``, int64 ``[n]`` in 1 to 7: bits 1 mirrored, 2 upside down, 4 transposed before."""
        return {"symmetry": torch.randint(1, 8, (n,), generator=generator, device=device)}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say the counter-clockwise turn or the reflection: ``90°``, ``mirrored``, ``transposed``."""
        return SYMMETRIES[drawn["symmetry"] - 1]

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Map the images of ``mask``."""
        moved(images, mask, *_symmetry(params))

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Map every image by its own symmetry."""
        return mapped(images, *_symmetry(params))


def _turn(params: Params) -> tuple[Tensor, Tensor, Tensor]:
    turns = params["turns"]
    return turns != 2, turns >= 2, turns <= 2


def _symmetry(params: Params) -> tuple[Tensor, Tensor, Tensor]:
    symmetry = params["symmetry"]
    return symmetry & 4 > 0, symmetry & 1 > 0, symmetry & 2 > 0


def moved(images: Tensor, mask: Tensor, transposed: Tensor, mirrored: Tensor, upside_down: Tensor) -> None:
    """Do to float32 images on the CPU what :func:`mapped` returns, to those of ``mask`` alone."""
    from ablate.ops.cpu.symmetry import mapped as compiled

    compiled(images, mask, transposed, mirrored, upside_down)


def mapped(images: Tensor, transposed: Tensor, mirrored: Tensor, upside_down: Tensor) -> Tensor:
    """Return each square image mapped by a symmetry of the square, without waiting for the device.

    Args:
        images: ``[n, c, s, s]``.
        transposed: bool ``[n]``: exchange rows and columns, first of all.
        mirrored: bool ``[n]``: then exchange left and right.
        upside_down: bool ``[n]``: then exchange top and bottom.
    """
    images = torch.where(transposed[:, None, None, None], images.mT, images)
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return torch.where(upside_down[:, None, None, None], images.flip(2), images)
