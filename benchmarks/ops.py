"""Every op beside its counterpart among kornia's functions, if it has one, and beside ``color``: images per second.

``python -m benchmarks.ops``, on one core, with equal parameters: the source of "slower" and "faster" in docstrings.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import kornia.color
import kornia.enhance as E
import kornia.filters as KF
import kornia.geometry as KG
import torch
from torch import Tensor

from ablate.ops import Params, get, names
from ablate.ops.color_math import grayscale, shift_hue
from benchmarks.harness import measure, save

SIZES = ((32, 128), (96, 32), (224, 8))


def _blur(x: Tensor, params: Params) -> Tensor:
    taps = get("blur")().taps(x.shape[-1])
    return KF.gaussian_blur2d(x, (taps, taps), params["sigma"][:, None].expand(-1, 2))


def _perspective(x: Tensor, params: Params) -> Tensor:
    half = x.shape[-1] / 2
    signs = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    start = (signs * half + half - 0.5).expand(len(x), 4, 2)
    end = (signs - signs * params["moves"]) * half + half - 0.5
    matrix = KG.get_perspective_transform(start, end)
    return KG.warp_perspective(x, matrix, x.shape[-2:], align_corners=True)


def _affine(x: Tensor, params: Params) -> Tensor:
    n, side = len(x), x.shape[-1]
    shift = torch.stack([params["dx"], params["dy"]], 1) * side
    centre = torch.full((n, 2), (side - 1) / 2)
    scale = params["scale"][:, None].expand(-1, 2)
    angle, shear = -params["angle"].rad2deg(), params["shear"].rad2deg()
    matrix = KG.get_affine_matrix2d(shift, centre, scale, angle, shear, torch.zeros(n))
    return KG.warp_affine(x, matrix[:, :2], x.shape[-2:], align_corners=True)


KORNIA: dict[str, Callable[[Tensor, Params], Tensor]] = {
    "affine": _affine,
    "blur": _blur,
    "crop": lambda x, p: KG.crop_and_resize(x, _corners(p), x.shape[-2:]),
    "equalize": lambda x, p: E.equalize(x),
    "flip": lambda x, p: KG.hflip(x),
    "gray": lambda x, p: kornia.color.rgb_to_grayscale(x).expand(-1, 3, -1, -1).contiguous(),
    "invert": lambda x, p: E.invert(x),
    "perspective": _perspective,
    "posterize": lambda x, p: E.posterize(x, p["bits"]),
    "rotate": lambda x, p: KG.rotate(x, 90.0 * p["turns"]),
    "sharpen": lambda x, p: E.sharpness(x, p["factor"]),
    "sobel": lambda x, p: KF.sobel(x, normalized=False).clamp(0, 1),
    "solarize": lambda x, p: E.solarize(x, 0.5),
    "vflip": lambda x, p: KG.vflip(x),
}


def _corners(p: Params) -> Tensor:
    left, top = p["left"], p["top"]
    right, bottom = left + p["width"] - 1, top + p["height"] - 1
    x, y = torch.stack([left, right, right, left], 1), torch.stack([top, top, bottom, bottom], 1)
    return torch.stack([x, y], 2)


def contenders(name: str, size: int, batch: int) -> dict[str, Callable[[], object]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, size, size, generator=generator)
    op = get(name)(p=1.0)
    params = op.sample(batch, (size, size), generator)
    return {"kornia": lambda: KORNIA[name](images, params), "ablate": lambda: op.apply(images, params)}


def beside_color(size: int, batch: int) -> dict[str, Callable[[], object]]:
    """Every op on the same images, ``color`` first, each acting on all of them."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, size, size, generator=generator)
    ops = [get(name)().acting(1.0) for name in sorted(names(), key=lambda name: name != "color")]
    drawn = [op.sample(batch, (size, size), generator) for op in ops]
    return {op.name: functools.partial(op.apply, images, params) for op, params in zip(ops, drawn, strict=True)}


def hue_and_contrast(size: int, batch: int) -> dict[str, dict[str, Callable[[], object]]]:
    """The two costly steps of ``color`` and ``jitter``."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, size, size, generator=generator)
    shift = torch.rand(batch, generator=generator) * 0.4 - 0.2
    factor = 0.2 + 1.6 * torch.rand(batch, generator=generator)

    def contrast() -> Tensor:
        mean = grayscale(images).mean((2, 3), keepdim=True)
        return torch.lerp(mean.expand_as(images), images, factor[:, None, None, None]).clamp_(0, 1)

    return {
        "color: hue": {
            "kornia": lambda: E.adjust_hue(images, shift * 2 * math.pi),
            "ablate": lambda: shift_hue(images, shift),
        },
        "color: contrast": {
            "kornia": lambda: E.adjust_contrast_with_mean_subtraction(images, factor),
            "ablate": contrast,
        },
    }


if __name__ == "__main__":
    rows = {}
    for size, batch in SIZES:
        calls = {name: contenders(name, size, batch) for name in KORNIA} | hue_and_contrast(size, batch)
        rows[f"{size} px, B{batch}"] = {name: measure(pair, batch) for name, pair in calls.items()}
        rows[f"{size} px, B{batch}, beside color"] = measure(beside_color(size, batch), batch)
    save("ops", rows)
