"""Ops that move pixels and interpolate: affine, perspective, elastic. Outside the image is black, as in torchvision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.ops.counter import normal
from ablate.ops.filters import blur_matrix, separable
from ablate.ops.op import FAR, Op, Params, short
from ablate.ops.parameters import param
from ablate.ops.registry import register


@register("affine")
class Affine(Op):
    """Rotate, shift, scale and shear about the centre, bilinearly (torchvision's ``affine``; the ranges are ours).

    It uses ``affine_grid`` and ``grid_sample`` of torch. kornia's ``affine`` inverts a 3 x 3 matrix per image for the
    same result.
    """

    capturable = True
    turns = True

    degrees: float = param(15.0, "draws the rotation from +- this", low=0.0, high=180.0, unit="degrees")
    translate: float = param(
        0.1, "draws the shift along either side from +- this", low=0.0, high=1.0, unit="of the side"
    )
    scale: float = param(0.1, "draws the scale factor from 1 +- this", low=0.0, high=0.9)
    shear: float = param(10.0, "draws the shear from +- this", low=0.0, high=60.0, unit="degrees")
    strength: float = param(1.0, "scales the four ranges", low=0.0, high=1.0)

    @property
    def is_turning(self) -> bool:
        """True where the rotation reaches 45 degrees."""
        return super().is_turning and self.degrees * self.strength >= FAR

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``angle, shear`` (radians), ``dx, dy`` (shares of width and height) and ``scale``: float ``[n]``."""
        u = (torch.rand(5, n, generator=generator, device=device) * 2 - 1) * self.strength
        return {
            "angle": u[0] * math.radians(self.degrees),
            "dx": u[1] * self.translate,
            "dy": u[2] * self.translate,
            "scale": 1 + u[3] * self.scale,
            "shear": u[4] * math.radians(self.shear),
        }

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say ``-12°, scale 1.1, shift 0.05 -0.03, shear 4°``; the shift is in shares of width and height."""
        turn, shear = (short(math.degrees(drawn[name])) for name in ("angle", "shear"))
        scale, across, down = (short(drawn[name]) for name in ("scale", "dx", "dy"))
        return f"{turn}°, scale {scale}, shift {across} {down}, shear {shear}°"

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Sample where the inverse of translate * rotate * shear_x * scale maps each output pixel in the input."""
        height, width = images.shape[-2:]
        cos, sin, tan = params["angle"].cos(), params["angle"].sin(), params["shear"].tan()
        # inverse of R(angle) [[1, -tan], [0, 1]] scale, on pixels; then to affine_grid's units of half sides
        a, b = (cos - tan * sin) / params["scale"], (sin + tan * cos) / params["scale"]
        c, d = -sin / params["scale"], cos / params["scale"]
        dx, dy = params["dx"] * width, params["dy"] * height
        ratio = height / width
        rows = torch.stack([a, b * ratio, -(a * dx + b * dy) * 2 / width], 1)
        below = torch.stack([c / ratio, d, -(c * dx + d * dy) * 2 / height], 1)
        grid = F.affine_grid(torch.stack([rows, below], 1).to(images.dtype), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False).clamp(0, 1)


@register("perspective")
class Perspective(Op):
    """Move each corner inwards by up to ``distortion`` of half the side (torchvision's RandomPerspective).

    ``torch.linalg.solve_ex`` gives the eight coefficients. kornia's ``get_perspective_transform`` would wait for the
    device to check the result.
    """

    capturable = True

    distortion: float = param(0.5, "largest move of a corner", low=0.0, high=1.0, unit="of half the side")
    strength: float = param(1.0, "scales the distortion", low=0.0, high=1.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``moves [n, 4, 2]``: (x, y) of each corner, clockwise from the top left, in units of half the side."""
        moves = torch.rand(n, 4, 2, generator=generator, device=device)
        return {"moves": moves * self.distortion * self.strength}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say ``corners by up to 0.31``: the largest move along one side, in units of half that side."""
        return f"corners by up to {short(max(map(max, drawn['moves'])))}"

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Move the input's corners to where they were drawn; units are half sides, with the corners at +-1."""
        height, width = images.shape[-2:]
        moves = params["moves"].double()
        x = torch.stack([moves[:, 0, 0] - 1, 1 - moves[:, 1, 0], 1 - moves[:, 2, 0], moves[:, 3, 0] - 1], 1)
        y = torch.stack([moves[:, 0, 1] - 1, moves[:, 1, 1] - 1, 1 - moves[:, 2, 1], 1 - moves[:, 3, 1]], 1)
        c = _homography(x, y).to(images.dtype)[:, :, None, None]
        across = _centres(width, images)[None, None, :]
        down = _centres(height, images)[None, :, None]
        depth = c[:, 6] * across + c[:, 7] * down + 1
        grid_x = (c[:, 0] * across + c[:, 1] * down + c[:, 2]) / depth
        grid_y = (c[:, 3] * across + c[:, 4] * down + c[:, 5]) / depth
        return F.grid_sample(images, torch.stack([grid_x, grid_y], -1), align_corners=False).clamp(0, 1)


@register("elastic")
class Elastic(Op):
    """Move pixels by smooth random displacements, blurred with ``sigma`` and scaled to ``alpha`` (Simard et al. 2003).

    The noise of an image follows from one 64-bit seed, which a counter hash expands. kornia's ``elastic_transform2d``
    takes the noise as pixels and normalises it by another rule.
    """

    capturable = True

    alpha: float = param(0.05, "root mean square displacement", low=0.0, high=0.5, unit="of the side")
    sigma: float = param(0.1, "standard deviation of the blur", low=0.02, high=0.5, unit="of the side")
    strength: float = param(1.0, "scales alpha", low=0.0, high=10.0)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``seed``, int64 ``[n]``."""
        return {"seed": torch.randint(2**62, (n,), generator=generator, device=device)}

    def displacement(self, params: Params, height: int, width: int, dtype: torch.dtype) -> Tensor:
        """Return ``[n, 2, height, width]``: (x, y) moves in units of half the side.

        Args:
            params: the drawn parameters.
            height: of the images, in pixels.
            width: of the images, in pixels.
            dtype: of the result.
        """
        noise = normal(params["seed"], 2 * height * width, dtype).view(-1, 2, height, width)
        spread = torch.ones(1, dtype=dtype, device=noise.device) * self.sigma
        rows = blur_matrix(spread * height, height, _taps(self.sigma * height, height))
        columns = blur_matrix(spread * width, width, _taps(self.sigma * width, width))
        smooth = separable(noise, rows.expand(len(noise), -1, -1), columns.expand(len(noise), -1, -1))
        scale = smooth.square().mean((1, 2, 3), keepdim=True).rsqrt()
        return smooth * scale * (2 * self.alpha * self.strength)

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Read every output pixel from the place to which its displacement points."""
        height, width = images.shape[-2:]
        moves = self.displacement(params, height, width, images.dtype)
        x = _centres(width, images)[None, None, :] + moves[:, 0]
        y = _centres(height, images)[None, :, None] + moves[:, 1]
        return F.grid_sample(images, torch.stack([x, y], -1), align_corners=False).clamp(0, 1)


def _centres(size: int, like: Tensor) -> Tensor:
    """Return pixel centres in units of half the side, from -1 + 1/size to 1 - 1/size."""
    return (torch.arange(size, dtype=like.dtype, device=like.device) * 2 + 1) / size - 1


def _taps(sigma: float, size: int) -> int:
    """Return the kernel size: three sigma each way, odd, and no wider than reflection allows."""
    return min(2 * math.ceil(3 * sigma) + 1, 2 * size - 1)


def _homography(x: Tensor, y: Tensor) -> Tensor:
    """Return ``[n, 8]``: coefficients that map the corners (``x``, ``y`` ``[n, 4]``) to those of the square, +-1."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    sign = torch.arange(4, device=x.device, dtype=x.dtype)
    target_x = torch.where((sign == 1) | (sign == 2), 1.0, -1.0).to(x.dtype).expand_as(x)
    target_y = torch.where(sign >= 2, 1.0, -1.0).to(x.dtype).expand_as(x)
    upper = torch.stack([x, y, one, zero, zero, zero, -target_x * x, -target_x * y], 2)
    lower = torch.stack([zero, zero, zero, x, y, one, -target_y * x, -target_y * y], 2)
    system = torch.cat([upper, lower], 1)
    solution: Tensor = torch.linalg.solve_ex(system, torch.cat([target_x, target_y], 1)).result
    return solution
